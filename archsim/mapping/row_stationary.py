"""The row-stationary dataflow (Eyeriss; Chen et al., ISCA 2016 and JSSC 2017): a row of a filter stays in a PE.

Mapping parameters and limits: :mod:`archsim.mapping.tiling`. Cycles and bytes of a pass: :mod:`archsim.mapping.passes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput
from archsim.mapping.base import BoolArray, Int64Array, Placement, TilePlan, TileWork
from archsim.mapping.geometry import Geometry, Hardware, byte_count, geometry_of, hardware_of
from archsim.mapping.passes import ACTIONS, Fetches, Passes, fetches_of, phases_of
from archsim.mapping.row_stationary_search import best_mapping, stored_bytes_of, summand_bytes_of
from archsim.mapping.tiling import RowStationaryMapping, Tiling
from archsim.mapping.zeros import row_taps, set_work
from archsim.network.graph import Layer


class RowStationary:
    """Plans passes and finds what zeros make of them; see :class:`archsim.mapping.base.Dataflow`."""

    name = "row_stationary"

    def plan(self, layer: Layer, arch: ArchSpec, placement: Placement) -> TilePlan:
        """Tiles of one layer with the cheapest mapping. Plans are cached and their arrays are read-only.

        Raises :class:`~archsim.errors.InvalidInput` naming every limit of the hardware that no mapping keeps.
        """
        return _searched_plan(geometry_of(layer), hardware_of(arch), placement)

    def plan_with(
        self, layer: Layer, arch: ArchSpec, placement: Placement, mapping: RowStationaryMapping
    ) -> TilePlan:
        """Tiles of one layer with a given mapping, e.g. that of a chip that is being validated.

        Raises :class:`~archsim.errors.InvalidInput` naming every limit that the mapping breaks.
        """
        return _plan(geometry_of(layer), hardware_of(arch), placement, mapping)

    def work(self, layer: Layer, arch: ArchSpec, plan: TilePlan, nonzero: BoolArray) -> TileWork:
        """What the zeros of one image do to a plan. nonzero: bool (height, width, channels), input tensor != 0.

        A MAC is not zero when its activation is not; padding is zero. With zero skipping a PE takes one cycle a
        nonzero MAC, a pass lasts as long as its slowest PE and the accumulation behind it, and never less than its
        buses need (``plan.bus_cycles``).
        """
        geo = geometry_of(layer)
        sharing = _sharing(geo, hardware_of(arch), mapping_of(plan))
        taps = row_taps(nonzero.reshape(geo.height, geo.width, geo.channels), geo.column_taps)
        found = set_work(taps, sharing.blocks, (geo.kernel_rows, geo.stride_rows, geo.pad_rows))
        slowest, total = found[plan.group, 0], found[plan.group, 1]
        compute = plan.compute_cycles
        if arch.pe_array.zero == "skip":
            compute = np.maximum(sharing.filters_a_pe * slowest + sharing.accumulate_cycles, plan.bus_cycles)
        return TileWork(compute, total * sharing.filters_a_map)


@dataclass(frozen=True)
class _Sharing:
    """How the passes of a plan share out activations: what :func:`~archsim.mapping.zeros.set_work` needs.

    blocks: int64 (groups, 5), one row for passes that see the same activations. Per tile: filters_a_pe and
    filters_a_map, by which the work of one filter on an activation multiplies in a PE and in all; accumulate_cycles.
    """

    blocks: Int64Array
    filters_a_pe: Int64Array
    filters_a_map: Int64Array
    accumulate_cycles: Int64Array


@lru_cache(maxsize=4096)
def _sharing(geo: Geometry, hw: Hardware, mapping: RowStationaryMapping) -> _Sharing:
    tiling = Tiling.of(geo, hw, _PLACEMENT_FREE, mapping)
    passes = _enumerate(tiling)
    maps_before = _map_block(passes) * tiling.maps
    columns = (passes.strip * tiling.e, passes.out_rows, maps_before, passes.maps, passes.q)
    group = _group(passes)
    blocks = np.zeros((int(group.max()) + 1, 5), np.int64)
    blocks[group] = np.stack(np.broadcast_arrays(*columns), axis=1)
    filters = np.ones_like(passes.filters) if geo.depthwise else passes.filters
    return _Sharing(blocks, passes.p, filters, passes.psums * geo.out_width)


def _map_block(passes: Passes) -> Int64Array:
    """Index of the block of input channels that a pass reads."""
    return passes.group if passes.tiling.geometry.depthwise else passes.channel_group


def _group(passes: Passes) -> Int64Array:
    """Index of the activations (strip, block of input channels) that a pass reads."""
    tiling = passes.tiling
    blocks = tiling.filter_groups if tiling.geometry.depthwise else tiling.channel_groups
    return passes.strip * blocks + _map_block(passes)


_PLACEMENT_FREE = Placement(True, True, 0, 0)
"""Which passes there are does not depend on where tensors live."""


def mapping_of(plan: TilePlan) -> RowStationaryMapping:
    """The parameters that a row-stationary plan was made with."""
    chosen = plan.mapping
    sizes = {name: chosen[name] for name in ("e", "p", "q", "r", "t")}
    return RowStationaryMapping(**sizes, strips_outer=bool(chosen["strips_outer"]))


@lru_cache(maxsize=4096)
def _searched_plan(geo: Geometry, hw: Hardware, placement: Placement) -> TilePlan:
    return _plan(geo, hw, placement, best_mapping(geo, hw, placement))


def _enumerate(tiling: Tiling) -> Passes:
    """All passes in execution order."""
    groups, strips, channel_groups = (
        int(count[0]) for count in (tiling.filter_groups, tiling.strips, tiling.channel_groups)
    )
    if tiling.strips_outer[0]:
        strip, group, channel_group = np.indices((strips, groups, channel_groups)).reshape(3, -1)
    else:
        group, strip, channel_group = np.indices((groups, strips, channel_groups)).reshape(3, -1)
    return Passes.of(tiling, group, strip, channel_group)


def _plan(geo: Geometry, hw: Hardware, placement: Placement, mapping: RowStationaryMapping) -> TilePlan:
    tiling = Tiling.of(geo, hw, placement, mapping)
    problems = tiling.problems()
    if problems:
        raise InvalidInput(problems)
    passes = _enumerate(tiling)
    full = passes.outputs
    stored, stored_offset = _shares(stored_bytes_of(geo, hw, placement), full)
    summand, summand_offset = _shares(summand_bytes_of(hw, placement), full)
    phases, fetches = phases_of(passes, stored, summand), fetches_of(passes)
    loads = _load_bytes(fetches, hw)
    columns = {
        "weight_load_bytes": loads[0],
        "weight_load_offset_bytes": loads[1],
        "ifmap_load_bytes": loads[2],
        "ifmap_load_offset_bytes": loads[3],
        "summand_load_bytes": summand * (not placement.summand_on_chip),
        "summand_load_offset_bytes": summand_offset,
        "store_bytes": stored * (not placement.ofmap_on_chip),
        "store_offset_bytes": stored_offset,
        "fill_cycles": phases.fill_cycles,
        "fill_read_bytes": phases.fill_read_bytes,
        "compute_cycles": phases.compute_cycles,
        "bus_cycles": phases.bus_cycles,
        "stream_read_bytes": phases.stream_read_bytes,
        "stream_write_bytes": phases.stream_write_bytes,
        "drain_cycles": phases.drain_cycles,
        "drain_write_bytes": phases.drain_write_bytes,
        "outputs": full,
        "macs": passes.macs,
        "group": _group(passes),
    }
    counts = np.stack(np.broadcast_arrays(*phases.counts, full)[:-1], axis=1)
    return TilePlan(
        layer=geo.name,
        actions=ACTIONS,
        counts=_frozen(counts),
        active_pes=int((geo.kernel_rows * passes.out_rows * passes.filter_sets * passes.channel_sets).max()),
        mapping=_described(tiling, mapping),
        **{name: _frozen(np.broadcast_to(column, full.shape)) for name, column in columns.items()},
    )


def _described(tiling: Tiling, mapping: RowStationaryMapping) -> dict[str, int]:
    """The parameters and what follows from them."""
    return {
        **{name: getattr(mapping, name) for name in ("e", "p", "q", "r", "t")},
        "strips_outer": int(mapping.strips_outer),
        "strips": int(tiling.strips[0]),
        "filter_groups": int(tiling.filter_groups[0]),
        "channel_groups": int(tiling.channel_groups[0]),
        "weights_stay": int(tiling.weights_stay[0]),
        "ifmap_stays": int(tiling.ifmap_stays[0]),
    }


def _load_bytes(fetches: Fetches, hw: Hardware) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Word ranges as byte ranges that tile the tensors, so that their sums are exact at any width."""
    ranges = []
    for words, offset, bits in (
        (fetches.weight_words, fetches.weight_offset_words, hw.weight_bits),
        (fetches.ifmap_words, fetches.ifmap_offset_words, hw.activation_bits),
    ):
        begin = byte_count(offset, bits)
        ranges += [byte_count(offset + words, bits) - begin, begin]
    return ranges[0], ranges[1], ranges[2], ranges[3]


def _shares(size_bytes: int, outputs: Int64Array) -> tuple[Int64Array, Int64Array]:
    """A tensor shared out over tiles as they finish outputs: bytes and offsets, the bytes adding up exactly."""
    ends = np.cumsum(outputs) * size_bytes // int(outputs.sum())
    return np.diff(ends, prepend=0), np.concatenate([[0], ends[:-1]])


def _frozen(column: Int64Array) -> Int64Array:
    """A contiguous read-only int64 copy: plans are shared by everybody who asks for the same layer."""
    copy = np.array(column, np.int64)
    copy.setflags(write=False)
    return copy
