"""From int32 accumulators to 8-bit activations: integer multiply, rounding shift, clamp.

out = clamp((value * multiplier + round) >> shift, lo, hi) in int64, with an arithmetic (floor) shift, round =
1 << (shift - 1) and 0 where shift is 0; lo, hi = 0, 255 (or less, as the layer says) for uint8 and -128, 127 for int8
results. This is rounding half up of value * multiplier / 2^shift.
Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018, section 2.2 (a 31-bit multiplier and a shift); here one rounding in place of two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import int64, uint8

from archsim.kernels.arrays import Activations, Int32Array, frozen, raw_bytes, sign_bit
from archsim.kernels.compiler import kernel


def requantise(
    accumulators: Int32Array,
    bias: Int32Array,
    multiplier: Int32Array,
    shift: Int32Array,
    *,
    signed: bool,
    highest: int = 255,
) -> Activations:
    """Add the bias and rescale each channel.

    accumulators: int32 (..., C); accumulators + bias must fit int32. bias, multiplier, shift: int32 (C,), shift 0..62,
    value * multiplier + round must fit int64. signed: int8 result, else uint8 of at most ``highest``.

    >>> scale = np.array([1 << 30], np.int32), np.array([31], np.int32)  # one half
    >>> requantise(np.array([[3], [-3], [600]], np.int32), np.zeros(1, np.int32), *scale, signed=False).ravel()
    array([  2,   0, 255], dtype=uint8)
    """
    result = np.empty(accumulators.shape, np.uint8)
    rows = (-1, accumulators.shape[-1])
    low, high = (-128, 127) if signed else (0, highest)
    _requantise(
        frozen(accumulators.reshape(rows)),
        frozen(bias),
        frozen(multiplier),
        frozen(shift),
        low,
        high,
        result.reshape(rows),
    )
    return result.view(np.int8) if signed else result


def add(
    left: Activations,
    right: Activations,
    multiplier: tuple[int, int],
    shift: int,
    *,
    signed: bool,
    highest: int = 255,
) -> Activations:
    """clamp((left * multiplier[0] + right * multiplier[1] + round) >> shift, lo, hi), element by element.

    left, right: one shape, each uint8 or int8. signed: int8 result, else uint8 of at most ``highest``.

    >>> add(np.array([200], np.uint8), np.array([-100], np.int8), (3, 2), 2, signed=True)
    array([100], dtype=int8)
    """
    result = np.empty(left.shape, np.uint8)
    low, high = (-128, 127) if signed else (0, highest)
    operands = (raw_bytes(left).ravel(), sign_bit(left), raw_bytes(right).ravel(), sign_bit(right))
    _add(*operands, *multiplier, shift, low, high, result.reshape(-1))
    return result.view(np.int8) if signed else result


@kernel
def _requantise(
    accumulators: Any,
    bias: Any,
    multiplier: Any,
    shift: Any,
    low: int,
    high: int,
    result: npt.NDArray[np.uint8],
) -> None:
    for row in range(accumulators.shape[0]):
        for c in range(accumulators.shape[1]):
            bits = int64(shift[c])
            value = (int64(accumulators[row, c]) + int64(bias[c])) * int64(multiplier[c])
            value = (value + ((int64(1) << bits) >> 1)) >> bits
            result[row, c] = uint8(min(max(value, low), high) & 255)  # the byte, of a negative number too


@kernel
def _add(
    left: Any,
    left_sign: int,
    right: Any,
    right_sign: int,
    left_multiplier: int,
    right_multiplier: int,
    shift: int,
    low: int,
    high: int,
    result: Any,
) -> None:
    rounding = (int64(1) << shift) >> 1
    for i in range(len(left)):
        a, b = int64(left[i]), int64(right[i])
        a -= (a & left_sign) << 1
        b -= (b & right_sign) << 1
        value = (a * left_multiplier + b * right_multiplier + rounding) >> shift
        result[i] = uint8(min(max(value, low), high) & 255)
