"""Which parameter of a grid matters: alone, on average, and together with others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sensitivity:
    """Of one quantity to one parameter.

    alone: values of the quantity, level by level, when only this parameter leaves the reference point. first_order:
    part of the variance that its mean alone explains. total: part that vanishes when it is known last, with interplay.
    """

    key: str
    alone: FloatArray
    first_order: float
    total: float


def full_grid(levels: Sequence[IntArray], values: FloatArray) -> FloatArray | None:
    """Values as an array with one axis a parameter; None where points are missing, double or failed (NaN)."""
    shape = tuple(int(rows.max()) + 1 for rows in levels)
    if math.prod(shape) != len(values) or np.isnan(values).any():
        return None
    grid = np.full(shape, np.nan)
    grid[tuple(levels)] = values
    return None if np.isnan(grid).any() else grid


def sensitivities(keys: Sequence[str], grid: FloatArray, reference: Sequence[int]) -> list[Sensitivity]:
    """One a parameter, in their order. grid: one axis a key. reference: the level of each at the reference point.

    Variance-based indices of Sobol (Math. Comput. Simul. 55, 2001), here exact: the levels of the grid are all there
    is, each as likely as the others. S = Var(E[y | x]) / Var(y), T = E[Var(y | all but x)] / Var(y).

    >>> y = np.array([[0.0, 1.0], [2.0, 3.0]])  # y = 2 a + b: no interplay, so S = T
    >>> [(found.key, found.first_order, found.total) for found in sensitivities(["a", "b"], y, [0, 0])]
    [('a', 0.8, 0.8), ('b', 0.2, 0.2)]
    """
    variance = float(grid.var())
    found = []
    for axis, key in enumerate(keys):
        others = tuple(other for other in range(grid.ndim) if other != axis)
        first = float(grid.mean(axis=others).var()) / variance if variance else 0.0
        total = float(grid.var(axis=axis).mean()) / variance if variance else 0.0
        place = tuple(slice(None) if other == axis else reference[other] for other in range(grid.ndim))
        found.append(Sensitivity(key, grid[place], first, total))
    return found
