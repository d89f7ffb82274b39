"""Choice of a row-stationary mapping: every candidate of a small grid is costed, the cheapest that fits is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput
from archsim.mapping.base import Int64Array, Placement
from archsim.mapping.geometry import Geometry, Hardware, byte_count
from archsim.mapping.passes import Passes, fetches_of, phases_of
from archsim.mapping.tiling import RowStationaryMapping, Tiling

SPLITS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
"""Into how many parts a dimension may be cut, besides not at all and completely."""


DRAM_COST, BUFFER_COST, MAC_COST = 200, 6, 4
"""Energy of a word from DRAM, of one from the buffer and of a MAC with its scratchpads, in units of a MAC alone
(Chen et al., ISCA 2016, Table IV: 200, 6 and 1 + 3 x 1). They rank mappings; joules come from the energy table."""


SKIPPED_SHARE = 2
"""An array that skips zeros is mapped for activations of which one in this many is not zero, as behind a ReLU."""


@dataclass(frozen=True)
class Cost:
    """Estimates for a whole layer, one element a candidate."""

    cycles: Int64Array
    dram_bytes: Int64Array
    buffer_bytes: Int64Array
    macs: int

    @property
    def energy_delay(self) -> npt.NDArray[np.float64]:
        """Relative energy times cycles."""
        energy = DRAM_COST * self.dram_bytes + BUFFER_COST * self.buffer_bytes + MAC_COST * self.macs
        return energy.astype(np.float64) * self.cycles.astype(np.float64)


def best_mapping(geo: Geometry, hw: Hardware, placement: Placement) -> RowStationaryMapping:
    """The mapping with the least estimated energy-delay product, then time, DRAM and buffer traffic, place in the grid.

    The time of a pass is the longer of its time on the array and its DRAM bytes at the nominal rate. On VGG-16
    (32x32, full width) time alone costs 15 % more DRAM traffic to be 3 % faster. Raises InvalidInput, naming every
    limit in the way, when no mapping fits.
    """
    tiling = candidates(geo, hw, placement)
    tiling = tiling.select(tiling.fits())
    if not len(tiling.e):
        smallest = RowStationaryMapping(1, 1, 1, 1, 1, strips_outer=True)
        raise InvalidInput(Tiling.of(geo, hw, placement, smallest).problems())
    cost = cost_of(tiling)
    order = np.lexsort((cost.buffer_bytes, cost.dram_bytes, cost.cycles, cost.energy_delay))
    return tiling.at(int(order[0]))


def candidates(geo: Geometry, hw: Hardware, placement: Placement) -> Tiling:
    """The grid: balanced cuts of output rows, channels and filters, stackings of sets, both loop orders.

    Sizes that just fill the buffer are in it, and the smallest mapping of all, so that what can be mapped is mapped.
    """
    smallest = RowStationaryMapping(1, 1, 1, 1, 1)
    grid = {smallest, replace(smallest, strips_outer=True)}
    bands = max(hw.rows // geo.kernel_rows, 1)
    for e in _parts(geo.out_height, bands * hw.cols):
        sets = bands * (hw.cols // e) if e <= hw.cols else bands // -(-e // hw.cols)
        psum_limit = _psums_held(geo, hw, placement, e)
        for r in [1] if geo.depthwise else _parts(min(sets, geo.channels), sets):
            limits = {sets // r, psum_limit, _filters_held(geo, hw, r)} | ({1} if geo.depthwise else set())
            for t in {min(sets // r, geo.filters, max(limit, 1)) for limit in limits}:
                for p, q in _interleavings(geo, hw, r, t, psum_limit // t):
                    grid.add(RowStationaryMapping(e, p, q, r, t))
                    if e < geo.out_height and not geo.depthwise:
                        grid.add(RowStationaryMapping(e, p, q, r, t, strips_outer=True))
    ordered = sorted(
        grid, key=lambda found: (found.strips_outer, -found.e, -found.p, -found.q, -found.r, -found.t)
    )
    return Tiling.grid(geo, hw, placement, ordered)


def _parts(length: int, most: int) -> list[int]:
    """Sizes of even parts of ``length``, none above ``most``; always with 1, and with ``most`` where it is a limit.

    >>> _parts(13, 14), _parts(32, 14)
    ([1, 2, 3, 4, 5, 7, 13], [1, 2, 3, 4, 6, 7, 8, 11, 14])
    """
    sizes = {-(-length // split) for split in SPLITS} | {1}
    if length > most:
        sizes.add(most)
        sizes.add(-(-length // -(-length // most)))
    return sorted(size for size in sizes if size <= most)


def _psums_held(geo: Geometry, hw: Hardware, placement: Placement, e: int) -> int:
    """Filters whose partial sums of a strip the buffer holds."""
    return placement.psum_capacity_bytes * 8 // (e * geo.out_width * hw.psum_bits)


def _filters_held(geo: Geometry, hw: Hardware, channels: int) -> int:
    """Filters of so many channels of which the filter part holds two passes."""
    return hw.filter_bytes * 8 // (2 * hw.weight_bits * channels * geo.kernel_rows * geo.kernel_cols)


def _interleavings(geo: Geometry, hw: Hardware, r: int, t: int, psum_limit: int) -> set[tuple[int, int]]:
    """(p, q) that share out filters and channels evenly: as many filters as the PEs, the buffer's partial sums or
    the filter part (for all channels, so that weights stay) hold, and the next two fewer.
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
        staying = 2 * _filters_held(geo, hw, geo.channels + q * r) // t
        for most in {in_pe, min(in_pe, psum_limit), min(in_pe, staying)}:
            pairs |= {(p, q) for p in _parts(filters_a_set, max(most, 1))[-3:]}
    return pairs


def cost_of(tiling: Tiling) -> Cost:
    """Estimates over the kinds of passes (first, inner, last of each loop), each as often as it occurs.

    Strips beside padding are all taken as the first or the last one, which is exact when padding is at most e rows.
    """
    rows = tiling.columns()
    group, group_times = _kinds(tiling.filter_groups)
    strip, strip_times = _kinds(tiling.strips)
    channel, channel_times = _kinds(tiling.channel_groups)
    kinds = np.indices((3, 3, 3)).reshape(3, -1)
    passes = Passes.of(rows, group[:, kinds[0]], strip[:, kinds[1]], channel[:, kinds[2]])
    times = group_times[:, kinds[0]] * strip_times[:, kinds[1]] * channel_times[:, kinds[2]]

    geo, hw, placement = tiling.geometry, tiling.hardware, tiling.placement
    stored = passes.outputs * stored_bytes_of(geo, hw, placement) // geo.outputs
    summand = passes.outputs * summand_bytes_of(hw, placement) // geo.outputs
    phases, fetches = phases_of(passes, stored, summand), fetches_of(passes)
    dram = byte_count(fetches.weight_words, hw.weight_bits) + byte_count(
        fetches.ifmap_words, hw.activation_bits
    )
    dram = dram + (not placement.ofmap_on_chip) * stored + (not placement.summand_on_chip) * summand
    busy = passes.busy_cycles // (SKIPPED_SHARE if hw.skips_zeros else 1)
    compute = np.maximum(busy + passes.accumulate_cycles, phases.bus_cycles)
    cycles = phases.fill_cycles + compute + phases.drain_cycles
    cycles = np.maximum(cycles, -(-dram // placement.dram_bytes_per_cycle))
    return Cost(
        cycles=(times * cycles).sum(axis=1),
        dram_bytes=(times * dram).sum(axis=1),
        buffer_bytes=(times * phases.buffer_bytes).sum(axis=1),
        macs=geo.macs,
    )


def _kinds(length: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Indices of the first, an inner and the last iteration of loops, and how many iterations each stands for."""
    index = np.stack([np.zeros_like(length), np.minimum(length - 1, 1), length - 1], axis=1)
    times = np.stack([np.ones_like(length), np.maximum(length - 2, 0), (length > 1).astype(np.int64)], axis=1)
    return index, times


def stored_bytes_of(geo: Geometry, hw: Hardware, placement: Placement) -> int:
    """Bytes of the tensor that the layer and what is fused with it write."""
    values = placement.stored_shape.elements if placement.stored_shape else geo.outputs
    return -(-values * (hw.psum_bits if geo.is_classifier else hw.activation_bits) // 8)


def summand_bytes_of(hw: Hardware, placement: Placement) -> int:
    """Bytes of the tensor that a fused ``add`` reads."""
    return -(-placement.summand_values * hw.activation_bits // 8)
