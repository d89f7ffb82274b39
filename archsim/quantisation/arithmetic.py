"""Numbers of post-training quantisation: scales by least squared error, and integer requantisation.

A tensor of scale s stands for s times its 8-bit integers. Source of the scheme: Jacob et al., Quantization and Training
of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018, section 2.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CLIP_FRACTIONS = np.linspace(0.3, 1.0, 71)
_MULTIPLIER_BITS = 30
_MAX_SHIFT = 62
_MAX_BIAS = 1 << 30
"""Keeps accumulator plus bias inside int32."""


def activation_limits(signed: bool) -> tuple[int, int]:
    """Smallest and largest value of an 8-bit activation."""
    return (-128, 127) if signed else (0, 255)


def activation_scale(sample: Floats, signed: bool) -> float:
    """Scale with the least squared error over a sample of the tensor's values.

    >>> round(activation_scale(np.array([0.0, 1.0, 2.55]), signed=False), 4)
    0.01
    """
    largest = float(np.abs(sample).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    top = activation_limits(signed)[1]
    scales = [largest * fraction / top for fraction in _CLIP_FRACTIONS[::-1]]
    return float(min(scales, key=lambda scale: squared_error(sample, scale, signed)))


def squared_error(sample: Floats, scale: float, signed: bool) -> float:
    """Sum of squares of what rounding and clipping at this scale change."""
    rounded = np.clip(np.rint(sample / scale), *activation_limits(signed)) * scale
    return float(np.square(rounded - sample).sum())


def weight_scales(weight: Floats, bias: Floats, input_scale: float, clip: Literal["max", "mse"]) -> Floats:
    """Scale per output channel (last axis) of ``weight``; shape (channels,).

    Never so small that the bias, in units of input scale times weight scale, would leave 30 bits: a channel whose
    weights are all zero has nothing but its bias.
    """
    columns = weight.reshape(-1, weight.shape[-1])
    largest = np.abs(columns).max(axis=0)
    scales = largest / 127
    if clip == "mse":
        errors = [_column_errors(columns, largest * fraction / 127) for fraction in _CLIP_FRACTIONS[::-1]]
        scales = scales * _CLIP_FRACTIONS[::-1][np.argmin(errors, axis=0)]
    floor = np.maximum(np.abs(bias) / (input_scale * _MAX_BIAS), np.finfo(np.float32).tiny)
    bounded: Floats = np.maximum(scales, floor)
    return bounded


def quantise_weight(weight: Floats, scales: Floats | float) -> NDArray[np.int8]:
    """Rounded to int8 in [-127, 127]; ``scales`` per last axis or one for all."""
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8)


def quantise_bias(bias: Floats, scales: Floats | float) -> NDArray[np.int32]:
    """Rounded to int32; ``scales`` are input scale times weight scale."""
    return np.clip(np.rint(bias / scales), -_MAX_BIAS, _MAX_BIAS).astype(np.int32)


def fixed_point(factors: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(multiplier in [2^30, 2^31), shift in [1, 62]) with factor = multiplier / 2^shift, elementwise.

    ValueError for factors outside [2^-32, 2^30), infinities and NaN among them: no trained network needs them.

    >>> multiplier, shift = fixed_point(np.array([0.75]))
    >>> float(multiplier[0]) / 2 ** int(shift[0])
    0.75
    """
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise ValueError(f"cannot requantise by {factors}")
    fraction, exponent = np.frexp(factors)
    multiplier = np.rint(fraction * (1 << (_MULTIPLIER_BITS + 1))).astype(np.int64)
    shift = _MULTIPLIER_BITS + 1 - exponent.astype(np.int64)
    overflow = multiplier == 1 << (_MULTIPLIER_BITS + 1)
    multiplier, shift = np.where(overflow, multiplier >> 1, multiplier), shift - overflow
    if ((shift < 1) | (shift > _MAX_SHIFT)).any():
        raise ValueError(f"cannot requantise by {factors}")
    return multiplier.astype(np.int32), shift.astype(np.int32)


def add_fixed_point(factors: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(multipliers (2,), shift ()) of an addition: one shift, by which the larger multiplier is in [2^29, 2^30).

    ValueError for a larger factor outside [2^-33, 2^30), and for infinities and NaN.

    >>> add_fixed_point(np.array([0.5, 0.25]))
    (array([536870912, 268435456], dtype=int32), array(30, dtype=int32))
    """
    shift = _MULTIPLIER_BITS - math.frexp(float(factors.max()))[1]
    if not (np.isfinite(factors) & (factors > 0)).all() or not 0 <= shift <= _MAX_SHIFT:
        raise ValueError(f"cannot add with factors {factors}")
    return np.rint(factors * 2.0**shift).astype(np.int32), np.array(shift, dtype=np.int32)


def pool_shift(sample: Floats, sum_scale: float, signed: bool) -> int:
    """The shift by which a sum of scale ``sum_scale`` becomes 8 bits with the least squared error over ``sample``."""
    return min(range(24), key=lambda shift: squared_error(sample, sum_scale * 2.0**shift, signed))


def _column_errors(columns: Floats, scales: Floats) -> Floats:
    safe = np.where(scales > 0, scales, 1.0)
    rounded = np.clip(np.rint(columns / safe), -127, 127) * safe
    errors: Floats = np.square(rounded - columns).sum(axis=0)
    return errors
