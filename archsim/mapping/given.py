"""Mappings from an architecture file (``mappings``), and the entries of such a file for those that were found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsim.config.arch import ArchSpec
from archsim.config.mapping import MappingSpec, RowStationaryMappingSpec, SystolicMappingSpec
from archsim.mapping.systolic_folds import SystolicMapping
from archsim.mapping.tiling import RowStationaryMapping
from archsim.network.graph import Layer


def _given(arch: ArchSpec, layer: Layer, dataflow: str) -> MappingSpec | None:
    found = (spec for spec in arch.mappings if (spec.layer, spec.dataflow) == (layer.name, dataflow))
    return next(found, None)


def given_row_stationary(arch: ArchSpec, layer: Layer) -> RowStationaryMapping | None:
    """The mapping that the architecture gives for a layer; None where it is to be searched."""
    spec = _given(arch, layer, "row_stationary")
    if not isinstance(spec, RowStationaryMappingSpec):
        return None
    groups = 1 if spec.m is None else spec.m // (spec.p * spec.t)
    return RowStationaryMapping(
        spec.e, spec.p, spec.q, spec.r, spec.t, strips_outer=spec.strips_outer, n=spec.n, g=groups
    )


def given_systolic(arch: ArchSpec, layer: Layer, dataflow: str) -> SystolicMapping | None:
    """The same for a systolic dataflow."""
    spec = _given(arch, layer, dataflow)
    if not isinstance(spec, SystolicMappingSpec):
        return None
    return SystolicMapping(spec.steps_a_fold, spec.steps_a_tile, spec.positions_outer, spec.ifmap_stays)


def entry_of(layer: str, dataflow: str, chosen: Mapping[str, int]) -> dict[str, Any]:
    """The entry of ``mappings`` that gives a layer the mapping of a plan. chosen: ``TilePlan.mapping``.

    >>> plan = {"e": 7, "p": 16, "q": 1, "r": 1, "t": 2, "n": 1, "g": 2, "strips_outer": 0, "strips": 8}
    >>> entry = entry_of("conv1", "row_stationary", plan)
    >>> [entry[key] for key in ("m", "e", "p", "q", "r", "t", "n", "strips_outer")]
    [64, 7, 16, 1, 1, 2, 1, False]
    """
    entry: dict[str, Any] = {"layer": layer, "dataflow": dataflow}
    if dataflow == "row_stationary":
        sizes = {name: chosen[name] for name in ("n", "e", "p", "q", "r", "t")}
        in_flight = chosen["g"] * chosen["p"] * chosen["t"]
        return entry | {"m": in_flight, **sizes, "strips_outer": bool(chosen["strips_outer"])}
    steps = {name: chosen[name] for name in ("steps_a_fold", "steps_a_tile")}
    return entry | steps | {name: bool(chosen[name]) for name in ("positions_outer", "ifmap_stays")}
