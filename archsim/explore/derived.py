"""What constraints may read besides configuration keys: results that follow from the accelerator of a point alone."""

from __future__ import annotations

from functools import lru_cache

from archsim.config.energy import EnergyTableSpec
from archsim.config.load import load_energy_table, read_arch
from archsim.energy.area import area_of
from archsim.errors import InvalidInput

AREA = ("area", "area_mm2.total")
"""Short name and column of the area of the chip, in mm2."""


@lru_cache(maxsize=4096)
def area_mm2(arch: str, energy_table: str | None, overrides: tuple[str, ...]) -> float | None:
    """Area of an accelerator as ``simulate`` reports it; None where it cannot be built.

    >>> small = area_mm2("dense-rs", None, ("global_buffer.size_kib=54",))
    >>> small < area_mm2("dense-rs", None, ())
    True
    >>> area_mm2("dense-rs", None, ("global_buffer.size_kib=4",))  # filters alone need 8
    """
    try:
        spec = read_arch(arch, overrides).spec
    except InvalidInput:
        return None
    return area_of(spec, _table(energy_table or spec.energy_table)).total_mm2


@lru_cache(maxsize=16)
def _table(ref: str) -> EnergyTableSpec:
    return load_energy_table(ref)
