"""Random layers on a small row-stationary array: what the plan says, what the buses bring, what the kernel computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec
from archsim.kernels import conv
from archsim.mapping.base import Placement, TilePlan, TileWork
from archsim.mapping.row_stationary import RowStationary
from archsim.mapping.tiling import RowStationaryMapping
from archsim.network.graph import Layer, Shape

RING_WORDS, FILTER_WORDS, PSUM_WORDS = 18, 18, 3
DEEP_FIFO_WORDS = PSUM_WORDS * 6
"""Partial sums of all columns that are drawn: PEs never wait for each other."""


@dataclass(frozen=True)
class Pass:
    """Of output rows ``rows``, channels and filters, each by their index in the layer."""

    rows: range
    channels: range
    filters: range


@dataclass(frozen=True, eq=False)
class Case:
    """A convolution, the array and the mapping e, p, q; words that the buses bring in a cycle.

    activations: (height, width, channels), uint8 or int8. weight: int8 (rows, columns, channels, filters). padding:
    (vertical, horizontal). ready_gaps, port_cycles: of each tile, cycles until its data is there after the data of
    the tile before, and of the port transfers of its three phases; the last entries go on for ever.
    """

    activations: np.ndarray
    weight: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int]
    cols: int
    mapping: tuple[int, int, int]
    lanes: tuple[int, int]
    zero: str
    fifo_words: int
    ready_gaps: tuple[int, ...] = (0,)
    port_cycles: tuple[tuple[int, int, int], ...] = ((0, 0, 0),)

    @cached_property
    def layer(self) -> Layer:
        described = Conv2dSpec(
            op="conv2d", name="layer", filters=self.weight.shape[3], kernel=self.weight.shape[:2],
            stride=self.stride, padding=self.padding,
        )  # fmt: skip
        height, width = self.out_shape
        return Layer("layer", described, ("image",), Shape(*self.activations.shape),
                     Shape(height, width, self.weight.shape[3]), True, False)  # fmt: skip

    @cached_property
    def arch(self) -> ArchSpec:
        noc = dict(zip(("ifmap_bytes_per_cycle", "filter_bytes_per_cycle"), self.lanes, strict=True))
        array = {
            "rows": self.weight.shape[0],
            "cols": self.cols,
            "zero": self.zero,
            "scratchpad": {
                "ifmap_words": RING_WORDS,
                "filter_words": FILTER_WORDS,
                "psum_words": PSUM_WORDS,
            },
            "noc": {**noc, "psum_bytes_per_cycle": 4096},
        }
        return ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "drawn", "pe_array": array})

    @cached_property
    def plan(self) -> TilePlan:
        e, p, q = self.mapping
        mapping = RowStationaryMapping(e=e, p=p, q=q, r=1, t=1)
        return RowStationary().plan_with(self.layer, self.arch, Placement(True, True, 1 << 20), mapping)

    @cached_property
    def work(self) -> TileWork:
        return RowStationary().work(self.layer, self.arch, self.plan, self.activations != 0)

    @property
    def out_shape(self) -> tuple[int, int]:
        """(height, width) of the output."""
        sizes = zip(self.activations.shape, self.padding, self.weight.shape, self.stride, strict=False)
        height, width = ((size + 2 * pad - kernel) // step + 1 for size, pad, kernel, step in sizes)
        return height, width

    @cached_property
    def padded(self) -> np.ndarray:
        """Activations with zeros around, as many below and on the right as windows reach."""
        reach = [(out - 1) * step + kernel for out, step, kernel in
                 zip(self.out_shape, self.stride, self.weight.shape, strict=False)]  # fmt: skip
        around = [(pad, max(0, size - height - pad)) for pad, size, height in
                  zip(self.padding, reach, self.activations.shape, strict=False)]  # fmt: skip
        return np.pad(self.activations, [*around, (0, 0)])

    @cached_property
    def expected(self) -> np.ndarray:
        """int32 (out height, out width, filters), by the kernel."""
        return conv.conv2d(self.activations[np.newaxis], self.weight, self.stride, self.padding)[0]

    @cached_property
    def passes(self) -> list[Pass]:
        """In the order of the plan: filters, strips, channels."""
        e, p, q = self.mapping
        filters, rows, channels = (
            [range(start, min(start + size, total)) for start in range(0, total, size)]
            for size, total in ((p, self.weight.shape[3]), (e, self.out_shape[0]), (q, self.weight.shape[2]))
        )
        return [Pass(row, channel, held) for held, row, channel in product(filters, rows, channels)]

    def of_tile(self, table: tuple[Any, ...], tile: int) -> Any:
        """Entry of a tile in one of the tables whose last entry goes on for ever."""
        return table[min(tile, len(table) - 1)]

    def strip_rows(self, done: Pass) -> list[int]:
        """Rows of the strip that PEs read, from its first one."""
        return sorted(
            {j * self.stride[0] + i for j in range(len(done.rows)) for i in range(len(self.weight))}
        )

    @cached_property
    def columns(self) -> list[int]:
        """Padded columns that windows touch."""
        steps = range(self.out_shape[1])
        return sorted({f * self.stride[1] + s for f in steps for s in range(self.weight.shape[1])})

    def words(self, done: Pass, columns: list[int]) -> Iterator[tuple[int, int]]:
        """(row of the strip, activation) in the order of the bus: column, channel, row."""
        top = done.rows.start * self.stride[0]
        for x, channel, y in product(columns, done.channels, self.strip_rows(done)):
            yield y, int(self.padded[top + y, x, channel])

    def filter_words(self, done: Pass) -> Iterator[tuple[int, int]]:
        """(row of PEs, weight) in the order of the bus: column, channel, filter, row."""
        rows, columns = range(self.weight.shape[0]), range(self.weight.shape[1])
        for s, channel, held, i in product(columns, done.channels, done.filters, rows):
            yield i, int(self.weight[i, s, channel, held])

    def settings(self, done: Pass) -> dict[str, int]:
        """Configuration registers of a pass."""
        kernel_cols = self.weight.shape[1]
        filters, channels = len(done.filters), len(done.channels)
        return {
            "window": kernel_cols * channels,
            "slide": min(kernel_cols, self.stride[1]) * channels,
            "filters": filters,
            "weights": kernel_cols * channels * filters,
            "is_signed": self.activations.dtype == np.int8,
            "stride": self.stride[0],
            "out_rows": len(done.rows),
            "outputs": filters * self.out_shape[1],
        }

    @property
    def is_bus_in_time(self) -> bool:
        """The bus brings what the quickest column of outputs uses up: all MACs, or none of them with skipping."""
        for done in self.passes:
            slide = len(self.strip_rows(done)) * self.settings(done)["slide"]
            macs = 0 if self.zero == "skip" else self.settings(done)["weights"]
            if slide > self.lanes[0] * (macs + len(done.filters)):
                return False
        return True


@st.composite
def cases(draw: st.DrawFn, fifo_words: int = DEEP_FIFO_WORDS) -> Case:
    rows, cols = draw(st.sampled_from([(1, 2), (2, 2), (2, 3), (3, 3)]))
    kernel_cols, stride = draw(st.integers(1, 3)), (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    padding = (draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    q = draw(st.integers(1, min(channels, 2)))
    p = draw(st.integers(1, min(PSUM_WORDS, filters)))
    height = draw(st.integers(max(1, rows - 2 * padding[0]), 5))
    width = draw(st.integers(max(1, kernel_cols - 2 * padding[1]), 6))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    dtype = draw(st.sampled_from([np.uint8, np.int8]))
    limits = np.iinfo(dtype)
    shape = (height, width, channels)
    nonzero = rng.random(shape) < draw(st.sampled_from([0.2, 0.6, 1.0]))
    zero = draw(st.sampled_from(["none", "gate", "skip", "skip"]))
    waits = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(tuple)
    ports = st.tuples(*[st.sampled_from([0, 0, 1, 7, 40])] * 3)
    return Case(
        activations=rng.integers(limits.min, limits.max, shape, dtype, endpoint=True) * nonzero.astype(dtype),
        weight=rng.integers(-128, 128, (rows, kernel_cols, channels, filters)).astype(np.int8),
        stride=stride,
        padding=padding,
        cols=cols,
        mapping=(draw(st.integers(1, cols)), p, q),
        lanes=(rows, 1),
        zero=zero,
        fifo_words=fifo_words if zero == "skip" else 0,
        ready_gaps=draw(waits),
        port_cycles=draw(st.lists(ports, min_size=1, max_size=3).map(tuple)),
    )
