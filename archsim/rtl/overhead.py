"""What the supporting modules add to the PE array, in gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In

from archsim.config.arch import ArchSpec
from archsim.config.load import load_energy_table
from archsim.energy.quantities import Quantities
from archsim.rtl.gates import EQUIVALENTS, FLIP_FLOP, Gates, Silicon, gates_of
from archsim.rtl.units import UNITS, make_unit
from archsim.schedule.branches import classifier_cycles


class MacDatapath(Component):
    """Multiplier, adder and pipeline registers of one PE: what of it is not storage."""

    def __init__(self, activation_bits: int, weight_bits: int, psum_bits: int) -> None:
        self.psum_bits = psum_bits
        super().__init__(
            {
                "activation": In(signed(activation_bits)),
                "weight": In(signed(weight_bits)),
                "psum": In(psum_bits),
            }
        )

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        activation, weight = Signal.like(self.activation), Signal.like(self.weight)
        product = Signal(signed(len(self.activation) + len(self.weight)))
        total = Signal(signed(self.psum_bits), attrs={"keep": 1})
        m.d.sync += [
            activation.eq(self.activation),
            weight.eq(self.weight),
            product.eq(activation * weight),
            total.eq(self.psum + product),
        ]
        return m


CLASSIFIERS = (10, 100, 200)
"""Logits of the classifiers that a table shows, CIFAR-10 to Tiny-ImageNet, of 512 features each."""


@dataclass(frozen=True)
class Overhead:
    """One accelerator: gates by unit, gates of its PE array, and what they cost.

    array_equivalents: datapath of a PE synthesised, register scratchpads as flip-flops, times the PEs; SRAM
    scratchpads and the NoC are left out.
    """

    arch: ArchSpec
    gates: dict[str, Gates]
    array_equivalents: float

    def classifier_rows(self) -> list[dict[str, Any]]:
        """What classes cost: cycles and bytes of weights, no gates."""
        lanes, bits = self.arch.branch_unit.macs, self.arch.precision.weight_bits
        return [
            {
                "lanes": lanes,
                "features": 512,
                "classes": classes,
                "cycles": classifier_cycles(512, classes, lanes),
                "weights KiB": 512 * classes * bits / 8 / 1024,
            }
            for classes in CLASSIFIERS
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One a unit, as ``archsim export-rtl --gates`` prints them."""
        return [
            {
                "unit": name,
                "lanes": self._lanes(name),
                "logic GE": round(found.logic),
                "flip-flops": found.flip_flops,
                "GE": round(found.equivalents),
                "levels": found.levels,
                "of the PE array %": round(100 * found.equivalents / self.array_equivalents, 2),
                "area mm2": round(Silicon.of(found).area_mm2, 4),
                "pJ a cycle": round(Silicon.of(found).cycle_pj, 2),
                "leakage uW": round(Silicon.of(found).leakage_uw, 2),
            }
            for name, found in self.gates.items()
        ]

    def _lanes(self, name: str) -> int | None:
        """Lanes of a unit that has any."""
        return {"dbp_unit": self.arch.dbp_unit.lanes, "branch_unit": self.arch.branch_unit.macs}.get(name)


def overhead_of(arch: ArchSpec, units: Sequence[str] = tuple(UNITS)) -> Overhead:
    """Synthesise units and the datapath of a PE with the parameters of an architecture: minutes."""
    gates = {name: gates_of(make_unit(name, arch)) for name in units}
    bits = arch.precision
    datapath = gates_of(MacDatapath(bits.activation_bits, bits.weight_bits, bits.psum_bits))
    sizes = Quantities(arch, load_energy_table(arch.energy_table))
    register_bits = sum(spad.words * spad.word_bits for spad in sizes.spads.values() if not spad.is_sram)
    one = datapath.equivalents + EQUIVALENTS[FLIP_FLOP] * register_bits
    return Overhead(arch, gates, one * sizes.pes)
