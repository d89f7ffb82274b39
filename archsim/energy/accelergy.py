"""Energy and area reference tables (ERT, ART) of Accelergy and Timeloop: written from a resolved table, and read.

An ERT names actions of components and their pJ; it holds no widths. What archsim counts by the byte or burst therefore
needs the width of the access that the ERT prices (``widths_bits``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.energy import EnergyTableSpec, per_of
from archsim.config.yaml_io import read_document
from archsim.counters import ACTIONS, COMPONENTS
from archsim.energy.table import ActionKey, ResolvedTable, resolve
from archsim.errors import InvalidInput, Problem

VERSION = 0.4
_MAX_INSTANCES = 1 << 40
IMPORTED_UNCERTAINTY = 0.3
"""Of a row that an ERT gives, which says nothing about it."""

_SPADS = {"ifmap": "ifmap|iact|input", "filter": "filter|weights?", "psum": "psum|oact|output"}
_RULES: tuple[tuple[str, str, ActionKey], ...] = (
    ("macs?|maccs?|intmac|.*_mac", "compute|mac|mac_random|multiply(_and_accumulate)?", ("pe_array", "mac")),
    ("macs?|maccs?|intmac|.*_mac", "mac_gated|gated|mac_gated_random", ("pe_array", "gated_mac")),
    *(
        (f"({names})_?(spad|scratchpad|reg|rf)", verbs, ("pe_array", f"{kind}_spad_{verb}"))
        for kind, names in _SPADS.items()
        for verb, verbs in (("read", "read|access"), ("write", "write|update|fill"))
    ),
    ("(shared_)?glb|global_?buffer|gbuf", "read|access", ("global_buffer", "read_byte")),
    ("(shared_)?glb|global_?buffer|gbuf", "write|update|fill", ("global_buffer", "write_byte")),
    ("dram|main_?memory", "read|access", ("dram", "read_burst")),
    ("dram|main_?memory", "write|update", ("dram", "write_burst")),
)
"""Usual names of Eyeriss-like designs: (component, action, what archsim calls it); regular expressions."""
_UNIT = {(action.component, action.name): action.unit for action in ACTIONS}


def ert_of(resolved: ResolvedTable, arch: ArchSpec) -> dict[str, Any]:
    """ERT of every action, in pJ; the components are called ``ARCH.COMPONENT``."""
    tables = [
        {
            "name": f"{arch.name}.{component}",
            "actions": [
                {"name": action, "arguments": {}, "energy": energy_pj}
                for (found, action), energy_pj in resolved.energy_pj.items()
                if found == component
            ],
        }
        for component in COMPONENTS
    ]
    return {"ERT": {"version": VERSION, "tables": tables}}


def art_of(resolved: ResolvedTable, arch: ArchSpec) -> dict[str, Any]:
    """ART of every component that has an area, in um2."""
    tables = [
        {"name": f"{arch.name}.{component}", "area": 1e6 * mm2}
        for component, mm2 in resolved.area.by_component.items()
    ]
    return {"ART": {"version": VERSION, "tables": tables}}


@dataclass
class ImportedTable:
    """table: complete, for the one accelerator. taken: archsim's action by the ERT's name of it; from_base: actions
    that the ERT lacks; ignored: entries of ERT and ART that archsim has no name for.
    """

    table: EnergyTableSpec
    taken: dict[str, str] = field(default_factory=dict)
    from_base: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def import_tables(
    ert: Path,
    art: Path | None,
    base: EnergyTableSpec,
    arch: ArchSpec,
    dram: DramPresetSpec,
    widths_bits: Mapping[str, int],
    name: str,
) -> ImportedTable:
    """An energy table from an ERT and, if there is one, an ART.

    widths_bits: width of an access by the name of its component in the ERT. What the ERT lacks is taken from ``base``
    as it is on the accelerator. Raises InvalidInput for a file of another form and for a missing width.
    """
    problems: list[Problem] = []
    resolved = resolve(base, arch, dram)
    imported = ImportedTable(base)
    rows: dict[str, dict[str, Any]] = {}
    for component, action, energy_pj in _ert_entries(ert):
        key = _known_as(component, action)
        label = f"{component}.{action}"
        if key is None:
            imported.ignored.append(label)
            continue
        factor = _widths_factor(component, action, key, widths_bits, dram)
        if factor is None:
            message = f"{label} prices an access of unknown width, {'.'.join(key)} is a {_UNIT[key]}"
            problems.append(Problem(str(ert), component, message, f"give its width, {component}=64"))
            continue
        imported.taken[label] = ".".join(key)
        rows["_".join(key)] = _row(key, energy_pj * factor, f"{ert.name}, {label}", IMPORTED_UNCERTAINTY)
    if problems:
        raise InvalidInput(problems)
    for key, energy_pj in resolved.energy_pj.items():
        if "_".join(key) not in rows:
            imported.from_base.append(".".join(key))
            source = f"{base.name} on {arch.name}"
            rows["_".join(key)] = _row(key, energy_pj, source, resolved.uncertainty(*key))
    data = base.model_dump(by_alias=True) | {"name": name, "dram_commands": "rows", "rows": rows}
    data["description"] = f"Imported from {ert.name}; holds for {arch.name} with {dram.name} only"
    if art is not None:
        data["floorplan"] |= {
            "components_mm2": _areas_mm2(art, imported.ignored),
            "source": f"{art.name}; the rest {base.floorplan.source}",
        }
    try:
        imported.table = EnergyTableSpec.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(
            Problem(
                str(ert), ".".join(map(str, found["loc"])), found["msg"], "no table can hold such a value"
            )
            for found in error.errors(include_url=False)
        ) from None
    return imported


def _row(key: ActionKey, energy_pj: float, source: str, uncertainty: float) -> dict[str, Any]:
    component, action = key
    return {
        "component": component,
        "actions": [action],
        "value": energy_pj,
        "per": per_of(component, action)[0],
        "source": source,
        "uncertainty": uncertainty,
    }


def _known_as(component: str, action: str) -> ActionKey | None:
    """Archsim's name of an action; None where it has none.

    >>> _known_as("weights_spad", "update"), _known_as("shared_glb", "leak")
    (('pe_array', 'filter_spad_write'), None)
    """
    if (component, action) in _UNIT:
        return component, action
    for components, actions, key in _RULES:
        if re.fullmatch(components, component, re.IGNORECASE) and re.fullmatch(
            actions, action, re.IGNORECASE
        ):
            return key
    return None


def _widths_factor(
    component: str, action: str, key: ActionKey, widths_bits: Mapping[str, int], dram: DramPresetSpec
) -> float | None:
    """By what the energy of an ERT's access is multiplied; None when its width is needed and not known."""
    counted_bits = {"byte": 8, "burst": 8 * dram.burst_bytes}.get(_UNIT[key])
    if (component, action) == key or counted_bits is None:
        return 1.0
    width_bits = widths_bits.get(component)
    return None if width_bits is None else counted_bits / width_bits


def _ert_entries(path: Path) -> list[tuple[str, str, float]]:
    """(component, action, pJ); of an action with several arguments the dearest, that of random data."""
    dearest: dict[tuple[str, str], float] = {}
    for name, entry in _entries(path, "ERT", "actions"):
        for index, action in enumerate(entry["actions"] if isinstance(entry["actions"], list) else []):
            label = f"{name}.{index}"
            if not isinstance(action, dict) or not isinstance(action.get("name"), str):
                raise InvalidInput([Problem(str(path), label, "found an action without a name")])
            key = (name, action["name"])
            dearest[key] = max(dearest.get(key, 0.0), _positive(path, label, action.get("energy")))
    return [(*key, energy_pj) for key, energy_pj in dearest.items()]


def _areas_mm2(path: Path, ignored: list[str]) -> dict[str, float]:
    """Area by component of archsim; that of several parts adds up."""
    areas_mm2: dict[str, list[float]] = {}
    for name, entry in _entries(path, "ART", "area"):
        count = instances(str(entry["name"]))
        if not 0 < count <= _MAX_INSTANCES:
            message = f"found {count} instances, expected 1 .. {_MAX_INSTANCES}"
            raise InvalidInput([Problem(str(path), name, message)])
        um2 = _positive(path, name, entry["area"]) * count
        owner = name if name in COMPONENTS else next(
            (key[0] for names, _, key in _RULES if re.fullmatch(names, name, re.IGNORECASE)), None
        )  # fmt: skip
        if owner is None or owner == "dram":
            ignored.append(name)
        else:
            areas_mm2.setdefault(owner, []).append(um2 / 1e6)
    return {owner: math.fsum(parts) for owner, parts in areas_mm2.items()}


def instances(name: str) -> int:
    """How many a name of Accelergy stands for.

    >>> instances("system.PE_column[0..13].PE[0..11].mac"), instances("system.dram")
    (168, 1)
    """
    ranges = re.findall(r"\[(\d{1,9})\.\.(\d{1,9})\]", name)
    return math.prod(int(last) - int(first) + 1 for first, last in ranges)


def _entries(path: Path, kind: str, key: str) -> list[tuple[str, dict[str, Any]]]:
    """(last part of the name, entry) of all tables of an ERT or ART; also of its summary."""
    data = read_document(path).data
    for top, tables_key in ((kind, "tables"), (f"{kind}_summary", "table_summary")):
        body = data.get(top)
        tables = body.get(tables_key) if isinstance(body, dict) else None
        if isinstance(tables, Sequence) and not isinstance(tables, str):
            found = [entry for entry in tables if isinstance(entry, dict) and {"name", key} <= set(entry)]
            if found and len(found) == len(tables):
                return [(_last_part(str(entry["name"])), entry) for entry in found]
    message = f"found no {kind} with tables that have name and {key}"
    raise InvalidInput([Problem(str(path), "", message, "give a file that Accelergy wrote")])


def _last_part(name: str) -> str:
    return re.sub(r"\[[^]]*\]", "", name).rpartition(".")[2]


def _positive(path: Path, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidInput([Problem(str(path), key, f"found {value!r}, expected a number from 0 up")])
    return float(value)
