"""How a systolic array cuts a layer into folds, and a fold into tiles.

A layer is a matrix product, one a channel for a depthwise layer::

    output[m, n] = sum over k of window[m, k] * weight[k, n]

    m  output positions, row by row        M = images * out_height * out_width
    k  elements of a window, k = (channel * kernel_rows + row) * kernel_cols + column
    n  filters

A dataflow lays two of these axes along the rows and columns of the array and lets the third pass in time
(:data:`FORMS`). A fold is what the array holds at a time: ``rows x cols`` of the two. The window axis is the innermost
loop over folds, so that the partial sums of one block of outputs are in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from archsim.mapping.base import BoolArray, Int64Array
from archsim.mapping.geometry import Geometry, Hardware

Axis = Literal["m", "k", "n"]
AXES: tuple[Axis, ...] = ("m", "k", "n")


@dataclass(frozen=True, slots=True)
class Form:
    """One systolic dataflow: the axes along the rows and the columns of the array, and the one that passes in time."""

    rows: Axis
    cols: Axis
    time: Axis

    @property
    def outputs_move(self) -> bool:
        """Partial sums go down the columns; else they stay in their PEs until they are finished."""
        return self.time != "k"


FORMS: dict[str, Form] = {
    "weight_stationary": Form(rows="k", cols="n", time="m"),
    "output_stationary": Form(rows="m", cols="n", time="k"),
    "input_stationary": Form(rows="k", cols="m", time="n"),
}
"""The three dataflows; everything else about them follows from the axes."""


@dataclass(frozen=True, slots=True)
class SystolicMapping:
    """What can be chosen besides the dataflow.

    steps_a_fold: time steps of a fold; fewer than the layer has keep fewer partial sums in flight, but each of the
    more folds is filled and drained. steps_a_tile: time steps of a tile; the tiles of a fold follow each other without
    a gap, so that only what must be in the buffer at a time depends on it.
    positions_outer: blocks of positions are the outer loop and blocks of filters the inner one, else the other way
    round. ifmap_stays: a row of the input that was loaded from DRAM stays until its last use, else each tile loads
    its rows.
    """

    steps_a_fold: int
    steps_a_tile: int
    positions_outer: bool = False
    ifmap_stays: bool = True


@dataclass(frozen=True)
class Folding:
    """One layer on one array with one mapping, for a batch of images one behind the other."""

    geometry: Geometry
    hardware: Hardware
    form: Form
    mapping: SystolicMapping
    batch: int = 1

    @cached_property
    def lengths(self) -> dict[Axis, int]:
        """Lengths of the axes: M, K, N."""
        geo = self.geometry
        return {
            "m": self.batch * self.positions,
            "k": self.taps * (1 if geo.depthwise else geo.channels),
            "n": 1 if geo.depthwise else geo.filters,
        }

    @property
    def positions(self) -> int:
        """Output positions of one image."""
        return self.geometry.out_height * self.geometry.out_width

    @property
    def rows(self) -> int:
        """Input rows of all images."""
        return self.batch * self.geometry.height

    @property
    def groups(self) -> int:
        """Matrix products of the layer."""
        return self.geometry.channels if self.geometry.depthwise else 1

    @property
    def taps(self) -> int:
        """Window elements of one channel."""
        return self.geometry.kernel_rows * self.geometry.kernel_cols

    @cached_property
    def blocks(self) -> dict[Axis, int]:
        """Length of a full block of each axis: what a fold covers."""
        limits = {
            self.form.rows: self.hardware.rows,
            self.form.cols: self.hardware.cols,
            self.form.time: self.mapping.steps_a_fold,
        }
        return {axis: min(limits[axis], self.lengths[axis]) for axis in AXES}

    @cached_property
    def counts(self) -> dict[Axis, int]:
        """Blocks of each axis."""
        return {axis: -(-self.lengths[axis] // self.blocks[axis]) for axis in AXES}

    @cached_property
    def tile_blocks(self) -> dict[Axis, int]:
        """Length of a full tile along each axis."""
        steps = min(self.mapping.steps_a_tile, self.blocks[self.form.time])
        return {**self.blocks, self.form.time: steps}

    @property
    def tiles_a_fold(self) -> int:
        """Tiles of a fold that is not cut short in time."""
        return -(-self.blocks[self.form.time] // self.tile_blocks[self.form.time])

    @property
    def folds(self) -> int:
        """Folds of the layer."""
        return self.groups * self.counts["m"] * self.counts["k"] * self.counts["n"]

    @property
    def tile_weights(self) -> int:
        """Weights of a full tile."""
        return self.tile_blocks["k"] * self.tile_blocks["n"]

    @property
    def weights_stay(self) -> bool:
        """Weights are fetched from DRAM once: those of the inner loops stay in the filter part of the buffer."""
        if self.counts["m"] == 1:
            return True
        if self.mapping.positions_outer:
            held = self.lengths["k"] * self.lengths["n"]
        else:
            more = self.counts["n"] * self.groups > 1
            held = self.lengths["k"] * self.blocks["n"] + (self.tile_weights if more else 0)
        return -(-held * self.hardware.weight_bits // 8) <= self.hardware.filter_bytes

    def bins(self, axis: Axis) -> Int64Array:
        """int64 (length,): index of the part of the axis, as tiles cut it, that each of its elements belongs to."""
        index = np.arange(self.lengths[axis])
        block, inside = index // self.blocks[axis], index % self.blocks[axis]
        return block * self._parts(axis) + inside // self.tile_blocks[axis]

    def _parts(self, axis: Axis) -> int:
        return self.tiles_a_fold if axis == self.form.time else 1

    @cached_property
    def tiles(self) -> Tiles:
        """All tiles in execution order."""
        outer: tuple[Axis, Axis] = ("m", "n") if self.mapping.positions_outer else ("n", "m")
        loops = (self.groups, *(self.counts[axis] for axis in (*outer, "k")), self.tiles_a_fold)
        group, first, second, window, part = np.indices(loops).reshape(len(loops), -1)
        block: dict[Axis, Int64Array] = {outer[0]: first, outer[1]: second, "k": window}
        time = self.form.time
        exists = block[time] * self.blocks[time] + part * self.tile_blocks[time] < self.lengths[time]
        return self._tiles(group[exists], {axis: block[axis][exists] for axis in AXES}, part[exists])

    def _tiles(self, group: Int64Array, block: dict[Axis, Int64Array], part: Int64Array) -> Tiles:
        """The tiles with these loop indices. part: of the fold."""
        time = self.form.time
        begin = {axis: block[axis] * self.blocks[axis] for axis in AXES}
        fold_size = {axis: np.minimum(self.blocks[axis], self.lengths[axis] - begin[axis]) for axis in AXES}
        step = part * self.tile_blocks[time]
        steps = np.minimum(self.tile_blocks[time], fold_size[time] - step)
        return Tiles(
            form=self.form,
            group=group,
            block=block,
            fold_begin=begin,
            fold_size=fold_size,
            size={**fold_size, time: steps},
            step=step,
            first=step == 0,
            last=step + steps == fold_size[time],
            final=block["k"] == self.counts["k"] - 1,
            bin={axis: block[axis] * self._parts(axis) + (part if axis == time else 0) for axis in AXES},
        )


@dataclass(frozen=True)
class Tiles:
    """Tiles in execution order; one element a tile, by axis where there is one an axis.

    group: matrix product. block: index of the block. fold_begin, fold_size: range of the fold. size: of the tile; it
    differs from the fold's along the time axis alone, where ``step`` time steps of the fold came before.
    first, last: of its fold. final: the fold finishes its outputs. bin: part of the axis (:meth:`Folding.bins`).
    """

    form: Form
    group: Int64Array
    block: dict[Axis, Int64Array]
    fold_begin: dict[Axis, Int64Array]
    fold_size: dict[Axis, Int64Array]
    size: dict[Axis, Int64Array]
    step: Int64Array
    first: BoolArray
    last: BoolArray
    final: BoolArray
    bin: dict[Axis, Int64Array]

    @property
    def macs(self) -> Int64Array:
        """Multiply-accumulates, padding included."""
        return self.size["m"] * self.size["k"] * self.size["n"]

    def begin(self, axis: Axis) -> Int64Array:
        """First element of the tile along an axis."""
        return self.fold_begin[axis] + (self.step if axis == self.form.time else 0)

    def end(self, axis: Axis) -> Int64Array:
        """Element behind the last one of the tile along an axis."""
        return self.begin(axis) + self.size[axis]
