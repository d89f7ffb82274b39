"""Systolic arrays, register by register and cycle by cycle, on real operands: slow, obvious, no formulas.

A word in a register carries the time step that it belongs to, so that a PE can assert that what meets in it belongs
together. Words of rows and columns that a fold does not use carry no value; the array cannot tell and waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

Word = tuple[int, int | None]
"""(time step, value)."""
Registers = list[list[Word | None]]


@dataclass
class OracleFold:
    """One fold. group, m, k, n: ranges covered. Cycles count from the start of the streaming.

    entered, left: cycle in which each word entered at the edge, or left, by operand ("rows", "cols", "sums").
    stores, hops: registers that took a word, and those of them that took it from a neighbouring PE.
    """

    group: int
    m: range
    k: range
    n: range
    fill_cycles: int = 0
    stream_cycles: int = 0
    macs: int = 0
    entered: dict[str, list[int]] = field(default_factory=lambda: {"rows": [], "cols": [], "sums": []})
    left: list[int] = field(default_factory=list)
    standing_words: int = 0
    stores: dict[str, int] = field(default_factory=lambda: {"standing": 0, "rows": 0, "cols": 0, "sums": 0})
    hops: dict[str, int] = field(default_factory=lambda: {"standing": 0, "rows": 0, "cols": 0, "sums": 0})


def _empty(rows: int, cols: int) -> Registers:
    return [[None] * cols for _ in range(rows)]


def _load(rows: int, cols: int, standing: np.ndarray, fold: OracleFold) -> Registers:
    """One row a cycle enters at the top, the lowest first; all rows above move down."""
    held = _empty(rows, cols)
    for entering in reversed(range(rows)):
        used = entering < standing.shape[0]
        top: list[Word | None] = [
            (entering, int(standing[entering, c])) if used and c < standing.shape[1] else None
            for c in range(cols)
        ]
        held = [top, *held[:-1]]
        fold.fill_cycles += 1
        fold.standing_words += sum(word is not None for word in top)
        fold.stores["standing"] += sum(word is not None for row in held for word in row)
        fold.hops["standing"] += sum(word is not None for row in held[1:] for word in row)
    for r, row in enumerate(held):
        assert all(word is None or word[0] == r for word in row)
    return held


@dataclass
class _Streams:
    """What enters an array with a standing operand: moving (steps, rows used), sums (steps, columns used) or none."""

    moving: np.ndarray
    sums: np.ndarray | None
    used_cols: int
    fold: OracleFold

    def left_edge(self, cycle: int, r: int) -> Word | None:
        step = cycle - r
        if r >= self.moving.shape[1] or not 0 <= step < len(self.moving):
            return None
        self.fold.entered["rows"].append(cycle)
        return step, int(self.moving[step, r])

    def upper_edge(self, cycle: int, c: int) -> Word | None:
        step = cycle - c
        if not 0 <= step < len(self.moving):
            return None
        if c >= self.used_cols or self.sums is None:
            return step, 0 if c < self.used_cols else None
        self.fold.entered["sums"].append(cycle)
        return step, int(self.sums[step, c])


def _multiply(word: Word | None, weight: Word | None, above: Word | None, fold: OracleFold) -> Word | None:
    """The sum that goes on downwards from a PE."""
    if above is None or above[1] is None or word is None or weight is None:
        return above
    assert word[0] == above[0]
    assert word[1] is not None and weight[1] is not None
    fold.macs += 1
    return above[0], above[1] + word[1] * weight[1]


def standing_fold(
    rows: int, cols: int, standing: np.ndarray, moving: np.ndarray, sums: np.ndarray | None, fold: OracleFold
) -> np.ndarray:
    """standing (rows used, cols used), moving (steps, rows used), sums (steps, cols used) -> the new sums."""
    held = _load(rows, cols, standing, fold)
    steps, used_cols = moving.shape[0], standing.shape[1]
    streams = _Streams(moving, sums, used_cols, fold)
    across, down = _empty(rows, cols), _empty(rows, cols)
    result, delivered, cycle = np.zeros((steps, used_cols), np.int64), [0] * cols, 0
    while min(delivered) < steps:
        new_across, new_down = _empty(rows, cols), _empty(rows, cols)
        for r in range(rows):
            for c in range(cols):
                word = across[r][c - 1] if c else streams.left_edge(cycle, r)
                above = down[r - 1][c] if r else streams.upper_edge(cycle, c)
                if c < used_cols and word is not None:
                    fold.stores["rows"] += 1
                    fold.hops["rows"] += c > 0
                if above is not None and above[1] is not None:
                    fold.hops["sums"] += r > 0
                new_across[r][c], new_down[r][c] = word, _multiply(word, held[r][c], above, fold)
        across, down = new_across, new_down
        for c, out in enumerate(down[-1]):
            if out is not None:
                assert out[0] == delivered[c]
                delivered[c] += 1
                if c < used_cols:
                    assert out[1] is not None
                    result[out[0], c] = out[1]
                    fold.left.append(cycle)
        cycle += 1
    fold.stream_cycles = cycle
    return result


def output_fold(rows: int, cols: int, left: np.ndarray, top: np.ndarray, fold: OracleFold) -> np.ndarray:
    """left (rows used, steps), top (steps, cols used) -> their product; a PE that is done drives its column's bus."""
    steps = left.shape[1]
    across, down = _empty(rows, cols), _empty(rows, cols)
    sums = np.zeros((left.shape[0], top.shape[1]), np.int64)
    done, cycle = 0, 0
    while done < rows * cols:
        new_across, new_down = _empty(rows, cols), _empty(rows, cols)
        drivers = [0] * cols
        for r in range(rows):
            for c in range(cols):
                word, above = across[r][c - 1] if c else None, down[r - 1][c] if r else None
                if c == 0 and 0 <= cycle - r < steps:
                    used = r < left.shape[0]
                    word = (cycle - r, int(left[r, cycle - r]) if used else None)
                    fold.entered["rows"] += [cycle] * used
                if r == 0 and 0 <= cycle - c < steps:
                    used = c < top.shape[1]
                    above = (cycle - c, int(top[cycle - c, c]) if used else None)
                    fold.entered["cols"] += [cycle] * used
                new_across[r][c], new_down[r][c] = word, above
                assert (word is None) == (above is None)
                if word is None or above is None:
                    continue
                assert word[0] == above[0]
                if word[1] is not None and above[1] is not None:
                    sums[r, c] += word[1] * above[1]
                    fold.macs += 1
                    for name, place in (("rows", c), ("cols", r)):
                        fold.stores[name] += 1
                        fold.hops[name] += place > 0
                if word[0] == steps - 1:
                    done += 1
                    drivers[c] += 1
                    if r < left.shape[0] and c < top.shape[1]:
                        fold.left.append(cycle)
        assert max(drivers) <= 1
        across, down = new_across, new_down
        cycle += 1
    fold.stream_cycles = cycle
    return sums


@dataclass(frozen=True)
class OracleArray:
    """Array, dataflow ("weight_stationary", ...) and the order and size of its folds."""

    rows: int
    cols: int
    dataflow: str
    steps_a_fold: int
    positions_outer: bool

    def run(self, windows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, list[OracleFold]]:
        """windows (groups, m, k), weights (groups, k, n) -> products (groups, m, n), folds in order."""
        outputs = np.zeros((windows.shape[0], windows.shape[1], weights.shape[2]), np.int64)
        folds = []
        for group, m, k, n in self._folds(windows.shape, weights.shape[2]):
            fold = OracleFold(group, m, k, n)
            window, weight = windows[group][np.ix_(m, k)], weights[group][np.ix_(k, n)]
            here = np.ix_([group], m, n)
            sums = outputs[here][0] if k.start else None
            if self.dataflow == "weight_stationary":
                outputs[here] = standing_fold(self.rows, self.cols, weight, window, sums, fold)
            elif self.dataflow == "input_stationary":
                before = None if sums is None else sums.T
                outputs[here] = standing_fold(self.rows, self.cols, window.T, weight.T, before, fold).T
            else:
                outputs[here] = output_fold(self.rows, self.cols, window, weight, fold)
            folds.append(fold)
        return outputs, folds

    def _folds(self, shape: tuple[int, ...], filters: int) -> Iterator[tuple[int, range, range, range]]:
        sizes = {
            "weight_stationary": (self.steps_a_fold, self.rows, self.cols),
            "output_stationary": (self.rows, self.steps_a_fold, self.cols),
            "input_stationary": (self.cols, self.rows, self.steps_a_fold),
        }[self.dataflow]
        positions, elements = _cut(shape[1], sizes[0]), _cut(shape[2], sizes[1])
        outputs = _cut(filters, sizes[2])
        for group in range(shape[0]):
            if self.positions_outer:
                yield from ((group, m, k, n) for m in positions for n in outputs for k in elements)
            else:
                yield from ((group, m, k, n) for n in outputs for m in positions for k in elements)


def _cut(length: int, size: int) -> list[range]:
    return [range(start, min(start + size, length)) for start in range(0, length, size)]


def windows_of(
    values: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, ...],
    depthwise: bool,
    place: Callable[[int, int, int], int],
) -> tuple[np.ndarray, np.ndarray]:
    """values (height, width, channels) -> windows (groups, m, k) and, beside it, what ``place(c, y, x)`` says of each.

    The place of padding is -1.
    """
    height, width, channels = values.shape
    out_height = (height + padding[0] + padding[-2] - kernel[0]) // stride[0] + 1
    out_width = (width + padding[1] + padding[-1] - kernel[1]) // stride[1] + 1
    found, places = [], []
    for group in range(channels) if depthwise else [None]:
        for oy in range(out_height):
            for ox in range(out_width):
                for c in range(channels) if group is None else [group]:
                    for ky in range(kernel[0]):
                        for kx in range(kernel[1]):
                            y, x = oy * stride[0] + ky - padding[0], ox * stride[1] + kx - padding[1]
                            inside = 0 <= y < height and 0 <= x < width
                            found.append(int(values[y, x, c]) if inside else 0)
                            places.append(place(c, y, x) if inside else -1)
    shape = (channels if depthwise else 1, out_height * out_width, -1)
    return np.array(found, np.int64).reshape(shape), np.array(places, np.int64).reshape(shape)
