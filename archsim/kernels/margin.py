"""The running top-2 over logits: the predicted class and by how much it leads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64

from archsim.kernels.arrays import Int32Array, Int64Array, frozen
from archsim.kernels.compiler import kernel


def top_two(logits: Int32Array) -> tuple[Int64Array, Int64Array]:
    """(prediction, margin), both int64 (N,), of logits int32 (N, classes >= 2).

    prediction: index of the largest logit, the lowest index among equals. margin: largest minus second largest,
    0 among equals; it needs 33 bits.

    >>> top_two(np.array([[5, 9, 9], [-2147483648, 2147483647, 0]], np.int32))
    (array([1, 1]), array([         0, 2147483647]))
    """
    prediction = np.empty(len(logits), np.int64)
    margin = np.empty(len(logits), np.int64)
    _top_two(frozen(logits), prediction, margin)
    return prediction, margin


@kernel
def _top_two(logits: Any, prediction: Any, margin: Any) -> None:
    for n in range(logits.shape[0]):
        first, second, winner = int64(logits[n, 0]), int64(-(1 << 31)), 0
        for k in range(1, logits.shape[1]):
            logit = int64(logits[n, k])
            if logit > first:
                first, second, winner = logit, first, k
            elif logit > second:
                second = logit
        prediction[n] = winner
        margin[n] = first - second
