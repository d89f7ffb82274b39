"""From an energy table to the pJ of every action on one accelerator with one DRAM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.energy import EnergyRowSpec, EnergyTableSpec
from archsim.config.load import config_hash
from archsim.counters import ACTIONS
from archsim.energy.area import Area, area_of
from archsim.energy.dram import command_energy
from archsim.energy.law import power_law, process_scale
from archsim.energy.quantities import Quantities
from archsim.errors import InvalidInput, Problem

ActionKey = tuple[str, str]
"""(component, action)"""


@dataclass(frozen=True, slots=True)
class ResolvedPart:
    """One term of one action.

    row: name in the table, ``currents`` for DRAM commands. uncertainty: relative. source: where the value comes from.
    variable: the unknown that the term depends on; terms with the same one err together, in this table and in others
    that hold the same row.
    """

    component: str
    action: str
    row: str
    energy_pj: float
    uncertainty: float
    source: str
    variable: str


@dataclass(frozen=True)
class ResolvedTable:
    """Energy of every declared action on one accelerator.

    name: of the table. area: of the accelerator. energy_pj: (component, action) -> pJ per count, in the order of
    ACTIONS. parts: the terms that add up to them. unused: rows that this accelerator has no use for, as ``row:
    component.action``. extrapolated: terms used outside the range that their law was fitted to.
    table_hash: SHA-256 (hex) over the whole table, sources included.
    """

    name: str
    table_hash: str
    area: Area
    energy_pj: Mapping[ActionKey, float]
    parts: tuple[ResolvedPart, ...]
    unused: tuple[str, ...]
    extrapolated: tuple[str, ...]

    @property
    def unused_rows(self) -> tuple[str, ...]:
        """Rows of which this accelerator uses nothing."""
        used = {part.row for part in self.parts}
        names = dict.fromkeys(label.partition(":")[0] for label in self.unused)
        return tuple(name for name in names if name not in used)

    def parts_of(self, component: str, action: str) -> list[ResolvedPart]:
        """Terms of one action."""
        return [part for part in self.parts if (part.component, part.action) == (component, action)]

    def uncertainty(self, component: str, action: str) -> float:
        """Relative uncertainty of one action (95 %); 0 for an action that costs nothing."""
        total_pj = self.energy_pj[component, action]
        errors_pj: dict[str, float] = {}
        for part in self.parts_of(component, action):
            error_pj = part.energy_pj * part.uncertainty
            errors_pj[part.variable] = errors_pj.get(part.variable, 0.0) + error_pj
        return math.hypot(*errors_pj.values()) / total_pj if total_pj else 0.0


MAX_PJ = 1e15
"""Of one action, a kilojoule; a billion of them an image still is a number."""


def resolve(table: EnergyTableSpec, arch: ArchSpec, dram: DramPresetSpec) -> ResolvedTable:
    """pJ of every action in :data:`archsim.counters.ACTIONS`.

    Raises InvalidInput that lists every action without a row or of an impossible energy, and what
    :func:`archsim.energy.dram.command_energy` raises.
    """
    resolver = _Resolver(table, arch, dram)
    for name, row in table.rows.items():
        for action in row.actions:
            resolver.add(name, row, action)
    if table.dram_commands == "currents":
        resolver.add_dram_commands()
    return resolver.result()


class _Resolver:
    def __init__(self, table: EnergyTableSpec, arch: ArchSpec, dram: DramPresetSpec) -> None:
        self.table, self.arch, self.dram = table, arch, dram
        self.quantities = Quantities(arch, table)
        self.parts: list[ResolvedPart] = []
        self.problems: list[Problem] = []
        self.unused: list[str] = []
        self.extrapolated: list[str] = []

    def add(self, name: str, row: EnergyRowSpec, action: str) -> None:
        label = f"{name}: {row.component}.{action}"
        spad = self.quantities.spad_of(action)
        if row.storage and spad and spad.is_sram != (row.storage == "sram"):
            self.unused.append(label)
            return
        variable = row.error_group or f"{name}#{config_hash(row)[:8]}"
        try:
            energy_pj = self._energy_pj(row, action)
        except (ArithmeticError, ValueError):  # a power, or the logarithm of 0
            energy_pj = math.inf
        if energy_pj >= MAX_PJ:
            self.problems.append(
                Problem(
                    f'energy table "{self.table.name}"',
                    f"rows.{name}",
                    f"{action} costs {energy_pj:g} pJ on {self.arch.name}, expected less than {MAX_PJ:g}",
                    "look at value, law and scales_with",
                )
            )
        self.parts.append(
            ResolvedPart(row.component, action, name, energy_pj, row.uncertainty, row.source, variable)
        )
        valid_bytes = row.valid_bytes or (row.law and [row.law.storage_bytes[0], row.law.storage_bytes[-1]])
        if valid_bytes:
            size_bytes = self.quantities.value("storage_bytes", row.component, action)
            if not valid_bytes[0] <= size_bytes <= valid_bytes[1]:
                self.extrapolated.append(
                    f"{label}: {size_bytes:g} bytes, fitted to {valid_bytes[0]:g}..{valid_bytes[1]:g}"
                )

    def _energy_pj(self, row: EnergyRowSpec, action: str) -> float:
        energy_pj = row.value
        if row.unit == "uW":  # 1 uW for one cycle of 1 MHz is 1 pJ
            energy_pj /= self.arch.clock.core_mhz
        if row.node_nm and row.voltage_v:
            energy_pj *= process_scale(row.node_nm, row.voltage_v, self.table.node_nm, self.table.voltage_v)
        if row.per == "bit":
            energy_pj *= self.quantities.width_bits(action, self.dram.burst_bytes)
        if row.law:
            size_bytes = self.quantities.value("storage_bytes", row.component, action)
            energy_pj *= power_law(row.law.storage_bytes, row.law.energy_pj, size_bytes)
        for quantity, exponent in row.scales_with.items():
            energy_pj *= self.quantities.value(quantity, row.component, action) ** exponent
        return energy_pj

    def add_dram_commands(self) -> None:
        variable = f"currents of {self.dram.name}"
        source = f"{variable}, DRAM preset: {self.dram.source}"
        for action, energy_pj in asdict(command_energy(self.dram)).items():
            self.parts.append(
                ResolvedPart("dram", action, "currents", energy_pj, _DATASHEET_UNCERTAINTY, source, variable)
            )

    def result(self) -> ResolvedTable:
        terms: dict[ActionKey, list[float]] = {(action.component, action.name): [] for action in ACTIONS}
        for part in self.parts:
            terms[part.component, part.action].append(part.energy_pj)
        problems = self.problems + [
            Problem(
                f'energy table "{self.table.name}"',
                "rows",
                f"no row for {component}.{action} on {self.arch.name}",
                "add a row with this component and action; a value of 0 is allowed",
            )
            for (component, action), energies in terms.items()
            if not energies
        ]
        if problems:
            raise InvalidInput(problems)
        return ResolvedTable(
            name=self.table.name,
            table_hash=config_hash(self.table),
            area=area_of(self.arch, self.table),
            energy_pj={key: math.fsum(energies) for key, energies in terms.items()},
            parts=tuple(self.parts),
            unused=tuple(self.unused),
            extrapolated=(*self.extrapolated, *self._areas_beyond()),
        )

    def _areas_beyond(self) -> list[str]:
        """SRAMs of another size than the floorplan holds for."""
        valid_bytes = self.table.floorplan.valid_bytes
        if valid_bytes is None or "global_buffer" in self.table.floorplan.components_mm2:
            return []
        size_bytes = self.quantities.value("storage_bytes", "global_buffer", "read_byte")
        if valid_bytes[0] <= size_bytes <= valid_bytes[1]:
            return []
        label = f"floorplan: global_buffer: {size_bytes:g} bytes a bank"
        return [f"{label}, fitted to {valid_bytes[0]:g}..{valid_bytes[1]:g}"]


_DATASHEET_UNCERTAINTY = 0.2
"""Datasheet currents are maxima over the process; typical parts draw less."""
