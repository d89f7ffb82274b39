"""A layer and an array reduced to the integers that a mapping depends on.

Every layer with weights is a convolution here: ``linear`` is a 1x1 convolution of a 1x1 map whose channels are the
flattened (height, width, channels) of its input. Of a grouped convolution it is one group: groups run one behind the
other, each with the same mapping, as layers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.mapping.base import Int64Array
from archsim.network.graph import Layer


def byte_count(words: Int64Array, bits: int) -> Int64Array:
    """Bytes that hold ``words`` values of ``bits`` bits each.

    >>> byte_count(np.array([3, 4]), 4).tolist()
    [2, 2]
    """
    return -(-words * bits // 8)


@dataclass(frozen=True)
class Geometry:
    """Shape of a convolution. Names in brackets are those of the row-stationary literature.

    channels (C) and filters (M), of one of ``groups`` equal groups, are both the channel count of a depthwise layer,
    where each filter has one channel.
    kernel_rows (R), kernel_cols (S), stride_* (U), pad_*: top and left; what lies beyond the other
    ends of the map is padding as well.
    height, width: the input without padding. out_height (E), out_width (F).
    """

    name: str
    channels: int
    filters: int
    depthwise: bool
    kernel_rows: int
    kernel_cols: int
    stride_rows: int
    stride_cols: int
    pad_rows: int
    pad_cols: int
    height: int
    width: int
    out_height: int
    out_width: int
    is_classifier: bool
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding included."""
        per_output = self.kernel_rows * self.kernel_cols * (1 if self.depthwise else self.channels)
        return per_output * self.filters * self.out_height * self.out_width

    @property
    def outputs(self) -> int:
        """Output values."""
        return self.filters * self.out_height * self.out_width

    @cached_property
    def real_rows_before(self) -> Int64Array:
        """int64 (padded rows + 1,): of the padded rows above y, those that a window touches and that are not padding.

        Entry y counts rows 0..y-1.
        """
        padded = max(self.pad_rows + self.height, self.span_rows(self.out_height))
        row = np.arange(padded)
        touched = (row % self.stride_rows < self.kernel_rows) & (row < self.span_rows(self.out_height))
        real = (row >= self.pad_rows) & (row < self.pad_rows + self.height)
        return np.concatenate([[0], np.cumsum(touched & real)])

    @cached_property
    def column_taps(self) -> Int64Array:
        """int64 (width,): how many (output column, filter column) pairs read each input column."""
        last = (self.out_width - 1) * self.stride_cols + self.kernel_cols
        taps = np.zeros(max(self.pad_cols + self.width, last), np.int64)
        for tap in range(self.kernel_cols):
            taps[tap : tap + self.out_width * self.stride_cols : self.stride_cols][: self.out_width] += 1
        return taps[self.pad_cols : self.pad_cols + self.width]

    @property
    def columns(self) -> int:
        """Distinct padded columns that the windows touch, padding included."""
        return self.out_width * min(self.kernel_cols, self.stride_cols) + max(
            self.kernel_cols - self.stride_cols, 0
        )

    @property
    def real_columns(self) -> int:
        """Of these, the columns that are not padding."""
        return int((self.column_taps > 0).sum())

    @property
    def real_first_columns(self) -> int:
        """Columns of the first window that are not padding."""
        return max(min(self.kernel_cols, self.pad_cols + self.width) - self.pad_cols, 0)

    def span_rows(self, out_rows: int) -> int:
        """Padded rows from the first to the last that ``out_rows`` output rows read."""
        return (out_rows - 1) * self.stride_rows + self.kernel_rows


@dataclass(frozen=True)
class Hardware:
    """The parts of an architecture that a row-stationary mapping depends on; widths in bits, buses in bytes a cycle.

    skips_zeros: MACs on zero activations take no cycle.
    stops_for_maps: the array stands still while activations are loaded and outputs stored (``dma.overlap: weights``).
    starts_on_arrival: PEs do not wait until their scratchpads are filled (``pe_array.start: arrival``).
    objective: what mappings are chosen for (``pe_array.mapping``).
    map_bytes: buffer for activations and partial sums; bank_bytes: what each of the two takes multiples of.
    """

    name: str
    rows: int
    cols: int
    ifmap_words: int
    filter_words: int
    psum_words: int
    ifmap_bus: int
    filter_bus: int
    psum_bus: int
    activation_bits: int
    weight_bits: int
    psum_bits: int
    filter_bytes: int
    skips_zeros: bool
    stops_for_maps: bool
    starts_on_arrival: bool
    objective: str
    map_bytes: int
    bank_bytes: int

    @property
    def passes_of_filters(self) -> int:
        """Passes of filters that the buffer holds: one in use and the next, or only the next where they are prefetched
        when the scratchpads have taken the ones before.
        """
        return 1 if self.stops_for_maps else 2

    def in_banks(self, size_bytes: Int64Array) -> Int64Array:
        """Bytes of the banks that hold so many."""
        return -(-size_bytes // self.bank_bytes) * self.bank_bytes


def geometry_of(layer: Layer) -> Geometry:
    """The convolution that a compute layer is."""
    (kernel_rows, kernel_cols), (stride_rows, stride_cols) = layer.kernel, layer.stride
    shape, linear = layer.input_shape, layer.op == "linear"
    return Geometry(
        name=layer.name,
        channels=shape.elements if linear else shape.channels // layer.groups,
        filters=layer.output_shape.channels // layer.groups,
        depthwise=layer.op == "depthwise_conv2d",
        kernel_rows=kernel_rows,
        kernel_cols=kernel_cols,
        stride_rows=stride_rows,
        stride_cols=stride_cols,
        pad_rows=layer.padding[0],
        pad_cols=layer.padding[1],
        height=1 if linear else shape.height,
        width=1 if linear else shape.width,
        out_height=layer.output_shape.height,
        out_width=layer.output_shape.width,
        is_classifier=layer.is_classifier,
        groups=layer.groups,
    )


def hardware_of(arch: ArchSpec) -> Hardware:
    """The integers of an architecture that a mapping depends on."""
    array, noc, spad = arch.pe_array, arch.pe_array.noc, arch.pe_array.scratchpad
    buffer = arch.global_buffer
    return Hardware(
        name=arch.name,
        rows=array.rows,
        cols=array.cols,
        ifmap_words=spad.ifmap_words,
        filter_words=spad.filter_words,
        psum_words=spad.psum_words,
        ifmap_bus=noc.ifmap_bytes_per_cycle,
        filter_bus=noc.filter_bytes_per_cycle,
        psum_bus=noc.psum_bytes_per_cycle,
        activation_bits=arch.precision.activation_bits,
        weight_bits=arch.precision.weight_bits,
        psum_bits=arch.precision.psum_bits,
        filter_bytes=buffer.filter_kib * 1024,
        skips_zeros=array.zero == "skip",
        stops_for_maps=arch.dma.overlap == "weights",
        starts_on_arrival=array.start == "arrival",
        objective=array.mapping,
        map_bytes=max(buffer.size_kib - buffer.filter_kib, 0) * 1024,
        bank_bytes=buffer.size_kib * 1024 // buffer.banks if buffer.sharing == "bank" else 1,
    )
