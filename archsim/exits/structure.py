"""Branch structure determination: which candidates to keep and at which thresholds.

Minimises the mean cost subject to an accuracy on the images of the table. With a price on accuracy the problem falls
apart into exact line searches; candidates are inserted greedily, exchanged and deleted, thresholds swept; the price is
bisected until the accuracy is met; a grid around the result takes what the convex hull leaves.
Source: early-exit design, section 3.2, steps 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from archsim.exits.dbp import DbpKind, best_window, with_windows
from archsim.exits.grid import refined
from archsim.exits.line_search import Lagrangian, Place
from archsim.exits.nested import nested_policy
from archsim.exits.policy import ExitPolicy, apply_policy, mean_cost_fraction
from archsim.exits.tables import CandidateTable
from archsim.functional.statistics import ONE_SIDED_95, PairedTest, paired_test
from archsim.progress import Progress

_SWEEPS = 12
_BISECTIONS = 24
_LARGEST_PRICE = 1e4
_SMALLEST_PRICE = 1e-3
_ROUNDING = 1e-9
"""Differences of J that are no improvement."""


@dataclass(frozen=True)
class AccuracyGoal:
    """How accurate a policy must be on the table, and what accuracy is worth while it is searched for.

    max_loss: policy minus full network must not be below minus this fraction, less so many ``standard_errors`` of the
    paired difference (1.64: the one-sided 95 % bound). luck_credit: what an image counts that only the branch gets
    right, against 1 for one that only the full network gets right. Below 1 the search avoids exits that win and lose
    in equal numbers: their balance on the table is mostly luck, and does not repeat on other images.
    """

    max_loss: float
    luck_credit: float = 0.5
    standard_errors: float = ONE_SIDED_95

    def is_met(self, comparison: PairedTest) -> bool:
        """Whether a comparison (full network first) keeps the loss with the asked certainty."""
        return comparison.delta - self.standard_errors * comparison.se >= -self.max_loss


@dataclass(frozen=True)
class Search:
    """How policies are searched.

    method ``greedy``: insert the best candidate, sweep, exchange, delete, until J improves by less than ``epsilon``;
    from no branch, from the result of ``sweep`` and from the nested programme, because each start alone ends in local
    optima (on synthetic tables of three branches up to 2 % of the full cost above the exhaustive one, together 0.4 %).
    ``sweep``: line searches over all candidates, back to front, from none on. max_branches: of ``greedy``; None: any.
    dbp: kind of DBP bounds; ``greedy`` chooses them for the branches that it found, sweeps thresholds, and both again
    as long as J falls.
    epsilon: in full costs; a DBP bound has to save more, with either method. grid: whether thresholds are refined
    around the bisected price.
    """

    method: Literal["greedy", "sweep"] = "greedy"
    max_branches: int | None = None
    dbp: DbpKind = "one_sided"
    epsilon: float = 2e-4
    grid: bool = True


SWEEP = Search("sweep", grid=False)
"""One structure a position, every branch welcome: what training uses."""


def compare(table: CandidateTable, policy: ExitPolicy) -> PairedTest:
    """The full network (first) against a policy (second) on the images of the table."""
    return paired_test(table.correct[:, -1], apply_policy(table, policy).correct)


@dataclass(frozen=True)
class Choice:
    """A policy, and the price of accuracy (in full costs) between those that met the goal and those that did not."""

    policy: ExitPolicy
    price: float


def choose_policy(table: CandidateTable, goal: AccuracyGoal, search: Search | None = None) -> ExitPolicy:
    """The cheapest policy found that meets ``goal`` on the images of the table; without exits where none does."""
    return choose(table, goal, search or Search()).policy


def choose(
    table: CandidateTable, goal: AccuracyGoal, search: Search, progress: Progress | None = None
) -> Choice:
    """As :func:`choose_policy`, with the price that the bisection ended at. progress: in prices tried."""
    best = ExitPolicy.without_exits(table.count)
    low, high = np.log(_SMALLEST_PRICE), np.log(_LARGEST_PRICE)
    for step in range(_BISECTIONS):
        if progress:
            progress(step, _BISECTIONS)
        price = (low + high) / 2
        policy = policy_at_price(Lagrangian(table, float(np.exp(price)), goal.luck_credit), search)
        if goal.is_met(compare(table, policy)):
            high = price
            best = min(best, policy, key=lambda found: mean_cost_fraction(table, found))
        else:
            low = price
    if search.grid:
        best = refined(table, best, lambda found: goal.is_met(compare(table, found)))
    return Choice(best, float(np.exp(high)))


def policy_at_price(lagrangian: Lagrangian, search: Search) -> ExitPolicy:
    """A policy of small J, by ``search.method``."""
    none = ExitPolicy.without_exits(lagrangian.table.count)
    everything = tuple(range(lagrangian.table.count))
    if search.method == "sweep":
        return swept(lagrangian, none, search, everything)
    nested = nested_policy(lagrangian, max_branches=search.max_branches).policy
    policy = min(
        (
            _improved(lagrangian, start, search)
            for start in (
                none,
                _within(lagrangian, swept(lagrangian, none, search, everything), search),
                nested,
            )
        ),
        key=lagrangian.value,
    )
    return policy if search.dbp == "none" else _pruned(lagrangian, policy, search)


def _pruned(lagrangian: Lagrangian, policy: ExitPolicy, search: Search) -> ExitPolicy:
    """DBP bounds and the thresholds that suit them, both again as long as J falls."""
    while True:
        found = with_windows(lagrangian, policy, search.dbp, search.epsilon)
        found = swept(lagrangian, found, search, found.chosen)
        if lagrangian.value(found) > lagrangian.value(policy) - _ROUNDING:
            return policy
        policy = found


def _within(lagrangian: Lagrangian, policy: ExitPolicy, search: Search) -> ExitPolicy:
    """The policy less the branches whose loss hurts least, until there are ``search.max_branches``."""
    limit = lagrangian.table.count if search.max_branches is None else search.max_branches
    while len(policy.chosen) > limit:
        policy = min((policy.without(k) for k in policy.chosen), key=lagrangian.value)
    return policy


def swept(
    lagrangian: Lagrangian, policy: ExitPolicy, search: Search, candidates: tuple[int, ...]
) -> ExitPolicy:
    """Coordinate sweeps of line searches over ``candidates``, back to front, until J stays.

    Back to front, so that from no branch at all each one finds the later ones in place. A candidate that earns less
    than it costs goes; one whose position another one fills is left out.
    """
    best, best_value = policy, np.inf
    positions = lagrangian.table.positions
    for _ in range(_SWEEPS):
        for k in reversed(candidates):
            if any(positions[other] == positions[k] for other in policy.chosen if other != k):
                continue
            window = policy.windows[k]
            policy = policy.with_branch(k, lagrangian.line_search(policy, k).threshold, window)
            if search.dbp != "none" and policy.thresholds[k] is not None and search.method == "sweep":
                window = best_window(lagrangian, policy, k, search.dbp, search.epsilon)
                policy = policy.with_window(k, window)
        value = lagrangian.value(policy)
        if value <= best_value:
            best = policy
        if value >= best_value - _ROUNDING:
            return best
        best_value = value
    return best


def _improved(lagrangian: Lagrangian, policy: ExitPolicy, search: Search) -> ExitPolicy:
    """Line searches, insertion, exchange and deletion until none of them improves J by ``search.epsilon``."""
    policy = swept(lagrangian, policy, search, policy.chosen)
    value = lagrangian.value(policy)
    least = max(search.epsilon, _ROUNDING)
    limit = lagrangian.table.count if search.max_branches is None else search.max_branches
    while True:
        proposals = [_with_best_insertion(lagrangian, policy, search)] if len(policy.chosen) < limit else []
        found = _best(lagrangian, proposals)
        if found is None or found[0] > value - least:
            shortened = [policy.without(k) for k in policy.chosen]
            proposals = [swept(lagrangian, rest, search, rest.chosen) for rest in shortened]
            proposals += [_with_best_insertion(lagrangian, rest, search) for rest in shortened]
            found = _best(lagrangian, proposals)
            # A branch fewer is welcome at equal J; anything else must improve it, so that the loop ends.
            if found is None or found[0] > (
                value if len(found[1].chosen) < len(policy.chosen) else value - least
            ):
                return policy
        value, policy = found


def _best(lagrangian: Lagrangian, policies: list[ExitPolicy]) -> tuple[float, ExitPolicy] | None:
    """(J, policy) of least J, of equal ones the one with the fewest branches."""
    valued = [(lagrangian.value(policy), policy) for policy in policies]
    return min(valued, key=lambda pair: (pair[0], len(pair[1].chosen)), default=None)


def _with_best_insertion(lagrangian: Lagrangian, policy: ExitPolicy, search: Search) -> ExitPolicy:
    """The policy with the candidate whose line search gains most, then swept; the policy itself if none gains."""
    table = lagrangian.table
    filled = {int(table.positions[k]) for k in policy.chosen}
    best_gain, best = 0.0, policy
    places: dict[int, Place] = {}
    for k in range(table.count):
        if int(table.positions[k]) in filled:
            continue
        # Candidates between the same two branches find the same images.
        gap = sum(other < k for other in policy.chosen)
        if gap not in places:
            places[gap] = lagrangian.place(policy, k)
        line = lagrangian.line_search(policy, k, places[gap])
        if line.gain > best_gain:
            best_gain, best = line.gain, policy.with_branch(k, line.threshold)
    return best if best is policy else swept(lagrangian, best, search, best.chosen)
