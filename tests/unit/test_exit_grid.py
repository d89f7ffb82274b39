"""The grid around a policy: how far and how often thresholds move, step by step by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from archsim.exits.grid import refined
from archsim.exits.policy import ExitPolicy, Window, apply_policy
from archsim.exits.tables import CandidateTable
from tests.exit_tables import costs_of


def table_of(margins: Sequence[Sequence[int]], trunk: Sequence[float]) -> CandidateTable:
    """Every exit is right and every branch for nothing. margins: one row a candidate."""
    array = np.array(margins).T
    names = tuple("ab"[: len(margins)])
    correct = np.ones((len(array), len(names) + 1), bool)
    return CandidateTable(
        names, names, np.arange(len(names)), array, array, correct, costs_of(trunk, 0)
    ).checked()


def leaving(table: CandidateTable, policy: ExitPolicy) -> list[int]:
    """How many images leave at each candidate."""
    exits = apply_policy(table, policy).exits
    return [int((exits == k).sum()) for k in range(table.count)]


def test_ten_rounds_of_at_most_four_percent() -> None:
    table = table_of([range(100)], [500])
    policy = ExitPolicy((99,), (Window(0),))
    assert leaving(table, policy) == [1]
    assert refined(table, policy, lambda _: True) == ExitPolicy((59,), (Window(0),))


@pytest.mark.parametrize("most", [32, 31, 30, 18, 2])
def test_steps_become_as_small_as_a_quarter_percent(most: int) -> None:
    """Of 400 images 16, 8, 4, 2 and 1 more leave, as long as ``most`` do not become too many."""
    table = table_of([range(400)], [500])
    found = refined(table, ExitPolicy((399,), (None,)), lambda policy: leaving(table, policy)[0] <= most)
    assert leaving(table, found) == [most]


def test_one_threshold_is_loosened_while_another_is_tightened() -> None:
    """At most 50 images may leave, and those at the first branch save twice as much; they are not the same images.

    (10, 40) leave, then (26, 24), (42, 8), (46, 4), (48, 2) and (49, 1).
    """
    table = table_of([range(400), range(399, -1, -1)], [400, 700])
    start = ExitPolicy((390, 360), (None, None))
    assert leaving(table, start) == [10, 40]
    found = refined(table, start, lambda policy: sum(leaving(table, policy)) <= 50)
    assert found.thresholds == (351, 399) and leaving(table, found) == [49, 1]


def test_a_threshold_moves_no_further_than_the_last_image() -> None:
    table = table_of([range(100)], [500])
    assert refined(table, ExitPolicy((2,), (None,)), lambda _: True).thresholds == (0,)


def test_a_threshold_between_margins_counts_those_above_it() -> None:
    """Below 98.5 and above it lie 98 and 99: one image leaves, four more may."""
    table = table_of([range(100)], [500])
    found = refined(table, ExitPolicy((98.5,), (None,)), lambda policy: leaving(table, policy)[0] <= 5)
    assert found.thresholds == (95,)


def test_what_saves_nothing_changes_nothing() -> None:
    table = table_of([range(100)], [500])
    policy = ExitPolicy((-7,), (None,))
    assert refined(table, policy, lambda _: True) is policy
