"""Choice of a row-stationary mapping: every candidate of a grid is costed, the cheapest that fits is taken."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, cast

import numpy as np

from archsim.mapping.base import BoolArray, Int64Array, Placement
from archsim.mapping.cache import cached
from archsim.mapping.cost import MAC_COST, stored_bytes_of, summand_bytes_of, weighted_cost
from archsim.mapping.geometry import Geometry, Hardware, byte_count
from archsim.mapping.passes import Passes, fetches_of, phases_of
from archsim.mapping.tiling import SIZES, RowStationaryMapping, Tiling

SPLITS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
"""Into how many parts a dimension may be cut, besides not at all and completely."""
SKIPPED_SHARE = 2
"""An array that skips zeros is mapped for activations of which one in this many is not zero, as behind a ReLU."""
UNLIMITED_BYTES = 1 << 62
PART = 8192
"""Mappings that are costed at a time, for the sake of memory."""

Source = tuple[bool, bool, bool]
"""(input on chip, output on chip, summand on chip)."""


@dataclass(frozen=True)
class Frontier:
    """The mappings of a layer that are cheaper than all that need less of the buffer, by rising need."""

    needed_bytes: tuple[int, ...]
    costs: tuple[int, ...]
    mappings: tuple[RowStationaryMapping, ...]

    def at(self, capacity_bytes: int) -> int | None:
        """Position of the cheapest mapping that fits; None when none does."""
        position = bisect_right(self.needed_bytes, capacity_bytes) - 1
        return None if position < 0 else position


def frontier_of(
    geo: Geometry, hw: Hardware, placement: Placement, given: RowStationaryMapping | None = None
) -> Frontier:
    """Mappings for one placement, whatever its capacity. given: the only one to consider."""
    source = (placement.ifmap_on_chip, placement.ofmap_on_chip, placement.summand_on_chip)
    anywhere = replace(
        placement, capacity_bytes=0, ifmap_on_chip=True, ofmap_on_chip=True, summand_on_chip=True
    )
    sources = _sources(placement) if placement.batch == 1 else (source,)
    # Layers and accelerators that differ in their names alone share a search.
    return _frontiers(replace(geo, name=""), replace(hw, name=""), anywhere, sources, given)[source]


@lru_cache(maxsize=4096)
def _frontiers(
    geo: Geometry,
    hw: Hardware,
    anywhere: Placement,
    sources: tuple[Source, ...],
    given: RowStationaryMapping | None,
) -> Mapping[Source, Frontier]:
    """Frontiers for several places of input, output and summand: what the array does is the same for all."""
    if given is not None:
        return _search(Tiling.of(geo, hw, anywhere, given), sources, anywhere)

    def decode(rows: list[list[Any]]) -> Mapping[Source, Frontier]:
        return dict(zip(sources, map(_decoded, rows), strict=True))

    return cached(
        ("row_stationary", geo, hw, anywhere, sources),
        lambda: _search(candidates(geo, hw, anywhere.batch), sources, anywhere),
        lambda found: [_encoded(found[source]) for source in sources],
        decode,
    )


def _encoded(frontier: Frontier) -> list[Any]:
    rows = [[*(getattr(one, name) for name in SIZES), int(one.strips_outer)] for one in frontier.mappings]
    return [list(frontier.needed_bytes), list(frontier.costs), rows]


def _decoded(row: list[Any]) -> Frontier:
    needed_bytes, costs, rows = row
    mappings = tuple(
        RowStationaryMapping(**dict(zip(SIZES, sizes, strict=True)), strips_outer=bool(strips_outer))
        for *sizes, strips_outer in rows
    )
    return Frontier(tuple(needed_bytes), tuple(costs), mappings)


def _search(tiling: Tiling, sources: tuple[Source, ...], anywhere: Placement) -> Mapping[Source, Frontier]:
    """The frontiers among some mappings."""
    hw = tiling.hardware
    tiling = replace(tiling, placement=replace(anywhere, capacity_bytes=UNLIMITED_BYTES))
    tiling = tiling.select(tiling.fits())
    parts = [_costs(tiling.part(start, PART), sources) for start in range(0, max(len(tiling.e), 1), PART)]
    costs = {source: np.concatenate([part[source] for part in parts], axis=1) for source in sources}
    windows = [tiling.window_bytes if stays else tiling.stream_bytes for stays in _ways(hw)]
    needs = np.stack([tiling.psum_bytes + window for window in windows])
    return {
        source: _pareto(tiling, cost.ravel(), tiling.psum_bytes if source[0] else needs.ravel())
        for source, cost in costs.items()
    }


def _sources(placement: Placement) -> tuple[Source, ...]:
    """All places that there are."""
    summand_places = (True, False) if placement.summand_values else (True,)
    return tuple(product((True, False), (True, False), summand_places))


def _ways(hw: Hardware) -> tuple[bool, ...]:
    """Whether an input in DRAM may stay on chip once it is loaded."""
    return (False,) if hw.stops_for_maps else (True, False)


def _costs(tiling: Tiling, sources: Sequence[Source]) -> dict[Source, Int64Array]:
    """(ways to read the input, mappings) by the places of input, output and summand."""
    work = _Estimate.of(tiling)
    loaded = {stays: _loaded_bytes(work, stays) for stays in (*_ways(tiling.hardware), None)}
    costs = {}
    for ifmap_on_chip, on_chip, summand_on_chip in sources:
        out = (not on_chip) * work.stored + (not summand_on_chip) * work.summand
        ways = (None,) if ifmap_on_chip else _ways(tiling.hardware)
        costs[ifmap_on_chip, on_chip, summand_on_chip] = np.stack(
            [_cost(work, loaded[stays] + out) for stays in ways]
        )
    return costs


def _pareto(tiling: Tiling, costs: Int64Array, needs: Int64Array) -> Frontier:
    """Cheapest first among those that need the same; of equals the first in the grid."""
    order = np.lexsort((costs, needs))
    best = np.minimum.accumulate(costs[order])
    is_better = np.concatenate([[True], best[1:] < best[:-1]])[: len(order)]
    chosen = order[is_better]
    return Frontier(
        needed_bytes=tuple(needs[chosen].tolist()),
        costs=tuple(costs[chosen].tolist()),
        mappings=tuple(tiling.at(int(index) % len(tiling.e)) for index in chosen),
    )


def candidates(geo: Geometry, hw: Hardware, batch: int = 1) -> Tiling:
    """The mappings among which is chosen; those of a batch are :func:`batch_candidates`.

    A grid of balanced cuts of output rows, channels and filters, stackings of sets, both loop orders. It does not
    depend on the capacity of a placement, so that more capacity can only add choices.
    """
    if batch > 1:
        return batch_candidates(geo, hw, batch)
    grid = {(1, 1, 1, 1, 1, 1, 1)}
    bands = max(hw.rows // geo.kernel_rows, 1)
    for e in _parts(geo.out_height, bands * hw.cols):
        sets = _sets(hw, bands, e)
        for r in (1,) if geo.depthwise else _parts(min(sets, geo.channels), sets):
            for share in (1, 2, 4, sets):
                t = min(max(sets // (r * share), 1), geo.filters, max(_filters_held(geo, hw, r), 1))
                grid |= {(e, p, q, r, t, 1, 1) for p, q in _interleavings(geo, hw, r, t)}
    columns = np.array(sorted(grid, reverse=True), np.int64)
    outer = columns[:0] if geo.depthwise else columns[columns[:, 0] < geo.out_height]
    strips_outer: BoolArray = np.arange(len(columns) + len(outer)) >= len(columns)
    return _tiling(geo, hw, batch, np.concatenate([columns, outer]), strips_outer)


def batch_candidates(geo: Geometry, hw: Hardware, batch: int) -> Tiling:
    """Every mapping of a batch whose passes are alike: images and filters are cut into equal parts.

    Balanced cuts of output rows, any interleaving and stacking of channels, filter blocks of any divisor of the
    filters; as many filters in a PE as it holds, for then a block takes the fewest passes. Filter blocks are the outer
    loop.
    """
    grid = [(1, 1, 1, 1, 1, 1, 1)]
    bands = max(hw.rows // geo.kernel_rows, 1)
    for e in sorted({-(-geo.out_height // strips) for strips in range(1, geo.out_height + 1)}):
        sets = _sets(hw, bands, e)
        values_bytes = e * geo.out_width * hw.psum_bits // 8
        for t in divisors(geo.filters, sets):
            for r in range(1, 2 if geo.depthwise else min(sets // t, geo.channels) + 1):
                grid += [
                    (e, p, q, r, t, n, g)
                    for p, q, g in _blocks(geo, hw, r, t)
                    for n in divisors(batch, batch)
                    if n * g * p * t * values_bytes <= hw.map_bytes
                ]
    columns = np.array(grid, np.int64)
    return _tiling(geo, hw, batch, columns, np.zeros(len(columns), np.bool_))


def _tiling(geo: Geometry, hw: Hardware, batch: int, columns: Int64Array, strips_outer: BoolArray) -> Tiling:
    sizes = dict(zip(SIZES, columns.T, strict=True))
    placement = Placement(True, True, UNLIMITED_BYTES, batch=batch)
    return Tiling(geo, hw, placement, strips_outer=strips_outer, **sizes)


def _sets(hw: Hardware, bands: int, e: int) -> int:
    """PE sets that the array holds; a set wider than the array is folded onto more bands."""
    return bands * (hw.cols // e) if e <= hw.cols else bands // -(-e // hw.cols)


def divisors(number: int, most: int) -> list[int]:
    """Divisors of a number, none above ``most``.

    >>> divisors(12, 4)
    [1, 2, 3, 4]
    """
    return [size for size in range(1, min(number, most) + 1) if number % size == 0]


def _blocks(geo: Geometry, hw: Hardware, r: int, t: int) -> list[tuple[int, int, int]]:
    """(p, q, g) for blocks of g*p*t filters, all of them full."""
    most_q = max(min(hw.ifmap_words, hw.filter_words) // geo.kernel_cols, 1)
    if geo.depthwise:
        return [(1, q, 1) for q in divisors(geo.filters // t, min(most_q, hw.psum_words))]
    blocks = []
    for q in range(1, min(most_q, -(-geo.channels // r)) + 1):
        held = min(
            hw.psum_words, hw.filter_words // (q * geo.kernel_cols), _filters_held(geo, hw, q * r) // t
        )
        for filters in divisors(geo.filters // t, geo.filters):
            p = max(divisors(filters, max(held, 1)))
            blocks.append((p, q, filters // p))
    return blocks


@lru_cache(maxsize=1 << 16)
def _parts(length: int, most: int) -> tuple[int, ...]:
    """Sizes of even parts of ``length``, none above ``most``; always with 1, and with ``most`` where it is a limit.

    >>> _parts(13, 14), _parts(32, 14)
    ((1, 2, 3, 4, 5, 7, 13), (1, 2, 3, 4, 6, 7, 8, 11, 14))
    """
    sizes = {-(-length // split) for split in SPLITS} | {1}
    if length > most:
        sizes.add(most)
        sizes.add(-(-length // -(-length // most)))
    return tuple(sorted(size for size in sizes if size <= most))


def _filters_held(geo: Geometry, hw: Hardware, channels: int) -> int:
    """Filters of so many channels of which the filter part holds the passes that it must."""
    pass_bits = hw.weight_bits * channels * geo.kernel_rows * geo.kernel_cols
    return hw.filter_bytes * 8 // (hw.passes_of_filters * pass_bits)


def _interleavings(geo: Geometry, hw: Hardware, r: int, t: int) -> set[tuple[int, int]]:
    """(p, q) that share out filters and channels evenly: as many filters as the PEs or the filter part (for all
    channels, so that weights stay) hold or the next fewer, and a half, a quarter and one of them for small buffers.
    """
    most_q = max(min(hw.ifmap_words, hw.filter_words) // geo.kernel_cols, 1)
    if geo.depthwise:
        return {(1, q) for q in _parts(-(-geo.filters // t), min(most_q, hw.psum_words))}
    pairs = set()
    filters_a_set = -(-geo.filters // t)
    for q in _parts(-(-geo.channels // r), most_q):
        in_pe = min(
            hw.psum_words, hw.filter_words // (q * geo.kernel_cols), _filters_held(geo, hw, q * r) // t
        )
        staying = min(in_pe, 2 * _filters_held(geo, hw, geo.channels + q * r) // t)
        sizes = {size for most in (in_pe, staying) for size in _parts(filters_a_set, max(most, 1))[-2:]}
        sizes |= {_parts(filters_a_set, max(in_pe // share, 1))[-1] for share in (2, 4, 8)}
        pairs |= {(p, q) for p in sizes}
    return pairs


@dataclass(frozen=True)
class _Estimate:
    """Kinds of passes (first, inner, last of each loop) of every candidate, and how often each kind occurs.

    Exact but for rounding when padding is at most e rows: then only the first and the last strip meet it.
    """

    passes: Passes
    times: Int64Array
    array_cycles: Int64Array
    buffer_bytes: Int64Array
    stored: Int64Array
    summand: Int64Array

    @classmethod
    def of(cls, tiling: Tiling) -> _Estimate:
        rows = tiling.columns()
        loops = (
            _group_kinds(tiling),
            _kinds(tiling.strips),
            _kinds(tiling.channel_groups),
            _kinds(tiling.image_groups),
        )
        kinds = np.indices([index.shape[1] for index, _ in loops]).reshape(len(loops), -1)
        passes = Passes.of(rows, *(index[:, kind] for (index, _), kind in zip(loops, kinds, strict=True)))
        times = [times[:, kind] for (_, times), kind in zip(loops, kinds, strict=True)]
        geo, hw, placement = tiling.geometry, tiling.hardware, tiling.placement
        outputs = geo.outputs * placement.batch
        stored = passes.outputs * stored_bytes_of(geo, hw, placement) // outputs
        summand = passes.outputs * summand_bytes_of(hw, placement) // outputs
        phases = phases_of(passes, stored, summand)
        busy = passes.busy_cycles // (SKIPPED_SHARE if hw.skips_zeros else 1)
        compute = np.maximum(busy + passes.accumulate_cycles, phases.bus_cycles)
        return cls(
            passes=passes,
            times=cast(Int64Array, np.multiply.reduce(times)),
            array_cycles=phases.fill_cycles + compute + phases.drain_cycles,
            buffer_bytes=phases.buffer_bytes,
            stored=stored,
            summand=summand,
        )


Kinds = tuple[Int64Array, Int64Array]
"""Of the loops of many mappings: indices (mapping, kind) of iterations, and how many iterations each stands for."""


def _kinds(length: Int64Array) -> Kinds:
    """The first, an inner and the last iteration."""
    index = np.stack([np.zeros_like(length), np.minimum(length - 1, 1), length - 1], axis=1)
    times = np.stack([np.ones_like(length), np.maximum(length - 2, 0), (length > 1).astype(np.int64)], axis=1)
    return _met(index, times)


def _group_kinds(tiling: Tiling) -> Kinds:
    """The first and the last filter group, the first of an inner block and one that is not the first of its block."""
    groups, block, blocks = tiling.filter_groups, tiling.block_groups, tiling.filter_blocks
    last = groups - 1
    last_leads, is_other = last % block == 0, last > 0
    index = np.stack([np.zeros_like(last), np.minimum(block, last), np.minimum(1, last), last], axis=1)
    leading = blocks - 1 - (is_other & last_leads)
    following = groups - blocks - (is_other & ~last_leads)
    return _met(index, np.stack([np.ones_like(last), leading, following, is_other.astype(np.int64)], axis=1))


def _met(index: Int64Array, times: Int64Array) -> Kinds:
    """Without the kinds that occur in no mapping."""
    is_met = times.any(axis=0)
    return index[:, is_met], times[:, is_met]


def _loaded_bytes(work: _Estimate, ifmap_stays: bool | None) -> Int64Array:
    """DRAM bytes that passes load before they start; ifmap_stays None: the input is on chip."""
    rows = work.passes.tiling
    capacity_bytes = UNLIMITED_BYTES if ifmap_stays else 0
    placement = replace(rows.placement, ifmap_on_chip=ifmap_stays is None, capacity_bytes=capacity_bytes)
    fetches = fetches_of(replace(work.passes, tiling=replace(rows, placement=placement)))
    hw = rows.hardware
    return byte_count(fetches.weight_words, hw.weight_bits) + byte_count(
        fetches.ifmap_words, hw.activation_bits
    )


def _cost(work: _Estimate, dram_bytes: Int64Array) -> Int64Array:
    """One element a candidate. dram_bytes: of passes, whose time is the longer of the array's and the DRAM's."""
    tiling = work.passes.tiling
    hw = tiling.hardware
    cost = weighted_cost(hw, tiling.placement, dram_bytes, work.buffer_bytes, work.array_cycles)
    if hw.objective != "energy":
        return cast(Int64Array, (work.times * cost).sum(axis=1))
    macs = tiling.geometry.macs * tiling.placement.batch
    total: Int64Array = (work.times * cost).sum(axis=1) + MAC_COST * macs
    return total
