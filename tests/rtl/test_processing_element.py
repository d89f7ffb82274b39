"""A PE in RTL does the MACs that the mapping counts, one a cycle in order, whatever arrives late and leaves late."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.mapping import zeros
from tests.rtl.cosimulation import mutant_of, packed, simulation_of, unpacked

twin = pytest.importorskip("archsim.rtl.processing_element")
RING_WORDS, FILTER_WORDS, PSUM_WORDS = 8, 24, 4


@dataclass(frozen=True, eq=False)
class Case:
    """A row of activations (width, channels) and rows of filters (columns, channels, filters), by the stride.

    word_gaps: cycles between words that come; taken: whether the column is ready, cycle by cycle, over and over.
    """

    row: np.ndarray
    weight: np.ndarray
    stride: int
    zero: str
    word_gaps: tuple[int, ...]
    taken: tuple[bool, ...]
    starts_at: int

    @property
    def channels(self) -> int:
        return self.row.shape[1]

    @property
    def columns(self) -> int:
        """Of outputs."""
        return (len(self.row) - len(self.weight)) // self.stride + 1

    @property
    def window(self) -> int:
        """Words that a column of outputs needs."""
        return len(self.weight) * self.channels

    @property
    def slide(self) -> int:
        """Words that are done with behind it."""
        return min(len(self.weight), self.stride) * self.channels

    @property
    def words(self) -> list[int]:
        """In the order of the bus; columns that no window touches do not come."""
        touched = sorted({f * self.stride + s for f in range(self.columns) for s in range(len(self.weight))})
        return [int(word) for x in touched for word in self.row[x]]

    def is_taken(self, cycle: int) -> bool:
        """The column takes a partial sum in this cycle."""
        return self.taken[cycle % len(self.taken)]


@dataclass
class Seen:
    """Cycles of words taken, of MACs done and of MACs gated; (cycle, value) of partial sums that leave; stalls."""

    words: list[int]
    macs: list[int]
    gated: list[int]
    psums: list[tuple[int, int]]
    stalls: list[int]


def run_by_hand(case: Case) -> Seen:
    """In every cycle the next MAC, or the next partial sum, of the oldest window; else it stands still."""
    seen, ring, waiting = Seen([], [], [], [], []), deque[int](), deque(case.words)
    work: list[tuple[int, int]] | None = None
    sums, column, next_word_at, cycle = [0] * case.weight.shape[2], 0, case.word_gaps[0], 0
    while column < case.columns:
        has_room, drops = len(ring) < RING_WORDS, 0
        if cycle >= case.starts_at:
            if len(ring) < case.window:
                seen.stalls.append(cycle)
            else:
                if work is None:
                    work = [(place, m) for place in range(case.window) for m in range(len(sums))
                            if case.zero != "skip" or ring[place]]  # fmt: skip
                    work += [(-1, m) for m in range(len(sums))]
                place, m = work[0]
                if place >= 0:
                    value, weight = ring[place], case.weight.reshape(case.window, -1)[place, m]
                    (seen.gated if case.zero == "gate" and value == 0 else seen.macs).append(cycle)
                    sums[m] += value * int(weight)
                elif case.is_taken(cycle):
                    seen.psums.append((cycle, sums[m]))
                    sums[m] = 0
                else:
                    seen.stalls.append(cycle)
                if place >= 0 or case.is_taken(cycle):
                    work.pop(0)
                if not work:
                    work, drops, column = None, case.slide, column + 1
        if waiting and cycle >= next_word_at and has_room:
            seen.words.append(cycle)
            ring.append(waiting.popleft())
            next_word_at = cycle + 1 + case.word_gaps[len(seen.words) % len(case.word_gaps)]
        for _ in range(drops):
            ring.popleft()
        cycle += 1
    return seen


def run_twin(case: Case, until_cycle: int) -> Seen:
    seen, waiting = Seen([], [], [], [], []), deque(case.words)
    filters = deque(case.weight.reshape(-1).tolist())
    next_word_at = case.word_gaps[0]
    signed = case.row.dtype == np.int8

    def drive(cycle: int, bench: Any) -> None:
        nonlocal next_word_at
        comes = bool(waiting) and cycle >= next_word_at
        bench.set(start=cycle == 0, clear_filters=1, window=case.window, slide=case.slide, is_signed=signed,
                  filters=case.weight.shape[2], running=cycle >= case.starts_at, word_valid=comes,
                  filter_valid=bool(filters), psum_taken=case.is_taken(cycle))  # fmt: skip
        if filters:
            bench.set(filter=packed([filters.popleft()], 8))
        if comes:
            bench.set(word=packed([waiting[0]], 8))
        if comes and bench.word_ready:
            waiting.popleft()
            seen.words.append(cycle)
            next_word_at = cycle + 1 + case.word_gaps[len(seen.words) % len(case.word_gaps)]
        if bench.executes:
            seen.macs.append(cycle)
        if bench.gates:
            seen.gated.append(cycle)
        if bench.psum_valid and case.is_taken(cycle):
            seen.psums.append((cycle, *unpacked(bench.psum, 32, 1, signed=True)))
        if cycle >= case.starts_at and not (bench.executes or bench.gates) and len(seen.psums) < case.columns * (
            case.weight.shape[2]
        ) and not (seen.psums and seen.psums[-1][0] == cycle):  # fmt: skip
            seen.stalls.append(cycle)

    parameters = RING_WORDS, FILTER_WORDS, PSUM_WORDS, (8, 8, 32), case.zero
    simulation_of(twin.ProcessingElement, *parameters).run(until_cycle, drive)
    return seen


def planned(case: Case) -> tuple[int, int]:
    """(cycles of MACs, nonzero MACs) of this PE by the kernels of the mapping, as one of 1 x 1."""
    nonzero = (case.row != 0)[np.newaxis]
    taps = np.zeros(len(case.row), np.int64)
    for f in range(case.columns):
        taps[f * case.stride : f * case.stride + len(case.weight)] += 1
    blocks = np.array([[0, 1, 0, case.channels, case.channels]])
    slowest, total = zeros.set_work(zeros.row_taps(nonzero, taps), blocks, (1, 1, 0))[0]
    filters = case.weight.shape[2]
    dense = case.columns * case.window * filters
    return (int(slowest) * filters if case.zero == "skip" else dense), int(total) * filters


def compare(case: Case) -> None:
    expected = run_by_hand(case)
    seen = run_twin(case, expected.psums[-1][0] + 4)
    assert seen == expected
    cycles, nonzero = planned(case)
    assert len(seen.macs) == (cycles if case.zero == "none" else nonzero)
    psums = case.columns * case.weight.shape[2]
    assert seen.psums[-1][0] + 1 == case.starts_at + cycles + psums + len(seen.stalls)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kernel_cols, channels = draw(st.sampled_from([(1, 1), (2, 1), (3, 2), (1, 3), (2, 3)]))
    filters = draw(st.integers(1, PSUM_WORDS))
    width = draw(st.integers(kernel_cols, 7))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    dtype = draw(st.sampled_from([np.uint8, np.int8]))
    limits = np.iinfo(dtype)
    row = rng.integers(limits.min, limits.max, (width, channels), dtype, endpoint=True)
    row *= (rng.random(row.shape) < draw(st.sampled_from([0.3, 0.7, 1.0]))).astype(dtype)
    return Case(
        row=row,
        weight=rng.integers(-128, 128, (kernel_cols, channels, filters)).astype(np.int8),
        stride=draw(st.integers(1, 3)),
        zero=draw(st.sampled_from(["none", "gate", "skip"])),
        word_gaps=tuple(draw(st.lists(st.sampled_from([0, 0, 1, 9]), min_size=1, max_size=4))),
        taken=(*draw(st.lists(st.booleans(), max_size=4)), True),
        starts_at=FILTER_WORDS + draw(st.integers(0, 3)),
    )


@settings(max_examples=25, deadline=None)
@given(cases())
def test_twin_equals_mapping(case: Case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases())
def test_twin_equals_mapping_on_many_cases(case: Case) -> None:
    compare(case)


EXAMPLE = Case(
    row=np.array([[3, 0], [0, 7], [200, 1], [0, 0], [9, 0], [5, 6]], np.uint8),
    weight=np.arange(-6, 6, dtype=np.int8).reshape(2, 2, 3),
    stride=1, zero="skip", word_gaps=(0, 2, 9), taken=(True, False, True), starts_at=24,
)  # fmt: skip


@pytest.mark.parametrize("zero", ["none", "gate", "skip"])
def test_examples(zero: str) -> None:
    compare(replace(EXAMPLE, zero=zero))


BUGS = {
    "a tap too many": ("weight = column_taps[x]", "weight = column_taps[x] + 1"),
    "a channel less": (
        "for channel in range(start, min(start + per_pe, channel0 + channels)):",
        "for channel in range(start, min(start + per_pe, channel0 + channels) - 1):",
    ),
    "a MAC more": ("                work = 0\n", "                work = 1\n"),
    "a tap too few": ("taps[y, channel] += weight", "taps[y, channel] += max(weight - 1, 0)"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_work_that_is_wrong_by_one_is_caught(bug: str, monkeypatch) -> None:
    wrong = mutant_of(zeros, *BUGS[bug])
    monkeypatch.setattr(zeros, "set_work", wrong.set_work)
    monkeypatch.setattr(zeros, "row_taps", wrong.row_taps)
    with pytest.raises(AssertionError):
        compare(EXAMPLE)
