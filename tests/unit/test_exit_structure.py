"""Steps of the search for branches, one by one: goal, price, sweep, insertion, exchange and deletion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from archsim.exits import structure
from archsim.exits.dbp import with_windows
from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy
from archsim.exits.structure import (
    SWEEP,
    AccuracyGoal,
    Search,
    _improved,
    _with_best_insertion,
    _within,
    choose,
    choose_policy,
    policy_at_price,
    swept,
)
from archsim.exits.tables import CandidateTable
from archsim.functional.statistics import PairedTest
from tests.exit_tables import costs_of, synthetic_table

CREDIT = 0.5
GREEDY = Search(dbp="none", epsilon=0)


def table_of(
    margins: Sequence[Sequence[int]],
    right: Sequence[Sequence[int]],
    trunk: Sequence[float],
    branch: Sequence[float],
) -> CandidateTable:
    """margins, right: one row a candidate, right without the full network, which always is."""
    array, correct = np.array(margins).T, np.array(right, bool).T
    names = tuple("abc"[: len(trunk)])
    costs = replace(costs_of(trunk, 0), branch=np.array(branch, float))
    everyone = np.column_stack([correct, np.ones(len(array), bool)])
    return CandidateTable(names, names, np.arange(len(names)), array, array, everyone, costs).checked()


@pytest.mark.parametrize(
    ("delta", "standard_error", "goal", "met"),
    [
        (-0.25, 0.0, AccuracyGoal(0.25), True),
        (-0.2501, 0.0, AccuracyGoal(0.25), False),
        (0.0, 0.125, AccuracyGoal(0.25, standard_errors=2.0), True),
        (0.0, 0.126, AccuracyGoal(0.25, standard_errors=2.0), False),
        (0.25, 0.5, AccuracyGoal(0.25, standard_errors=1.0), True),
        (0.2, 0.5, AccuracyGoal(0.25, standard_errors=1.0), False),
    ],
)
def test_a_goal_bounds_the_loss_less_its_standard_errors(
    delta: float, standard_error: float, goal: AccuracyGoal, met: bool
) -> None:
    assert goal.is_met(PairedTest(100, 0, 0, delta, standard_error, 0.0, 1.0)) is met


def test_what_is_searched_unless_told_otherwise() -> None:
    assert AccuracyGoal(0.01) == AccuracyGoal(0.01, luck_credit=0.5, standard_errors=1.6448536269514722)
    assert Search() == Search("greedy", None, "one_sided", 2e-4, grid=True)
    assert replace(SWEEP, dbp="none") == Search("sweep", None, "none", 2e-4, grid=False)
    assert SWEEP.dbp == "one_sided"
    goal = AccuracyGoal(0.0, standard_errors=0)
    assert choose_policy(TEN, goal).chosen == (0,)
    assert choose_policy(TEN, goal, Search(max_branches=0)).chosen == ()


TEN = table_of([range(10, 0, -1)], [[1] * 6 + [0] * 4], [400], [100])
"""Six of ten images are right at the branch and save 0.6 each, which costs 0.1 for all; the others save as much."""


@pytest.mark.parametrize(
    ("max_loss", "price", "threshold"),
    [
        (0.0, 0.6, 5),  # at 0.6 a wrong answer is worth what it saves
        (0.4, 1e-3 * 1e7 ** (2.0**-24), 1),  # even the smallest price keeps this: 24 halvings towards 1e-3
        (-0.1, 1e4, None),  # no price does, the search ends where it began
    ],
)
def test_the_price_ends_between_what_meets_the_goal_and_what_does_not(
    max_loss: float, price: float, threshold: int | None
) -> None:
    choice = choose(TEN, AccuracyGoal(max_loss, standard_errors=0), replace(GREEDY, grid=False))
    assert choice.policy.thresholds == (threshold,)
    assert choice.price == pytest.approx(price, rel=1e-6 if threshold == 5 else 1e-9)


def test_the_grid_is_left_out_where_it_is_not_asked_for() -> None:
    """A price lets all of 40 wrong answers go or none; the grid finds the two of a hundred that may."""
    table = table_of([range(100, 0, -1)], [[1] * 60 + [0] * 40], [400], [100])
    goal = AccuracyGoal(0.02, standard_errors=0)
    thresholds = [choose(table, goal, replace(GREEDY, grid=grid)).policy.thresholds for grid in (False, True)]
    assert thresholds == [(41,), (39,)]


@pytest.mark.parametrize("method", ["greedy", "sweep"])
def test_branches_are_pruned_where_that_is_asked_for(method: str) -> None:
    lagrangian = Lagrangian(synthetic_table(3, 150, 2, branch=30), 4.0, CREDIT)
    search = Search("greedy" if method == "greedy" else "sweep")
    pruned, plain = (policy_at_price(lagrangian, replace(search, dbp=dbp)) for dbp in ("one_sided", "none"))
    assert any(pruned.windows) and not any(plain.windows) and plain.chosen
    assert lagrangian.value(pruned) < lagrangian.value(plain)


@pytest.mark.parametrize("seed, branch, kept", [(1, 60, 1), (3, 60, 0), (7, 30, 1), (8, 30, 1)])
def test_windows_and_thresholds_follow_each_other_while_that_pays(
    seed: int, branch: float, kept: int
) -> None:
    """Two rounds may lead back to a policy without bounds, and the first may not pay: the best one is kept."""
    lagrangian, search = Lagrangian(synthetic_table(seed, 150, 2, branch=branch), 8.0, CREDIT), Search()
    rounds = [policy_at_price(lagrangian, replace(search, dbp="none"))]
    for _ in range(3):
        policy = with_windows(lagrangian, rounds[-1], "one_sided", search.epsilon)
        rounds.append(swept(lagrangian, policy, search, policy.chosen))
    assert policy_at_price(lagrangian, search) == rounds[kept] == min(rounds, key=lagrangian.value)


@pytest.mark.parametrize("seed", range(8))
def test_a_sweep_ends_where_no_threshold_improves(seed: int) -> None:
    table = synthetic_table(seed, 40, 4, branch=2)
    lagrangian, none = Lagrangian(table, 3.0, CREDIT), ExitPolicy.without_exits(4)
    policy = swept(lagrangian, none, GREEDY, (0, 1, 2, 3))
    found = lagrangian.value(policy)
    for k, threshold in itertools.product(range(4), range(-60, 60)):
        assert lagrangian.value(policy.with_branch(k, threshold)) >= found - 1e-12
    assert policy_at_price(lagrangian, replace(SWEEP, dbp="none")) == policy


@pytest.mark.parametrize("seed", [0, 2, 6])
def test_a_sweep_goes_on_while_thresholds_improve(seed: int) -> None:
    """On tables on which the third round still finds something."""
    lagrangian = Lagrangian(synthetic_table(seed, 40, 6, branch=2), 3.0, CREDIT)
    policy = swept(lagrangian, ExitPolicy.without_exits(6), GREEDY, tuple(range(6)))
    assert swept(lagrangian, policy, GREEDY, tuple(range(6))) == policy


@pytest.mark.parametrize(("seed", "best"), [(1, 0), (3, 1)])
def test_a_sweep_keeps_its_best_round(monkeypatch: pytest.MonkeyPatch, seed: int, best: int) -> None:
    """Windows save costs whatever answers are worth, and so may raise J."""
    lagrangian = Lagrangian(synthetic_table(seed, 40, 2, branch=30), 3.0, CREDIT)
    none, rounds = ExitPolicy.without_exits(2), []
    found = swept(lagrangian, none, SWEEP, (0, 1))
    monkeypatch.setattr(structure, "_SWEEPS", 1)
    for _ in range(best + 2):
        rounds.append(swept(lagrangian, rounds[-1] if rounds else none, SWEEP, (0, 1)))
    assert lagrangian.value(rounds[-1]) > lagrangian.value(rounds[best])
    assert found == rounds[best]


def test_a_sweep_leaves_filled_positions_and_goes_on_before_them() -> None:
    table = synthetic_table(5, 300, 3, structures=2)
    for filled in (2, 3):
        start = ExitPolicy.without_exits(6).with_branch(filled, 5)
        policy = swept(Lagrangian(table, 2.0, CREDIT), start, GREEDY, tuple(range(6))).checked(table)
        places = [k // 2 for k in policy.chosen]
        assert places == [0, 1, 2] and filled in policy.chosen
        assert policy.thresholds[filled] != 5, "its own threshold moves"


def test_a_sweep_keeps_to_its_candidates() -> None:
    lagrangian = Lagrangian(synthetic_table(5, 300, 3), 2.0, CREDIT)
    assert swept(lagrangian, ExitPolicy.without_exits(3), GREEDY, (1,)).chosen == (1,)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_inserted_gains_most_before_anything_else_moves(seed: int) -> None:
    table = synthetic_table(seed, 25, 3, structures=2)
    lagrangian = Lagrangian(replace(table, margins=table.margins // 4), 2.0, CREDIT)
    for start in (
        ExitPolicy.without_exits(6),
        ExitPolicy.without_exits(6).with_branch(0, 6),
        ExitPolicy.without_exits(6).with_branch(3, 5),
        ExitPolicy.without_exits(6).with_branch(1, 6).with_branch(5, 4),
    ):
        filled = {k // 2 for k in start.chosen}
        options = [
            (lagrangian.value(start.with_branch(k, threshold)), k, threshold)
            for k in range(6)
            if k // 2 not in filled
            for threshold in np.unique(lagrangian.table.margins[:, k]).tolist()
        ]
        value, k, threshold = min(options)
        assert value < lagrangian.value(start)
        inserted = start.with_branch(k, threshold)
        expected = lagrangian.value(swept(lagrangian, inserted, GREEDY, inserted.chosen))
        found = _with_best_insertion(lagrangian, start, GREEDY)
        assert lagrangian.value(found) == pytest.approx(expected, abs=1e-12)


def test_what_gains_nothing_is_not_inserted() -> None:
    """A gain of 0.2 full costs, over all ten images, is one; where leaving saves nothing there is none."""
    none = ExitPolicy.without_exits(1)
    little = TEN.with_costs(replace(TEN.costs, trunk=np.array([800.0])))
    assert _with_best_insertion(Lagrangian(little, 9.0), none, GREEDY).chosen == (0,)
    nothing = TEN.with_costs(replace(TEN.costs, trunk=np.array([1000.0])))
    assert _with_best_insertion(Lagrangian(nothing, 9.0), none, GREEDY) is none


@pytest.mark.parametrize(("epsilon", "chosen"), [(0.25, (0,)), (0.27, ())])
def test_an_insertion_must_gain_more_than_epsilon(epsilon: float, chosen: tuple[int, ...]) -> None:
    """Of ten images six save 0.6 and all pay 0.1: J falls by 0.26."""
    lagrangian = Lagrangian(TEN, 9.0)
    assert (
        _improved(lagrangian, ExitPolicy.without_exits(1), replace(GREEDY, epsilon=epsilon)).chosen == chosen
    )


TWO = table_of(
    [[9, 9, 1, 1, 0, 0, 0, 0, 0, 0], [5, 5, 7, 7, 0, 0, 0, 0, 0, 0]],
    [[1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]],
    [500, 502],
    [10, 1],
)
"""What leaves at the first branch would leave at the second for 2 more, and all would be spared a branch of 10."""


def test_a_branch_that_another_one_can_replace_is_deleted_whatever_little_that_gains() -> None:
    lagrangian, both = Lagrangian(TWO, 9.0), ExitPolicy((9, 7), (None, None))
    assert swept(lagrangian, both, GREEDY, (0, 1)) == both, "no threshold alone gains anything"
    found = _improved(lagrangian, both, replace(GREEDY, epsilon=0.1))
    assert found.thresholds == (None, 5)
    assert lagrangian.value(both) - lagrangian.value(found) == pytest.approx((10 * 10 - 2 * 2 - 2) / 1e4)


def test_a_branch_is_exchanged_where_no_more_may_come() -> None:
    """The first branch saves 0.96 of 10 images, the second 1.96: with one branch it takes the place of the first."""
    lagrangian, first = Lagrangian(TWO, 9.0), ExitPolicy((9, None), (None, None))
    for limit, expected in ((1, (None, 5)), (0, (None, 5)), (None, (None, 5))):
        search = replace(GREEDY, max_branches=limit)
        assert _improved(lagrangian, first, search).thresholds == expected
    assert _improved(lagrangian, first, replace(GREEDY, max_branches=1, epsilon=0.2)) == first


@pytest.mark.parametrize("seed", range(4))
def test_too_many_branches_go_one_by_one(seed: int) -> None:
    """Each time the one without which J is least."""
    table = synthetic_table(seed, 60, 4)
    lagrangian, policy = Lagrangian(table, 2.0, CREDIT), ExitPolicy((4, 6, 5, 3), (None,) * 4)
    for limit in (3, 2, 1):
        least = min(lagrangian.value(policy.without(k)) for k in policy.chosen)
        found = _within(lagrangian, policy, replace(GREEDY, max_branches=limit))
        assert (len(found.chosen), lagrangian.value(found)) == (limit, least)
        policy = found
    assert _within(lagrangian, policy, GREEDY) is policy
    assert _within(lagrangian, policy, replace(GREEDY, max_branches=1)) is policy


def test_the_value_of_no_exits_is_one() -> None:
    assert Lagrangian(TEN, 3.0).value(ExitPolicy.without_exits(1)) == 1.0
    assert math.isclose(Lagrangian(TEN, 3.0).value(ExitPolicy((5,), (None,))), 1 - 0.26)
