"""Every kernel equals the oracle bit for bit, on random shapes and on the extremes of its integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.kernels.conv import conv2d, depthwise_conv2d, linear
from archsim.kernels.margin import top_two
from archsim.kernels.pool import max_pool, sum_pool
from archsim.kernels.requant import add, requantise
from archsim.kernels.sparsity import magnitude_sum, zero_map
from tests.oracle import functional_oracle as oracle

SEEDS = st.integers(0, 2**32 - 1)
HIGHEST = st.sampled_from([255, 127, 1])
DTYPES = st.sampled_from([np.uint8, np.int8])


def activations(rng: np.random.Generator, shape: tuple[int, ...], dtype: type, style: str) -> np.ndarray:
    limits = np.iinfo(dtype)
    if style == "extreme":
        return rng.choice(np.array([limits.min, 0, limits.max], dtype), shape)
    values = rng.integers(limits.min, limits.max + 1, shape).astype(dtype)
    values[rng.random(shape) < {"dense": 0.0, "sparse": 0.7, "empty": 1.0}[style]] = 0
    return values


STYLES = st.sampled_from(["extreme", "dense", "sparse", "empty"])


@st.composite
def convolutions(
    draw: st.DrawFn,
) -> tuple[np.ndarray, tuple[int, int], tuple[int, int], tuple[int, ...], int, int]:
    """(activations, window, stride, padding, filters, seed), every window inside its padded map."""
    window = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    side = st.integers(0, 3)
    padding = draw(st.one_of(st.tuples(side, side), st.tuples(side, side, side, side)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    both = (padding[0] + padding[-2], padding[1] + padding[-1])
    sides = [draw(st.integers(max(1, w - p), 7)) for w, p in zip(window, both, strict=True)]
    seed = draw(SEEDS)
    shape = (draw(st.integers(1, 3)), *sides, draw(st.integers(1, 9)))
    found = activations(np.random.default_rng(seed), shape, draw(DTYPES), draw(STYLES))
    return found, window, stride, padding, draw(st.integers(1, 20)), seed


def int8_weights(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed + 1)
    return (
        rng.choice(np.array([-128, 127, 0], np.int8), shape)
        if seed % 2
        else rng.integers(-128, 128, shape, np.int8)
    )


@given(convolutions())
def test_conv2d_equals_the_oracle(case):
    x, window, stride, padding, filters, seed = case
    weight = int8_weights(seed, (*window, x.shape[3], filters))
    result = conv2d(x, weight, stride, padding)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, oracle.conv2d(x, weight, stride, padding))


@given(convolutions(), st.integers(2, 3))
def test_grouped_conv2d_equals_the_oracle(case, groups):
    x, window, stride, padding, filters, seed = case
    x = np.repeat(x, groups, axis=3)
    x[..., ::2] //= 2
    weight = int8_weights(seed, (*window, x.shape[3] // groups, groups * filters))
    result = conv2d(x, weight, stride, padding, groups)
    np.testing.assert_array_equal(result, oracle.conv2d(x, weight, stride, padding, groups))


@given(convolutions())
def test_depthwise_conv2d_equals_the_oracle(case):
    x, window, stride, padding, _, seed = case
    weight = int8_weights(seed, (*window, x.shape[3]))
    result = depthwise_conv2d(x, weight, stride, padding)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, oracle.depthwise_conv2d(x, weight, stride, padding))


@given(convolutions())
def test_linear_flattens_height_width_channels(case):
    x, _, _, _, units, seed = case
    weight = int8_weights(seed, (x[0].size, units))
    expected = x.reshape(len(x), -1).astype(np.int64) @ weight.astype(np.int64)
    np.testing.assert_array_equal(linear(x, weight)[:, 0, 0], expected)


@given(convolutions())
def test_pools_equal_the_oracle(case):
    x, window, stride, padding, _, _ = case
    window = (min(window[0], x.shape[1]), min(window[1], x.shape[2]))
    padding = tuple(min(side, window[index % 2] // 2) for index, side in enumerate(padding))
    largest = max_pool(x, window, stride, padding)
    assert largest.dtype == x.dtype
    np.testing.assert_array_equal(largest, oracle.max_pool(x, window, stride, padding))
    np.testing.assert_array_equal(sum_pool(x, window, stride), oracle.sum_pool(x, window, stride))


def test_the_largest_accumulator_is_exact():
    # 255 * 128 * 65,792 = 2,147,450,880, the largest multiple that still fits int32.
    x = np.full((1, 1, 1, 65_792), 255, np.uint8)
    weight = np.full((65_792, 2), -128, np.int8)
    assert linear(x, weight).ravel().tolist() == [-2_147_450_880] * 2


@given(SEEDS, st.booleans(), st.integers(1, 5), st.sampled_from([31, 40, 62]), st.booleans(), HIGHEST)
def test_requantise_equals_the_oracle(seed, signed, channels, widest_shift, extreme, highest):
    rng = np.random.default_rng(seed)
    accumulators = rng.integers(-(2**30), 2**30, (6, channels)).astype(np.int32)
    bias = rng.integers(-(2**30) + 1, 2**30, channels).astype(np.int32)
    multiplier = rng.integers(1 << 30, 1 << 31, channels).astype(np.int32)
    shift = rng.integers(1, widest_shift + 1, channels).astype(np.int32)
    if extreme:
        accumulators[:2] = [[2**30], [-(2**30)]]
        multiplier[:], shift[:] = (1 << 31) - 1, widest_shift
    result = requantise(accumulators, bias, multiplier, shift, signed=signed, highest=highest)
    assert result.dtype == (np.int8 if signed else np.uint8)
    expected = oracle.requantise(accumulators, bias, multiplier, shift, signed, highest)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [(5, 31, 3), (-5, 31, -2), (3, 31, 2), (-3, 31, -1), (1, 32, 0), (2, 32, 1), (-2, 32, 0), (-3, 32, -1)],
)
def test_halves_round_up(value, shift, expected):
    """2^30 / 2^shift is 1/2 at shift 31 and 1/4 at 32: 2.5 -> 3, -2.5 -> -2, 0.5 -> 1, -0.5 -> 0."""
    zero, factor = np.zeros(1, np.int32), np.array([1 << 30], np.int32)
    result = requantise(np.array([value], np.int32), zero, factor, np.array([shift], np.int32), signed=True)
    assert result.item() == expected


def test_shift_zero_does_not_round():
    one, zero = np.ones(1, np.int32), np.zeros(1, np.int32)
    assert requantise(np.array([[7], [300]], np.int32), zero, one, zero, signed=False).ravel().tolist() == [
        7,
        255,
    ]


@given(SEEDS, DTYPES, DTYPES, st.booleans(), st.integers(0, 62), HIGHEST)
def test_add_equals_the_oracle(seed, left_dtype, right_dtype, signed, shift, highest):
    rng = np.random.default_rng(seed)
    left = activations(rng, (2, 2, 2, 3), left_dtype, "dense")
    right = activations(rng, (2, 2, 2, 3), right_dtype, "extreme")
    multiplier = tuple(int(factor) for factor in rng.integers(1, 1 << 31, 2))
    result = add(left, right, multiplier, shift, signed=signed, highest=highest)
    assert result.dtype == (np.int8 if signed else np.uint8)
    np.testing.assert_array_equal(result, oracle.add(left, right, multiplier, shift, signed, highest))


@given(SEEDS, st.integers(2, 12), st.booleans())
def test_top_two_equals_the_oracle(seed, classes, few_values):
    rng = np.random.default_rng(seed)
    ends = np.array([-(2**31), -1, 0, 2**31 - 1])
    logits = rng.choice(ends, (5, classes)) if few_values else rng.integers(-(2**31), 2**31, (5, classes))
    prediction, margin = top_two(logits.astype(np.int32))
    assert list(zip(prediction.tolist(), margin.tolist(), strict=True)) == [
        oracle.top_two(row) for row in logits
    ]


def test_margin_needs_33_bits():
    _, margin = top_two(np.array([[2**31 - 1, -(2**31)]], np.int32))
    assert margin.tolist() == [2**32 - 1]


@given(SEEDS, DTYPES, STYLES, st.integers(1, 3), st.integers(1, 21))
def test_zero_map_and_magnitude(seed, dtype, style, count, channels):
    x = activations(np.random.default_rng(seed), (count, 2, 3, channels), dtype, style)
    bits = zero_map(x)
    assert bits.shape == (count, -(-6 * channels // 8))
    for n, row in enumerate(x.reshape(count, -1)):
        for i, value in enumerate(row):
            assert (bits[n, i // 8] >> (i % 8)) & 1 == (value == 0)
    assert magnitude_sum(x).tolist() == [sum(abs(int(value)) for value in image.ravel()) for image in x]


@settings(max_examples=5)
@given(SEEDS)
def test_kernels_take_views_and_read_only_arrays(seed):
    rng = np.random.default_rng(seed)
    wide = activations(rng, (2, 5, 5, 6), np.uint8, "dense")
    weight = int8_weights(seed, (3, 3, 3, 4))
    weight.flags.writeable = False
    np.testing.assert_array_equal(
        conv2d(wide[:, ::-1, :, ::2], weight, (1, 1), (1, 1)),
        conv2d(wide[:, ::-1, :, ::2].copy(), weight.copy(), (1, 1), (1, 1)),
    )
