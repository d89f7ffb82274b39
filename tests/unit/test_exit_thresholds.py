"""Thresholds by prefix sums against brute force, on small synthetic tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.exits.thresholds import (
    AccuracyGoal,
    ExitPolicy,
    ExitTable,
    apply_policy,
    best_cut,
    choose_policy,
    exit_scores,
    policy_at_price,
)
from archsim.functional.statistics import paired_test

CREDIT = 0.5


def synthetic_table(seed: int, images: int, branches: int, branch_macs: int = 5) -> ExitTable:
    """Images of random difficulty; deeper classifiers are better, margins and sums tell difficulty with noise."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=(images, 1))
    skill = np.linspace(0.3, 1.5, branches + 1)
    correct = difficulty + rng.normal(size=(images, branches + 1)) < skill
    margins = np.rint(10 * (skill[:-1] - difficulty + rng.normal(size=(images, branches)))).astype(np.int64)
    sums = np.rint(20 * (3 - difficulty + rng.normal(size=(images, branches)))).clip(0).astype(np.int64)
    trunk_macs = np.linspace(100, 1000, branches + 1).astype(np.int64)
    names = tuple(f"exit{k}" for k in range(branches))
    return ExitTable(
        names, margins, correct, sums, trunk_macs, np.full(branches, branch_macs, dtype=np.int64)
    )


def lagrangian(table: ExitTable, policy: ExitPolicy, price: float) -> float:
    outcome = apply_policy(table, policy)
    score = exit_scores(table, CREDIT)[np.arange(len(outcome.exits)), outcome.exits].mean()
    return float(outcome.macs.mean()) / int(table.trunk_macs[-1]) - price * float(score)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-8, 8)), max_size=30))
def test_best_cut_equals_brute_force(pairs: list[tuple[int, int]]) -> None:
    keys = np.array([key for key, _ in pairs], dtype=np.int64)
    gains = np.array([gain for _, gain in pairs], dtype=np.float64)
    cut, gain = best_cut(keys, gains)
    sums = [gains[keys >= key].sum() for key in keys]
    assert gain == max([0.0, *sums])
    assert cut is None if gain == 0 else gains[keys >= cut].sum() == gain


@pytest.mark.parametrize("seed", range(5))
def test_one_branch_line_search_is_globally_optimal(seed: int) -> None:
    table = synthetic_table(seed, 60, 1)
    candidates = [None, *sorted(set(table.margins[:, 0].tolist()))]
    for price in (0.1, 1.0, 5.0):
        found = lagrangian(table, policy_at_price(table, price, CREDIT, dbp=False), price)
        best = min(lagrangian(table, ExitPolicy((t,), (0,)), price) for t in candidates)
        assert found == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_sweeps_end_where_no_single_threshold_improves(seed: int) -> None:
    table, price = synthetic_table(seed, 80, 3), 2.0
    policy = policy_at_price(table, price, CREDIT, dbp=False)
    found = lagrangian(table, policy, price)
    for k in range(3):
        for t in [None, *set(table.margins[:, k].tolist())]:
            moved = ExitPolicy((*policy.thresholds[:k], t, *policy.thresholds[k + 1 :]), policy.min_sums)
            assert lagrangian(table, moved, price) >= found - 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_two_branches_are_near_the_exhaustive_optimum(seed: int) -> None:
    table, price = synthetic_table(seed, 40, 2), 1.0
    candidates = [[None, *set(table.margins[:, k].tolist())] for k in range(2)]
    best = min(lagrangian(table, ExitPolicy(pair, (0, 0)), price) for pair in itertools.product(*candidates))
    assert lagrangian(table, policy_at_price(table, price, CREDIT, dbp=False), price) <= best + 0.01


@pytest.mark.parametrize("seed", range(5))
def test_dbp_bound_equals_brute_force(seed: int) -> None:
    table = synthetic_table(seed, 100, 1, branch_macs=150)
    policy = policy_at_price(table, 1.0, CREDIT, dbp=True)
    without = ExitPolicy(policy.thresholds, (0,))
    if policy.thresholds[0] is None:
        pytest.skip("the branch is too expensive on this table")
    bounds = [0, *set(table.magnitude_sums[:, 0].tolist())]
    costs = [apply_policy(table, ExitPolicy(policy.thresholds, (s,))).macs.sum() for s in bounds]
    assert apply_policy(table, policy).macs.sum() == min(costs) <= apply_policy(table, without).macs.sum()


def test_free_branches_are_never_pruned() -> None:
    table = synthetic_table(1, 500, 2, branch_macs=0)
    assert policy_at_price(table, 1.0, CREDIT, dbp=True).min_sums == (0, 0)


def test_chosen_policy_keeps_the_accuracy_and_saves_macs() -> None:
    table = synthetic_table(3, 3000, 4)
    for max_loss in (0.001, 0.01, 0.05):
        policy = choose_policy(table, AccuracyGoal(max_loss), dbp=True)
        outcome = apply_policy(table, policy)
        comparison = paired_test(table.correct[:, -1], outcome.correct)
        assert comparison.lower95 >= -max_loss
        assert outcome.macs.mean() < table.trunk_macs[-1]


def test_full_credit_makes_the_score_the_difference_of_accuracies() -> None:
    table = synthetic_table(6, 500, 2)
    difference = table.correct.mean(axis=0) - table.correct[:, -1].mean()
    assert exit_scores(table, 1.0).mean(axis=0) == pytest.approx(difference)


def test_impossible_accuracy_leaves_no_branch() -> None:
    table = synthetic_table(4, 300, 2)
    table.correct[:, -1] = True
    table.correct[:, :-1] = False
    assert choose_policy(table, AccuracyGoal(0.01), dbp=True).thresholds == (None, None)


def test_every_image_exits_once_and_pays_for_what_ran() -> None:
    table = synthetic_table(5, 200, 3)
    outcome = apply_policy(table, ExitPolicy((5, None, 0), (50, 0, 0)))
    for image in range(200):
        runs_first = table.magnitude_sums[image, 0] >= 50
        macs = 5 * runs_first
        if runs_first and table.margins[image, 0] >= 5:
            expected = 0
        else:
            macs += 5
            expected = 2 if table.margins[image, 2] >= 0 else 3
        assert outcome.exits[image] == expected
        assert outcome.macs[image] == macs + table.trunk_macs[expected]
        assert outcome.correct[image] == table.correct[image, expected]
