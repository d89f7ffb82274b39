"""Tables of sweeps that never ran: small, with numbers that are easy to check by head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from archsim.explore.table import SweepTable

COMPONENTS = ("dram", "global_buffer", "noc", "pe_array", "branch_unit", "dbp_unit", "controller", "leakage")


def sweep_table(**changes: list[Any]) -> SweepTable:
    """2 x 2 points: energies 4, 2, 3, 1 uJ in equal parts, latencies 4, 3, 2, 1 us but for the last, 5 us."""
    energies = [4.0, 2.0, 3.0, 1.0]
    cells: dict[str, list[Any]] = {
        "param.pe_array.rows": [4, 4, 8, 8],
        "param.pe_array.zero": ["gate", "skip", "gate", "skip"],
        "status": ["ok"] * 4,
        "error": [""] * 4,
        "workload": ["toy"] * 4,
        "arch": ["fast"] * 4,
        "images": [16] * 4,
        "accuracy": [0.9, 0.8, 0.9, 0.7],
        "latency_us.mean": [4.0, 3.0, 2.0, 5.0],
        "energy_uj_per_image.total": energies,
        **{f"energy_uj_per_image.by_component.{name}": [e / 8 for e in energies] for name in COMPONENTS},
        **changes,
    }
    columns = {
        name: np.array(column, np.float64 if isinstance(column[0], int | float) else object)
        for name, column in cells.items()
    }
    return SweepTable("swept", Path("swept"), columns)
