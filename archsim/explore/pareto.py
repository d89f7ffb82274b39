"""Points that no other point beats in everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def pareto_front(costs: FloatArray) -> BoolArray:
    """Which points are not dominated: bool (N,) of costs (N, objectives), of which less is better; NaN never is.

    A point dominates another that is nowhere better and somewhere worse; equal points are kept together.
    Kung, Luccio, Preparata, J. ACM 22(4), 1975, with the filter in place of their recursion: O(N x front).

    >>> pareto_front(np.array([[1.0, 4.0], [2.0, 2.0], [2.0, 3.0], [4.0, 1.0]])).tolist()
    [True, True, False, True]
    """
    front = np.zeros(len(costs), np.bool_)
    usable = np.flatnonzero(~np.isnan(costs).any(axis=1))
    # In lexicographic order no point is dominated by one behind it.
    order = usable[np.lexsort(costs[usable].T[::-1])]
    kept = np.empty((0, costs.shape[1]))
    for index in order:
        point = costs[index]
        if not dominates(kept, point).any():
            front[index] = True
            kept = np.vstack([kept, point])
    return front


def dominates(costs: FloatArray, point: npt.NDArray[Any]) -> BoolArray:
    """Which of the points (N, objectives) dominate one: bool (N,).

    >>> dominates(np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 3.0]]), np.array([1.0, 2.0])).tolist()
    [True, False, False]
    """
    return np.asarray((costs <= point).all(axis=1) & (costs < point).any(axis=1))
