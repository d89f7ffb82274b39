"""Parts of archsim that are chosen by name in a configuration file. One line here registers a new one.

The objects are named by import string and loaded when asked for, so that this module stays below those it names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from archsim.errors import InvalidInput, Problem, did_you_mean

if TYPE_CHECKING:
    from archsim.mapping.base import Dataflow

DATAFLOWS: dict[str, str] = {
    "row_stationary": "archsim.mapping.row_stationary:RowStationary",
    "weight_stationary": "archsim.mapping.systolic:WeightStationary",
    "output_stationary": "archsim.mapping.systolic:OutputStationary",
    "input_stationary": "archsim.mapping.systolic:InputStationary",
}
"""``module:class`` by the name in ``pe_array.dataflow``; the class takes no arguments."""


def get_dataflow(name: str) -> Dataflow:
    """A dataflow by name. Raises InvalidInput, listing those available, for a name that is not registered."""
    if name not in DATAFLOWS:
        available = ", ".join(sorted(DATAFLOWS))
        message = f'found "{name}", expected a dataflow that is available: {available}'
        hint = did_you_mean(name, DATAFLOWS)
        raise InvalidInput([Problem("architecture", "pe_array.dataflow", message, hint)])
    module, _, attribute = DATAFLOWS[name].partition(":")
    return cast("Dataflow", getattr(import_module(module), attribute)())
