"""Pooling of NHWC activations: the maximum, and the exact sum that average pooling rescales."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int32, uint8

from archsim.kernels.arrays import Activations, Int32Array, raw_bytes, sign_bit, window_shape
from archsim.kernels.compiler import kernel


def max_pool(
    activations: Activations,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, ...] = (0, 0),
) -> Activations:
    """Largest value of each window; activations (N, H, W, C), result (N, OH, OW, C) of the same dtype.

    padding: (vertical, horizontal) or (top, left, bottom, right) in pixels, by which every window touches the map; what
    lies outside does not count.

    >>> max_pool(np.array([[[[-5]], [[-3]]]], np.int8), (2, 1), (1, 1)).item()
    -3
    """
    shape = window_shape(activations.shape, window, stride, padding, activations.shape[3])
    result = np.empty(shape, np.uint8)
    _max_pool(raw_bytes(activations), sign_bit(activations), *window, *stride, *padding[:2], result)
    return result.view(np.int8) if activations.dtype == np.int8 else result


def sum_pool(activations: Activations, window: tuple[int, int], stride: tuple[int, int]) -> Int32Array:
    """Sum of each window, int32 (N, OH, OW, C); exact for windows of up to 8,421,504 pixels (255 * that < 2^31).

    >>> sum_pool(np.full((1, 2, 2, 1), -128, np.int8), (2, 2), (2, 2)).item()
    -512
    """
    result = np.empty(window_shape(activations.shape, window, stride, (0, 0), activations.shape[3]), np.int32)
    _sum_pool(raw_bytes(activations), sign_bit(activations), *window, *stride, result)
    return result


@kernel
def _max_pool(
    activations: Any,
    sign: int,
    window_y: int,
    window_x: int,
    stride_y: int,
    stride_x: int,
    pad_y: int,
    pad_x: int,
    result: Any,
) -> None:
    count, out_height, out_width, channels = result.shape
    _, height, width, _ = activations.shape
    # Flipping the sign bit maps int8 onto uint8 without changing the order.
    flip = uint8(sign)
    for n in range(count):
        for out_y in range(out_height):
            for out_x in range(out_width):
                for c in range(channels):
                    result[n, out_y, out_x, c] = 0
                for i in range(window_y):
                    y = out_y * stride_y + i - pad_y
                    if y < 0 or y >= height:
                        continue
                    for j in range(window_x):
                        x = out_x * stride_x + j - pad_x
                        if x < 0 or x >= width:
                            continue
                        for c in range(channels):
                            found = activations[n, y, x, c] ^ flip
                            result[n, out_y, out_x, c] = max(result[n, out_y, out_x, c], found)
                for c in range(channels):
                    result[n, out_y, out_x, c] ^= flip


@kernel
def _sum_pool(
    activations: Any, sign: int, window_y: int, window_x: int, stride_y: int, stride_x: int, result: Any
) -> None:
    count, out_height, out_width, channels = result.shape
    for n in range(count):
        for out_y in range(out_height):
            for out_x in range(out_width):
                for c in range(channels):
                    result[n, out_y, out_x, c] = 0
                for i in range(window_y):
                    for j in range(window_x):
                        for c in range(channels):
                            byte = int32(activations[n, out_y * stride_y + i, out_x * stride_x + j, c])
                            result[n, out_y, out_x, c] += byte - ((byte & sign) << 1)
