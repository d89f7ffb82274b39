"""The nested dynamic programme against every path of (candidate, threshold), on tables that need not be nested."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from archsim.exits.line_search import Lagrangian
from archsim.exits.nested import nested_policy
from archsim.exits.policy import ExitPolicy
from archsim.exits.tables import CandidateTable
from tests.exit_tables import costs_of, synthetic_table

State = tuple[int, int]
"""A candidate and its threshold."""


def grid(table: CandidateTable, k: int, thresholds: int) -> list[int]:
    """So many quantiles of the distinct margins, the smallest and the largest among them."""
    distinct = sorted(set(table.margins[:, k].tolist()))
    if len(distinct) <= thresholds:
        return distinct
    return [distinct[round(i * (len(distinct) - 1) / (thresholds - 1))] for i in range(thresholds)]


def paths(table: CandidateTable, thresholds: int, limit: int) -> Iterator[tuple[State, ...]]:
    """At most ``limit`` states at ascending positions, each of which lets no fewer images go than the one before."""
    states = [(k, t) for k in range(table.count) for t in grid(table, k, thresholds)]
    for length in range(1, limit + 1):
        for path in itertools.combinations(states, length):
            places = [int(table.positions[k]) for k, _ in path]
            leaving = [int((table.margins[:, k] >= t).sum()) for k, t in path]
            if all(a < b for a, b in itertools.pairwise(places)) and leaving == sorted(leaving):
                yield path


def assumed(lagrangian: Lagrangian, path: Sequence[State]) -> float:
    """J of a path if who stays at one branch had stayed at all before it: image by image."""
    table, costs = lagrangian.table, lagrangian.table.costs
    total = 0.0
    for image in range(table.images):
        cost, score, stayed_before = costs.full, 0.0, True
        for k, threshold in path:
            if stayed_before:
                cost += costs.branch[k]
                if table.margins[image, k] >= threshold:
                    cost -= costs.full - costs.trunk[k]
                    right, full_right = table.correct[image, k], table.correct[image, -1]
                    score += (lagrangian.luck_credit if right else -1.0) if right != full_right else 0.0
            stayed_before = bool(table.margins[image, k] < threshold)
        total += cost / costs.full - lagrangian.price * score
    return total / table.images


@pytest.mark.parametrize(
    ("positions", "structures", "margin_step", "thresholds", "limit"),
    [(3, 1, 10, 4, None), (3, 1, 10, 3, 2), (2, 2, 6, 3, None), (2, 2, 6, 5, 1), (4, 1, 16, 2, 3)],
)
@pytest.mark.parametrize("seed", range(6))
def test_the_programme_equals_every_path(
    seed: int, positions: int, structures: int, margin_step: int, thresholds: int, limit: int | None
) -> None:
    table = synthetic_table(seed, 9, positions, structures=structures)
    branch = np.linspace(1, 9, table.count)
    table = replace(
        table, margins=table.margins // margin_step, costs=replace(table.costs, branch=branch)
    ).checked()
    lagrangian = Lagrangian(table, 3.0, 0.5)
    found = nested_policy(lagrangian, thresholds, limit)
    best = min(assumed(lagrangian, path) for path in paths(table, thresholds, limit or table.count))
    assert found.assumed_value == pytest.approx(min(best, 1.0), abs=1e-12)
    policy = found.policy.checked(table)
    path = [(k, int(policy.thresholds[k] or 0)) for k in policy.chosen]
    assert assumed(lagrangian, path) == pytest.approx(found.assumed_value, abs=1e-12)


def test_a_path_that_gains_nothing_is_not_taken() -> None:
    """One of two images saves half of the network, the branch costs a quarter of it for both."""
    right = np.ones((2, 2), bool)
    margins = np.array([[5], [1]])
    table = CandidateTable(
        ("a",), ("gap",), np.array([0]), margins, margins, right, costs_of([512], 256, full=1024)
    ).checked()
    table.correct[1, 0] = False
    found = nested_policy(Lagrangian(table, 10.0))
    assert (found.policy.thresholds, found.assumed_value) == ((None,), 1.0)
    cheaper = table.with_costs(costs_of([512], 255, full=1024))
    found = nested_policy(Lagrangian(cheaper, 10.0))
    assert (found.policy.thresholds, found.assumed_value) == ((5,), 1 - 1 / 1024)


@pytest.mark.parametrize("max_branches", [None, 2])
def test_without_candidates_there_is_no_path(max_branches: int | None) -> None:
    nothing = np.zeros((3, 0), np.int64)
    table = CandidateTable(
        (), (), np.zeros(0, np.int64), nothing, nothing, np.ones((3, 1), bool), costs_of([], 1)
    ).checked()
    found = nested_policy(Lagrangian(table, 1.0), max_branches=max_branches)
    assert (found.policy, found.assumed_value) == (ExitPolicy((), ()), 1.0)


def test_twenty_thresholds_a_candidate_unless_told_otherwise() -> None:
    lagrangian = Lagrangian(synthetic_table(3, 400, 2), 1.0, 0.5)
    default, fewer, twenty, more = (
        nested_policy(lagrangian, *asked).assumed_value for asked in ((), (19,), (20,), (21,))
    )
    assert default == twenty and twenty not in (fewer, more)
