"""The last step of the search: a small grid of thresholds around a policy that already meets the goal.

A price on accuracy only reaches the convex hull of (cost, accuracy); between its points there may be a cheaper policy
that still meets the goal. Source: early-exit design, section 3.2, step 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from archsim.exits.policy import ExitPolicy, mean_cost_fraction
from archsim.exits.tables import CandidateTable

Feasible = Callable[[ExitPolicy], bool]
_SHIFTS = (0.0025, 0.005, 0.01, 0.02, 0.04)
"""How far thresholds move, as a fraction of the images between old and new."""
_ROUNDS = 10


def refined(table: CandidateTable, policy: ExitPolicy, feasible: Feasible) -> ExitPolicy:
    """The cheapest policy found by loosening one threshold, or one while another is tightened, and again.

    Every step is to a cheaper feasible policy; ``policy`` itself where there is none.
    """
    cost = mean_cost_fraction(table, policy)
    for _ in range(_ROUNDS):
        found = policy
        for neighbour in _neighbours(table, policy):
            neighbour_cost = mean_cost_fraction(table, neighbour)
            if neighbour_cost < cost and feasible(neighbour):
                cost, found = neighbour_cost, neighbour
        if found is policy:
            return policy
        policy = found
    return policy


def _neighbours(table: CandidateTable, policy: ExitPolicy) -> Iterator[ExitPolicy]:
    for k in policy.chosen:
        for down in _SHIFTS:
            yield _shifted(table, policy, k, down)
    for loosened, tightened in permutations(policy.chosen, 2):
        for down in _SHIFTS:
            for up in _SHIFTS:
                yield _shifted(table, _shifted(table, policy, loosened, down), tightened, -up)


def _shifted(table: CandidateTable, policy: ExitPolicy, k: int, share: float) -> ExitPolicy:
    """Candidate k with the threshold moved past so many images of the table; downwards for a positive share."""
    keys = table.margin_rankings[k].keys
    threshold = policy.thresholds[k]
    assert threshold is not None
    above = int(np.searchsorted(-keys, -threshold, side="right"))
    moved = min(max(above + round(share * len(keys)), 1), len(keys))
    return policy.with_branch(k, keys[moved - 1].item(), policy.windows[k])
