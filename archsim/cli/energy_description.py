"""What ``describe energy`` says: a table as it is on one accelerator."""

from __future__ import annotations

from collections.abc import Sequence

from archsim.cli.descriptions import Description, Rows, area_rows
from archsim.config.load import load_arch, load_dram_preset, load_energy_table
from archsim.counters import ACTIONS
from archsim.energy.table import ResolvedTable, resolve

NAME = "energy"


def describe_energy(arch_ref: str, table_ref: str | None, overrides: Sequence[str]) -> Description:
    """Every action with its pJ, where they come from, areas, and what the table has too much or too little of.

    Raises InvalidInput listing every problem, actions without a row included.
    """
    arch = load_arch(arch_ref, overrides)
    dram = load_dram_preset(arch.dram.preset)
    resolved = resolve(load_energy_table(table_ref or arch.energy_table), arch, dram)
    text = f"table {resolved.name} ({resolved.table_hash[:8]}) on {arch.name} with {dram.name}"
    tables = {
        "actions": _actions(resolved),
        "terms": _terms(resolved),
        "area": area_rows(resolved.area),
        "rows without use here": [{"row": name} for name in resolved.unused_rows],
        "used beyond their range": [{"what": found} for found in resolved.extrapolated],
    }
    return Description(NAME, text, tables)


def _actions(resolved: ResolvedTable) -> Rows:
    return [
        {
            "action": f"{action.component}.{action.name}",
            "pJ": resolved.energy_pj[action.component, action.name],
            "per": action.unit,
            "uncertainty %": round(100 * resolved.uncertainty(action.component, action.name), 1),
        }
        for action in ACTIONS
    ]


def _terms(resolved: ResolvedTable) -> Rows:
    return [
        {
            "action": f"{part.component}.{part.action}",
            "row": part.row,
            "pJ": part.energy_pj,
            "uncertainty %": round(100 * part.uncertainty, 1),
            "source": " ".join(part.source.split()),
        }
        for part in resolved.parts
    ]
