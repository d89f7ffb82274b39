"""The requantiser in RTL gives the bytes of the kernel, two cycles later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.kernels import requant
from archsim.kernels.requant import requantise
from tests.rtl.cosimulation import packed, simulation_of, unpacked

twin = pytest.importorskip("archsim.rtl.requantiser")


@st.composite
def cases(draw: st.DrawFn) -> tuple[bool, list[dict[str, np.ndarray] | None]]:
    """Signed or not; for every cycle the operands of two channels, None: nothing comes."""
    numbers = st.integers(-(1 << 30), (1 << 30) - 1)
    lane = st.builds(
        lambda accumulator, bias, multiplier, shift: (accumulator, bias, multiplier, shift),
        st.one_of(numbers, st.integers(-600, 600)),
        st.one_of(numbers, st.just(0)),
        st.one_of(st.integers(1 << 30, (1 << 31) - 1), st.just(1)),
        st.integers(0, 62),
    )
    words = draw(st.lists(st.one_of(st.none(), st.tuples(lane, lane)), min_size=1, max_size=8))
    return draw(st.booleans()), words


def compare(case) -> None:
    signed, words = case
    expected = []
    for cycle, word in enumerate(words):
        if word is not None:
            columns = [np.array(column, np.int32) for column in zip(*word, strict=True)]
            kernel = requant.requantise(columns[0].reshape(1, 2), *columns[1:], signed=signed)
            expected.append((cycle + twin.LATENCY_CYCLES, kernel.ravel().tolist()))
    seen = []

    def drive(cycle, bench):
        word = words[cycle] if cycle < len(words) else None
        bench.set(valid=word is not None, is_signed=signed)
        if word is not None:
            columns = list(zip(*word, strict=True))
            bench.set(
                accumulators=packed(columns[0], 32),
                biases=packed(columns[1], 32),
                multipliers=packed(columns[2], 31),
                shifts=packed(columns[3], 6),
            )
        if bench.out_valid:
            seen.append((cycle, unpacked(bench.out_values, 8, 2, signed=signed)))

    simulation_of(twin.Requantiser, 2, 32).run(len(words) + 4, drive)
    assert seen == expected


@settings(max_examples=25, deadline=None)
@given(cases())
def test_twin_equals_kernel(case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases())
def test_twin_equals_kernel_on_many_cases(case) -> None:
    compare(case)


HALVES = (
    False,
    [((3, 0, 1 << 30, 31), (-3, 0, 1 << 30, 31)), ((509, 1, 1 << 30, 31), (511, 0, 1 << 30, 31))],
)


def test_halves_are_rounded_up() -> None:
    compare(HALVES)


def broken(change_value: int, change_high: int):
    def kernel(accumulators, bias, multiplier, shift, *, signed):
        high = (127 if signed else 255) + change_high
        values = (accumulators.astype(object) + bias) * multiplier + change_value
        shifts = [int(bits) for bits in shift]
        rows = [[(v + ((1 << s) >> 1)) >> s for v, s in zip(row, shifts, strict=True)] for row in values]
        return np.clip(np.array(rows), -128 if signed else 0, high)

    return kernel


def test_the_plain_formula_is_the_kernel(monkeypatch) -> None:
    monkeypatch.setattr(requant, "requantise", broken(0, 0))
    compare(HALVES)


@pytest.mark.parametrize(("value", "high"), [(-1, 0), (0, -1), (1 << 31, 0)])
def test_a_kernel_that_is_wrong_by_one_is_caught(value: int, high: int, monkeypatch) -> None:
    """Halves rounded down; the largest value one too small; one too many."""
    monkeypatch.setattr(requant, "requantise", broken(value, high))
    with pytest.raises(AssertionError):
        compare(HALVES)


def test_two_cycles_are_what_the_unit_takes(monkeypatch) -> None:
    monkeypatch.setattr(twin, "LATENCY_CYCLES", 1)
    with pytest.raises(AssertionError):
        compare(HALVES)


def test_requantise_is_what_is_compared() -> None:
    assert requant.requantise is requantise
