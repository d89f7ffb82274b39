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
    are always innermost, so that partial sums of one strip and one filter group are in flight.
    """

    e: int
    p: int
    q: int
    r: int
    t: int
    strips_outer: bool = False


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
    """Mappings of one layer as columns; e, p, q, r, t and strips_outer as in :class:`RowStationaryMapping`."""

    geometry: Geometry
    hardware: Hardware
    placement: Placement
    e: Int64Array
    p: Int64Array
    q: Int64Array
    r: Int64Array
    t: Int64Array
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
        sizes = {
            name: np.array([getattr(mapping, name) for mapping in mappings], np.int64)
            for name in ("e", "p", "q", "r", "t")
        }
        strips_outer = np.array([mapping.strips_outer for mapping in mappings], np.bool_)
        return cls(geo, hardware, placement, strips_outer=strips_outer, **sizes)

    def columns(self) -> Tiling:
        """The same mappings with an axis added on which tiles can be laid out."""
        return self._with(lambda column: column[:, np.newaxis])

    def select(self, chosen: BoolArray) -> Tiling:
        """Those of the mappings for which ``chosen`` is true."""
        return self._with(lambda column: column[chosen])

    def _with(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Tiling:
        return replace(
            self,
            e=change(self.e),
            p=change(self.p),
            q=change(self.q),
            r=change(self.r),
            t=change(self.t),
            strips_outer=change(self.strips_outer),
        )

    def at(self, index: int) -> RowStationaryMapping:
        """One of the mappings."""
        e, p, q, r, t = (int(column[index]) for column in (self.e, self.p, self.q, self.r, self.t))
        return RowStationaryMapping(e, p, q, r, t, bool(self.strips_outer[index]))

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

        Filter groups outside: one group stays (and beside it the first pass of the next group, being prefetched).
        Strips outside: all of them. With one pass a group they stay in the scratchpads anyway.
        """
        group = self.pass_weights * self.channel_groups + np.where(
            self.filter_groups > 1, self.pass_weights, 0
        )
        held = np.where(
            self.strips_outer, self.pass_weights * self.channel_groups * self.filter_groups, group
        )
        fits = byte_count(held, self.hardware.weight_bits) <= self.hardware.filter_bytes
        return fits | self.filters_repeat

    @cached_property
    def filters_repeat(self) -> BoolArray:
        """Consecutive strips use the same filters, which then stay in the PEs."""
        repeats: BoolArray = (self.channel_groups == 1) & (~self.strips_outer | (self.filter_groups == 1))
        return repeats

    @cached_property
    def ifmap_stays(self) -> BoolArray:
        """A row that is loaded from DRAM stays until its last use: the whole map fits, or a rolling window of it.

        The window holds the rows of two strips (one being used, the next arriving) of all the channels that the
        inner loops read.
        """
        geo = self.geometry
        rolling = self.strips_outer | (self.filter_groups == 1) | geo.depthwise
        held_maps = np.where(self.strips_outer, geo.channels, self.maps if geo.depthwise else geo.channels)
        rows = np.minimum((2 * self.e - 1) * geo.stride_rows + geo.kernel_rows, geo.height)
        window = byte_count(held_maps * rows * geo.width, self.hardware.activation_bits)
        whole = -(-geo.channels * geo.height * geo.width * self.hardware.activation_bits // 8)
        capacity = self.placement.ifmap_capacity_bytes
        return cast(BoolArray, (whole <= capacity) | (rolling & (window <= capacity)))

    @cached_property
    def ifmap_bytes(self) -> Int64Array:
        """Buffer bytes without which the input cannot stream: two tiles, one being used, the next arriving."""
        geo = self.geometry
        rows = np.minimum((self.e - 1) * geo.stride_rows + geo.kernel_rows, geo.height)
        streamed = 2 * byte_count(self.maps * rows * geo.width, self.hardware.activation_bits)
        return np.where(self.ifmap_stays | self.placement.ifmap_on_chip, 0, streamed)

    @cached_property
    def psum_bytes(self) -> Int64Array:
        """Buffer bytes of partial sums in flight; none when all channels are done in one pass."""
        values = self.filters * np.minimum(self.e, self.geometry.out_height) * self.geometry.out_width
        return np.where(self.channel_groups > 1, byte_count(values, self.hardware.psum_bits), 0)

    def limits(self) -> list[Limit]:
        """Every limit that a mapping must keep."""
        geo, hw, place = self.geometry, self.hardware, self.placement
        size, spad, buffer = (
            f"kernel {geo.kernel_rows}x{geo.kernel_cols}",
            "pe_array.scratchpad",
            "global_buffer",
        )
        filters = self.q if geo.depthwise else self.p * self.q
        psums = self.q if geo.depthwise else self.p
        sets = self.sets if geo.kernel_rows <= hw.rows else self.r * self.t
        filter_bytes = 2 * byte_count(self.pass_weights, hw.weight_bits)
        grow, larger = "use a larger scratchpad", "use a larger buffer"
        rows: list[tuple[str, Int64Array | int, Int64Array | int, str, str]] = [
            ("pe_array.rows", geo.kernel_rows, hw.rows, f"rows of PEs for the {size}", "use more rows"),
            ("pe_array.cols", self.r * self.t, sets, "PE sets at a time", "use more rows or columns"),
            (f"{spad}.filter_words", filters * geo.kernel_cols, hw.filter_words, f"weights a PE for the {size}", grow),
            (f"{spad}.ifmap_words", self.q * geo.kernel_cols, hw.ifmap_words, f"activations a PE for the {size}", grow),
            (f"{spad}.psum_words", psums, hw.psum_words, "partial sums a PE", grow),
            (f"{buffer}.filter_kib", filter_bytes, hw.filter_bytes, "bytes for two passes of filters",
             "give the filters a larger part of the buffer"),
            (f"{buffer}.size_kib", self.psum_bytes, place.psum_capacity_bytes,
             f"bytes for partial sums of {geo.out_width} columns", larger),
            (f"{buffer}.size_kib", self.ifmap_bytes, place.ifmap_capacity_bytes,
             f"bytes for two tiles of an input {geo.width} wide", larger),
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
