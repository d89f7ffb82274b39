"""The Lagrangian of exits, and its exact minimum over one threshold with all else fixed.

J = mean(cost) / full cost - price * mean(score). Source: early-exit design, section 3.2, step 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from archsim.exits.policy import ExitPolicy, Outcome, apply_policy, reaches, runs
from archsim.exits.tables import Bools, CandidateTable, Floats


@dataclass(frozen=True)
class Line:
    """The best threshold of one candidate; gain: by how much J * N falls against the policy without it."""

    threshold: float | None
    gain: float


@dataclass(frozen=True)
class Place:
    """What images find at some candidate: who gets there, and what comes after (both do not depend on it)."""

    reached: Bools
    later: Outcome


@dataclass(frozen=True)
class Lagrangian:
    """What a policy is worth on a table.

    price: full costs that one right answer is worth. luck_credit: what an image counts that only the branch gets
    right, against 1 for one that only the full network gets right; see :class:`archsim.exits.structure.AccuracyGoal`.
    """

    table: CandidateTable
    price: float
    luck_credit: float = 1.0

    @cached_property
    def scores(self) -> Floats:
        """Worth of each exit to each image, (N, C + 1): 0 where it is as right as the full network, else -1 or credit.

        With a credit of 1 the mean is the difference of accuracies.
        """
        correct, full = self.table.correct, self.table.correct[:, -1:]
        scores: Floats = np.where(correct & ~full, self.luck_credit, 0.0) - (~correct & full)
        return scores

    @cached_property
    def values(self) -> Floats:
        """``price * scores``: in full costs."""
        values: Floats = self.price * self.scores
        return values

    def value(self, policy: ExitPolicy) -> float:
        """J of a policy; 1 without exits."""
        outcome = apply_policy(self.table, policy)
        score = np.take_along_axis(self.scores, outcome.exits[:, None], axis=1).mean()
        return float(outcome.costs.mean()) / self.table.costs.full - self.price * float(score)

    def place(self, policy: ExitPolicy, k: int) -> Place:
        """What images find at candidate k under a policy."""
        return Place(reaches(self.table, policy, k), apply_policy(self.table, policy, k + 1))

    def saved(self, place: Place, k: int) -> Floats:
        """Cost (N,), in full costs, that each image saves by leaving at k instead of going on."""
        saved: Floats = (place.later.costs - self.table.costs.trunk[k]) / self.table.costs.full
        return saved

    def exit_gains(self, place: Place, k: int) -> Floats:
        """What each image gains (N,), in full costs, by leaving at k instead of going on: cost and right answers."""
        later = np.take_along_axis(self.values, place.later.exits[:, None], axis=1)[:, 0]
        gains: Floats = self.saved(place, k) + self.values[:, k] - later
        return gains

    def line_search(self, policy: ExitPolicy, k: int, place: Place | None = None) -> Line:
        """Globally best threshold of candidate k with all else, its window included, fixed.

        The threshold is None where no threshold earns what the branch costs. place: as :meth:`place` has it.
        """
        place = self.place(policy, k) if place is None else place
        costs = self.table.costs
        running = place.reached & runs(self.table, policy, k)
        cut = self.table.margin_rankings[k].best_cut(np.where(running, self.exit_gains(place, k), 0.0))
        spent = float(costs.branch[k]) / costs.full * int(running.sum())
        if policy.windows[k] is not None:
            reached = int(place.reached.sum())
            spent += (
                float(costs.tap[k]) * (reached - int(running.sum())) + float(costs.dbp[k]) * reached
            ) / costs.full
        if cut.low is None or cut.gain <= spent:
            return Line(None, 0.0)
        return Line(cut.low, cut.gain - spent)
