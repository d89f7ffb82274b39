"""``archsim.energy/1``: what every countable action costs, row by row, with the source of each value.

The pJ of an action is the sum of its rows, each scaled to the accelerator by :mod:`archsim.energy.table`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from archsim.config.base import ConfigModel
from archsim.config.workload import Name
from archsim.counters import ACTIONS
from archsim.errors import did_you_mean

Component = Literal[
    "dram", "global_buffer", "noc", "pe_array", "branch_unit", "dbp_unit", "controller", "leakage"
]
Nanometres = Annotated[float, Field(ge=0.1, le=1000)]
Volts = Annotated[float, Field(ge=0.01, le=10)]
Per = Literal["access", "byte", "bit", "cycle", "command"]

SPAD_ACTIONS = tuple(action.name for action in ACTIONS if "_spad_" in action.name)
_UNIT_OF = {(action.component, action.name): action.unit for action in ACTIONS}
_PER_OF_UNIT: dict[str, tuple[Per, ...]] = {
    "byte": ("byte", "bit"),
    "word": ("access", "bit"),
    "burst": ("command", "bit"),
    "command": ("command",),
    "cycle": ("cycle",),
    "DRAM cycle": ("cycle",),
}


def per_of(component: str, action: str) -> tuple[Per, ...]:
    """What a row of an action may pay for.

    >>> per_of("noc", "psum_byte"), per_of("pe_array", "mac")
    (('byte', 'bit'), ('access',))
    """
    return _PER_OF_UNIT.get(_UNIT_OF[component, action], ("access",))


def quantities_of(component: str, action: str) -> frozenset[str]:
    """Sizes of the accelerator (:mod:`archsim.energy.quantities`) that exist for one action.

    Widths of the datapath exist for all of them.

    >>> sorted(quantities_of("noc", "ifmap_byte") - quantities_of("dbp_unit", "add"))
    ['wire_mm']
    """
    found = {"activation_bits", "weight_bits", "psum_bits", "operand_bits"}
    if action in SPAD_ACTIONS or component == "global_buffer" or action.startswith("weight_"):
        found |= {"storage_words", "storage_bytes"}
    if component in ("global_buffer", "noc", "controller"):
        found.add("wire_mm")
    if component == "leakage":
        found |= {"clocked_bits", "sram_kib"}
    return frozenset(found)


class SizeLawSpec(ConfigModel):
    """A power law of ``storage_bytes`` from one size to the next, through these points."""

    storage_bytes: Annotated[list[Annotated[float, Field(gt=0, le=1e12)]], Field(min_length=2)]
    """Sizes, ascending. Beyond the first and the last the nearest law goes on, and the use is reported."""
    energy_pj: Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=2)]
    """Energy at these sizes; the ``value`` of the row multiplies it."""

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        if len(self.storage_bytes) != len(self.energy_pj):
            raise ValueError("storage_bytes and energy_pj differ in length")
        if sorted(set(self.storage_bytes)) != self.storage_bytes:
            raise ValueError("storage_bytes must ascend")
        return self


class EnergyRowSpec(ConfigModel):
    """One term of one or several actions: ``value`` x width (``per: bit``) x product of quantity ** exponent x law.

    A pJ value is given as its source gives it, at ``node_nm`` and ``voltage_v``, and scaled to those of the table;
    without them it is taken as it is.
    """

    component: Component
    actions: Annotated[list[str], Field(min_length=1)]
    value: Annotated[float, Field(ge=0, le=1e9)]
    unit: Literal["pJ", "uW"] = "pJ"
    """uW is a power that flows all the time; only ``leakage`` has it."""
    per: Per
    """What one ``value`` pays for; ``bit`` multiplies it with the width of the word, byte or burst counted."""
    scales_with: dict[Name, Annotated[float, Field(ge=-4, le=4)]] = {}
    """Exponent by quantity; the value is for all of them at 1."""
    law: SizeLawSpec | None = None
    """How the energy grows with the size of what is accessed; ``value`` multiplies it."""
    storage: Literal["registers", "sram"] | None = None
    """For scratchpads: the row is used only when the scratchpad is built of this."""
    valid_bytes: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Smallest and largest ``storage_bytes`` that the row holds for (default: those of its law); a use beyond is
    reported."""
    width_bits: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    """Width that the source's value is for, as a note; scaling is by ``per`` and ``scales_with`` alone."""
    node_nm: Nanometres | None = None
    voltage_v: Volts | None = None
    source: Annotated[str, Field(min_length=1)]
    uncertainty: Annotated[float, Field(ge=0, le=100)]
    """Relative half width of the 95 % range: 0.3 is +-30 %; above 1 only the order of magnitude is known."""
    error_group: Name | None = None
    """Rows that name the same group come from one unknown and err together (the terms of one fit); others do not."""

    @field_validator("actions")
    @classmethod
    def _declared(cls, actions: list[str], info: ValidationInfo) -> list[str]:
        component = info.data.get("component")
        names = [name for found, name in _UNIT_OF if found == component]
        for action in actions:
            if component and action not in names:
                raise ValueError(f'"{action}" is no action of {component}; {did_you_mean(action, names)}')
        if len(set(actions)) < len(actions):
            raise ValueError("an action is listed twice")
        return actions

    @model_validator(mode="after")
    def _fits_its_actions(self) -> Self:
        for action in self.actions:
            allowed = per_of(self.component, action)
            if self.per not in allowed:
                raise ValueError(
                    f"{self.component}.{action} is counted per {' or '.join(allowed)}, not {self.per}"
                )
            known = quantities_of(self.component, action)
            for quantity in self.scales_with:
                if quantity not in known:
                    hint = did_you_mean(quantity, known)
                    raise ValueError(f"{self.component}.{action} has no quantity {quantity}; {hint}")
            if (self.law or self.valid_bytes) and "storage_bytes" not in known:
                raise ValueError(
                    f"{self.component}.{action} accesses no storage, a law of its size means nothing"
                )
            if self.storage and action not in SPAD_ACTIONS:
                raise ValueError(f"storage is for scratchpads, {self.component}.{action} is none")
        if self.unit == "uW" and (self.component != "leakage" or self.node_nm or self.voltage_v):
            raise ValueError("unit uW is for leakage, at the node and voltage of the table")
        if (self.node_nm is None) != (self.voltage_v is None):
            raise ValueError("node_nm and voltage_v belong together")
        return self


class FloorplanSpec(ConfigModel):
    """Areas, from which the lengths of wires follow."""

    pe_um2_per_bit: Annotated[float, Field(gt=0, le=1e6)]
    """Area of a PE per stored bit, multiplier cell (activation x weight bits) and psum bit."""
    sram_um2_per_byte: Annotated[float, Field(gt=0, le=1e6)]
    """Area of an SRAM."""
    logic_um2_per_gate: Annotated[float, Field(gt=0, le=1e6)] = 9.36
    """Area of a NAND2 gate, wires and gaps included; of the supporting units, whose gates are counted."""
    valid_bytes: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Smallest and largest SRAM that ``sram_um2_per_byte`` holds for."""
    node_nm: Nanometres | None = None
    """Process of the areas; they are scaled to that of the table by the square of the ratio. None: as they are."""
    components_mm2: dict[Component, Annotated[float, Field(ge=0, le=1e6)]] = {}
    """Areas that are known as a whole; they win over the law."""
    source: Annotated[str, Field(min_length=1)]
    uncertainty: Annotated[float, Field(ge=0, le=100)] = 0.3
    """Relative half width of the 95 % range of every area."""


class EnergyTableSpec(ConfigModel):
    """A complete table for one process corner."""

    schema_: Literal["archsim.energy/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    description: str = ""
    node_nm: Nanometres
    voltage_v: Volts
    dram_commands: Literal["currents", "rows"] = "currents"
    """Energy of DRAM commands: from the preset's datasheet currents (rows of ``dram`` come on top), or rows alone."""
    register_spad_max_bytes: Annotated[int, Field(ge=0, le=1 << 20)]
    """Scratchpads up to this size are built of registers, larger ones are SRAM."""
    floorplan: FloorplanSpec
    rows: Annotated[dict[Name, EnergyRowSpec], Field(min_length=1, max_length=10_000)]
    """Terms by name; a table that ``extends`` this one replaces or adds single rows by it."""

    @model_validator(mode="after")
    def _groups_agree(self) -> Self:
        uncertainties: dict[str, float] = {}
        for name, row in self.rows.items():
            if row.error_group is None:
                continue
            agreed = uncertainties.setdefault(row.error_group, row.uncertainty)
            if agreed != row.uncertainty:
                raise ValueError(
                    f'rows of error_group "{row.error_group}" must have one uncertainty, {name} has '
                    f"{row.uncertainty:g} and another {agreed:g}"
                )
        return self
