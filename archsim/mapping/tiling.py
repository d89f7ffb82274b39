"""How a row-stationary mapping cuts a layer: groups, strips, what they hold on chip and whether that fits.

Every quantity is a column: the plan of one mapping uses arrays of one element, the search one element a candidate,
so that both follow from the same formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from archsim.errors import Problem
from archsim.mapping.base import BoolArray, Int64Array, Placement
from archsim.mapping.geometry import Geometry, Hardware, byte_count


@dataclass(frozen=True)
class RowStationaryMapping:
    """Parameters of one mapping (Chen et al., JSSC 2017, Table III).

    e: output rows of a strip. p: filters interleaved in a PE. q: channels interleaved in a PE.
    r: sets of PEs that work on different channels. t: sets that work on different filters. A depthwise layer has
    p = r = 1 and its t sets hold q channels each.
    strips_outer: strips are the outer loop and filter groups the inner one, else the other way round; channel groups
    are inside both, so that partial sums of one strip are in flight.
    n: images interleaved in a pass. g: filter groups whose partial sums are in flight together (the m = g p t filters
    of Table III): their passes take turns on the activations in the buffer. A depthwise layer takes no notice of g.
    """

    e: int
    p: int
    q: int
    r: int
    t: int
    strips_outer: bool = False
    n: int = 1
    g: int = 1


SIZES = ("e", "p", "q", "r", "t", "n", "g")
"""Parameters of a mapping that are numbers."""


@dataclass(frozen=True)
class Limit:
    """One limit of the hardware: where ``need`` exceeds ``have`` a mapping cannot run."""

    key: str
    need: Int64Array
    have: Int64Array
    message: str
    hint: str


@dataclass(frozen=True)
class Tiling:
    """Mappings of one layer as columns; parameters as in :class:`RowStationaryMapping`."""

    geometry: Geometry
    hardware: Hardware
    placement: Placement
    e: Int64Array
    p: Int64Array
    q: Int64Array
    r: Int64Array
    t: Int64Array
    n: Int64Array
    g: Int64Array
    strips_outer: BoolArray

    @classmethod
    def of(
        cls, geo: Geometry, hardware: Hardware, placement: Placement, mapping: RowStationaryMapping
    ) -> Tiling:
        """The columns (one element) of one mapping."""
        return cls.grid(geo, hardware, placement, [mapping])

    @classmethod
    def grid(
        cls, geo: Geometry, hardware: Hardware, placement: Placement, mappings: Sequence[RowStationaryMapping]
    ) -> Tiling:
        """The columns of several mappings."""
        sizes = {name: np.array([getattr(mapping, name) for mapping in mappings], np.int64) for name in SIZES}
        strips_outer = np.array([mapping.strips_outer for mapping in mappings], np.bool_)
        return cls(geo, hardware, placement, strips_outer=strips_outer, **sizes)

    def columns(self) -> Tiling:
        """The same mappings with an axis added on which tiles can be laid out."""
        return self._with(lambda column: column[:, np.newaxis])

    def select(self, chosen: BoolArray) -> Tiling:
        """Those of the mappings for which ``chosen`` is true."""
        return self._with(lambda column: column[chosen])

    def part(self, start: int, size: int) -> Tiling:
        """Up to ``size`` of the mappings, from ``start`` on."""
        return self._with(lambda column: column[start : start + size])

    def _with(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Tiling:
        sizes: dict[str, Any] = {name: change(getattr(self, name)) for name in SIZES}
        return replace(self, strips_outer=change(self.strips_outer), **sizes)

    def at(self, index: int) -> RowStationaryMapping:
        """One of the mappings."""
        sizes = {name: int(getattr(self, name)[index]) for name in SIZES}
        return RowStationaryMapping(**sizes, strips_outer=bool(self.strips_outer[index]))

    @cached_property
    def filters(self) -> Int64Array:
        """Filters of a full pass (channels of a depthwise layer)."""
        full = self.q * self.t if self.geometry.depthwise else self.p * self.t
        return cast(Int64Array, np.minimum(full, self.geometry.filters))

    @cached_property
    def channels(self) -> Int64Array:
        """Channels of each filter in a full pass."""
        if self.geometry.depthwise:
            return np.ones_like(self.q)
        return cast(Int64Array, np.minimum(self.q * self.r, self.geometry.channels))

    @cached_property
    def maps(self) -> Int64Array:
        """Input channels of a full pass."""
        return self.filters if self.geometry.depthwise else self.channels

    @cached_property
    def filter_groups(self) -> Int64Array:
        return -(-self.geometry.filters // self.filters)

    @cached_property
    def block_groups(self) -> Int64Array:
        """Filter groups of a full block, whose partial sums are in flight together."""
        if self.geometry.depthwise:
            return np.ones_like(self.g)
        return cast(Int64Array, np.minimum(self.g, self.filter_groups))

    @cached_property
    def filter_blocks(self) -> Int64Array:
        return -(-self.filter_groups // self.block_groups)

    @cached_property
    def images(self) -> Int64Array:
        """Images of a full pass."""
        return cast(Int64Array, np.minimum(self.n, self.placement.batch))

    @cached_property
    def image_groups(self) -> Int64Array:
        return -(-self.placement.batch // self.images)

    @cached_property
    def channel_groups(self) -> Int64Array:
        return (
            np.ones_like(self.q) if self.geometry.depthwise else -(-self.geometry.channels // self.channels)
        )

    @cached_property
    def strips(self) -> Int64Array:
        return -(-self.geometry.out_height // self.e)

    @cached_property
    def sets(self) -> Int64Array:
        """PE sets (kernel_rows x e) that the array holds; a set wider than the array is folded onto more bands."""
        bands = self.hardware.rows // self.geometry.kernel_rows
        side_by_side = bands * (self.hardware.cols // self.e)
        return np.where(self.e <= self.hardware.cols, side_by_side, bands // -(-self.e // self.hardware.cols))

    @cached_property
    def pass_weights(self) -> Int64Array:
        """Weights of a full pass."""
        return self.filters * self.channels * self.geometry.kernel_rows * self.geometry.kernel_cols

    @cached_property
    def weights_stay(self) -> BoolArray:
        """Weights are fetched from DRAM once: those needed again by the next strip stay in the filter part.

        Filter blocks outside: one block stays (and beside it the first pass of the next block, being prefetched).
        Strips outside: all of them. With one pass a block they stay in the scratchpads anyway.
        """
        block = self.pass_weights * self.channel_groups * self.block_groups
        block = block + np.where(self.filter_blocks > 1, self.pass_weights, 0)
        fits = byte_count(block, self.hardware.weight_bits) <= self.hardware.filter_bytes
        stay: BoolArray = np.where(self.strips_outer, self._all_weights_fit, fits) | self.filters_repeat
        return stay

    @cached_property
    def weights_stay_for_images(self) -> BoolArray:
        """Weights are fetched from DRAM once for the whole batch."""
        stay: BoolArray = self._all_weights_fit | (self.filters_repeat & (self.filter_groups == 1))
        return stay

    @cached_property
    def _all_weights_fit(self) -> BoolArray:
        held = self.pass_weights * self.channel_groups * self.filter_groups
        return byte_count(held, self.hardware.weight_bits) <= self.hardware.filter_bytes

    @cached_property
    def filters_repeat(self) -> BoolArray:
        """Consecutive strips use the same filters, which then stay in the PEs."""
        one_a_strip = (~self.strips_outer & (self.block_groups == 1)) | (self.filter_groups == 1)
        repeats: BoolArray = (self.channel_groups == 1) & one_a_strip
        return repeats

    @cached_property
    def window_bytes(self) -> Int64Array:
        """Buffer bytes with which a row that is loaded from DRAM stays until its last use.

        The whole map, or a rolling window of it: the rows of two strips (one being used, the next arriving) of all
        the channels that the inner loops read; of all images of a pass.
        """
        geo = self.geometry
        rolls = self.strips_outer | (self.filter_blocks == 1) | geo.depthwise
        held_maps = np.where(self.strips_outer, geo.channels, self.maps if geo.depthwise else geo.channels)
        rows = np.minimum((2 * self.e - 1) * geo.stride_rows + geo.kernel_rows, geo.height)
        words = np.where(rolls, held_maps * rows, geo.channels * geo.height) * geo.width
        return self.hardware.in_banks(byte_count(self.images * words, self.hardware.activation_bits))

    @cached_property
    def stream_bytes(self) -> Int64Array:
        """Buffer bytes without which the input cannot stream at all: a tile being used and the next arriving.

        An array that stops for maps has no need of the next.
        """
        geo = self.geometry
        rows = np.minimum((self.e - 1) * geo.stride_rows + geo.kernel_rows, geo.height)
        tile_bytes = byte_count(self.images * self.maps * rows * geo.width, self.hardware.activation_bits)
        return self.hardware.in_banks(tile_bytes if self.hardware.stops_for_maps else 2 * tile_bytes)

    @cached_property
    def ifmap_stays(self) -> BoolArray:
        """Rows are loaded from DRAM once: there is room for the window beside the partial sums.

        An array that stops for maps loads every tile whole.
        """
        if self.hardware.stops_for_maps:
            return np.zeros(self.e.shape, np.bool_)
        return self.psum_bytes + self.window_bytes <= self.placement.capacity_bytes

    @cached_property
    def needed_bytes(self) -> Int64Array:
        """Buffer bytes without which the mapping cannot run."""
        if self.placement.ifmap_on_chip:
            return self.psum_bytes
        if self.hardware.stops_for_maps:
            return self.psum_bytes + self.stream_bytes
        return self.psum_bytes + np.minimum(self.stream_bytes, self.window_bytes)

    @cached_property
    def working_bytes(self) -> Int64Array:
        """Buffer bytes that the mapping makes use of: with room for it, rows of the input stay."""
        stays = self.ifmap_stays & (not self.placement.ifmap_on_chip)
        return np.where(stays, self.psum_bytes + self.window_bytes, self.needed_bytes)

    @cached_property
    def psum_bytes(self) -> Int64Array:
        """Buffer bytes of partial sums in flight; none when all channels are done in one pass.

        An array that stops for maps gathers its outputs there until they are stored, however many passes they take.
        """
        geo = self.geometry
        filters = np.minimum(self.filters * self.block_groups, geo.filters)
        values = self.images * filters * np.minimum(self.e, geo.out_height) * geo.out_width
        gathers = (self.channel_groups > 1) | self.hardware.stops_for_maps
        return np.where(gathers, self.hardware.in_banks(byte_count(values, self.hardware.psum_bits)), 0)

    def limits(self) -> list[Limit]:
        """Every limit that a mapping must keep."""
        geo, hw, place = self.geometry, self.hardware, self.placement
        size = f"kernel {geo.kernel_rows}x{geo.kernel_cols}"
        spad, buffer = "pe_array.scratchpad", "global_buffer"
        filters = self.q if geo.depthwise else self.p * self.q
        stacked = self.p * self.r if geo.depthwise else 1
        psums = self.q if geo.depthwise else self.p
        sets = self.sets if geo.kernel_rows <= hw.rows else self.r * self.t
        filter_bytes = hw.passes_of_filters * byte_count(self.pass_weights, hw.weight_bits)
        filters_of = f"bytes for the filters of {hw.passes_of_filters} passes"
        grow = "use a larger scratchpad"
        held = f"bytes for partial sums of {geo.out_width} columns"
        held += "" if place.ifmap_on_chip else f" and the tiles of an input {geo.width} columns wide"
        rows: list[tuple[str, Int64Array | int, Int64Array | int, str, str]] = [
            ("pe_array.rows", geo.kernel_rows, hw.rows, f"rows of PEs for the {size}", "use more rows"),
            ("pe_array.cols", self.r * self.t, sets, "PE sets at a time", "use more rows or columns"),
            ("mappings", stacked, 1, "for p r of a depthwise layer", "each of its filters has one channel: p = r = 1"),
            (f"{spad}.filter_words", filters * geo.kernel_cols, hw.filter_words, f"weights a PE for the {size}", grow),
            (f"{spad}.ifmap_words", self.q * geo.kernel_cols, hw.ifmap_words, f"activations a PE for the {size}", grow),
            (f"{spad}.psum_words", psums, hw.psum_words, "partial sums a PE", grow),
            (f"{buffer}.filter_kib", filter_bytes, hw.filter_bytes, filters_of,
             "give the filters a larger part of the buffer"),
            (f"{buffer}.size_kib", self.needed_bytes, place.capacity_bytes, held, "use a larger buffer"),
        ]  # fmt: skip
        shape = self.e.shape
        return [
            Limit(key, np.broadcast_to(need, shape), np.broadcast_to(have, shape), message, hint)
            for key, need, have, message, hint in rows
        ]

    def fits(self) -> BoolArray:
        """bool, one element a mapping: all limits are kept."""
        kept = [limit.need <= limit.have for limit in self.limits()]
        return cast(BoolArray, np.logical_and.reduce(kept))

    def problems(self) -> list[Problem]:
        """The limits that the first mapping breaks, in words."""
        where = f'layer "{self.geometry.name}" on "{self.hardware.name}"'
        return [
            Problem(
                where, limit.key, f"needs {limit.need[0]} {limit.message}, found {limit.have[0]}", limit.hint
            )
            for limit in self.limits()
            if limit.need[0] > limit.have[0]
        ]
