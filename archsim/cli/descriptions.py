"""What ``describe`` says about workloads, architectures, DRAM presets, energy tables and components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from archsim.api import load
from archsim.config.dram import DramPresetSpec
from archsim.config.load import load_arch, load_dram_preset, load_energy_table
from archsim.config.yaml_io import read_document
from archsim.counters import ACTIONS, COMPONENTS
from archsim.energy.area import Area, area_of
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.network.graph import Branch, Network
from archsim.resources import Kind, builtin_names
from archsim.results.defaults import DEFAULT_ARCH

Rows = list[dict[str, Any]]

_SECTIONS: dict[str, tuple[str, ...]] = {
    "dram": ("dram", "dma"),
    "global_buffer": ("global_buffer",),
    "noc": ("pe_array.noc",),
    "pe_array": ("pe_array", "precision", "mappings"),
    "branch_unit": ("branch_unit", "exits"),
    "dbp_unit": ("dbp_unit", "dbp"),
    "controller": ("controller",),
    "leakage": ("clock",),
}
"""Sections of an architecture file that set up each component."""

_UNITS = {
    "kib": "KiB",
    "mhz": "MHz",
    "ma": "mA",
    "v": "V",
    "nm": "nm",
    "mm2": "mm2",
    "um2_per_bit": "um2/bit",
    "um2_per_byte": "um2/byte",
    "um2_per_gate": "um2/gate",
    "pj": "pJ",
    "bytes": "bytes",
    "bits": "bits",
    "cycles": "cycles",
    "words": "words",
    "bytes_per_cycle": "bytes/cycle",
}
"""Unit of a parameter by the end of its name."""


@dataclass(frozen=True)
class Description:
    """``tables`` maps a title to rows, each a mapping of column to value; all rows of a table have the same keys."""

    kind: str
    text: str
    tables: dict[str, Rows]


def describe_name(name: str) -> Description:
    """Description of a component, a built-in or a file. Raises InvalidInput, with near misses, for anything else."""
    if name in COMPONENTS:
        return _component(name)
    kinds = [kind for kind in _DESCRIBERS if name in builtin_names(kind)]
    if not kinds:
        return _DESCRIBERS[_kind_of_file(name)](name)
    description = _DESCRIBERS[kinds[0]](name)
    for kind in kinds[1:]:
        how = f"energy --energy-table {name}" if kind is Kind.ENERGY_TABLE else "PATH"
        description = replace(
            description, text=f"{description.text}\n{kind.value} of this name: archsim describe {how}"
        )
    return description


def _kind_of_file(name: str) -> Kind:
    path = Path(name)
    if not path.is_file():
        known = [*COMPONENTS, "energy", *(builtin for kind in _DESCRIBERS for builtin in builtin_names(kind))]
        message = "no component, built-in or file has this name"
        raise InvalidInput([Problem(name, "", message, did_you_mean(name, known))])
    document = read_document(path)
    schema = document.data.get("schema")
    if schema not in _SCHEMAS:
        message = f'found "{schema}", expected one of {", ".join(_SCHEMAS)}'
        raise InvalidInput([document.problem("schema", message)])
    return _SCHEMAS[schema]


def _component(name: str) -> Description:
    arch = load_arch(DEFAULT_ARCH)
    sections = _SECTIONS[name]
    parameters = [row for row in parameters_of(arch) if _owner(row["parameter"]) in sections]
    tables = {f"parameters (values of {DEFAULT_ARCH})": parameters}
    if name == "dram":
        tables[f"DRAM preset {arch.dram.preset}"] = _dram_rows(load_dram_preset(arch.dram.preset))
    tables["counted actions"] = [
        {"action": action.name, "unit": action.unit, "counted when": action.sentence}
        for action in ACTIONS
        if action.component == name
    ]
    return Description("component", "", tables)


def _owner(parameter: str) -> str:
    """Section that a parameter is described under: its longest prefix that any component has."""
    sections = [section for owned in _SECTIONS.values() for section in owned]
    return max(
        (section for section in sections if f"{parameter}.".startswith(f"{section}.")), key=len, default=""
    )


def parameters_of(model: BaseModel, prefix: str = "") -> Rows:
    """Every parameter of a configuration model by its dotted key, with value, unit and documentation."""
    rows: Rows = []
    for key, field in type(model).model_fields.items():
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            rows.extend(parameters_of(value, f"{prefix}{key}."))
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for index, entry in enumerate(value):
                rows.extend(parameters_of(entry, f"{prefix}{key}.{index}."))
        elif key not in ("schema_", "name", "description", "source"):
            meaning = " ".join((field.description or "").split())
            rows.append({"parameter": prefix + key, "value": value, "unit": unit_of(key), "meaning": meaning})
    return rows


def unit_of(parameter: str) -> str:
    """Unit by the end of a parameter's name, "" where it has none.

    >>> unit_of("size_kib"), unit_of("port_bytes_per_cycle"), unit_of("rows")
    ('KiB', 'bytes/cycle', '')
    """
    words = parameter.split("_")
    tails = ("_".join(words[start:]) for start in range(len(words)))
    return next((_UNITS[tail] for tail in tails if tail in _UNITS), "")


def _arch(name: str) -> Description:
    arch = load_arch(name)
    area = area_of(arch, load_energy_table(arch.energy_table))
    tables = {"parameters": parameters_of(arch), "area": area_rows(area)}
    return Description(Kind.ARCH.value, arch.description, tables)


def area_rows(area: Area) -> Rows:
    """Area by component, its sum last."""
    return [
        {"component": name, "mm2": mm2, "uncertainty %": round(100 * area.uncertainty, 1)}
        for name, mm2 in {**area.by_component, "total": area.total_mm2}.items()
    ]


def _dram(name: str) -> Description:
    preset = load_dram_preset(name)
    text = "\n".join(part for part in (preset.description, f"Source: {preset.source}") if part)
    return Description(Kind.DRAM.value, text, {"parameters": _dram_rows(preset)})


def _dram_rows(preset: DramPresetSpec) -> Rows:
    rows = parameters_of(preset)
    for row in rows:
        if row["parameter"].startswith("timing."):
            row["unit"] = "DRAM cycles"
    derived = (
        ("burst_bytes", preset.burst_bytes, "bytes", "Bytes that one column command moves"),
        ("banks", preset.banks, "", "Banks of the channel"),
        (
            "peak_mb_per_s",
            2 * preset.clock_mhz * preset.channel_bits // 8,
            "MB/s",
            "Data on every clock edge",
        ),
    )
    rows.extend(
        {"parameter": key, "value": value, "unit": unit, "meaning": text}
        for key, value, unit, text in derived
    )
    return rows


def _energy_table(name: str) -> Description:
    table = load_energy_table(name)
    rows = [
        {
            "action": f"{row.component}.{action}",
            "row": key,
            "value": row.value,
            "unit": f"{row.unit}/{row.per}",
            "scales with": ", ".join(
                [
                    *(f"{size}^{exponent:g}" for size, exponent in row.scales_with.items()),
                    *(["law of storage_bytes"] if row.law else []),
                ]
            ),
            "uncertainty": f"{100 * row.uncertainty:g} %",
            "source": " ".join(row.source.split()),
        }
        for key, row in table.rows.items()
        for action in row.actions
    ]
    text = f"{table.description}\n{table.node_nm:g} nm, {table.voltage_v:g} V".strip()
    return Description(Kind.ENERGY_TABLE.value, text, {"rows": rows})


def _workload(name: str) -> Description:
    workload = load(name)
    network, spec = workload.network, workload.spec
    text = (
        f"{spec.description}\ndata set {spec.dataset.name}, {network.class_count} classes, input "
        f"{network.input_shape}, {network.weights} weights, {network.macs} MACs an image"
    ).strip()
    branches = [_branch_row(network, branch) for branch in network.branches]
    return Description(
        Kind.WORKLOAD.value, text, {"layers": list(_layer_rows(network)), "branches": branches}
    )


def _layer_rows(network: Network) -> Iterator[dict[str, Any]]:
    weights = macs = 0
    for layer in network.layers:
        weights += layer.weights
        macs += layer.macs
        yield {
            "layer": layer.name,
            "op": layer.op,
            "input": str(layer.input_shape),
            "output": str(layer.output_shape),
            "weights": layer.weights,
            "weights up to here %": _percent(weights, network.weights),
            "MACs": layer.macs,
            "MACs up to here %": _percent(macs, network.macs),
        }


def _branch_row(network: Network, branch: Branch) -> dict[str, Any]:
    trunk = network.trunk_until(branch)
    return {
        "branch": branch.name,
        "after": branch.after,
        "layers": " ".join(layer.op for layer in branch.layers),
        "weights": branch.weights,
        "MACs": branch.macs,
        "trunk weights before it %": _percent(sum(layer.weights for layer in trunk), network.weights),
        "trunk MACs before it %": _percent(sum(layer.macs for layer in trunk), network.macs),
        "threshold (logit)": branch.threshold,
        "DBP min sum": branch.dbp.min_sum if branch.dbp else None,
        "DBP max sum": branch.dbp.max_sum if branch.dbp else None,
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


_DESCRIBERS: dict[Kind, Callable[[str], Description]] = {
    Kind.WORKLOAD: _workload,
    Kind.ARCH: _arch,
    Kind.DRAM: _dram,
    Kind.ENERGY_TABLE: _energy_table,
}
_SCHEMAS = {
    "archsim.workload/1": Kind.WORKLOAD,
    "archsim.arch/1": Kind.ARCH,
    "archsim.dram/1": Kind.DRAM,
    "archsim.energy/1": Kind.ENERGY_TABLE,
}
