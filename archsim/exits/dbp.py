"""Dynamic branch pruning (DBP): for which magnitude sums it pays to run a branch at all.

An image earns what it saves by leaving, and pays for the branch wherever that runs. Right answers have no price here:
DBP is there to save what a branch costs; let it trade accuracy too, and on CIFAR-10 it fits the noise of the table,
which shows as a loss on other images. Source: early-exit design, section 3.3.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy, Window
from archsim.exits.ranking import Cut, Keys
from archsim.exits.tables import Bools, Floats

DbpKind = Literal["none", "one_sided", "two_sided"]


def best_window(
    lagrangian: Lagrangian, policy: ExitPolicy, k: int, kind: DbpKind, least: float = 0.0
) -> Window | None:
    """Best window of candidate k, which is there, with all else fixed; None where pruning does not pay.

    least: by how much the mean cost has to fall, in full costs.

    ``one_sided`` bounds the sum from below: the best suffix of the images in the order of their sums. ``two_sided``
    also looks for the best window, and takes it if it gains more than one standard error over the one-sided bound.
    """
    if kind == "none":
        return None
    gains = run_gains(lagrangian, policy, k)
    table = lagrangian.table
    reached = int(lagrangian.place(policy, k).reached.sum())
    decision_cost = float(table.costs.dbp[k]) / table.costs.full * reached
    ranking = table.sum_rankings[k]
    suffix = ranking.best_cut(gains)
    chosen = suffix
    if kind == "two_sided":
        window = ranking.best_window(gains)
        differ = _inside(window, table.magnitude_sums[:, k]) != _inside(suffix, table.magnitude_sums[:, k])
        if window.gain - suffix.gain > math.sqrt(float((gains[differ] ** 2).sum())):
            chosen = window
    if chosen.low is None or chosen.gain - chosen.total_gain - decision_cost <= least * table.images:
        return None
    return Window(chosen.low, chosen.high)


def run_gains(lagrangian: Lagrangian, policy: ExitPolicy, k: int) -> Floats:
    """What running candidate k instead of skipping it earns for each image (N,), in full costs; 0 if it has left."""
    table, place = lagrangian.table, lagrangian.place(policy, k)
    threshold = policy.thresholds[k]
    assert threshold is not None
    price = float(table.costs.branch[k] - table.costs.tap[k]) / table.costs.full
    leaving = table.margins[:, k] >= threshold
    gains: Floats = np.where(place.reached, leaving * lagrangian.saved(place, k) - price, 0.0)
    return gains


def _inside(cut: Cut, sums: Keys) -> Bools:
    if cut.low is None:
        return np.zeros(len(sums), np.bool_)
    return Window(cut.low, cut.high).holds(sums)


def with_windows(lagrangian: Lagrangian, policy: ExitPolicy, kind: DbpKind, least: float = 0.0) -> ExitPolicy:
    """The policy with the best window of each of its branches, front to back. least: as :func:`best_window` has it."""
    for k in policy.chosen:
        policy = policy.with_window(k, best_window(lagrangian, policy, k, kind, least))
    return policy
