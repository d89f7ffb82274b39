"""What one pass of a row-stationary mapping moves and how long it takes (Eyeriss; Chen et al., JSSC 2017).

A pass is one tile: a strip of e output rows, up to q*r channels, up to p*t filters, n images one behind the other
with the same filters. Phases:

*fill*  Filters (over the filter bus, unless the PEs hold them from the pass before) and, beside them, the activations
    under the first window of every row (over the ifmap bus) reach the scratchpads before the first MAC. With
    ``pe_array.start: arrival`` each PE starts when its first words are there: the MACs of the first output column run
    beside the fill, which then delays the rest only by what it takes longer.
*compute*  A PE does the MACs of its q channels and p filters for one output column, then its p partial sums are
    accumulated up the column of PEs, one a cycle: ``p*q*S + p`` cycles a column of outputs, n*F columns. Meanwhile the
    other columns of the rows arrive over the ifmap bus, the partial sums of earlier channels over the psum bus into
    the array, and finished columns leave over the psum bus out of it. The slowest of these is the duration.
*drain*  The last column of partial sums or outputs leaves.

Rules. Padding is inserted by the address generator: it takes its time on the ifmap bus but is not read from the
buffer. The first channels start from zero, so nothing is read for them. The last channels write outputs, requantised
at the edge of the array (activation width on the bus) and pooled and added at the buffer's write port. Partial sums
and outputs have separate buses in and out, each ``psum_bytes_per_cycle`` wide, as on the chip.

The published buffer traffic of Eyeriss counts one psum read and one write a pass, the first read included: it equals
the traffic here plus one psum word an output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsim.mapping.base import BoolArray, Int64Array
from archsim.mapping.geometry import byte_count
from archsim.mapping.tiling import Tiling

ACTIONS: tuple[tuple[str, str], ...] = (
    ("noc", "ifmap_byte"),
    ("noc", "filter_byte"),
    ("noc", "psum_byte"),
    ("noc", "local_psum_byte"),
    ("pe_array", "ifmap_spad_write"),
    ("pe_array", "filter_spad_write"),
    ("pe_array", "psum_spad_read"),
)
"""Counted per tile whatever the data; a partial sum is read once by the accumulation of each PE on its way. What
happens on the write path (requantise, pool) follows from the plan's outputs."""


@dataclass(frozen=True)
class Passes:
    """Passes by their indices in the loops; all columns broadcast against each other.

    group: filter group, strip, channel_group, image_group: loop indices. filters, channels: of the pass (channels a
    filter). images: of the pass. maps: input channels. out_rows: output rows. p, q: filters and channels in the fullest
    PE (a remainder is spread evenly over the sets). psums: partial sums a PE. filter_sets, channel_sets: sets that hold
    work. new_filters: the PEs do not hold these filters yet. first, last: first and last channels of an output.
    """

    tiling: Tiling
    group: Int64Array
    strip: Int64Array
    channel_group: Int64Array
    image_group: Int64Array
    images: Int64Array
    filters: Int64Array
    channels: Int64Array
    maps: Int64Array
    out_rows: Int64Array
    p: Int64Array
    q: Int64Array
    psums: Int64Array
    filter_sets: Int64Array
    channel_sets: Int64Array
    new_filters: BoolArray
    first: BoolArray
    last: BoolArray

    @classmethod
    def of(
        cls,
        tiling: Tiling,
        group: Int64Array,
        strip: Int64Array,
        channel_group: Int64Array,
        image_group: Int64Array,
    ) -> Passes:
        """The passes with these loop indices."""
        geo = tiling.geometry
        filters = np.minimum(tiling.filters, geo.filters - group * tiling.filters)
        channels = (
            np.ones_like(filters)
            if geo.depthwise
            else np.minimum(tiling.channels, geo.channels - channel_group * tiling.channels)
        )
        p = np.ones_like(filters) if geo.depthwise else -(-filters // tiling.t)
        q = -(-filters // tiling.t) if geo.depthwise else -(-channels // tiling.r)
        return cls(
            tiling=tiling,
            group=group,
            strip=strip,
            channel_group=channel_group,
            image_group=image_group,
            images=np.minimum(tiling.images, tiling.placement.batch - image_group * tiling.images),
            filters=filters,
            channels=channels,
            maps=filters if geo.depthwise else channels,
            out_rows=np.minimum(tiling.e, geo.out_height - strip * tiling.e),
            p=p,
            q=q,
            psums=q if geo.depthwise else p,
            filter_sets=-(-filters // (q if geo.depthwise else p)),
            channel_sets=np.ones_like(channels) if geo.depthwise else -(-channels // q),
            new_filters=~tiling.filters_repeat
            | ((strip == 0) & ((image_group == 0) | (tiling.filter_groups > 1))),
            first=channel_group == 0,
            last=channel_group == tiling.channel_groups - 1,
        )

    @property
    def outputs(self) -> Int64Array:
        """Finished output values."""
        return np.where(self.last, self.filters * self.out_rows * self.columns, 0)

    @property
    def columns(self) -> Int64Array:
        """Output columns of all images."""
        return self.images * self.tiling.geometry.out_width

    @property
    def macs(self) -> Int64Array:
        """Multiply-accumulates, padding included."""
        return self.weights * self.out_rows * self.columns

    @property
    def column_cycles(self) -> Int64Array:
        """MACs of the fullest PE for one output column."""
        return self.p * self.q * self.tiling.geometry.kernel_cols

    @property
    def busy_cycles(self) -> Int64Array:
        """MACs of the fullest PE."""
        return self.column_cycles * self.columns

    @property
    def accumulate_cycles(self) -> Int64Array:
        """Partial sums that go up the column of PEs, one a cycle."""
        return self.psums * self.columns

    @property
    def weights(self) -> Int64Array:
        """Weights of the pass."""
        return (
            self.filters * self.channels * self.tiling.geometry.kernel_rows * self.tiling.geometry.kernel_cols
        )

    @property
    def first_padded_row(self) -> Int64Array:
        """Padded input row of the first output row."""
        return self.strip * self.tiling.e * self.tiling.geometry.stride_rows

    def next_padded_row(self, out_rows: Int64Array) -> Int64Array:
        """Padded row behind the last one that the strip reads when it has ``out_rows`` output rows."""
        geo = self.tiling.geometry
        return self.first_padded_row + (out_rows - 1) * geo.stride_rows + geo.kernel_rows


@dataclass(frozen=True)
class Phases:
    """Cycles and buffer bytes of passes, as in :class:`~archsim.mapping.base.TilePlan`; counts: (..., actions)."""

    fill_cycles: Int64Array
    fill_read_bytes: Int64Array
    compute_cycles: Int64Array
    bus_cycles: Int64Array
    stream_read_bytes: Int64Array
    stream_write_bytes: Int64Array
    drain_cycles: Int64Array
    drain_write_bytes: Int64Array
    counts: tuple[Int64Array, ...]

    @property
    def buffer_bytes(self) -> Int64Array:
        """Bytes between buffer and array, both directions."""
        return (
            self.fill_read_bytes + self.stream_read_bytes + self.stream_write_bytes + self.drain_write_bytes
        )


@dataclass(frozen=True)
class _IfmapWords:
    """Activations of passes: over the bus with padding, read from the buffer without."""

    bus_fill: Int64Array
    bus_stream: Int64Array
    read_fill: Int64Array
    read_stream: Int64Array


def phases_of(passes: Passes, stored_bytes: Int64Array, summand_bytes: Int64Array) -> Phases:
    """Durations and traffic. stored_bytes: written by last channels; summand_bytes: read by a fused ``add``."""
    hw = passes.tiling.hardware
    ifmap, sums = _ifmap_words(passes), _psum_bytes(passes)
    filter_bytes = byte_count(np.where(passes.new_filters, passes.weights, 0), hw.weight_bits)
    stored_stream = stored_bytes * (passes.columns - 1) // passes.columns
    bus = np.maximum.reduce([
        passes.accumulate_cycles,
        _bus_cycles(byte_count(ifmap.bus_stream, hw.activation_bits), hw.ifmap_bus),
        _bus_cycles(sums.read, hw.psum_bus),
        _bus_cycles(sums.out_stream, hw.psum_bus),
    ])  # fmt: skip
    fill = np.maximum(
        _bus_cycles(byte_count(ifmap.bus_fill, hw.activation_bits), hw.ifmap_bus),
        _bus_cycles(filter_bytes, hw.filter_bus),
    )
    return Phases(
        fill_cycles=np.maximum(fill - passes.column_cycles, 0) if hw.starts_on_arrival else fill,
        fill_read_bytes=byte_count(ifmap.read_fill, hw.activation_bits) + filter_bytes,
        compute_cycles=np.maximum(passes.busy_cycles + passes.accumulate_cycles, bus),
        bus_cycles=bus,
        stream_read_bytes=byte_count(ifmap.read_stream, hw.activation_bits) + sums.read + summand_bytes,
        stream_write_bytes=np.where(passes.last, stored_stream, sums.out_stream),
        drain_cycles=_bus_cycles(sums.out_drain, hw.psum_bus),
        drain_write_bytes=np.where(passes.last, stored_bytes - stored_stream, sums.out_drain),
        counts=_counts(passes, ifmap, filter_bytes, sums),
    )


@dataclass(frozen=True)
class _PsumBytes:
    """Partial sums and outputs of passes on the psum buses: into the array, out during compute, out in the drain."""

    read: Int64Array
    out_stream: Int64Array
    out_drain: Int64Array


def _psum_bytes(passes: Passes) -> _PsumBytes:
    geo, hw = passes.tiling.geometry, passes.tiling.hardware
    out_bits = hw.psum_bits if geo.is_classifier else hw.activation_bits
    column = passes.filters * passes.out_rows
    inner = column * (passes.columns - 1)
    return _PsumBytes(
        read=np.where(passes.first, 0, byte_count(column * passes.columns, hw.psum_bits)),
        out_stream=np.where(passes.last, byte_count(inner, out_bits), byte_count(inner, hw.psum_bits)),
        out_drain=np.where(passes.last, byte_count(column, out_bits), byte_count(column, hw.psum_bits)),
    )


def _bus_cycles(size_bytes: Int64Array, bytes_per_cycle: int) -> Int64Array:
    return -(-size_bytes // bytes_per_cycle)


def _ifmap_words(passes: Passes) -> _IfmapWords:
    geo = passes.tiling.geometry
    rows = passes.out_rows * min(geo.kernel_rows, geo.stride_rows) + max(geo.kernel_rows - geo.stride_rows, 0)
    before = geo.real_rows_before
    real_rows = before[passes.next_padded_row(passes.out_rows)] - before[passes.first_padded_row]
    images, maps = passes.images, passes.maps
    return _IfmapWords(
        bus_fill=maps * rows * geo.kernel_cols,
        bus_stream=maps * rows * (images * geo.columns - geo.kernel_cols),
        read_fill=maps * real_rows * geo.real_first_columns,
        read_stream=maps * real_rows * (images * geo.real_columns - geo.real_first_columns),
    )


def _counts(
    passes: Passes, ifmap: _IfmapWords, filter_bytes: Int64Array, sums: _PsumBytes
) -> tuple[Int64Array, ...]:
    """In the order of ACTIONS."""
    geo, hw = passes.tiling.geometry, passes.tiling.hardware
    values = passes.filters * passes.out_rows * passes.columns
    stacked = geo.kernel_rows * passes.channel_sets
    copies = 1 if geo.depthwise else passes.filter_sets
    row_words = passes.images * passes.maps * geo.kernel_rows * passes.out_rows * geo.columns
    return (
        byte_count(ifmap.bus_fill + ifmap.bus_stream, hw.activation_bits),
        filter_bytes,
        sums.read + sums.out_stream + sums.out_drain,
        byte_count(values * (stacked - 1), hw.psum_bits),
        row_words * copies,
        np.where(passes.new_filters, passes.weights * passes.out_rows, 0),
        values * stacked,
    )


@dataclass(frozen=True)
class Fetches:
    """What passes fetch from DRAM, in words: lengths and offsets in the layer's weights and in its input tensor.

    Weights lie in DRAM in the order of the loops (filter group, channel group). The input lies as (n images, channel
    block of q*r channels, row, image, column, channel), so that what a pass fetches is contiguous.
    """

    weight_words: Int64Array
    weight_offset_words: Int64Array
    ifmap_words: Int64Array
    ifmap_offset_words: Int64Array


def fetches_of(passes: Passes) -> Fetches:
    """DRAM reads of passes."""
    tiling, geo = passes.tiling, passes.tiling.geometry
    taps = geo.kernel_rows * geo.kernel_cols
    channels_a_filter = 1 if geo.depthwise else geo.channels
    weight_offset = passes.group * tiling.filters * channels_a_filter * taps
    weight_offset = weight_offset + passes.channel_group * tiling.channels * passes.filters * taps
    fetch_weights = (passes.strip == 0) | ~tiling.weights_stay
    fetch_weights &= (passes.image_group == 0) | ~tiling.weights_stay_for_images

    def clip(padded_row: Int64Array) -> Int64Array:
        inside: Int64Array = np.clip(padded_row - geo.pad_rows, 0, geo.height)
        return inside

    end = clip(passes.next_padded_row(passes.out_rows))
    is_last_strip = passes.strip == tiling.strips - 1
    had = np.where(passes.strip == 0, 0, clip(passes.next_padded_row(np.zeros_like(passes.out_rows))))
    begin: Int64Array = np.where(tiling.ifmap_stays, had, clip(passes.first_padded_row))
    end = np.where(tiling.ifmap_stays & is_last_strip, geo.height, end)
    is_needed = ~tiling.ifmap_stays | (passes.group < tiling.block_groups) | geo.depthwise
    is_needed &= passes.group % tiling.block_groups == 0
    maps_before = (passes.group if geo.depthwise else passes.channel_group) * tiling.maps
    images_before = passes.image_group * tiling.images
    plane = passes.maps * passes.images * geo.width
    is_fetched = is_needed & (not tiling.placement.ifmap_on_chip)
    return Fetches(
        weight_words=np.where(fetch_weights, passes.weights, 0),
        weight_offset_words=weight_offset,
        ifmap_words=np.where(is_fetched, np.maximum(end - begin, 0) * plane, 0),
        ifmap_offset_words=images_before * geo.channels * geo.height * geo.width
        + maps_before * passes.images * geo.height * geo.width
        + begin * plane,
    )
