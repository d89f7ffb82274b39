"""Dynamic branch pruning against brute force, and the controls around it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from archsim.exits.controls import auc, dbp_quality, oracle_dbp, oracle_exit, random_skips, spearman
from archsim.exits.dbp import DbpKind, best_window, with_windows
from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy, Window, apply_policy, mean_cost_fraction
from archsim.exits.structure import SWEEP, Search, policy_at_price, swept
from archsim.exits.tables import CandidateTable
from tests.exit_tables import synthetic_table

BRANCH = 150
"""Expensive enough that pruning pays."""


def cost(table: CandidateTable, policy: ExitPolicy) -> float:
    return float(apply_policy(table, policy).costs.sum())


@pytest.mark.parametrize("tap", [0.0, 6.0])
@pytest.mark.parametrize("seed", range(5))
def test_one_sided_bound_equals_brute_force(seed: int, tap: float) -> None:
    table = synthetic_table(seed, 100, 1, branch=BRANCH, tap=tap)
    lagrangian, policy = Lagrangian(table, 1.0), ExitPolicy((12,), (None,))
    window = best_window(lagrangian, policy, 0, "one_sided")
    options = [None, *(Window(low) for low in np.unique(table.magnitude_sums).tolist())]
    costs = [cost(table, policy.with_window(0, option)) for option in options]
    assert cost(table, policy.with_window(0, window)) == pytest.approx(min(costs))
    assert window is not None and window.high is None


@pytest.mark.parametrize("seed", range(5))
def test_two_sided_window_is_the_best_or_not_worth_its_noise(seed: int) -> None:
    table = synthetic_table(seed, 150, 1, branch=BRANCH)
    # Bright images are hard here: neither end of the sums lets images go.
    sums = np.where(table.margins >= 12, 50, table.magnitude_sums)
    table = replace(table, magnitude_sums=sums)
    lagrangian, policy = Lagrangian(table, 1.0), ExitPolicy((12,), (None,))
    lows = np.unique(sums).tolist()
    options = [Window(low, high) for low in lows for high in lows if low <= high]
    best = min(cost(table, policy.with_window(0, window)) for window in options)
    one, two = (best_window(lagrangian, policy, 0, kind) for kind in ("one_sided", "two_sided"))
    costs = [cost(table, policy.with_window(0, window)) for window in (two, one, None)]
    assert costs == sorted(costs)
    assert costs[0] == pytest.approx(best)
    assert two is not None and two.high == 50


def test_two_sided_is_never_worse_than_one_sided() -> None:
    for seed in range(10):
        table = synthetic_table(seed, 200, 3, branch=BRANCH)
        lagrangian, policy = Lagrangian(table, 1.0), ExitPolicy((8, 8, 8), (None,) * 3)
        for k in range(3):
            one, two = (
                cost(table, policy.with_window(k, best_window(lagrangian, policy, k, kind)))
                for kind in ("one_sided", "two_sided")
            )
            assert two <= one <= cost(table, policy)


@pytest.mark.parametrize("search", [Search(dbp="two_sided"), Search(), SWEEP], ids=lambda s: s.method)
def test_free_branches_are_never_pruned(search: Search) -> None:
    for seed in range(5):
        table = synthetic_table(seed, 300, 2, branch=0)
        assert policy_at_price(Lagrangian(table, 1.0), search).windows == (None, None)


def test_only_the_method_sweep_chooses_windows_on_the_way() -> None:
    """The greedy search moves branches while none is pruned, and chooses windows once they stand."""
    table = synthetic_table(3, 300, 2, branch=20)
    lagrangian, none = Lagrangian(table, 4.0), ExitPolicy.without_exits(2)
    on_the_way = swept(lagrangian, none, SWEEP, (0, 1))
    assert any(window is not None for window in on_the_way.windows)
    assert swept(lagrangian, none, Search("greedy"), (0, 1)).windows == (None, None)


def test_the_dearer_the_branch_the_more_is_pruned() -> None:
    skipped = []
    for branch in (0.0, 1.0, 30.0, 100.0):
        table = synthetic_table(3, 2000, 1, branch=branch)
        policy = with_windows(Lagrangian(table, 1.0), ExitPolicy((12,), (None,)), "one_sided")
        skipped.append(dbp_quality(table, policy, 0).skipped)
    assert skipped[0] == 0
    assert skipped == sorted(skipped) and skipped[-1] == 447


def test_pruning_costs_its_own_decision() -> None:
    table = synthetic_table(3, 500, 1, branch=BRANCH)
    free = best_window(Lagrangian(table, 1.0), ExitPolicy((12,), (None,)), 0, "one_sided")
    dear = table.with_costs(replace(table.costs, dbp=np.array([500.0])))
    assert free is not None
    assert best_window(Lagrangian(dear, 1.0), ExitPolicy((12,), (None,)), 0, "one_sided") is None


@pytest.mark.parametrize("kind", ["one_sided", "two_sided"])
def test_a_bound_has_to_save_more_than_the_least(kind: DbpKind) -> None:
    table = synthetic_table(3, 500, 1, branch=BRANCH)
    table = table.with_costs(replace(table.costs, dbp=np.array([2.0])))
    lagrangian, policy = Lagrangian(table, 1.0), ExitPolicy((12,), (None,))
    window = best_window(lagrangian, policy, 0, kind)
    pruned = policy.with_window(0, window)
    saved = mean_cost_fraction(table, policy) - mean_cost_fraction(table, pruned)
    assert saved > 0.001
    for least, expected in ((0.999 * saved, window), (1.001 * saved, None)):
        assert best_window(lagrangian, policy, 0, kind, least) == expected
        assert with_windows(lagrangian, policy, kind, least).windows == (expected,)


@pytest.mark.parametrize("search", [Search(), SWEEP], ids=lambda search: search.method)
def test_the_search_asks_of_a_bound_what_it_asks_of_a_branch(search: Search) -> None:
    lagrangian = Lagrangian(synthetic_table(3, 300, 2, branch=20), 4.0)
    pruned, plain = (
        policy_at_price(lagrangian, replace(search, epsilon=epsilon)) for epsilon in (0.003, 0.01)
    )
    assert pruned.thresholds == plain.thresholds
    assert (pruned.windows, plain.windows) == ((Window(39), None), (None, None))
    assert 0.003 < lagrangian.value(plain) - lagrangian.value(pruned) < 0.01


@pytest.mark.parametrize("price", [0.05, 0.5, 5.0])
def test_oracle_is_below_the_algorithm_and_that_below_one_exit(price: float) -> None:
    table = synthetic_table(2, 800, 5, branch=20)
    lagrangian = Lagrangian(table, price)
    free, single = (
        lagrangian.value(policy_at_price(lagrangian, Search(max_branches=limit))) for limit in (None, 1)
    )
    outcome = oracle_exit(table, price)
    score = lagrangian.scores[np.arange(table.images), outcome.exits].mean()
    assert outcome.costs.mean() / table.costs.full - price * score <= free + 1e-12 and free <= single <= 1


def test_oracle_of_infinite_price_leaves_at_the_first_correct_exit() -> None:
    table = synthetic_table(2, 300, 4)
    outcome = oracle_exit(table)
    first = np.where(table.correct.any(axis=1), table.correct.argmax(axis=1), 0)
    assert (outcome.exits == first).all()
    assert (outcome.correct == table.correct.any(axis=1)).all()


def test_oracle_of_infinite_price_would_rather_be_right_than_cheap() -> None:
    """Also where leaving costs more than the full network, by a branch that costs three of them."""
    table = synthetic_table(2, 300, 4, branch=3000)
    outcome = oracle_exit(table)
    assert (outcome.correct == table.correct.any(axis=1)).all()


def test_the_oracle_credits_luck_unless_told_otherwise() -> None:
    table = synthetic_table(2, 800, 5, branch=20)
    default, credited, strict = (
        oracle_exit(table, 5.0, *credit).exits.tolist() for credit in ((), (1.0,), (0.0,))
    )
    assert default == credited != strict


def test_pruning_lies_between_chance_and_oracle() -> None:
    table = synthetic_table(4, 2000, 3, branch=BRANCH)
    policy = with_windows(Lagrangian(table, 1.0), ExitPolicy((12, 12, 12), (None,) * 3), "one_sided")
    assert all(policy.windows)
    oracle, own = (result.costs.mean() for result in (oracle_dbp(table, policy), apply_policy(table, policy)))
    unpruned = ExitPolicy(policy.thresholds, (None,) * 3)
    chance, accuracy = random_skips(table, policy, seed=1)
    assert oracle < own < chance
    assert own < apply_policy(table, unpruned).costs.mean()
    assert 0.5 < accuracy < 1
    assert (oracle_dbp(table, policy).exits == apply_policy(table, unpruned).exits).all()
    assert random_skips(table, unpruned, 1)[0] / table.costs.full == pytest.approx(
        mean_cost_fraction(table, unpruned)
    )


def test_quality_counts_images_that_reach_the_branch() -> None:
    table = synthetic_table(5, 400, 2)
    policy = ExitPolicy((5, 9), (None, Window(60)))
    met = table.margins[:, 0] < 5
    leaving, skipped = table.margins[met, 1] >= 9, table.magnitude_sums[met, 1] < 60
    quality = dbp_quality(table, policy, 1)
    assert (quality.reached, quality.skipped) == (met.sum(), skipped.sum())
    assert quality.true_skips == (skipped & ~leaving).sum() / (~leaving).sum()
    assert quality.false_skips == (skipped & leaving).sum() / leaving.sum()
    above = np.subtract.outer(table.magnitude_sums[met, 1][leaving], table.magnitude_sums[met, 1][~leaving])
    assert quality.auc == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert 0 < quality.spearman < 1


def test_nothing_to_compare_is_no_number() -> None:
    assert math.isnan(auc(np.array([1, 2]), np.array([True, True])))
    assert math.isnan(spearman(np.array([1, 1, 1]), np.array([1, 2, 3])))
    assert math.isnan(spearman(np.array([1]), np.array([2])))
