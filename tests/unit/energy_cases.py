"""What the energy tests share: golden rows, the default accelerator, Eyeriss, and edits of the 65 nm table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.energy import EnergyTableSpec
from archsim.config.load import load_dram_preset, load_energy_table
from archsim.energy.table import ResolvedTable, resolve

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "energy"
TABLE = load_energy_table("65nm")
DRAM = load_dram_preset("lpddr3-1600-x32")


def golden(name: str) -> list[dict[str, str]]:
    """Rows of one golden file."""
    with (GOLDEN / name).open(newline="") as file:
        return list(csv.DictReader(file))


def arch(**parts: Any) -> ArchSpec:
    """The default accelerator with some parts given, ``global_buffer={"size_kib": 54}``."""
    return ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "case", **parts})


def eyeriss() -> ArchSpec:
    """Eyeriss: 16-bit words everywhere, no branch unit and no DBP unit."""
    precision = {"activation_bits": 16, "weight_bits": 16, "psum_bits": 16}
    return arch(precision=precision, exits={"enabled": False})


def edited(rows: dict[str, dict[str, Any] | None] | None = None, **top: Any) -> EnergyTableSpec:
    """The 65 nm table with keys of some rows changed (None drops a row) and keys of the table changed."""
    data = TABLE.model_dump(by_alias=True) | top
    for name, keys in (rows or {}).items():
        if keys is None:
            del data["rows"][name]
        else:
            data["rows"][name] = data["rows"].get(name, {}) | keys
    return EnergyTableSpec.model_validate(data)


def resolved(
    of: ArchSpec | None = None, table: EnergyTableSpec = TABLE, dram: DramPresetSpec = DRAM
) -> ResolvedTable:
    """The table on an accelerator, the default one when left out."""
    return resolve(table, of or arch(), dram)
