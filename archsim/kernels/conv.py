"""Exact int8 convolutions and fully connected layers; NHWC, int32 accumulators.

Zero activations cost nothing: the nonzeros of each pixel are listed once an image, and the inner loop runs over the
output channels of four nonzeros at a time, which is what a compiler turns into wide integer multiplies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int32

from archsim.kernels.arrays import (
    Activations,
    Int8Array,
    Int32Array,
    frozen,
    raw_bytes,
    sign_bit,
    window_shape,
)
from archsim.kernels.compiler import kernel


def conv2d(
    activations: Activations,
    weight: Int8Array,
    stride: tuple[int, int],
    padding: tuple[int, ...],
    groups: int = 1,
) -> Int32Array:
    """acc[n, y, x, o] = sum over i, j, c of a[n, y*sy + i - py, x*sx + j - px, c] * w[i, j, c, o], zeros outside.

    activations: (N, H, W, C). weight: (KH, KW, C / groups, O). stride: (vertical, horizontal), padding: the same, or
    (top, left, bottom, right), in pixels.
    Part g of ``groups`` equal parts of the filters sees part g of the channels alone.
    Returns int32 (N, OH, OW, O) of :func:`~archsim.kernels.arrays.window_shape`. Exact if no sum leaves int32, which
    :mod:`archsim.network.weights` proves when weights are loaded.

    >>> conv2d(np.full((1, 2, 2, 1), 255, np.uint8), np.full((2, 2, 1, 1), -128, np.int8), (1, 1), (0, 0)).item()
    -130560
    """
    shape = window_shape(activations.shape, weight.shape[:2], stride, padding, weight.shape[3])
    maps, channels, filters = raw_bytes(activations), weight.shape[2], weight.shape[3] // groups
    parts = [np.empty((*shape[:3], filters), np.int32) for _ in range(groups)]
    for index, part in enumerate(parts):
        seen = frozen(maps[..., index * channels : (index + 1) * channels])
        own = frozen(weight[..., index * filters : (index + 1) * filters])
        _conv2d(seen, sign_bit(activations), own, *stride, *padding[:2], part)
    return parts[0] if groups == 1 else np.concatenate(parts, axis=3)


def linear(activations: Activations, weight: Int8Array) -> Int32Array:
    """acc[n, o] = sum over i of a[n, i] * w[i, o]; activations (N, H, W, C) are flattened in that order.

    weight: (H*W*C, O). Returns int32 (N, 1, 1, O).
    """
    flat = activations.reshape(len(activations), 1, 1, -1)
    return conv2d(flat, weight.reshape(1, 1, *weight.shape), (1, 1), (0, 0))


def depthwise_conv2d(
    activations: Activations, weight: Int8Array, stride: tuple[int, int], padding: tuple[int, ...]
) -> Int32Array:
    """As :func:`conv2d`, each channel with its own (KH, KW) filter: weight (KH, KW, C), result (N, OH, OW, C)."""
    shape = window_shape(activations.shape, weight.shape[:2], stride, padding, weight.shape[2])
    result = np.empty(shape, np.int32)
    _depthwise(raw_bytes(activations), sign_bit(activations), frozen(weight), *stride, *padding[:2], result)
    return result


@kernel
def _conv2d(  # noqa: PLR0912 - Numba compiles it as one loop nest; calls with array views would cost a quarter
    activations: Any,
    sign: int,
    weight: Any,
    stride_y: int,
    stride_x: int,
    pad_y: int,
    pad_x: int,
    result: Any,
) -> None:
    kernel_height, kernel_width, channels, outputs = weight.shape
    count, out_height, out_width, _ = result.shape
    _, height, width, _ = activations.shape
    # One slot more than channels: listing is branch-free and writes past the last nonzero.
    value = np.empty((height, width, channels + 1), np.int16)
    channel = np.empty((height, width, channels + 1), np.int32)
    nonzeros = np.empty((height, width), np.int32)
    for n in range(count):
        for y in range(height):
            for x in range(width):
                found = 0
                for c in range(channels):
                    byte = int32(activations[n, y, x, c])
                    value[y, x, found] = byte - ((byte & sign) << 1)
                    channel[y, x, found] = c
                    found += byte != 0
                nonzeros[y, x] = found
        for out_y in range(out_height):
            for out_x in range(out_width):
                for o in range(outputs):
                    result[n, out_y, out_x, o] = 0
                for i in range(kernel_height):
                    y = out_y * stride_y + i - pad_y
                    if y < 0 or y >= height:
                        continue
                    for j in range(kernel_width):
                        x = out_x * stride_x + j - pad_x
                        if x < 0 or x >= width:
                            continue
                        listed = nonzeros[y, x]
                        fours = listed // 4 * 4
                        for k in range(0, fours, 4):
                            a0, a1 = int32(value[y, x, k]), int32(value[y, x, k + 1])
                            a2, a3 = int32(value[y, x, k + 2]), int32(value[y, x, k + 3])
                            c0, c1 = channel[y, x, k], channel[y, x, k + 1]
                            c2, c3 = channel[y, x, k + 2], channel[y, x, k + 3]
                            for o in range(outputs):
                                result[n, out_y, out_x, o] += (
                                    a0 * int32(weight[i, j, c0, o])
                                    + a1 * int32(weight[i, j, c1, o])
                                    + a2 * int32(weight[i, j, c2, o])
                                    + a3 * int32(weight[i, j, c3, o])
                                )
                        for k in range(fours, listed):
                            a0, c0 = int32(value[y, x, k]), channel[y, x, k]
                            for o in range(outputs):
                                result[n, out_y, out_x, o] += a0 * int32(weight[i, j, c0, o])


@kernel
def _depthwise(
    activations: Any,
    sign: int,
    weight: Any,
    stride_y: int,
    stride_x: int,
    pad_y: int,
    pad_x: int,
    result: Any,
) -> None:
    kernel_height, kernel_width, channels = weight.shape
    count, out_height, out_width, _ = result.shape
    _, height, width, _ = activations.shape
    for n in range(count):
        for out_y in range(out_height):
            for out_x in range(out_width):
                for c in range(channels):
                    result[n, out_y, out_x, c] = 0
                for i in range(kernel_height):
                    y = out_y * stride_y + i - pad_y
                    if y < 0 or y >= height:
                        continue
                    for j in range(kernel_width):
                        x = out_x * stride_x + j - pad_x
                        if x < 0 or x >= width:
                            continue
                        for c in range(channels):
                            byte = int32(activations[n, y, x, c])
                            result[n, out_y, out_x, c] += (byte - ((byte & sign) << 1)) * int32(
                                weight[i, j, c]
                            )
