"""What timing and dynamic branch pruning want to know of a tensor: where its zeros are and how large its values.

NumPy alone: packing bits and summing rows are single vectorised calls there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archsim.kernels.arrays import Activations, Int64Array


def zero_map(activations: Activations) -> npt.NDArray[np.uint8]:
    """uint8 (N, ceil(H*W*C / 8)) of activations (N, H, W, C): bit i, little order, is 1 where element i is zero.

    >>> zero_map(np.array([0, 7, 0, 0, 1, 1, 1, 1, 0], np.uint8).reshape(1, 1, 1, 9))
    array([[13,  1]], dtype=uint8)
    """
    return np.packbits(activations.reshape(len(activations), -1) == 0, axis=1, bitorder="little")


def magnitude_sum(activations: Activations) -> Int64Array:
    """Sum of |a| over each image, int64 (N,).

    >>> magnitude_sum(np.array([[-128, 127]], np.int8).reshape(1, 1, 1, 2))
    array([255])
    """
    rows = activations.reshape(len(activations), -1)
    # |-128| does not fit int8.
    magnitudes = rows if rows.dtype == np.uint8 else np.abs(rows.astype(np.int16))
    sums: Int64Array = magnitudes.sum(axis=1, dtype=np.int64)
    return sums
