"""How arrays are handed to kernels, so that each kernel is compiled once and not once a dtype and flag.

Activations are uint8 (after a ReLU) or int8. Kernels read and write their raw bytes and get the sign as a number:
``value = byte - ((byte & sign_bit) << 1)`` is branch-free.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Activations = npt.NDArray[np.uint8] | npt.NDArray[np.int8]
Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only C-contiguous view: read-only and writable arrays are different types to Numba."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def raw_bytes(activations: Activations) -> npt.NDArray[np.uint8]:
    """The same bytes as a frozen uint8 array."""
    return frozen(np.ascontiguousarray(activations).view(np.uint8))


def sign_bit(activations: Activations) -> int:
    """128 for int8, 0 for uint8."""
    return 128 if activations.dtype == np.int8 else 0


def window_shape(
    shape: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, ...],
    channels: int,
) -> tuple[int, int, int, int]:
    """(N, OH, OW, channels) of sliding a (height, width) window over an NHWC shape.

    padding: (vertical, horizontal) or (top, left, bottom, right) in pixels.

    >>> window_shape((5, 32, 32, 3), (3, 3), (2, 2), (1, 1), 16)
    (5, 16, 16, 16)
    >>> window_shape((5, 32, 32, 3), (3, 3), (2, 2), (0, 0, 1, 1), 16)
    (5, 16, 16, 16)
    """
    count, height, width, _ = shape
    out_height = (height + padding[0] + padding[-2] - window[0]) // stride[0] + 1
    out_width = (width + padding[1] + padding[-1] - window[1]) // stride[1] + 1
    return count, out_height, out_width, channels
