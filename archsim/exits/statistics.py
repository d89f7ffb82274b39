"""Paired comparison of an early-exit network with its full network on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ONE_SIDED_95 = 1.6448536269514722
"""Quantile 0.95 of the standard normal distribution."""


@dataclass(frozen=True)
class PairedComparison:
    """Accuracies of two classifiers on the same images, and how sure their difference is.

    b: images that only the reference gets right. c: images that only the candidate gets right.
    delta: candidate minus reference accuracy, a fraction. se: its standard error.
    lower95: one-sided 95 % lower bound of delta. p_value: exact two-sided McNemar test of b = c.
    """

    images: int
    b: int
    c: int
    delta: float
    se: float
    lower95: float
    p_value: float


def compare_paired(reference: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> PairedComparison:
    """Compares two columns of correctness, bool (N,) each with N >= 1; ValueError otherwise.

    Source: McNemar, Psychometrika 12, 1947; SE of a difference of paired proportions.

    >>> compare_paired(np.array([True, True, False, True]), np.array([True, False, True, True])).delta
    0.0
    """
    if reference.shape != candidate.shape or reference.ndim != 1 or not len(reference):
        raise ValueError(
            f"found shapes {reference.shape} and {candidate.shape}, expected the same (N,), N >= 1"
        )
    n = len(reference)
    b, c = int((reference & ~candidate).sum()), int((candidate & ~reference).sum())
    delta = (c - b) / n
    se = math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n
    return PairedComparison(n, b, c, delta, se, delta - _ONE_SIDED_95 * se, mcnemar_exact(b, c))


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided p-value of b against c discordant pairs under Binomial(b + c, 1/2).

    >>> mcnemar_exact(1, 5)
    0.21875
    """
    pairs, term, tail = b + c, 1, 0
    for i in range(min(b, c) + 1):
        tail += term
        term = term * (pairs - i) // (i + 1)
    return min(1.0, 2 * tail / (1 << pairs))
