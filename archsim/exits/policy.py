"""A choice of branches with thresholds and DBP bounds, and what it does to the images of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from archsim.errors import InvalidInput, Problem
from archsim.exits.ranking import Keys
from archsim.exits.tables import Bools, CandidateTable, Floats, Int64s

T = TypeVar("T")


@dataclass(frozen=True)
class Window:
    """Bounds of dynamic branch pruning (DBP): a branch runs iff low <= magnitude sum <= high (None: no bound)."""

    low: float
    high: float | None = None

    def holds(self, sums: Keys) -> Bools:
        """For which images the branch runs."""
        inside: Bools = sums >= self.low
        return inside if self.high is None else inside & (sums <= self.high)


@dataclass(frozen=True)
class ExitPolicy:
    """Per candidate the threshold (None: the branch is not there) and the window of DBP (None: always runs)."""

    thresholds: tuple[float | None, ...]
    windows: tuple[Window | None, ...]

    @classmethod
    def without_exits(cls, count: int) -> ExitPolicy:
        """None of ``count`` candidates."""
        return cls((None,) * count, (None,) * count)

    @property
    def chosen(self) -> tuple[int, ...]:
        """Indexes of the candidates that are there, ascending."""
        return tuple(k for k, threshold in enumerate(self.thresholds) if threshold is not None)

    def with_branch(self, k: int, threshold: float | None, window: Window | None = None) -> ExitPolicy:
        """Candidate k with this threshold and window; a threshold of None removes it."""
        window = None if threshold is None else window
        return ExitPolicy(_replaced(self.thresholds, k, threshold), _replaced(self.windows, k, window))

    def without(self, k: int) -> ExitPolicy:
        """The policy less candidate k."""
        return self.with_branch(k, None)

    def with_window(self, k: int, window: Window | None) -> ExitPolicy:
        """Candidate k with another window."""
        return replace(self, windows=_replaced(self.windows, k, window))

    def checked(self, table: CandidateTable) -> ExitPolicy:
        """The policy itself. Raises InvalidInput where it does not fit the table or fills a position twice."""
        problems = []
        if len(self.thresholds) != table.count or len(self.windows) != table.count:
            found = f"{len(self.thresholds)} thresholds and {len(self.windows)} windows"
            problems.append(Problem("policy", "", f"found {found}, expected {table.count} of each"))
        elif len({int(table.positions[k]) for k in self.chosen}) < len(self.chosen):
            names = ", ".join(table.names[k] for k in self.chosen)
            problems.append(Problem("policy", "", f"found two branches at one position among {names}"))
        if problems:
            raise InvalidInput(problems)
        return self


@dataclass(frozen=True)
class Outcome:
    """What a policy does to each image, from some candidate on; arrays (N,).

    exits: int64, index of the candidate at which it leaves, C at the end of the trunk. costs: float64, of the whole
    image in the unit of the table, less the branches before the first one looked at. correct: bool.
    """

    exits: Int64s
    costs: Floats
    correct: Bools


def runs(table: CandidateTable, policy: ExitPolicy, k: int) -> Bools:
    """Images (bool (N,)) for which DBP lets candidate k run, if they get there."""
    window = policy.windows[k]
    return np.ones(table.images, np.bool_) if window is None else window.holds(table.magnitude_sums[:, k])


def leaves(table: CandidateTable, policy: ExitPolicy, k: int) -> Bools:
    """Images (bool (N,)) that leave at candidate k, if they get there."""
    threshold = policy.thresholds[k]
    if threshold is None:
        return np.zeros(table.images, np.bool_)
    return runs(table, policy, k) & (table.margins[:, k] >= threshold)


def reaches(table: CandidateTable, policy: ExitPolicy, k: int) -> Bools:
    """Images (bool (N,)) that no candidate before k lets go."""
    alive = np.ones(table.images, np.bool_)
    for earlier in policy.chosen:
        if earlier < k:
            alive &= ~leaves(table, policy, earlier)
    return alive


def apply_policy(table: CandidateTable, policy: ExitPolicy, first: int = 0) -> Outcome:
    """Runs every image from candidate ``first`` on; earlier candidates count as absent."""
    costs = table.costs
    exits = np.full(table.images, table.count, np.int64)
    spent = np.full(table.images, float(costs.full))
    for k in reversed([k for k in policy.chosen if k >= first]):
        leaving = leaves(table, policy, k)
        exits[leaving] = k
        spent[leaving] = costs.trunk[k]
        if policy.windows[k] is None:
            spent += costs.branch[k]
        else:
            spent += np.where(runs(table, policy, k), costs.branch[k], costs.tap[k]) + costs.dbp[k]
    return Outcome(exits, spent, table.correct[np.arange(table.images), exits])


def mean_cost_fraction(table: CandidateTable, policy: ExitPolicy) -> float:
    """Mean cost of an image as a fraction of the full network's."""
    return float(apply_policy(table, policy).costs.mean()) / table.costs.full


def _replaced(values: tuple[T, ...], k: int, value: T) -> tuple[T, ...]:
    return (*values[:k], value, *values[k + 1 :])
