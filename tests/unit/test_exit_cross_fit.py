"""Cross-fitting: folds are disjoint, what they say holds on other images, and the plain search says too much."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.exits.cross_fit import PRICES, cheapest_fitted, cross_fitted, fold_rows
from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy, apply_policy
from archsim.exits.structure import AccuracyGoal, Search, choose, compare, policy_at_price
from archsim.functional.statistics import PairedTest
from tests.exit_tables import synthetic_table

SEARCH = Search(max_branches=3, dbp="none", grid=False)
GOAL = AccuracyGoal(max_loss=0.02, standard_errors=0.5)


def test_folds_are_disjoint_and_complete() -> None:
    parts = fold_rows(103, 5, seed=2)
    assert sorted(np.concatenate(parts)) == list(range(103))
    assert {len(part) for part in parts} == {20, 21}


def test_the_goal_is_met_out_of_fold_at_the_price_that_is_used() -> None:
    table = synthetic_table(3, 1500, 6)
    choice, fit = cross_fitted(table, GOAL, SEARCH, seed=1, folds=4)
    assert fit.price is not None and choice.price == fit.price
    assert GOAL.is_met(fit.comparison) and fit.cost_fraction < 1
    assert choice.policy.chosen
    cheaper = [price for price in PRICES if price < fit.price]
    assert cheaper, "the walk did not stop before the last price"


def test_labels_of_a_fold_do_not_choose_what_it_is_measured_by() -> None:
    """Wrong labels in one fold change the policies of the others only: its own images are decided as before."""
    table = synthetic_table(5, 600, 4)
    rows = fold_rows(600, 3, seed=1)[0]
    spoiled = table.correct.copy()
    spoiled[rows] = ~spoiled[rows]
    goal = AccuracyGoal(max_loss=1.0)
    with_labels, without = (
        cross_fitted(found, goal, SEARCH, 1, 3)[1]
        for found in (table, type(table)(**{**vars(table), "correct": spoiled}))
    )
    assert with_labels.comparison != without.comparison


def test_of_several_searches_the_one_that_costs_least_out_of_fold_chooses() -> None:
    table = synthetic_table(3, 1500, 6)
    searches = [Search(max_branches=limit, dbp="none", grid=False) for limit in (1, 3, 2)]
    alone = [cross_fitted(table, GOAL, search, seed=1, folds=4) for search in searches]
    choice, fits = cheapest_fitted(table, GOAL, searches, seed=1, folds=4)
    assert sorted(fit.cost_fraction for _, fit in alone) == [fit.cost_fraction for fit in fits]
    assert {fit.search.max_branches for fit in fits} == {1, 2, 3} and fits[0].cost_fraction < fits[
        1
    ].cost_fraction
    assert (choice, fits[0]) in alone


def test_without_any_gain_nothing_leaves() -> None:
    table = synthetic_table(1, 400, 3)
    impossible = AccuracyGoal(max_loss=-1.0)
    choice, fit = cross_fitted(table, impossible, SEARCH, seed=1, folds=3)
    assert choice.policy.chosen == () and fit.price is None and fit.comparison.delta == 0


def test_prices_fall_by_a_quarter_from_a_thousand_to_one() -> None:
    assert len(PRICES) == 25
    assert list(PRICES) == pytest.approx([10 ** (3 - step / 8) for step in range(25)], rel=1e-12)


def test_folds_are_the_shuffle_of_their_own_stream() -> None:
    order = np.random.default_rng([2, 7]).permutation(11).tolist()
    parts = [order[:4], order[4:8], order[8:]]
    assert [rows.tolist() for rows in fold_rows(11, 3, seed=2)] == [sorted(part) for part in parts]


class Scripted(AccuracyGoal):
    """A goal that is met as often as it is told, and again after the first miss."""

    calls: list[PairedTest]

    def is_met(self, comparison: PairedTest) -> bool:
        self.calls.append(comparison)
        return len(self.calls) != self.max_loss


def scripted(misses: int) -> Scripted:
    goal = Scripted(float(misses), luck_credit=0.25)
    object.__setattr__(goal, "calls", [])
    return goal


@pytest.mark.parametrize("misses", [1, 3])
def test_prices_end_at_the_first_that_misses_the_goal(misses: int) -> None:
    table = synthetic_table(3, 90, 2)
    goal = scripted(misses)
    choice, fit = cross_fitted(table, goal, SEARCH, seed=1, folds=3)
    assert len(goal.calls) == misses
    if misses == 1:
        assert (choice.policy, choice.price) == (ExitPolicy.without_exits(2), 1000.0)
        assert (fit.price, fit.cost_fraction, fit.folds) == (None, 1.0, 3)
        assert (fit.comparison.b, fit.comparison.c, fit.comparison.n) == (0, 0, 90)
    else:
        assert choice.price == fit.price == PRICES[1]
        assert choice.policy == policy_at_price(Lagrangian(table, PRICES[1], 0.25), SEARCH)


def test_what_folds_say_is_what_the_policies_of_the_others_do() -> None:
    table = synthetic_table(3, 90, 2)
    _, fit = cross_fitted(table, scripted(2), SEARCH, seed=1, folds=3)
    costs, right = np.zeros(90), np.zeros(90, bool)
    for rows in fold_rows(90, 3, seed=1):
        others = table.rows(np.array([row for row in range(90) if row not in rows]))
        policy = policy_at_price(Lagrangian(others, 1000.0, 0.25), SEARCH)
        outcome = apply_policy(table, policy)
        costs[rows], right[rows] = outcome.costs[rows], outcome.correct[rows]
    full = table.correct[:, -1]
    assert (fit.comparison.b, fit.comparison.c) == (int((full & ~right).sum()), int((right & ~full).sum()))
    assert fit.cost_fraction == pytest.approx(costs.mean() / 1000, rel=1e-12)
    assert 0 < fit.cost_fraction < 1


@pytest.mark.slow
def test_what_folds_say_holds_on_other_images() -> None:
    """Over 12 draws the loss on 20,000 other images is what the folds said; in sample the search flatters itself."""
    honest, flattered = [], []
    for seed in range(12):
        table = synthetic_table(seed, 22_000, 8)
        few, others = table.rows(np.arange(2000)), table.rows(np.arange(2000, 22_000))
        choice, fit = cross_fitted(few, GOAL, SEARCH, seed, folds=5)
        honest.append(fit.comparison.delta - compare(others, choice.policy).delta)
        plain = choose(few, GOAL, SEARCH).policy
        flattered.append(compare(few, plain).delta - compare(others, plain).delta)
        assert apply_policy(others, choice.policy).costs.mean() < table.costs.full
    assert np.mean(flattered) > 0.001
    assert abs(np.mean(honest)) < np.mean(flattered) / 2


def test_progress_counts_the_prices_of_all_searches() -> None:
    table = synthetic_table(3, 1500, 6)
    searches = [Search(max_branches=limit, dbp="none", grid=False) for limit in (1, 3)]
    said: list[tuple[int, int]] = []
    cheapest_fitted(table, GOAL, searches, 1, 4, lambda done, total: said.append((done, total)))
    tried = [done for done, _ in said]
    assert {total for _, total in said} == {2 * len(PRICES)}
    assert tried == sorted(set(tried)) and {0, len(PRICES)} <= set(tried)
    assert len(tried) < 2 * len(PRICES), "no search stopped before the last price"
