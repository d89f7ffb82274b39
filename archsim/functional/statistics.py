"""What decisions amount to: accuracy, the paired test against the full network, parameters and MACs used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from archsim.functional.decide import Decisions
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import Network

BoolArray = npt.NDArray[np.bool_]
ONE_SIDED_95 = 1.6448536269514722
"""Standard normal quantile of 95 %."""


@dataclass(frozen=True)
class PairedTest:
    """Two classifiers on the same n images.

    b: first right, second wrong. c: the opposite. delta = (c - b) / n, a fraction, positive when the second is better;
    se: its standard error. lower95: one-sided 95 % bound below delta. mcnemar_p: exact two-sided p of "b and c are
    equally likely".
    """

    n: int
    b: int
    c: int
    delta: float
    se: float
    lower95: float
    mcnemar_p: float


def paired_test(first_right: BoolArray, second_right: BoolArray) -> PairedTest:
    """Compare two classifiers image by image; both bool (N,), N >= 1.

    SE = sqrt(b + c - (b - c)^2 / n) / n; p from Binomial(b + c, 1/2) (McNemar 1947, the exact form).

    >>> first, second = np.ones(100, bool), np.ones(100, bool)
    >>> first[:2], second[2:8] = False, False
    >>> test = paired_test(first, second)
    >>> test.b, test.c, test.delta, round(test.se, 6), round(test.lower95, 6), test.mcnemar_p
    (6, 2, -0.04, 0.028, -0.086056, 0.2890625)
    """
    n = len(first_right)
    b = int(np.count_nonzero(first_right & ~second_right))
    c = int(np.count_nonzero(~first_right & second_right))
    delta = (c - b) / n
    se = math.sqrt(b + c - (b - c) ** 2 / n) / n
    return PairedTest(n, b, c, delta, se, delta - ONE_SIDED_95 * se, _mcnemar_p(b, c))


def _mcnemar_p(b: int, c: int) -> float:
    tail = term = 1
    for chosen in range(1, min(b, c) + 1):
        # Whole numbers stay exact however many images disagree; a float power of 1/2 would vanish at 1075.
        term = term * (b + c - chosen + 1) // chosen
        tail += term
    return float(min(Fraction(2 * tail, 1 << (b + c)), Fraction(1)))


@dataclass(frozen=True)
class BranchStatistics:
    """Images for which a branch was evaluated, skipped by DBP, and at which they exited."""

    evaluated: int
    skipped_by_dbp: int
    exited: int


@dataclass(frozen=True)
class ExitStatistics:
    """One policy on one trace. Fractions are between 0 and 1, ``_pp`` values are percentage points.

    accuracy: of the exits taken; None where the network had no weights. full_network_accuracy: of the end of the trunk
    for all images; None, with everything that compares with it, where a lazily computed trace lacks it. delta_pp:
    accuracy minus full network's, delta_lower95_pp: its one-sided 95 % lower bound. paired: b = full network right and
    early exit wrong.
    params_used_fraction, macs_used_fraction: see :func:`used_fraction`. exits: images by exit name.
    """

    images: int
    accuracy: float | None
    full_network_accuracy: float | None
    delta_pp: float | None
    delta_lower95_pp: float | None
    paired: PairedTest | None
    params_used_fraction: float
    macs_used_fraction: float
    exits: dict[str, int]
    branches: dict[str, BranchStatistics]


def statistics(network: Network, trace: FunctionalTrace, decisions: Decisions) -> ExitStatistics:
    """Summarise decisions on a trace of at least one image."""
    rows = np.arange(trace.images)
    right = trace.predictions[rows, decisions.exit_index] == trace.labels
    final = trace.predictions[:, -1]
    full_right = final == trace.labels if bool((final >= 0).all()) else None
    accuracy = None if trace.is_shape_only else float(right.mean())
    paired = None if full_right is None else paired_test(full_right, right)
    counts = np.bincount(decisions.exit_index, minlength=len(trace.exit_names))
    trunk_weights = [sum(layer.weights for layer in network.trunk_until(b)) for b in network.branches]
    trunk_macs = [sum(layer.macs for layer in network.trunk_until(b)) for b in network.branches]
    return ExitStatistics(
        images=trace.images,
        accuracy=accuracy,
        full_network_accuracy=None if full_right is None else float(full_right.mean()),
        delta_pp=None if paired is None else 100 * paired.delta,
        delta_lower95_pp=None if paired is None else 100 * paired.lower95,
        paired=paired,
        params_used_fraction=used_fraction(
            decisions, trunk_weights, [branch.weights for branch in network.branches], network.weights
        ),
        macs_used_fraction=used_fraction(
            decisions, trunk_macs, [branch.macs for branch in network.branches], network.macs
        ),
        exits={name: int(counts[index]) for index, name in enumerate(trace.exit_names)},
        branches={
            branch.name: BranchStatistics(
                int(decisions.evaluated[:, index].sum()),
                int(decisions.skipped[:, index].sum()),
                int(counts[index]),
            )
            for index, branch in enumerate(network.branches)
        },
    )


def used_fraction(decisions: Decisions, trunk_until: list[int], branches: list[int], full: int) -> float:
    """Share of the full network's weights (or MACs) that an image uses on average.

    P = mean over images of [sum over executed trunk layers + sum over evaluated branches] / full, where ``full`` is the
    full network without branches, biases not counted. Evaluated branches count whether the image exits there or not;
    branches skipped by DBP do not.

    trunk_until: what the trunk has spent when branch b is met. branches: what branch b itself spends.

    >>> decisions = Decisions(np.array([0, 1]), np.array([[True], [True]]), np.array([[False], [False]]))
    >>> used_fraction(decisions, [30], [5], 100)  # ((30 + 5) + (100 + 5)) / 2 / 100
    0.7
    """
    spent = np.array([*trunk_until, full], np.int64)[decisions.exit_index].sum()
    spent += (decisions.evaluated @ np.array(branches, np.int64)).sum() if branches else 0
    return float(spent) / (full * len(decisions.exit_index))
