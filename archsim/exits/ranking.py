"""Exact one-dimensional searches over images in the order of a key: best cut, best window. O(N log N) once a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[Any]
"""int64, as hardware compares, or float64, as other frameworks do."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """The images with low <= key <= high (high None: no bound) and the sum of their gains.

    low None: no image, which gains 0. total_gain: the sum over all images.
    """

    low: float | None
    high: float | None
    gain: float
    total_gain: float


class Ranking:
    """N images in descending order of a key, int64 or float64 (N,); equal keys are never told apart."""

    def __init__(self, keys: Keys) -> None:
        self.order = np.argsort(-keys, kind="stable")
        self.keys = keys[self.order]
        self._ends = np.flatnonzero(np.append(self.keys[1:] != self.keys[:-1], True))

    def best_cut(self, gains: Floats) -> Cut:
        """The cut t with the largest positive sum of ``gains`` (N,) over ``key >= t``; the shortest one of equals.

        Prefix sums over descending keys, looked at only where a run of equal keys ends. Images that do not take part
        have the gain 0. Source: early-exit design, section 3.2, step 1.

        >>> Ranking(np.array([5, 9, 7])).best_cut(np.array([-4.0, 1.0, 2.0]))
        Cut(low=7, high=None, gain=3.0, total_gain=-1.0)
        """
        if not len(self.keys):
            return Cut(None, None, 0.0, 0.0)
        sums = np.cumsum(gains[self.order])
        total = float(sums[-1])
        if sums[self._ends].max() <= 0:
            return Cut(None, None, 0.0, total)
        end = self._ends[int(np.argmax(sums[self._ends]))]
        return Cut(self.keys[end].item(), None, float(sums[end]), total)

    def best_window(self, gains: Floats) -> Cut:
        """The window [low, high] of keys with the largest positive sum of ``gains``: maximum-sum subarray (Kadane).

        >>> Ranking(np.array([1, 2, 3, 4])).best_window(np.array([-1.0, 3.0, 2.0, -9.0]))
        Cut(low=2, high=3, gain=5.0, total_gain=-5.0)
        """
        if not len(self.keys):
            return Cut(None, None, 0.0, 0.0)
        sums = np.cumsum(gains[self.order])[self._ends]
        before = np.append(0.0, sums[:-1])
        # The best window that ends at a run of keys starts behind the smallest prefix sum before it.
        best = sums - np.minimum.accumulate(before)
        end = int(np.argmax(best))
        if best[end] <= 0:
            return Cut(None, None, 0.0, float(sums[-1]))
        start = int(np.argmin(before[: end + 1]))
        low, high = self.keys[self._ends[end]].item(), self.keys[self._ends[start]].item()
        return Cut(low, None if start == 0 else high, float(best[end]), float(sums[-1]))
