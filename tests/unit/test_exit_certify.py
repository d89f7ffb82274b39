"""Splits, tightening paths and certificates worked out by hand; the test of the loss against a second derivation."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from archsim.exits.policy import ExitPolicy, Window
from archsim.exits.safeguards import (
    certify,
    choose_safely,
    least_images,
    loss_p_value,
    split_rows,
    tightening_path,
)
from archsim.exits.structure import AccuracyGoal, Search, choose, compare
from archsim.exits.tables import CandidateTable
from archsim.functional.statistics import PairedTest, paired_test
from tests.exit_tables import costs_of, synthetic_table


def counts(n: int, b: int, c: int) -> PairedTest:
    first, second = np.ones(n, bool), np.ones(n, bool)
    second[:b] = False
    first[b : b + c] = False
    return paired_test(first, second)


def table_of(margins: list[list[int]], wrong: dict[int, list[int]] | None = None) -> CandidateTable:
    """A table in which the full network is always right and candidate k wrong about the images ``wrong[k]``."""
    array = np.array(margins)
    correct = np.ones((array.shape[0], array.shape[1] + 1), bool)
    for k, images in (wrong or {}).items():
        correct[images, k] = False
    names = tuple("abc"[: array.shape[1]])
    trunk = [300.0, 600.0, 900.0][: len(names)]
    return CandidateTable(
        names, names, np.arange(len(names)), array, array, correct, costs_of(trunk, 10)
    ).checked()


def test_a_split_is_the_shuffle_of_its_own_stream() -> None:
    order = np.random.default_rng([3, 5]).permutation(11)
    first, second = split_rows(11, seed=3, share=0.3)
    assert (first.tolist(), second.tolist()) == (sorted(order[:3].tolist()), sorted(order[3:].tolist()))
    assert [len(rows) for rows in split_rows(13, seed=3)] == [6, 7]


def restricted_p(n: int, b: int, c: int, max_loss: float) -> float:
    """Tango's test with the most likely probabilities under the hypothesis found by bisection.

    p_b of "only the first is right" and p_c = p_b - max_loss maximise b log p_b + c log p_c + (n - b - c) log(1 - p_b -
    p_c): where the derivative, which falls, is zero.
    """
    low, high = max_loss, (1 + max_loss) / 2
    for _ in range(200):
        p_b = (low + high) / 2
        slope = b / p_b + c / (p_b - max_loss) - 2 * (n - b - c) / (1 + max_loss - 2 * p_b)
        low, high = (p_b, high) if slope > 0 else (low, p_b)
    variance = n * (2 * p_b - max_loss - max_loss**2)
    return 1 - NormalDist().cdf((c - b + n * max_loss) / math.sqrt(variance))


@pytest.mark.parametrize(
    ("n", "b", "c", "max_loss"),
    [(50, 3, 7, 0.1), (50, 9, 2, 0.1), (200, 5, 1, 0.05), (1000, 2, 40, 0.002), (30, 4, 4, 0.3)],
)
def test_p_value_is_that_of_the_most_likely_probabilities(n: int, b: int, c: int, max_loss: float) -> None:
    assert loss_p_value(counts(n, b, c), max_loss) == pytest.approx(restricted_p(n, b, c, max_loss), rel=1e-9)


def test_p_value_where_no_image_differs() -> None:
    """Nothing lost in 20 images: q12 is 0, the variance n (max_loss - max_loss^2), z = n max_loss / sqrt(variance)."""
    z = 20 * 0.01 / math.sqrt(20 * (0.01 - 0.01**2))
    assert loss_p_value(counts(20, 0, 0), 0.01) == pytest.approx(1 - NormalDist().cdf(z), rel=1e-12)
    assert loss_p_value(counts(20, 0, 0), 0.0) == 1.0, "that nothing at all is lost, no images show"


@pytest.mark.parametrize(("max_loss", "level"), [(0.1, 0.05), (0.1, 0.01), (0.3, 0.2)])
def test_least_images_solve_the_test_for_its_level(max_loss: float, level: float) -> None:
    """z^2 = n max_loss / (1 - max_loss)."""
    n = least_images(max_loss, level)
    assert loss_p_value(counts(n, 0, 0), max_loss) <= level < loss_p_value(counts(n - 1, 0, 0), max_loss)


def test_a_path_lets_the_surest_go_first() -> None:
    """At the first candidate five images leave, at the second the two of them that are left over."""
    table = table_of([[9, 0], [8, 30], [7, 0], [6, 0], [5, 0], [1, 20], [2, 12], [0, 3]])
    policy = ExitPolicy((4, 10), (Window(1), None))
    path = tightening_path(table, policy, steps=5)
    assert [step.thresholds for step in path] == [
        (None, None),
        (9, 20),  # 1/5 of two images, rounded up
        (8, 20),
        (7, 12),
        (6, 12),
        (4, 10),
    ]
    assert [step.windows[0] for step in path] == [None, *[Window(1)] * 5]


def test_a_branch_at_which_no_image_leaves_comes_last() -> None:
    table = table_of([[9, 0], [8, 0]])
    path = tightening_path(table, ExitPolicy((5, 5), (None, None)), steps=2)
    assert [step.thresholds for step in path] == [(None, None), (9, None), (5, 5)]


def test_a_path_has_forty_steps_unless_told_otherwise() -> None:
    assert len(tightening_path(table_of([[9], [8]]), ExitPolicy((5,), (None,)))) == 41


LOSS = 0.5
"""So large that ten images are enough to certify something."""


def certified(wrong: list[int]) -> tuple[CandidateTable, list[ExitPolicy]]:
    """Ten images with the margins 9 .. 0, and a path that lets one, two, three of them go."""
    table = table_of([[9 - image] for image in range(10)], {0: wrong})
    return table, [ExitPolicy((threshold,), (None,)) for threshold in (None, 9, 8, 7)]


def test_a_certificate_is_of_the_last_policy_that_passed() -> None:
    table, path = certified([])
    found = certify(table, path, LOSS)
    assert (found.policy, found.step, found.steps) == (path[3], 3, 3)
    assert found.comparison == compare(table, path[3])
    assert found.p_value == loss_p_value(counts(10, 0, 0), LOSS)
    assert (found.max_loss, found.level) == (LOSS, 0.05)


def test_certification_ends_at_the_first_policy_that_fails() -> None:
    """Step 2 loses an image, which a third one cannot make good; at the level of its own p it would have passed."""
    table, path = certified([1])
    lossless, lost = (loss_p_value(counts(10, b, 0), LOSS) for b in (0, 1))
    passed = certify(table, path, LOSS, level=(lossless + lost) / 2)
    assert (passed.step, passed.policy, passed.p_value) == (1, path[1], lossless)
    assert certify(table, path, LOSS, level=lost).step == 3
    # A path that recovers after a failure is not followed beyond it.
    nothing = certify(table, [path[0], path[2], path[1]], LOSS, level=(lossless + lost) / 2)
    assert (nothing.policy, nothing.step, nothing.steps, nothing.p_value) == (path[0], 0, 2, 1.0)


def test_a_safe_choice_searches_one_half_and_certifies_on_the_other() -> None:
    table = synthetic_table(3, 600, 2)
    goal, search = AccuracyGoal(0.1), Search(max_branches=1, dbp="none", grid=False)
    found = choose_safely(table, goal, search, seed=4)
    rows_a, rows_b = split_rows(600, 4)
    assert (found.rows_a == rows_a).all() and found.rows_b is not None and (found.rows_b == rows_b).all()
    searched = choose(table.rows(rows_a), goal, search)
    assert (found.searched, found.choice.price, found.search) == (searched.policy, searched.price, search)
    path = tightening_path(table.rows(rows_a), searched.policy)
    assert found.certificate == certify(table.rows(rows_b), path, 0.1)
    assert found.choice.policy == found.certificate.policy and found.certificate.step > 0
    assert found.cross_fits == ()
