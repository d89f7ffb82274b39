"""The search for branches and thresholds against brute force, on small synthetic tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.errors import InvalidInput
from archsim.exits.grid import refined
from archsim.exits.line_search import Lagrangian
from archsim.exits.nested import nested_policy
from archsim.exits.policy import ExitPolicy, Window, apply_policy, mean_cost_fraction
from archsim.exits.ranking import Ranking
from archsim.exits.structure import (
    SWEEP,
    AccuracyGoal,
    Search,
    choose_policy,
    compare,
    policy_at_price,
    swept,
)
from archsim.exits.tables import CandidateTable
from tests.exit_tables import costs_of, exhaustive, nested_table, synthetic_table

CREDIT = 0.5
GREEDY = Search(dbp="none", epsilon=0)
PLAIN_SWEEP = replace(SWEEP, dbp="none")

pairs = st.lists(st.tuples(st.integers(-5, 5), st.integers(-8, 8)), max_size=30)


def arrays(values: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.array([key for key, _ in values], dtype=np.int64)
    return keys, np.array([gain for _, gain in values], dtype=np.float64)


@given(pairs)
def test_best_cut_equals_brute_force(values: list[tuple[int, int]]) -> None:
    keys, gains = arrays(values)
    cut = Ranking(keys).best_cut(gains)
    assert cut.gain == max([0.0, *(gains[keys >= key].sum() for key in keys)])
    assert cut.total_gain == gains.sum()
    assert cut.low is None if cut.gain == 0 else gains[keys >= cut.low].sum() == cut.gain


@given(pairs)
def test_best_window_equals_brute_force(values: list[tuple[int, int]]) -> None:
    keys, gains = arrays(values)
    window = Ranking(keys).best_window(gains)
    sums = [gains[(keys >= low) & (keys <= high)].sum() for low in keys for high in keys]
    assert window.gain == max([0.0, *sums])
    if window.low is not None:
        assert gains[Window(window.low, window.high).holds(keys)].sum() == window.gain
    assert window.gain >= Ranking(keys).best_cut(gains).gain


@pytest.mark.parametrize("search", [GREEDY, PLAIN_SWEEP], ids=lambda search: search.method)
@pytest.mark.parametrize("seed", range(5))
def test_one_branch_line_search_is_globally_optimal(seed: int, search: Search) -> None:
    table = synthetic_table(seed, 60, 1)
    for price in (0.1, 1.0, 5.0):
        lagrangian = Lagrangian(table, price, CREDIT)
        found = lagrangian.value(policy_at_price(lagrangian, search))
        assert found == pytest.approx(exhaustive(lagrangian)[0], abs=1e-12)


def test_line_search_with_a_window_counts_taps_and_decisions() -> None:
    table = synthetic_table(2, 80, 1, branch=60, tap=4.0)
    lagrangian = Lagrangian(table, 1.0, CREDIT)
    windowed = ExitPolicy((0,), (Window(60),))
    line = lagrangian.line_search(windowed, 0)
    options = [windowed.with_branch(0, t, Window(60)) for t in np.unique(table.margins).tolist()]
    best = min(lagrangian.value(policy) for policy in options)
    assert lagrangian.value(windowed.with_branch(0, line.threshold, Window(60))) == pytest.approx(best)
    assert line.gain == pytest.approx((lagrangian.value(windowed.without(0)) - best) * table.images)


@pytest.mark.parametrize("search", [GREEDY, PLAIN_SWEEP], ids=lambda search: search.method)
@pytest.mark.parametrize("seed", range(3))
def test_the_search_ends_where_no_single_threshold_improves(seed: int, search: Search) -> None:
    table = synthetic_table(seed, 80, 3)
    lagrangian = Lagrangian(table, 2.0, CREDIT)
    policy = policy_at_price(lagrangian, search)
    found = lagrangian.value(policy)
    for k in range(3):
        for threshold in [None, *set(table.margins[:, k].tolist())]:
            assert lagrangian.value(policy.with_branch(k, threshold)) >= found - 1e-9


@pytest.mark.parametrize(("positions", "images", "structures"), [(2, 60, 1), (3, 25, 1), (2, 25, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_within_a_percent_of_the_exhaustive_optimum(
    seed: int, positions: int, images: int, structures: int
) -> None:
    table = synthetic_table(seed, images, positions, structures=structures)
    table = replace(table, margins=table.margins // 8)
    for price in (0.3, 1.0):
        lagrangian = Lagrangian(table, price, CREDIT)
        best = exhaustive(lagrangian)[0]
        policy = policy_at_price(lagrangian, GREEDY).checked(table)
        assert best - 1e-12 <= lagrangian.value(policy) <= best + 0.01


@pytest.mark.parametrize("seed", range(4))
def test_nested_programme_is_exact_where_exits_are_nested(seed: int) -> None:
    table = nested_table(seed, 40, 3)
    table = replace(table, margins=table.margins // 4)
    lagrangian = Lagrangian(table, 0.5, CREDIT)
    found = nested_policy(lagrangian, thresholds=100)
    assert found.assumed_value == pytest.approx(lagrangian.value(found.policy), abs=1e-12)
    assert found.assumed_value == pytest.approx(exhaustive(lagrangian)[0], abs=1e-12)
    one = nested_policy(lagrangian, thresholds=100, max_branches=1)
    assert one.assumed_value == pytest.approx(exhaustive(lagrangian, 1)[0], abs=1e-12)


def test_polished_nested_programme_confirms_the_greedy_search() -> None:
    lagrangian = Lagrangian(synthetic_table(9, 1500, 6), 1.0, CREDIT)
    nested = nested_policy(lagrangian, thresholds=20).policy
    polished = lagrangian.value(swept(lagrangian, nested, GREEDY, nested.chosen))
    assert lagrangian.value(policy_at_price(lagrangian, GREEDY)) == pytest.approx(polished, abs=0.01)


def test_structures_of_one_position_exclude_each_other() -> None:
    table = synthetic_table(5, 400, 3, structures=3)
    for search in (GREEDY, PLAIN_SWEEP):
        policy = policy_at_price(Lagrangian(table, 2.0, CREDIT), search).checked(table)
        assert policy.chosen
    with pytest.raises(InvalidInput, match="two branches at one position among exit0, exit1"):
        ExitPolicy((1, 1, *(None,) * 7), (None,) * 9).checked(table)


def test_a_position_that_is_filled_stays_so() -> None:
    table = synthetic_table(5, 400, 3, structures=3)
    first = ExitPolicy.without_exits(9).with_branch(0, 5)
    for search in (GREEDY, PLAIN_SWEEP):
        policy = swept(Lagrangian(table, 2.0, CREDIT), first, search, tuple(range(9))).checked(table)
        assert 0 in policy.chosen


def test_the_number_of_branches_is_bounded() -> None:
    lagrangian = Lagrangian(synthetic_table(6, 600, 8, branch=1), 4.0, CREDIT)
    free = policy_at_price(lagrangian, GREEDY)
    assert len(free.chosen) > 2
    values = []
    for limit in (1, 2):
        policy = policy_at_price(lagrangian, replace(GREEDY, max_branches=limit))
        assert len(policy.chosen) == limit
        values.append(lagrangian.value(policy))
    assert values[0] >= values[1] >= lagrangian.value(free)


def test_a_useless_expensive_branch_is_left_out() -> None:
    table = synthetic_table(7, 300, 2, branch=5000)
    assert policy_at_price(Lagrangian(table, 1.0, CREDIT), GREEDY).chosen == ()
    assert nested_policy(Lagrangian(table, 1.0, CREDIT)).policy.chosen == ()


@pytest.mark.parametrize("search", [Search(), SWEEP], ids=lambda search: search.method)
def test_chosen_policy_keeps_the_accuracy_and_saves(search: Search) -> None:
    table = synthetic_table(3, 3000, 4)
    for max_loss in (0.001, 0.01, 0.05):
        policy = choose_policy(table, AccuracyGoal(max_loss), search)
        assert compare(table, policy).lower95 >= -max_loss
        assert mean_cost_fraction(table, policy) < 1


def test_more_standard_errors_cost_more() -> None:
    table = synthetic_table(3, 3000, 4)
    costs = []
    for standard_errors in (0.0, 1.0, 2.0):
        policy = choose_policy(table, AccuracyGoal(0.005, 1.0, standard_errors))
        comparison = compare(table, policy)
        assert comparison.delta - standard_errors * comparison.se >= -0.005
        costs.append(mean_cost_fraction(table, policy))
    assert costs[0] < costs[1] < costs[2]


def test_the_grid_only_finds_cheaper_feasible_policies() -> None:
    table = synthetic_table(8, 1000, 3)
    goal = AccuracyGoal(0.01, 1.0, 0.0)
    coarse = choose_policy(table, goal, Search(grid=False))
    fine = refined(table, coarse, lambda policy: goal.is_met(compare(table, policy)))
    assert goal.is_met(compare(table, fine))
    assert mean_cost_fraction(table, fine) < mean_cost_fraction(table, coarse)
    assert refined(table, coarse, lambda _: False) is coarse


def test_full_credit_makes_the_score_the_difference_of_accuracies() -> None:
    table = synthetic_table(6, 500, 2)
    difference = table.correct.mean(axis=0) - table.correct[:, -1].mean()
    assert Lagrangian(table, 1.0, 1.0).scores.mean(axis=0) == pytest.approx(difference)


def test_impossible_accuracy_leaves_no_branch() -> None:
    table = synthetic_table(4, 300, 2)
    table.correct[:, -1] = True
    table.correct[:, :-1] = False
    for search in (Search(), SWEEP):
        assert choose_policy(table, AccuracyGoal(0.01), search).thresholds == (None, None)


def test_every_image_exits_once_and_pays_for_what_ran() -> None:
    table = synthetic_table(5, 200, 3, tap=2.0)
    policy = ExitPolicy((5, None, 0), (Window(50, 70), None, None))
    outcome = apply_policy(table, policy)
    for image in range(200):
        runs_first = 50 <= table.magnitude_sums[image, 0] <= 70
        cost = 1.0 + (5 if runs_first else 2)
        if runs_first and table.margins[image, 0] >= 5:
            expected = 0
        else:
            cost += 5
            expected = 2 if table.margins[image, 2] >= 0 else 3
        assert outcome.exits[image] == expected
        assert outcome.costs[image] == cost + table.costs.exits[expected]
        assert outcome.correct[image] == table.correct[image, expected]


def test_the_cost_lies_between_its_bounds() -> None:
    """Parameters used: no less than the first prefix, no more than the full network with all branches."""
    table = synthetic_table(11, 400, 4)
    for price in (0.01, 0.1, 1.0, 10.0):
        fraction = mean_cost_fraction(table, policy_at_price(Lagrangian(table, price), Search()))
        low, high = table.costs.trunk.min(), table.costs.full + table.costs.branch.sum()
        assert low / table.costs.full <= fraction <= high / table.costs.full


def test_margins_may_be_probabilities() -> None:
    table = synthetic_table(12, 500, 3)
    floats = replace(table, margins=table.margins / 64.0, magnitude_sums=table.magnitude_sums / 3.0)
    whole = choose_policy(table, AccuracyGoal(0.01))
    real = choose_policy(floats.checked(), AccuracyGoal(0.01))
    assert real.thresholds == tuple(t if t is None else t / 64 for t in whole.thresholds)


def test_a_table_says_all_that_does_not_fit() -> None:
    table = synthetic_table(1, 10, 2)
    broken = CandidateTable(
        names=("a", "a"),
        structures=("gap",),
        positions=np.array([3, 1]),
        margins=np.full((10, 2), np.nan),
        magnitude_sums=table.magnitude_sums.astype(np.int32),
        correct=table.correct[:, :-1],
        costs=replace(costs_of([1, 2], 3), tap=np.array([-1.0, 0]), full=0.0),
    )
    with pytest.raises(InvalidInput) as caught:
        broken.checked("mine")
    assert [problem.key for problem in caught.value.problems] == [
        *("structures", "correct", "names", "positions", "margins", "magnitude_sums"),
        *("costs.tap", "costs.full"),
    ]
    assert table.checked() is table


def test_an_empty_table_is_refused() -> None:
    table = synthetic_table(1, 10, 2)
    empty = table.rows(np.arange(0))
    with pytest.raises(InvalidInput, match="correct: found no images, expected at least one"):
        empty.checked("mine")
    with pytest.raises(InvalidInput, match="correct: found int8, expected bool"):
        replace(table, correct=table.correct.astype(np.int8)).checked("mine")


def test_a_policy_fits_its_table_and_no_other() -> None:
    table = synthetic_table(1, 10, 2)
    assert ExitPolicy((1, None), (None, None)).checked(table).chosen == (0,)
    for policy in (ExitPolicy((1,), (None,)), ExitPolicy((1, None), (None,)), ExitPolicy((1,), (None, None))):
        with pytest.raises(InvalidInput, match=r"found \d thresholds and \d windows, expected 2 of each"):
            policy.checked(table)
