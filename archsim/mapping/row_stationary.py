"""The row-stationary dataflow (Eyeriss; Chen et al., ISCA 2016 and JSSC 2017): a row of a filter stays in a PE.

Mapping parameters and limits: :mod:`archsim.mapping.tiling`. Cycles and bytes of a pass: :mod:`archsim.mapping.passes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput
from archsim.mapping.assemble import Finished, assemble, in_groups
from archsim.mapping.base import BoolArray, Int64Array, Placement, TilePlan, TileWork
from archsim.mapping.geometry import Geometry, Hardware, geometry_of, hardware_of
from archsim.mapping.given import given_row_stationary
from archsim.mapping.passes import ACTIONS, Passes, fetches_of, phases_of
from archsim.mapping.row_stationary_search import frontier_of
from archsim.mapping.tiling import SIZES, RowStationaryMapping, Tiling
from archsim.mapping.zeros import row_taps, set_work
from archsim.network.graph import Layer

PLANS_CACHED = 256
"""A sweep meets many architectures; only the last few are worth the memory of their plans."""


class RowStationary:
    """Filter rows stay in the PEs, partial sums move up the columns (Eyeriss); one tile is one pass."""

    name = "row_stationary"

    def plan(self, layer: Layer, arch: ArchSpec, placement: Placement) -> TilePlan:
        """Tiles of one layer with the mapping that the architecture gives, else with the cheapest.

        Plans are cached and their arrays are read-only. Raises :class:`~archsim.errors.InvalidInput` naming every limit
        of the hardware that the given mapping breaks, or that no mapping keeps.
        """
        given = given_row_stationary(arch, layer)
        if given is not None:
            return self.plan_with(layer, arch, placement, given)
        return _searched_plan(geometry_of(layer), hardware_of(arch), placement.share(layer.groups))

    def plan_with(
        self, layer: Layer, arch: ArchSpec, placement: Placement, mapping: RowStationaryMapping
    ) -> TilePlan:
        """Tiles of one layer with a given mapping, e.g. that of a chip that is being validated.

        Raises :class:`~archsim.errors.InvalidInput` naming every limit that the mapping breaks.
        """
        return _plan(geometry_of(layer), hardware_of(arch), placement.share(layer.groups), mapping)

    def cost(self, layer: Layer, arch: ArchSpec, placement: Placement) -> int | None:
        """Relative cost of the plan, in units of :mod:`archsim.mapping.cost`; None when none fits."""
        share, given = placement.share(layer.groups), given_row_stationary(arch, layer)
        frontier = frontier_of(geometry_of(layer), hardware_of(arch), share, given)
        position = frontier.at(placement.capacity_bytes)
        return None if position is None else layer.groups * frontier.costs[position]

    def work(self, layer: Layer, arch: ArchSpec, plan: TilePlan, nonzero: BoolArray) -> TileWork:
        """What the zeros of the images do to a plan. nonzero: bool ([batch,] height, width, channels), input != 0.

        A MAC is not zero when its activation is not; padding is zero. With zero skipping a PE takes one cycle a
        nonzero MAC, a pass lasts as long as its slowest PE and the accumulation behind it, and never less than its
        buses need (``plan.bus_cycles``).
        """
        geo = geometry_of(layer)
        maps = nonzero.reshape(-1, geo.height, geo.width, geo.groups * geo.channels)
        sharing = _sharing(geo, hardware_of(arch), mapping_of(plan), len(maps))
        taps = np.stack([row_taps(image, geo.column_taps) for image in maps])
        together = np.add.reduceat(taps, range(0, len(maps), plan.mapping["n"]))
        found = np.concatenate([
            set_work(images, sharing.blocks, (geo.kernel_rows, geo.stride_rows, geo.pad_rows))
            for of_group in np.split(together, geo.groups, axis=2)
            for images in of_group
        ])  # fmt: skip
        slowest, total = found[plan.group, 0], found[plan.group, 1]
        filters_a_pe, filters_a_map, accumulate_cycles = (
            in_groups(column, geo.groups)
            for column in (sharing.filters_a_pe, sharing.filters_a_map, sharing.accumulate_cycles)
        )
        compute = plan.compute_cycles
        if arch.pe_array.zero == "skip":
            compute = np.maximum(filters_a_pe * slowest + accumulate_cycles, plan.bus_cycles)
        return TileWork(compute, total * filters_a_map)


@dataclass(frozen=True)
class _Sharing:
    """How the passes of a plan share out activations: what :func:`~archsim.mapping.zeros.set_work` needs.

    blocks: int64 (groups, 5), one row for passes that see the same activations of an image. Per tile of one group of a
    grouped convolution: filters_a_pe and filters_a_map, by which the work of one filter on an activation multiplies in
    a PE and in all; accumulate_cycles.
    """

    blocks: Int64Array
    filters_a_pe: Int64Array
    filters_a_map: Int64Array
    accumulate_cycles: Int64Array


@lru_cache(maxsize=PLANS_CACHED)
def _sharing(geo: Geometry, hw: Hardware, mapping: RowStationaryMapping, batch: int) -> _Sharing:
    tiling = Tiling.of(geo, hw, Placement(True, True, 0, batch=batch), mapping)
    passes = _enumerate(tiling)
    maps_before = _map_block(passes) * tiling.maps
    columns = (passes.strip * tiling.e, passes.out_rows, maps_before, passes.maps, passes.q)
    group = _map_group(passes)
    blocks = np.zeros((int(group.max()) + 1, 5), np.int64)
    blocks[group] = np.stack(np.broadcast_arrays(*columns), axis=1)
    filters = np.ones_like(passes.filters) if geo.depthwise else passes.filters
    return _Sharing(blocks, passes.p, filters, passes.accumulate_cycles)


def _map_block(passes: Passes) -> Int64Array:
    """Index of the block of input channels that a pass reads."""
    return passes.group if passes.tiling.geometry.depthwise else passes.channel_group


def _map_group(passes: Passes) -> Int64Array:
    """Index of the activations (strip, block of input channels) that a pass reads of each of its images."""
    return passes.strip * _map_blocks(passes.tiling) + _map_block(passes)


def _map_blocks(tiling: Tiling) -> Int64Array:
    return tiling.filter_groups if tiling.geometry.depthwise else tiling.channel_groups


def _group(passes: Passes) -> Int64Array:
    """Index of all activations that a pass reads."""
    tiling = passes.tiling
    return passes.image_group * tiling.strips * _map_blocks(tiling) + _map_group(passes)


def mapping_of(plan: TilePlan) -> RowStationaryMapping:
    """The parameters that a row-stationary plan was made with."""
    chosen = plan.mapping
    sizes = {name: chosen[name] for name in SIZES}
    return RowStationaryMapping(**sizes, strips_outer=bool(chosen["strips_outer"]))


@lru_cache(maxsize=PLANS_CACHED)
def _searched_plan(geo: Geometry, hw: Hardware, placement: Placement) -> TilePlan:
    frontier = frontier_of(geo, hw, placement)
    position = frontier.at(placement.capacity_bytes)
    if position is None:
        smallest = RowStationaryMapping(1, 1, 1, 1, 1, strips_outer=True)
        raise InvalidInput(Tiling.of(geo, hw, placement, smallest).problems())
    return _plan(geo, hw, placement, frontier.mappings[position])


def _enumerate(tiling: Tiling) -> Passes:
    """All passes in execution order."""
    counts = (
        tiling.image_groups,
        tiling.strips,
        tiling.filter_blocks,
        tiling.channel_groups,
        tiling.block_groups,
    )
    images, strips, blocks, channels, groups = (int(count[0]) for count in counts)
    if tiling.strips_outer[0]:
        loops = np.indices((images, strips, blocks, channels, groups)).reshape(5, -1)
        image_group, strip, block, channel_group, group = loops
    else:
        loops = np.indices((images, blocks, strips, channels, groups)).reshape(5, -1)
        image_group, block, strip, channel_group, group = loops
    group = block * groups + group
    there = group < tiling.filter_groups
    return Passes.of(tiling, group[there], strip[there], channel_group[there], image_group[there])


def _plan(geo: Geometry, hw: Hardware, placement: Placement, mapping: RowStationaryMapping) -> TilePlan:
    tiling = Tiling.of(geo, hw, placement, mapping)
    problems = tiling.problems()
    if problems:
        raise InvalidInput(problems)
    passes = _enumerate(tiling)
    finished = Finished.of(geo, hw, placement, passes.outputs)
    pes = geo.kernel_rows * passes.out_rows * passes.filter_sets * passes.channel_sets
    return assemble(
        geo,
        hw,
        placement,
        phases_of(passes, finished.stored_bytes, finished.summand_bytes),
        fetches_of(passes),
        finished,
        macs=passes.macs,
        group=_group(passes),
        actions=ACTIONS,
        active_pes=int(pes.max()),
        working_bytes=int(tiling.working_bytes[0]),
        mapping=_described(tiling, mapping),
    )


def _described(tiling: Tiling, mapping: RowStationaryMapping) -> dict[str, int]:
    """The parameters and what follows from them."""
    return {
        **{name: getattr(mapping, name) for name in SIZES},
        "strips_outer": int(mapping.strips_outer),
        "strips": int(tiling.strips[0]),
        "image_groups": int(tiling.image_groups[0]),
        "filter_groups": int(tiling.filter_groups[0]),
        "channel_groups": int(tiling.channel_groups[0]),
        "weights_stay": int(tiling.weights_stay[0]),
        "ifmap_stays": int(tiling.ifmap_stays[0]),
    }
