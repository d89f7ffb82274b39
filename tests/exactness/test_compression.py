"""The run-length code of feature maps against an encoder and decoder that handle one pair at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.mapping.compression import CodedMap

Pair = tuple[int, bool]


def encode(nonzero: list[bool]) -> list[Pair]:
    """Pairs (zeros before, is the value behind them not zero); the last one may lack a value."""
    pairs, run = [], 0
    for value in nonzero:
        if value or run == 31:
            pairs.append((run, value))
            run = 0
        else:
            run += 1
    return [*pairs, (run, False)] if run else pairs


def decode(pairs: list[Pair], length: int) -> list[bool]:
    values: list[bool] = []
    for run, value in pairs:
        values += [False] * run + [value]
    return values[:length]


maps = st.one_of(
    st.lists(st.booleans(), min_size=1, max_size=200),
    st.lists(st.integers(0, 80), min_size=1, max_size=6).map(
        lambda runs: [value for run in runs for value in [*[False] * run, True]]
    ),
    st.integers(1, 200).map(lambda length: [False] * length),
)


@given(maps, st.sampled_from([(8, 4), (16, 3)]))
def test_size_is_that_of_the_encoded_stream(nonzero: list[bool], width: tuple[int, int]) -> None:
    value_bits, in_word = width
    pairs = encode(nonzero)
    assert decode(pairs, len(nonzero)) == nonzero
    assert CodedMap.of(np.array(nonzero), value_bits).size_bytes == 8 * -(-len(pairs) // in_word)


@given(maps, st.data())
def test_a_transfer_moves_the_words_that_hold_its_elements(nonzero: list[bool], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(nonzero) - 1))
    count = data.draw(st.integers(0, len(nonzero) - begin))
    size, offset = CodedMap.of(np.array(nonzero), 16).ranges(np.array([2 * count]), np.array([2 * begin]))
    held_by = [index for index, (run, _) in enumerate(encode(nonzero)) for _ in range(run + 1)]
    words = sorted({pair // 3 for pair in held_by[begin : begin + count]})
    if count:
        assert (offset[0], size[0]) == (8 * words[0], 8 * (words[-1] - words[0] + 1))
    else:
        assert size[0] == 0


@pytest.mark.parametrize("density", [0.9, 0.5, 0.2, 0.05])
def test_size_of_random_maps_is_the_expectation(density: float) -> None:
    """Independent values: a pair holds (1 - (1 - d)^32) / d elements in the mean, a value 64 / 3 bits."""
    nonzero = np.random.default_rng(7).random(400_000) < density
    expected_bytes = 400_000 * density / (1 - (1 - density) ** 32) * 8 / 3
    assert CodedMap.of(nonzero, 16).size_bytes == pytest.approx(expected_bytes, rel=0.01)
