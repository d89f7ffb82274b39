"""A network that is shorter for every image: the control that tells what exits gain over a trunk that just ends early.

Every branch could be the end of the trunk. Of those that keep the accuracy, by the goal that exits have to keep too,
the cheapest is taken. Nothing is fitted to the images but this one choice among few, so no image is held back for it:
what luck it brings is the control's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from archsim.exits.policy import ExitPolicy, apply_policy, mean_cost_fraction
from archsim.exits.structure import AccuracyGoal, compare
from archsim.exits.tables import CandidateTable
from archsim.network.graph import Network
from archsim.results.paired import PairedAccuracy


@dataclass(frozen=True)
class Cut:
    """The trunk ended by one branch, on the images that choose.

    cost_fraction: of the network as it was. paired: that network is the first classifier, the shorter one the second.
    met: whether it costs less and keeps the accuracy.
    """

    name: str
    after: str
    structure: str
    cost_fraction: float
    accuracy: float
    paired: PairedAccuracy
    met: bool


def cuts(network: Network, table: CandidateTable, goal: AccuracyGoal) -> tuple[Cut, ...]:
    """One a candidate, the cheapest first. network, table: of all candidates."""
    found = [_cut(network, table, goal, k) for k in range(table.count)]
    return tuple(sorted(found, key=lambda cut: cut.cost_fraction))


def shortest(found: tuple[Cut, ...]) -> Cut | None:
    """The cheapest that meets the goal, None where none does."""
    return next((cut for cut in found if cut.met), None)


def _cut(network: Network, table: CandidateTable, goal: AccuracyGoal, k: int) -> Cut:
    everyone_leaves = ExitPolicy.without_exits(table.count).with_branch(k, -math.inf)
    comparison, cost = compare(table, everyone_leaves), mean_cost_fraction(table, everyone_leaves)
    return Cut(
        name=table.names[k],
        after=network.branches[k].after,
        structure=table.structures[k],
        cost_fraction=cost,
        accuracy=float(apply_policy(table, everyone_leaves).correct.mean()),
        paired=PairedAccuracy.of(comparison),
        met=cost < 1 and goal.is_met(comparison),
    )
