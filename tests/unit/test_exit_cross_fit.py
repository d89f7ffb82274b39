"""Cross-fitting: folds are disjoint, what they say holds on other images, and the plain search says too much."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.exits.cross_fit import PRICES, cheapest_fitted, cross_fitted, fold_rows
from archsim.exits.policy import apply_policy
from archsim.exits.structure import AccuracyGoal, Search, choose, compare
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
