"""Against luck without giving half of the images away: the price of accuracy is chosen by cross-fitting.

A search that looks at many candidates finds some that were lucky on its images, so that its own accuracy there says too
much. Here every price is tried on folds: the policy found without a fold is measured on it, and all folds together say
what the *procedure* loses at that price on images that chose nothing. From the dearest price, at which hardly an image
leaves, prices fall until the goal is missed for the first time; the last that met it is used on all images.
Sources: early-exit design, section 3.2 (safeguards); Hastie, Tibshirani and Friedman, The Elements of Statistical
Learning, 2nd ed., 7.10; the order of the tests as in Angelopoulos et al., Learn then Test, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy, apply_policy
from archsim.exits.structure import AccuracyGoal, Choice, Search, policy_at_price
from archsim.exits.tables import CandidateTable, Int64s
from archsim.functional.statistics import PairedTest, paired_test
from archsim.progress import Progress

PRICES = tuple(float(price) for price in np.geomspace(1000, 1, 25))
"""Of all accuracy, in full costs, falling by a quarter a step: at 100 one point is worth the cost of one image."""
_FOLD_STREAM = 7
"""Distinguishes the random stream of the folds from those of other splits."""


@dataclass(frozen=True)
class CrossFit:
    """What the procedure does on images that chose nothing, at the price that is used.

    search: what was searched. comparison: full network (first) against the policies of all folds. cost_fraction: their
    mean cost. price: None where no price met the goal, which leaves the network without exits.
    """

    search: Search
    folds: int
    price: float | None
    comparison: PairedTest
    cost_fraction: float


def cheapest_fitted(
    table: CandidateTable,
    goal: AccuracyGoal,
    searches: Sequence[Search],
    seed: int,
    folds: int,
    progress: Progress | None = None,
) -> tuple[Choice, tuple[CrossFit, ...]]:
    """The choice of the search with which images out of fold cost least, what it saw there first, then the others'.

    progress: in prices; those that a search does not need count as tried when the next one begins.
    """

    def advance(search: int, price: int) -> None:
        if progress:
            progress(search * len(PRICES) + price, len(searches) * len(PRICES))

    found = [
        cross_fitted(table, goal, search, seed, folds, partial(advance, index))
        for index, search in enumerate(searches)
    ]
    found.sort(key=lambda pair: pair[1].cost_fraction)
    return found[0][0], tuple(cross_fit for _, cross_fit in found)


def cross_fitted(
    table: CandidateTable,
    goal: AccuracyGoal,
    search: Search,
    seed: int,
    folds: int,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Choice, CrossFit]:
    """The policy of all images at the cheapest price at which ``goal`` is met out of fold, and what was seen there.

    advance: called with the number of prices that have been tried.
    """
    parts = fold_rows(table.images, folds, seed)
    best = CrossFit(search, folds, None, paired_test(table.correct[:, -1], table.correct[:, -1]), 1.0)
    for tried, price in enumerate(PRICES):
        advance(tried)
        found = _at_price(table, parts, price, goal.luck_credit, search)
        if not goal.is_met(found.comparison):
            break
        best = found
    if best.price is None:
        return Choice(ExitPolicy.without_exits(table.count), PRICES[0]), best
    policy = policy_at_price(Lagrangian(table, best.price, goal.luck_credit), search)
    return Choice(policy, best.price), best


def fold_rows(images: int, folds: int, seed: int) -> list[Int64s]:
    """Rows of every fold, each ascending; a seeded shuffle, sizes differ by at most one.

    >>> [len(rows) for rows in fold_rows(11, 3, seed=1)]
    [4, 4, 3]
    """
    order = np.random.default_rng([seed, _FOLD_STREAM]).permutation(images)
    return [np.sort(part) for part in np.array_split(order, folds)]


def _at_price(
    table: CandidateTable, parts: list[Int64s], price: float, luck_credit: float, search: Search
) -> CrossFit:
    """Every fold by the policy that the others choose."""
    correct = np.zeros(table.images, np.bool_)
    costs = np.zeros(table.images)
    for rows in parts:
        others = np.setdiff1d(np.arange(table.images), rows)
        policy = policy_at_price(Lagrangian(table.rows(others), price, luck_credit), search)
        outcome = apply_policy(table.rows(rows), policy)
        correct[rows], costs[rows] = outcome.correct, outcome.costs
    comparison = paired_test(table.correct[:, -1], correct)
    return CrossFit(search, len(parts), price, comparison, float(costs.mean()) / table.costs.full)
