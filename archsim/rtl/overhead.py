"""What the supporting modules add to the PE array, in gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsim.config.arch import ArchSpec
from archsim.config.load import load_energy_table
from archsim.energy.quantities import Quantities
from archsim.rtl.gates import EQUIVALENTS, FLIP_FLOP, Gates, Silicon, gates_of
from archsim.rtl.processing_element import ProcessingElement
from archsim.rtl.units import COUNTED, make_unit
from archsim.schedule.branches import classifier_cycles

CLASSIFIERS = (10, 100, 200)
"""Logits of the classifiers that a table shows, CIFAR-10 to Tiny-ImageNet, of 512 features each."""
SUPPORTING = ("dbp_unit", "branch_unit", "exit_controller")
"""What early exits and dynamic branch pruning add to an accelerator."""


@dataclass(frozen=True)
class Overhead:
    """One accelerator: gates by unit, gates of its PE array, and what they cost.

    array_equivalents: of a PE, times the PEs; a filter scratchpad that is SRAM and the NoC are left out.
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
                "of the PE array %": self._percent(found.equivalents),
                "area mm2": round(Silicon.of(found).area_mm2, 4),
                "pJ a cycle": round(Silicon.of(found).cycle_pj, 2),
                "leakage uW": round(Silicon.of(found).leakage_uw, 2),
            }
            for name, found in self.gates.items()
        ]

    def supporting_row(self) -> dict[str, Any]:
        """All supporting modules together, against the PE array. Each of them has been counted."""
        parts = {name: self.gates[name] for name in SUPPORTING}
        total = sum(found.equivalents for found in parts.values())
        return {
            "lanes": self.arch.branch_unit.macs,
            **{f"{name} GE": round(found.equivalents) for name, found in parts.items()},
            "together GE": round(total),
            "PE array GE": round(self.array_equivalents),
            "of the PE array %": self._percent(total),
            "levels": max(found.levels for found in parts.values()),
        }

    def _percent(self, equivalents: float) -> float:
        return round(100 * equivalents / self.array_equivalents, 2)

    def _lanes(self, name: str) -> int | None:
        """Lanes of a unit that has any."""
        return {"dbp_unit": self.arch.dbp_unit.lanes, "branch_unit": self.arch.branch_unit.macs}.get(name)


def overhead_of(arch: ArchSpec, units: Sequence[str] = COUNTED) -> Overhead:
    """Synthesise units and a PE with the parameters of an architecture: minutes."""
    made = {name: make_unit(name, arch) for name in units}  # says what is wrong before minutes of synthesis
    gates = {name: gates_of(unit) for name, unit in made.items()}
    one = gates_of(ProcessingElement.of(arch)).equivalents
    sizes = Quantities(arch, load_energy_table(arch.energy_table))
    filters = sizes.spads["filter"]
    if not filters.is_sram:
        one += EQUIVALENTS[FLIP_FLOP] * filters.words * filters.word_bits
    return Overhead(arch, gates, one * sizes.pes)
