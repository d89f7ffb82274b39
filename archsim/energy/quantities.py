"""Sizes of an accelerator that energies scale with: widths, storage, lengths of wires, clocked bits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archsim.config.arch import ArchSpec
from archsim.config.energy import SPAD_ACTIONS, EnergyTableSpec

_KIB = 1024


@dataclass(frozen=True, slots=True)
class UnitGates:
    """A supporting unit as its RTL has been synthesised (docs/explanation/rtl.md): NAND2 equivalents, flip-flops."""

    equivalents: float
    flip_flops: float

    @classmethod
    def of(cls, fixed: tuple[float, float], per_lane: tuple[float, float], lanes: float) -> UnitGates:
        """(equivalents, flip-flops) of the unit without lanes and of each lane.

        >>> UnitGates.of((975, 44), (93, 0), lanes=16)
        UnitGates(equivalents=2463, flip_flops=44)
        """
        return cls(fixed[0] + lanes * per_lane[0], fixed[1] + lanes * per_lane[1])


_BRANCH_UNIT = (5400.0, 440.0), (1495.0, 29.0)
_DBP_UNIT = (975.0, 44.0), (93.0, 0.0)
_CONTROLLER = (656.0, 43.0), (0.0, 0.0)
"""Straight lines through the counts for 4 to 32 lanes of 8-bit operands and 32-bit sums, each met within 6 %."""
_MAC_CELLS = 8 * 8 + 32


@dataclass(frozen=True, slots=True)
class Scratchpad:
    """One scratchpad of a PE."""

    words: int
    word_bits: int
    is_sram: bool

    @property
    def size_bytes(self) -> float:
        """Capacity."""
        return self.words * self.word_bits / 8


class Quantities:
    """The quantities of one accelerator under one table's floorplan."""

    def __init__(self, arch: ArchSpec, table: EnergyTableSpec) -> None:
        self._arch = arch
        floorplan = table.floorplan
        shrink = (table.node_nm / floorplan.node_nm) ** 2 if floorplan.node_nm else 1.0
        self.um2_per_bit = floorplan.pe_um2_per_bit * shrink
        self.um2_per_sram_byte = floorplan.sram_um2_per_byte * shrink
        self.um2_per_gate = floorplan.logic_um2_per_gate * shrink
        bits, words = arch.precision, arch.pe_array.scratchpad
        kinds = {
            "ifmap": (words.ifmap_words, bits.activation_bits),
            "filter": (words.filter_words, bits.weight_bits),
            "psum": (words.psum_words, bits.psum_bits),
        }
        limit_bytes = table.register_spad_max_bytes
        self.spads = {
            kind: Scratchpad(count, width, count * width > 8 * limit_bytes)
            for kind, (count, width) in kinds.items()
        }

    @property
    def pes(self) -> int:
        """Processing elements."""
        return self._arch.pe_array.rows * self._arch.pe_array.cols

    @property
    def operand_bits(self) -> int:
        """Activation and weight of one MAC side by side."""
        return self._arch.precision.activation_bits + self._arch.precision.weight_bits

    @property
    def mac_cells(self) -> int:
        """Of a MAC: a multiplier is an array of activation x weight cells, each about as large as a stored bit."""
        bits = self._arch.precision
        return bits.activation_bits * bits.weight_bits + bits.psum_bits

    @property
    def pe_pitch_mm(self) -> float:
        """Side of a PE."""
        stored_bits = sum(spad.words * spad.word_bits for spad in self.spads.values())
        return math.sqrt((stored_bits + self.mac_cells) * self.um2_per_bit) / 1000

    @property
    def global_buffer_side_mm(self) -> float:
        """Side of the global buffer as a square."""
        return math.sqrt(self._arch.global_buffer.size_kib * _KIB * self.um2_per_sram_byte) / 1000

    @property
    def array_span_mm(self) -> float:
        """Mean way from the edge of the array to its PEs: half of the column bus, then half of a row bus.

        The controllers of a multicast bus stop what nobody behind them wants, so the mean way and not the whole bus.
        """
        return (self._arch.pe_array.rows + self._arch.pe_array.cols) / 2 * self.pe_pitch_mm

    @property
    def supporting_units(self) -> dict[str, UnitGates]:
        """Those that the accelerator has. Lanes of other widths are larger as a MAC and an operand are."""
        exits, dbp, unit = self._arch.exits.enabled, self._arch.dbp.enabled, self._arch.branch_unit
        found = {}
        if exits and unit.macs:
            found["branch_unit"] = UnitGates.of(*_BRANCH_UNIT, unit.macs * self.mac_cells / _MAC_CELLS)
        if exits and dbp:
            lanes = self._arch.dbp_unit.lanes * self._arch.precision.activation_bits / 8
            found["dbp_unit"] = UnitGates.of(*_DBP_UNIT, lanes)
        if exits:
            found["controller"] = UnitGates.of(*_CONTROLLER, 0)
        return found

    @property
    def clocked_bits(self) -> float:
        """Flip-flops that see the clock: register scratchpads and pipelines of all PEs, supporting units."""
        pipeline_bits = 2 * self.operand_bits + self._arch.precision.psum_bits
        register_bits = sum(spad.words * spad.word_bits for spad in self.spads.values() if not spad.is_sram)
        return self.pes * (register_bits + pipeline_bits) + sum(
            unit.flip_flops for unit in self.supporting_units.values()
        )

    @property
    def sram_kib(self) -> float:
        """All SRAM of the chip: global buffer, scratchpads that are SRAM, weights of the branch unit."""
        spad_bytes = sum(spad.size_bytes for spad in self.spads.values() if spad.is_sram)
        branch_kib = self._arch.branch_unit.weight_sram_kib if self._arch.exits.enabled else 0
        return self._arch.global_buffer.size_kib + branch_kib + self.pes * spad_bytes / _KIB

    def spad_of(self, action: str) -> Scratchpad | None:
        """Scratchpad that an action of the PE array accesses; None when it accesses none."""
        return self.spads[action.partition("_")[0]] if action in SPAD_ACTIONS else None

    def width_bits(self, action: str, burst_bytes: int) -> int:
        """Bits that one count of an action moves: a word of its scratchpad, a DRAM burst, or a byte."""
        spad = self.spad_of(action)
        if spad is not None:
            return spad.word_bits
        return 8 * burst_bytes if action.endswith("_burst") else 8

    def value(self, quantity: str, component: str, action: str) -> float:
        """One quantity as it is for one action (see :func:`archsim.config.energy.quantities_of`)."""
        if quantity in ("activation_bits", "weight_bits", "psum_bits"):
            return float(getattr(self._arch.precision, quantity))
        if quantity == "storage_bytes":
            return self._storage_bytes(component, action)
        if quantity == "storage_words":
            spad = self.spad_of(action)
            return spad.words if spad else self._storage_bytes(component, action)
        if quantity == "wire_mm":
            return self._wire_mm(component, action)
        return float(getattr(self, quantity))

    def _storage_bytes(self, component: str, action: str) -> float:
        spad = self.spad_of(action)
        if spad is not None:
            return spad.size_bytes
        if component == "branch_unit":
            return float(self._arch.branch_unit.weight_sram_kib * _KIB)
        return self._arch.global_buffer.size_kib * _KIB / self._arch.global_buffer.banks

    def _wire_mm(self, component: str, action: str) -> float:
        if action == "local_psum_byte":
            return self.pe_pitch_mm
        if component == "noc":
            return self.array_span_mm
        # From a bank to the middle of one edge: on average a quarter of the width and half of the height.
        buffer_mm = 0.75 * self.global_buffer_side_mm
        return buffer_mm if component == "global_buffer" else buffer_mm + self.array_span_mm
