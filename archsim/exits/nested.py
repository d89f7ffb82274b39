"""Cross-check of the greedy search: a dynamic programme that is exact where exits are nested.

Nested: an image that leaves at one branch would also leave at every later one. Then who is left behind a branch
depends on that branch alone, and the best policy is a longest path over (candidate, threshold). Real margins are nearly
nested; polish what comes out with :func:`archsim.exits.structure.swept`. DBP is left out.
Source: early-exit design, section 3.2, "optional DP".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy
from archsim.exits.ranking import Keys
from archsim.exits.tables import CandidateTable, Floats


@dataclass(frozen=True)
class NestedPolicy:
    """The best path, and the J that it has if exits are nested (:meth:`Lagrangian.value` tells the real one)."""

    policy: ExitPolicy
    assumed_value: float


@dataclass(frozen=True)
class _State:
    """One candidate at one threshold."""

    candidate: int
    threshold: float


def nested_policy(
    lagrangian: Lagrangian, thresholds: int = 20, max_branches: int | None = None
) -> NestedPolicy:
    """The policy of least J under nesting, over ``thresholds`` quantiles of the margins of each candidate.

    O(C^2 * (N + thresholds^2)) by histograms of pairs; all distinct margins are tried where there are no more.
    """
    table = lagrangian.table
    grids = [_grid(table, k, thresholds) for k in range(table.count)]
    states = [_State(k, threshold.item()) for k, grid in enumerate(grids) for threshold in grid]
    longest = len(np.unique(table.positions))
    limit = longest if max_branches is None else min(max_branches, longest)
    # gains[s]: best gain of a path of so many branches that ends in state s.
    gains, between = _path_gains(lagrangian, grids)
    came_from: list[npt.NDArray[np.int64]] = []
    best = (0.0, ExitPolicy.without_exits(table.count))
    for _ in range(limit):
        end = int(gains.argmax())
        if gains[end] > best[0]:
            best = (float(gains[end]), _policy(table, states, came_from, end))
        through = gains[:, None] + between
        came_from.append(through.argmax(axis=0))
        gains = through.max(axis=0)
    return NestedPolicy(best[1], 1 - best[0] / table.images)


def _grid(table: CandidateTable, k: int, thresholds: int) -> Keys:
    """Ascending thresholds of one candidate: quantiles of its distinct margins."""
    distinct = np.unique(table.margins[:, k])
    picked = np.unique(np.linspace(0, len(distinct) - 1, min(thresholds, len(distinct))).round().astype(int))
    grid: Keys = distinct[picked]
    return grid


def _path_gains(lagrangian: Lagrangian, grids: list[Keys]) -> tuple[Floats, Floats]:
    """What a state gains against the full network, in full costs over all images: as the first, and behind another.

    first (S,); between (S, S), row before column, -inf where the column cannot follow the row.
    """
    table, costs = lagrangian.table, lagrangian.table.costs
    starts = np.cumsum([0, *(len(grid) for grid in grids)])
    first, between = np.empty(starts[-1]), np.full((starts[-1], starts[-1]), -np.inf)
    # Grade of an image at a candidate: how many thresholds of the grid let it go. Some image has the highest grade.
    grades = [np.searchsorted(grid, table.margins[:, k], side="right") for k, grid in enumerate(grids)]
    worth = (costs.full - costs.trunk) / costs.full + lagrangian.values[:, :-1]
    for k, grid in enumerate(grids):
        states, size, price = slice(starts[k], starts[k + 1]), len(grid) + 1, costs.branch[k] / costs.full
        first[states] = _leaving(np.bincount(grades[k], worth[:, k])) - price * table.images
        leaving = _leaving(np.bincount(grades[k]))
        for j in range(int(np.searchsorted(table.positions, table.positions[k]))):
            rows = len(grids[j]) + 1
            pairs = grades[j] * size + grades[k]
            gains = np.bincount(pairs, worth[:, k], rows * size).reshape(rows, size).cumsum(axis=0)[:-1]
            staying = np.bincount(grades[j]).cumsum()[:-1]
            # Later positions at which no fewer images leave: what nesting asks of counts.
            follows = (table.images - staying)[:, None] <= leaving
            found = _leaving(gains) - price * staying[:, None]
            between[starts[j] : starts[j + 1], states] = np.where(follows, found, -np.inf)
    return first, between


def _leaving(by_grade: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums over the images that each threshold lets go, from sums by grade in the last axis."""
    sums: npt.NDArray[Any] = by_grade[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
    return sums


def _policy(
    table: CandidateTable, states: list[_State], came_from: list[npt.NDArray[np.int64]], end: int
) -> ExitPolicy:
    path = [states[end]]
    for origins in reversed(came_from):
        end = int(origins[end])
        path.append(states[end])
    policy = ExitPolicy.without_exits(table.count)
    for state in path:
        policy = policy.with_branch(state.candidate, state.threshold)
    return policy
