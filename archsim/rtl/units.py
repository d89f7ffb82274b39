"""The units that are there in RTL, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, MissingExtra, Problem, did_you_mean

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component

UNITS: dict[str, str] = {
    "dbp_unit": "archsim.rtl.dbp_unit:DbpUnit",
    "branch_unit": "archsim.rtl.branch_unit:BranchUnit",
    "exit_controller": "archsim.rtl.exit_controller:ExitController",
    "requantiser": "archsim.rtl.requantiser:Requantiser",
    "buffer_port": "archsim.rtl.buffer_port:BufferPort",
    "processing_element": "archsim.rtl.processing_element:ProcessingElement",
    "pe_array": "archsim.rtl.pe_array:PeArray",
}
"""Where each unit is; its class makes one of an architecture with ``of``."""
COUNTED = tuple(name for name in UNITS if name != "pe_array")
"""Units whose gates are counted with those of all: an array is its PEs."""


def make_unit(name: str, arch: ArchSpec) -> Component:
    """A unit with the parameters of an architecture.

    Raises as :func:`unit_class`, and InvalidInput for parameters that are not in RTL.
    """
    of: Callable[[ArchSpec], Component] = unit_class(name).of
    return of(arch)


def unit_class(name: str) -> Any:
    """The class of a unit. Raises InvalidInput for a name that is no unit; MissingExtra("rtl")."""
    from importlib import import_module

    if name not in UNITS:
        raise InvalidInput(
            [Problem(name, "", "no unit of this name is there in RTL", did_you_mean(name, UNITS))]
        )
    module, _, attribute = UNITS[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "amaranth":
            raise
        raise MissingExtra("rtl", "RTL") from None
