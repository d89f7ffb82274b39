"""What a policy is measured against: oracles above it, simple rules below it, and whether its signals tell anything.

Source: early-exit design, sections 3.3 ("report") and 4 (baselines).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy, Outcome, apply_policy, leaves, reaches, runs
from archsim.exits.ranking import Keys
from archsim.exits.tables import Bools, CandidateTable, Floats

_RANDOM_STREAM = 6
"""Distinguishes the random stream of the control from those of splits."""
_RANDOM_DRAWS = 20


@dataclass(frozen=True)
class DbpQuality:
    """What DBP does at one branch, among the images that reach it.

    reached, skipped: images. true_skips: skipped images that would not have left, as a fraction of all that would
    not; false_skips: skipped images that would have left, as a fraction of all that would. auc: probability that the
    sum of an image that would leave is above that of one that would not; 0.5 tells nothing. margin_auc: the same of its
    margin at the branch before, which the exit controller has seen: a signal that costs nothing, for comparison.
    spearman: rank correlation of sum and margin. NaN where there is nothing to compare.
    """

    reached: int
    skipped: int
    true_skips: float
    false_skips: float
    auc: float
    margin_auc: float
    spearman: float


def oracle_exit(table: CandidateTable, price: float = math.inf, luck_credit: float = 1.0) -> Outcome:
    """Every image leaves where that is best for it, and pays for that one branch only: no policy has a smaller J.

    With an infinite price each image leaves at the cheapest of its correct exits; where none is correct, at the
    cheapest of all.
    """
    costs = table.costs.exits + np.append(table.costs.branch, 0.0)
    if math.isinf(price):
        # Any right answer is cheaper than a wrong one.
        burden = np.where(table.correct, costs, costs + 2 * costs.max())
    else:
        burden = costs / table.costs.full - Lagrangian(table, price, luck_credit).values
    exits = np.argmin(burden, axis=1).astype(np.int64)
    return Outcome(exits, costs[exits], table.correct[np.arange(table.images), exits])


def oracle_dbp(table: CandidateTable, policy: ExitPolicy) -> Outcome:
    """The policy with perfect pruning: a branch runs for exactly the images that leave there."""
    unpruned = ExitPolicy(policy.thresholds, (None,) * table.count)
    outcome = apply_policy(table, unpruned)
    spent = table.costs.exits[outcome.exits]
    for k in policy.chosen:
        met = reaches(table, unpruned, k)
        leaving = met & leaves(table, unpruned, k)
        spent = (
            spent
            + met * table.costs.dbp[k]
            + np.where(leaving, table.costs.branch[k], met * table.costs.tap[k])
        )
    return Outcome(outcome.exits, spent, outcome.correct)


def random_skips(table: CandidateTable, policy: ExitPolicy, seed: int) -> tuple[float, float]:
    """(mean cost, accuracy) if DBP skipped at the same rate at each branch, but by chance; mean of 20 seeded draws."""
    rng = np.random.default_rng([seed, _RANDOM_STREAM])
    draws = [apply_policy(_by_chance(table, policy, rng), policy) for _ in range(_RANDOM_DRAWS)]
    costs, accuracies = ([getattr(draw, key).mean() for draw in draws] for key in ("costs", "correct"))
    return float(np.mean(costs)), float(np.mean(accuracies))


def _by_chance(table: CandidateTable, policy: ExitPolicy, rng: np.random.Generator) -> CandidateTable:
    """The table with sums that say nothing: outside the window of a branch as often as those that reach it are."""
    sums = table.magnitude_sums.copy()
    for k in policy.chosen:
        window, met = policy.windows[k], reaches(table, policy, k)
        if window is not None and met.any():
            rate = float((~runs(table, policy, k)[met]).mean())
            sums[:, k] = np.where(rng.random(table.images) < rate, window.low - 1, window.low)
    return replace(table, magnitude_sums=sums)


def dbp_quality(table: CandidateTable, policy: ExitPolicy, k: int) -> DbpQuality:
    """What DBP does at candidate k of a policy."""
    met = reaches(table, policy, k)
    threshold = policy.thresholds[k]
    would_leave = table.margins[met, k] >= (math.inf if threshold is None else threshold)
    skipped = ~runs(table, policy, k)[met]
    sums, margins = table.magnitude_sums[met, k], table.margins[met, k]
    before = next((earlier for earlier in reversed(policy.chosen) if earlier < k), None)
    ran = np.zeros_like(would_leave) if before is None else runs(table, policy, before)[met]
    return DbpQuality(
        reached=int(met.sum()),
        skipped=int(skipped.sum()),
        true_skips=_share(skipped[~would_leave]),
        false_skips=_share(skipped[would_leave]),
        auc=auc(sums, would_leave),
        margin_auc=auc(table.margins[met, before or 0][ran], would_leave[ran]),
        spearman=spearman(sums, margins),
    )


def auc(scores: Keys, positive: Bools) -> float:
    """Probability that a positive scores above a negative, ties half; NaN where one of them is missing.

    >>> auc(np.array([1, 2, 2, 3]), np.array([False, False, True, True]))
    0.875
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return math.nan
    ranks = float(_ranks(scores)[positive].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def spearman(first: Keys, second: Keys) -> float:
    """Rank correlation, ties at their mean rank; NaN where one of them is constant.

    >>> spearman(np.array([1, 2, 3, 4]), np.array([10, 20, 40, 30]))
    0.8
    """
    if not len(first):
        return math.nan
    a, b = (ranks - ranks.mean() for ranks in (_ranks(first), _ranks(second)))
    spread = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / spread if spread else math.nan


def _ranks(values: Keys) -> Floats:
    """Ranks from 1, equal values at their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last: npt.NDArray[np.int64] = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks


def _share(flags: Bools) -> float:
    return float(flags.mean()) if len(flags) else math.nan
