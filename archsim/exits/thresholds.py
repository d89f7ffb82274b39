"""Integer thresholds of exits and of dynamic branch pruning (DBP), chosen on per-image tables.

The expected MACs are minimised subject to an accuracy on the images of the table. With a price lambda on accuracy the
problem falls apart into line searches, each exact by prefix sums; lambda is bisected until the accuracy is met.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from archsim.functional.statistics import paired_test

T = TypeVar("T")
Floats = NDArray[np.float64]
_SWEEPS = 12
_BISECTIONS = 24
_LARGEST_PRICE = 1e4
_SMALLEST_PRICE = 1e-3


@dataclass(frozen=True)
class ExitTable:
    """What N images do at B branches, whatever the thresholds; integers as the hardware sees them.

    names: the branches in order. margins: int64 (N, B). correct: bool (N, B + 1), the last column is the full
    network. magnitude_sums: int64 (N, B), sum of |a| over the tensor that the branch reads.
    trunk_macs: int64 (B + 1), MACs of the trunk up to each branch, then of all. branch_macs: int64 (B,).
    """

    names: tuple[str, ...]
    margins: NDArray[np.int64]
    correct: NDArray[np.bool_]
    magnitude_sums: NDArray[np.int64]
    trunk_macs: NDArray[np.int64]
    branch_macs: NDArray[np.int64]


@dataclass(frozen=True)
class ExitPolicy:
    """Per branch: the threshold (None: the branch is not there) and the least magnitude sum that runs it."""

    thresholds: tuple[int | None, ...]
    min_sums: tuple[int, ...]


@dataclass(frozen=True)
class AccuracyGoal:
    """How accurate a policy must be on the table, and what accuracy is worth while it is searched for.

    max_loss: the one-sided 95 % lower bound of policy minus full network must not be below minus this fraction.
    luck_credit: what an image counts that only the branch gets right, against 1 for one that only the full network
    gets right. Below 1 the search avoids exits that win and lose in equal numbers: their balance on the table is
    mostly luck, and does not repeat on other images.
    """

    max_loss: float
    luck_credit: float = 0.5


@dataclass(frozen=True)
class Outcome:
    """What a policy does to each image: exit index (B is the full network), MACs, correctness; arrays (N,)."""

    exits: NDArray[np.int64]
    macs: NDArray[np.int64]
    correct: NDArray[np.bool_]


def apply_policy(table: ExitTable, policy: ExitPolicy, first_branch: int = 0) -> Outcome:
    """Runs every image from ``first_branch`` on; earlier branches count as absent."""
    count, branches = table.margins.shape
    exits = np.full(count, branches, dtype=np.int64)
    macs = np.zeros(count, dtype=np.int64)
    alive = np.ones(count, dtype=bool)
    for k in range(first_branch, branches):
        threshold = policy.thresholds[k]
        if threshold is None:
            continue
        runs = alive & (table.magnitude_sums[:, k] >= policy.min_sums[k])
        macs[runs] += table.branch_macs[k]
        leaves = runs & (table.margins[:, k] >= threshold)
        exits[leaves] = k
        alive &= ~leaves
    return Outcome(exits, macs + table.trunk_macs[exits], table.correct[np.arange(count), exits])


def choose_policy(table: ExitTable, goal: AccuracyGoal, dbp: bool) -> ExitPolicy:
    """The cheapest policy found that meets ``goal`` on the images of the table; all-absent where none does."""
    best = _no_exits(table)
    low, high = np.log(_SMALLEST_PRICE), np.log(_LARGEST_PRICE)
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        policy = policy_at_price(table, float(np.exp(price)), goal.luck_credit, dbp)
        comparison = paired_test(table.correct[:, -1], apply_policy(table, policy).correct)
        if comparison.lower95 >= -goal.max_loss:
            high = price
            best = min(best, policy, key=lambda p: float(apply_policy(table, p).macs.mean()))
        else:
            low = price
    return best


def policy_at_price(table: ExitTable, price: float, luck_credit: float, dbp: bool) -> ExitPolicy:
    """Minimises mean(MACs / full MACs) - price * mean(score) by coordinate sweeps of exact line searches.

    The first sweep goes back to front from no branch at all, so that each branch finds the later ones in place.
    """
    scores = exit_scores(table, luck_credit)
    policy, best = _no_exits(table), np.inf
    for _ in range(_SWEEPS):
        for k in reversed(range(len(table.names))):
            policy = _with_threshold(table, policy, k, price * scores)
            if dbp and policy.thresholds[k] is not None:
                policy = _with_min_sum(table, policy, k)
        outcome = apply_policy(table, policy)
        score = np.take_along_axis(scores, outcome.exits[:, None], axis=1).mean()
        value = float(outcome.macs.mean()) / int(table.trunk_macs[-1]) - price * float(score)
        if value >= best - 1e-9:
            break
        best = value
    return policy


def exit_scores(table: ExitTable, luck_credit: float) -> Floats:
    """Worth of each exit to each image, (N, B + 1): 0 where it is as right as the full network, else -1 or credit.

    With a credit of 1 the mean is the difference of accuracies.
    """
    full = table.correct[:, -1:]
    return np.where(table.correct & ~full, luck_credit, 0.0) - (~table.correct & full)


def best_cut(keys: NDArray[np.int64], gains: Floats) -> tuple[int | None, float]:
    """The cut t with the largest sum of ``gains`` over ``keys >= t``, and that sum; (None, 0.0) if none is positive.

    O(N log N): prefix sums over descending keys, looked at only where a run of equal keys ends.

    >>> best_cut(np.array([5, 9, 7]), np.array([-4.0, 1.0, 2.0]))
    (7, 3.0)
    """
    order = np.argsort(-keys, kind="stable")
    sorted_keys, sums = keys[order], np.cumsum(gains[order])
    ends = (
        np.flatnonzero(np.append(sorted_keys[1:] != sorted_keys[:-1], True))
        if len(keys)
        else np.empty(0, int)
    )
    if not len(ends) or sums[ends].max() <= 0:
        return None, 0.0
    end = ends[int(np.argmax(sums[ends]))]
    return int(sorted_keys[end]), float(sums[end])


def _with_threshold(table: ExitTable, policy: ExitPolicy, k: int, values: Floats) -> ExitPolicy:
    """Best threshold of branch k with all else fixed; absent where it does not earn what running it costs."""
    runs = _reaches(table, policy, k) & (table.magnitude_sums[:, k] >= policy.min_sums[k])
    gains = _exit_gains(table, policy, k, values)
    threshold, gain = best_cut(table.margins[runs, k], gains[runs])
    cost = int(table.branch_macs[k]) / int(table.trunk_macs[-1]) * int(runs.sum())
    if gain <= cost:
        return ExitPolicy(_replaced(policy.thresholds, k, None), _replaced(policy.min_sums, k, 0))
    return replace(policy, thresholds=_replaced(policy.thresholds, k, threshold))


def _with_min_sum(table: ExitTable, policy: ExitPolicy, k: int) -> ExitPolicy:
    """Best least magnitude sum of branch k: an image saves by exiting, and pays for the branch whenever it runs.

    Accuracy has no price here. DBP is there to save what a branch costs; let it trade accuracy too, and on CIFAR-10 it
    fits the noise of the table, which shows as a loss on other images.
    Source: early-exit design, section 3.3: the best suffix of the images sorted by magnitude.
    """
    reaches = _reaches(table, policy, k)
    leaves = table.margins[:, k] >= (policy.thresholds[k] or 0)
    cost = int(table.branch_macs[k]) / int(table.trunk_macs[-1])
    gains = leaves * _exit_gains(table, policy, k, np.zeros_like(table.correct, dtype=float)) - cost
    cut, _ = best_cut(table.magnitude_sums[reaches, k], gains[reaches])
    prunes = cut is not None and cut > table.magnitude_sums[reaches, k].min()
    return replace(policy, min_sums=_replaced(policy.min_sums, k, cut if prunes and cut is not None else 0))


def _exit_gains(table: ExitTable, policy: ExitPolicy, k: int, values: Floats) -> Floats:
    """What each image would gain by exiting at branch k instead of going on, as a fraction of the full MACs.

    values: what the answer of each exit is worth, (N, B + 1) in the same unit.
    """
    later = apply_policy(table, policy, k + 1)
    saved = (later.macs - table.trunk_macs[k]) / int(table.trunk_macs[-1])
    gains: Floats = saved + values[:, k] - np.take_along_axis(values, later.exits[:, None], axis=1)[:, 0]
    return gains


def _reaches(table: ExitTable, policy: ExitPolicy, k: int) -> NDArray[np.bool_]:
    """Images that no branch before k lets go."""
    before = ExitPolicy(policy.thresholds[:k] + (None,) * (len(table.names) - k), policy.min_sums)
    reached: NDArray[np.bool_] = apply_policy(table, before).exits == len(table.names)
    return reached


def _no_exits(table: ExitTable) -> ExitPolicy:
    return ExitPolicy((None,) * len(table.names), (0,) * len(table.names))


def _replaced(values: tuple[T, ...], k: int, value: T) -> tuple[T, ...]:
    return (*values[:k], value, *values[k + 1 :])
