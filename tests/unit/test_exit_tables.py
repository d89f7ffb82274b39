"""Tables, policies, rankings and line searches on a few images, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsim.errors import InvalidInput
from archsim.exits.dbp import best_window, run_gains, with_windows
from archsim.exits.line_search import Lagrangian, Line
from archsim.exits.policy import ExitPolicy, Window, apply_policy, leaves, mean_cost_fraction, reaches, runs
from archsim.exits.ranking import Cut, Ranking
from archsim.exits.tables import CandidateTable, Costs
from tests.exit_tables import costs_of

COSTS = Costs(
    objective="macs",
    unit="MAC",
    full=1024.0,
    trunk=np.array([256.0, 512.0]),
    branch=np.array([16.0, 32.0]),
    tap=np.array([2.0, 4.0]),
    dbp=np.array([1.0, 3.0]),
)
TABLE = CandidateTable(
    names=("a", "b"),
    structures=("gap", "gap"),
    positions=np.array([0, 2]),
    margins=np.array([[9, 1], [5, 8], [5, 3], [1, 8]]),
    magnitude_sums=np.array([[7, 2], [5, 4], [2, 6], [4, 9]]),
    correct=np.array([[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0]], bool),
    costs=COSTS,
).checked()


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"structures": ("gap",)}, ["structures"]),
        ({"structures": ("gap",) * 3}, ["structures"]),
        ({"positions": np.array([0])}, ["positions"]),
        ({"positions": np.array([0, 1, 2])}, ["positions"]),
        ({"positions": np.array([2, 1])}, ["positions"]),
        ({"positions": np.array([1, 1])}, []),
        ({"margins": TABLE.margins[:, :1]}, ["margins"]),
        ({"magnitude_sums": TABLE.magnitude_sums[:3]}, ["magnitude_sums"]),
        ({"correct": TABLE.correct[:, :2]}, ["correct"]),
        ({"correct": np.ones((4, 4), bool)}, ["correct"]),
        ({"names": ("a", "a")}, ["names"]),
        ({"margins": TABLE.margins.astype(np.int32)}, ["margins"]),
        ({"margins": TABLE.margins.astype(np.float64)}, []),
        ({"magnitude_sums": np.array([[1.0, 2.0]] * 3 + [[1.0, np.inf]])}, ["magnitude_sums"]),
        ({"costs": replace(COSTS, tap=np.array([0.0, 0.0]))}, []),
        ({"costs": replace(COSTS, tap=np.array([0.0, -0.5]))}, ["costs.tap"]),
        ({"costs": replace(COSTS, trunk=np.array([np.nan, 1.0]))}, ["costs.trunk"]),
        ({"costs": replace(COSTS, full=0.0)}, ["costs.full"]),
        ({"costs": replace(COSTS, full=-1.0)}, ["costs.full"]),
        ({"costs": replace(COSTS, full=0.5)}, []),
        ({"costs": costs_of([1, 2, 3], 1)}, ["costs.trunk", "costs.branch", "costs.tap", "costs.dbp"]),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], keys: list[str]) -> None:
    try:
        replace(TABLE, **changes).checked()
        found = []
    except InvalidInput as error:
        found = [problem.key for problem in error.problems]
    assert found == keys


def test_some_images_of_a_table() -> None:
    part = TABLE.rows(np.array([3, 1]))
    assert (part.images, part.count) == (2, 2)
    assert part.margins.tolist() == [[1, 8], [5, 8]] and part.magnitude_sums.tolist() == [[4, 9], [5, 4]]
    assert part.correct.tolist() == [[False] * 3, [False, True, True]]
    assert TABLE.costs.exits.tolist() == [256, 512, 1024]
    assert [ranking.keys.tolist() for ranking in TABLE.margin_rankings] == [[9, 5, 5, 1], [8, 8, 3, 1]]
    assert [ranking.keys.tolist() for ranking in TABLE.sum_rankings] == [[7, 5, 4, 2], [9, 6, 4, 2]]


def test_a_policy_is_changed_one_candidate_at_a_time() -> None:
    policy = ExitPolicy((1, None, 3), (None, None, Window(4)))
    assert policy.chosen == (0, 2)
    assert policy.with_branch(1, 7, Window(2)).windows == (None, Window(2), Window(4))
    assert policy.with_branch(2, 0) == ExitPolicy((1, None, 0), (None, None, None))
    assert (
        policy.with_branch(2, None, Window(1))
        == policy.without(2)
        == ExitPolicy((1, None, None), (None,) * 3)
    )
    assert policy.with_window(0, Window(5)) == ExitPolicy((1, None, 3), (Window(5), None, Window(4)))
    assert ExitPolicy.without_exits(2) == ExitPolicy((None, None), (None, None))


def test_bounds_of_a_window_are_inside_of_it() -> None:
    sums = np.array([1, 2, 3, 4])
    assert Window(2, 3).holds(sums).tolist() == [False, True, True, False]
    assert Window(3).holds(sums).tolist() == [False, False, True, True]


POLICY = ExitPolicy((5, 8), (Window(4), Window(3, 6)))
"""Of the four images the first two leave at a, DBP skips the third there, and the last stays; b runs for the third."""


def test_what_a_policy_does_to_each_image() -> None:
    assert runs(TABLE, POLICY, 0).tolist() == [True, True, False, True]
    assert runs(TABLE, POLICY, 1).tolist() == [False, True, True, False]
    assert leaves(TABLE, POLICY, 0).tolist() == [True, True, False, False]
    assert not leaves(TABLE, POLICY.without(0), 0).any()
    assert reaches(TABLE, POLICY, 0).all() and reaches(TABLE, POLICY, 1).tolist() == [
        False,
        False,
        True,
        True,
    ]
    outcome = apply_policy(TABLE, POLICY)
    assert outcome.exits.tolist() == [0, 0, 2, 2]
    assert outcome.costs.tolist() == [256 + 17, 256 + 17, 1024 + 3 + 35, 1024 + 17 + 7]
    assert outcome.correct.tolist() == [True, False, False, False]
    assert mean_cost_fraction(TABLE, POLICY) == (273 + 273 + 1062 + 1048) / 4096


def test_from_a_later_candidate_on_earlier_ones_are_absent() -> None:
    outcome = apply_policy(TABLE, POLICY, first=1)
    assert outcome.exits.tolist() == [2, 1, 2, 2]
    assert outcome.costs.tolist() == [1024 + 7, 512 + 35, 1024 + 35, 1024 + 7]
    assert apply_policy(TABLE, POLICY, first=2).costs.tolist() == [1024] * 4


def test_a_policy_must_fit_in_both_of_its_parts() -> None:
    for policy in (ExitPolicy((1, None), (None,) * 3), ExitPolicy((1, None, None), (None,) * 2)):
        with pytest.raises(InvalidInput, match="expected 2 of each"):
            policy.checked(TABLE)


def test_scores_tell_right_answers_lost_and_won() -> None:
    lagrangian = Lagrangian(TABLE, 3.0, 0.25)
    assert lagrangian.scores.tolist() == [[0, 0, 0], [-1, 0, 0], [0.25, 0, 0], [0, 0, 0]]
    assert lagrangian.values.tolist() == (3 * lagrangian.scores).tolist()
    assert Lagrangian(TABLE, 3.0).scores[2, 0] == 1.0
    # One image is lost at a, where costs are those of the policy.
    assert lagrangian.value(POLICY) == (273 + 273 + 1062 + 1048) / 4096 + 3 / 4


def test_what_an_image_gains_by_leaving() -> None:
    """Behind a: the first image goes to the end (1031), the second leaves at b (547), the last two end (1059, 1031)."""
    lagrangian = Lagrangian(TABLE, 3.0, 0.25)
    place = lagrangian.place(POLICY, 0)
    assert place.reached.all()
    assert (1024 * lagrangian.saved(place, 0)).tolist() == [775, 291, 803, 775]
    assert (1024 * lagrangian.exit_gains(place, 0)).tolist() == [775, 291 - 3072, 803 + 768, 775]


def test_a_threshold_must_earn_more_than_its_branch_costs() -> None:
    """Three images reach a branch of 16; one of them saves 512."""
    policy = ExitPolicy.without_exits(2).with_branch(0, 9)
    for branch, expected in (
        (170.0, Line(8, 2 / 1024)),
        (512 / 3, Line(None, 0.0)),
        (171.0, Line(None, 0.0)),
    ):
        table = replace(
            TABLE,
            margins=np.array([[9, 9], [5, 8], [5, 3], [1, 3]]),
            costs=replace(COSTS, full=1024.0, branch=np.array([16.0, branch])),
        )
        table = replace(table, correct=np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]], bool))
        line = Lagrangian(table, 9.0).line_search(policy, 1)
        assert (line.threshold, line.gain) == (expected.threshold, pytest.approx(expected.gain, abs=1e-15))


def test_a_window_has_its_price_in_a_line_search() -> None:
    """At b, which all four reach, two run (32 each), two are skipped (4 each), and all are decided upon (3 each)."""
    policy = ExitPolicy((None, 1), (None, Window(3, 6)))
    line = Lagrangian(TABLE, 0.0).line_search(policy, 1)
    assert line == Line(3, (2 * 512 - 2 * 32 - 2 * 4 - 4 * 3) / 1024)


KEYS = np.array([4, 2, 4, 1])


@pytest.mark.parametrize(
    ("gains", "cut", "window"),
    [
        ([1.0, 0.0, 1.0, 0.0], Cut(4, None, 2.0, 2.0), Cut(4, None, 2.0, 2.0)),
        ([1.0, -1.0, 1.0, 1.0], Cut(4, None, 2.0, 2.0), Cut(4, None, 2.0, 2.0)),
        ([1.0, -5.0, -2.0, 3.0], Cut(None, None, 0.0, -3.0), Cut(1, 1, 3.0, -3.0)),
        ([-1.0, 3.0, 0.0, -1.0], Cut(2, None, 2.0, 1.0), Cut(2, 2, 3.0, 1.0)),
        ([0.0, 0.0, 0.0, 0.0], Cut(None, None, 0.0, 0.0), Cut(None, None, 0.0, 0.0)),
        ([-1.0, -1.0, 0.0, 0.0], Cut(None, None, 0.0, -2.0), Cut(None, None, 0.0, -2.0)),
        ([2.0, -1.0, -1.0, 0.25], Cut(4, None, 1.0, 0.25), Cut(4, None, 1.0, 0.25)),
    ],
)
def test_cuts_and_windows_are_the_shortest_of_equals(gains: list[float], cut: Cut, window: Cut) -> None:
    """Keys 4, 2, 4, 1: the first and the third image are never told apart."""
    ranking = Ranking(KEYS)
    assert ranking.best_cut(np.array(gains)) == cut
    assert ranking.best_window(np.array(gains)) == window


def test_no_images_gain_nothing() -> None:
    ranking = Ranking(np.zeros(0, np.int64))
    assert ranking.best_cut(np.zeros(0)) == ranking.best_window(np.zeros(0)) == Cut(None, None, 0.0, 0.0)


def pruning(saved: float, branch: float, dbp: float, sums: list[int]) -> Lagrangian:
    """Eight images at one branch, of which those with an odd number leave and save so much."""
    margins = np.array([[image % 2] for image in range(8)])
    costs = Costs("macs", "MAC", 1024.0, *(np.array([value]) for value in (1024.0 - saved, branch, 8.0, dbp)))
    table = CandidateTable(
        ("a",), ("gap",), np.array([0]), margins, np.array(sums)[:, None], np.ones((8, 2), bool), costs
    )
    return Lagrangian(table.checked(), 1.0)


ONE = ExitPolicy((1,), (None,))


def test_running_a_branch_earns_what_leaving_saves_less_its_price() -> None:
    lagrangian = pruning(512, 40, 0, [3, 7, 2, 6, 1, 5, 0, 4])
    assert (1024 * run_gains(lagrangian, ONE, 0)).tolist() == [-32, 480] * 4
    later = ExitPolicy((1, 1), (None, None))
    two = Lagrangian(replace(TABLE, margins=np.array([[1, 0], [0, 1], [0, 0], [1, 1]])), 1.0)
    assert (1024 * run_gains(two, later, 1)).tolist() == [0, 512 - 28, -28, 0], "who has left gains nothing"


@pytest.mark.parametrize(
    ("dbp", "window"),
    [(0, Window(4)), (15, Window(4)), (16, None), (17, None)],
)
def test_pruning_pays_where_it_spares_more_than_its_decision(dbp: float, window: Window | None) -> None:
    """Sums below 4 are those of the four that stay: a branch of 40, less the tap of 8, is spared each of them."""
    lagrangian = pruning(512, 40, dbp, [3, 7, 2, 6, 1, 5, 0, 4])
    assert best_window(lagrangian, ONE, 0, "one_sided") == window
    assert with_windows(lagrangian, ONE, "one_sided").windows == (window,)
    assert best_window(lagrangian, ONE, 0, "none") is None


def test_a_branch_that_no_image_leaves_at_has_no_window() -> None:
    lagrangian = pruning(512, 40, 0, [3, 7, 2, 6, 1, 5, 0, 4])
    assert best_window(lagrangian, ExitPolicy((2,), (None,)), 0, "one_sided") is None


@pytest.mark.parametrize(
    ("sums", "window"),
    [
        ([0, 5, 9, 5, 0, 6, 0, 6], Window(5)),  # the upper bound spares one image: no more than its own error
        ([0, 5, 9, 5, 9, 6, 0, 6], Window(5, 6)),  # two: 64 against sqrt(2) 32
        ([9, 5, 9, 5, 9, 6, 9, 6], Window(5, 6)),
    ],
)
def test_an_upper_bound_must_gain_more_than_its_standard_error(sums: list[int], window: Window) -> None:
    assert best_window(pruning(512, 40, 0, sums), ONE, 0, "two_sided") == window
