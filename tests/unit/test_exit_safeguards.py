"""The safeguards keep their promise on simulated draws; what is random is seeded and small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from archsim.exits.policy import ExitPolicy, Window, apply_policy, mean_cost_fraction
from archsim.exits.safeguards import LEVEL, certify, least_images, loss_p_value, split_rows, tightening_path
from archsim.exits.structure import SWEEP, AccuracyGoal, Search, choose_policy, compare
from archsim.exits.tables import CandidateTable, Int64s
from archsim.functional.statistics import PairedTest, paired_test
from tests.exit_tables import synthetic_table

POPULATION = 60_000
DRAWS = 300


def counts(n: int, b: int, c: int) -> PairedTest:
    first, second = np.ones(n, bool), np.ones(n, bool)
    second[:b] = False
    first[b : b + c] = False
    return paired_test(first, second)


def bound(rate: float, draws: int) -> float:
    """Three standard errors above a rate."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / draws)


def test_splits_are_seeded_disjoint_and_complete() -> None:
    first, second = split_rows(101, seed=3)
    assert (len(first), len(second)) == (50, 51)
    assert sorted([*first, *second]) == list(range(101))
    assert (split_rows(101, seed=3)[0] == first).all()
    assert (split_rows(101, seed=4)[0] != first).any()
    assert [len(rows) for rows in split_rows(10, 1, share=0.8)] == [8, 2]


def test_p_value_has_the_direction_and_symmetry_of_the_test() -> None:
    assert loss_p_value(counts(1000, 10, 0), 0.01) == pytest.approx(0.5)
    assert loss_p_value(counts(1000, 30, 0), 0.01) > 0.99
    assert loss_p_value(counts(1000, 0, 0), 0.01) == pytest.approx(0.5 * math.erfc(math.sqrt(10 / 0.99 / 2)))
    falling = [loss_p_value(counts(1000, 8, c), 0.01) for c in range(0, 30, 3)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(("loss", "gain"), [(0.01, 0.0), (0.02, 0.01), (0.06, 0.05)])
def test_the_test_errs_as_seldom_as_it_says(loss: float, gain: float) -> None:
    """True loss exactly max_loss = 1 %: rejections are errors. b and c of 4000 draws of 1500 images."""
    rng = np.random.default_rng(1)
    draws = rng.multinomial(1500, [loss, gain, 1 - loss - gain], size=4000)
    rejected = [loss_p_value(counts(1500, int(b), int(c)), 0.01) <= LEVEL for b, c, _ in draws]
    assert np.mean(rejected) <= bound(LEVEL, 4000)
    assert np.mean(rejected) > LEVEL / 3


def test_least_images_is_where_no_loss_at_all_is_enough() -> None:
    for max_loss in (0.002, 0.01, 0.05):
        n = least_images(max_loss)
        assert loss_p_value(counts(n, 0, 0), max_loss) <= LEVEL < loss_p_value(counts(n - 1, 0, 0), max_loss)


def test_the_path_lets_ever_more_images_go() -> None:
    table = synthetic_table(1, 500, 3)
    policy = ExitPolicy((9, None, 4), (Window(30), None, None))
    path = tightening_path(table, policy, steps=10)
    assert path[0].chosen == () and path[-1] == policy and len(path) == 11
    left = [apply_policy(table, step).exits < 3 for step in path]
    for before, after in pairwise(left):
        assert not (before & ~after).any()
    costs = [mean_cost_fraction(table, step) for step in path[1:]]
    assert costs == sorted(costs, reverse=True)
    everyone, half = (np.sort(table.margins[of, 0]) for of in (exits_at(table, path, at) for at in (-1, 5)))
    assert half[0] == everyone[len(everyone) // 2] and len(half) >= len(everyone) / 2


def exits_at(table: CandidateTable, path: Sequence[ExitPolicy], step: int) -> Int64s:
    """Images that leave at the first candidate at a step of a path."""
    return np.flatnonzero(apply_policy(table, path[step]).exits == 0)


def test_a_certificate_holds_on_the_population() -> None:
    """Fixed-sequence test over 20 policies: the chance to certify one that loses too much is that of one test."""
    population = synthetic_table(7, POPULATION, 3)
    max_loss = 0.02
    chooser = population.rows(np.arange(1500))
    policy = choose_policy(chooser, AccuracyGoal(max_loss, 1.0, 0.0), Search(dbp="none", grid=False))
    path = tightening_path(chooser, policy, steps=20)
    true_losses = [-compare(population, step).delta for step in path]
    assert true_losses[-1] > max_loss, (
        "the search must have been lucky, else there is nothing to guard against"
    )
    right = [apply_policy(population, step).correct for step in path]
    full = population.correct[:, -1]
    rng, wrong, steps = np.random.default_rng(2), 0, []
    for _ in range(DRAWS):
        rows = rng.integers(0, POPULATION, 1500)
        passed = 0
        for step in range(1, len(path)):
            if loss_p_value(paired_test(full[rows], right[step][rows]), max_loss) > LEVEL:
                break
            passed = step
        steps.append(passed)
        wrong += true_losses[passed] > max_loss
    assert wrong / DRAWS <= bound(LEVEL, DRAWS)
    assert np.mean(steps) > 3, "it must certify something"
    certificate = certify(population.rows(rows), path, max_loss)
    assert certificate.step == steps[-1]
    assert certificate.policy == path[steps[-1]]


def test_the_search_alone_is_optimistic_and_two_standard_errors_are_not() -> None:
    """Policies of 12 draws of 800 images, on the population: without a margin the loss is above what was asked."""
    population = synthetic_table(8, POPULATION, 4)
    losses = {}
    for standard_errors in (0.0, 2.0):
        goal = AccuracyGoal(0.01, 1.0, standard_errors)
        found = []
        for draw in range(12):
            sample = population.rows(np.arange(800 * draw, 800 * (draw + 1)))
            policy = choose_policy(sample, goal, replace(SWEEP, dbp="none"))
            found.append(-compare(population, policy).delta)
        losses[standard_errors] = np.mean(found)
    assert losses[0.0] > 0.01 > losses[2.0]


def test_nothing_is_certified_on_too_few_images() -> None:
    table = synthetic_table(1, 200, 2)
    path = tightening_path(table, ExitPolicy((9, 9), (None, None)))
    certificate = certify(table, path, 0.005)
    assert (certificate.step, certificate.policy.chosen, certificate.p_value) == (0, (), 1.0)
    never_wrong = replace(table, correct=np.ones_like(table.correct))
    assert certify(never_wrong, path, 0.05).policy == path[-1]
