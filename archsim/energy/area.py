"""Silicon area of an accelerator from the floorplan of its energy table, and baselines of equal area."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from archsim.config.arch import ArchSpec
from archsim.config.energy import EnergyTableSpec
from archsim.energy.quantities import Quantities
from archsim.errors import InvalidInput, Problem

_KIB = 1024
_POOLING_BYTES = 1024
"""Memory of the pooling registers of the branch unit: 512 channels of 16 bits, as its energy row says."""


@dataclass(frozen=True)
class Area:
    """mm2. by_component: the parts of the chip that have an area of their own; wiring, NoC and control are spread over
    the PEs. uncertainty: relative, 95 %, the same for all of them.
    """

    by_component: Mapping[str, float]
    uncertainty: float

    @property
    def total_mm2(self) -> float:
        """Of the chip without pads; the DRAM is another chip."""
        return math.fsum(self.by_component.values())


def area_of(arch: ArchSpec, table: EnergyTableSpec) -> Area:
    """Area of an accelerator: bits and multiplier cells of PEs x ``pe_um2_per_bit``, SRAM x ``sram_um2_per_byte``,
    gates of the supporting units, where there are any, x ``logic_um2_per_gate``.
    """
    sizes = Quantities(arch, table)
    found_um2 = {
        "global_buffer": arch.global_buffer.size_kib * _KIB * sizes.um2_per_sram_byte,
        "pe_array": sizes.pes * (1000 * sizes.pe_pitch_mm) ** 2,
    }
    for unit, counted in sizes.supporting_units.items():
        found_um2[unit] = counted.equivalents * sizes.um2_per_gate
    if "branch_unit" in found_um2:
        sram_bytes = arch.branch_unit.weight_sram_kib * _KIB + _POOLING_BYTES
        found_um2["branch_unit"] += sram_bytes * sizes.um2_per_sram_byte
    known_mm2 = table.floorplan.components_mm2
    return Area(
        {name: um2 / 1e6 for name, um2 in found_um2.items()} | dict(known_mm2), table.floorplan.uncertainty
    )


def with_area(baseline: ArchSpec, table: EnergyTableSpec, area_mm2: float) -> ArchSpec:
    """A baseline that has been given the largest global buffer with which it needs no more than an area.

    What one accelerator spends on supporting modules the other may spend on its buffer: the fairer comparison, beside
    that at equal PEs. The buffer grows or shrinks by whole banks, so that the energy of an access to a bank stays.
    Raises InvalidInput when not even one bank more than the filters need fits.

    >>> from archsim.config.load import load_arch, load_energy_table
    >>> ours, table = load_arch("locoexnet-65nm"), load_energy_table("65nm")
    >>> larger = with_area(load_arch("skip-rs"), table, area_of(ours, table).total_mm2)
    >>> larger.global_buffer.size_kib > ours.global_buffer.size_kib
    True
    """
    buffer = baseline.global_buffer
    bank_kib = buffer.size_kib / buffer.banks
    rest_mm2 = area_of(baseline, table).total_mm2 - area_of(baseline, table).by_component["global_buffer"]
    kib_mm2 = _KIB * Quantities(baseline, table).um2_per_sram_byte / 1e6
    banks = math.floor((area_mm2 - rest_mm2) / kib_mm2 / bank_kib)
    size_kib = math.floor(banks * bank_kib)
    if size_kib <= buffer.filter_kib:
        message = f"needs {rest_mm2:.3f} mm2 beside its global buffer, expected less than {area_mm2:.3f}"
        raise InvalidInput(
            [Problem(baseline.name, "global_buffer.size_kib", message, "compare at equal PEs")]
        )
    resized = buffer.model_copy(update={"size_kib": size_kib, "banks": banks})
    return baseline.model_copy(update={"global_buffer": resized})
