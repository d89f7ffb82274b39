"""Exit rule, DBP bounds and statistics on traces small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archsim.config.arch import ExitsSpec, PruningSpec
from archsim.config.workload import DbpSpec
from archsim.errors import InvalidInput
from archsim.functional.decide import Decisions, Policy, decide
from archsim.functional.statistics import paired_test, statistics, used_fraction
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.network.overrides import with_overrides
from tests.unit.functional_cases import every_operator

NETWORK, _ = every_operator()
BRANCHES = ("early", "late")


def trace(margins, sums, predictions=None, labels=None) -> FunctionalTrace:
    margins = np.array(margins, np.int64)
    count = len(margins)
    return FunctionalTrace(
        "hand",
        (*BRANCHES, "final"),
        np.zeros(count, np.int64) if labels is None else np.array(labels, np.int64),
        margins,
        np.zeros((count, 3), np.int64) if predictions is None else np.array(predictions, np.int64),
        np.array(sums, np.int64),
        {},
    )


def policy(early=None, late=None, early_dbp=None, late_dbp=None, **switches) -> Policy:
    return Policy(BRANCHES, (early, late), (early_dbp, late_dbp), **switches)


FOUR = trace([[9, 1, 5], [4, 8, 5], [5, 0, 5], [0, 0, 5]], [[10, 10], [20, 30], [30, 20], [40, 40]])


def test_an_image_leaves_at_the_first_margin_that_reaches_the_threshold():
    decisions = decide(FOUR, policy(early=5, late=8))
    assert decisions.exit_index.tolist() == [0, 1, 0, 2]
    assert decisions.evaluated.tolist() == [[True, False], [True, True], [True, False], [True, True]]
    assert not decisions.skipped.any()


@pytest.mark.parametrize(("threshold", "exit_index"), [(-(1 << 31), 0), (0, 0), (1 << 32, 2), (None, 2)])
def test_extreme_thresholds(threshold, exit_index):
    decisions = decide(FOUR, policy(early=threshold, late=threshold))
    assert decisions.exit_index.tolist() == [exit_index] * 4
    assert decisions.evaluated.tolist() == [[True, exit_index == 2]] * 4


@pytest.mark.parametrize(
    ("bounds", "runs"),
    [
        ({"min_sum": 20}, [False, True, True, True]),
        ({"min_sum": 21}, [False, False, True, True]),
        ({"max_sum": 30}, [True, True, True, False]),
        ({"max_sum": 29}, [True, True, False, False]),
        ({"min_sum": 20, "max_sum": 20}, [False, True, False, False]),
        ({"min_sum": 30, "max_sum": 20}, [False] * 4),
    ],
)
def test_dbp_bounds_are_inclusive(bounds, runs):
    decisions = decide(FOUR, policy(early=0, early_dbp=DbpSpec(**bounds)))
    assert decisions.evaluated[:, 0].tolist() == runs
    assert decisions.skipped[:, 0].tolist() == [not run for run in runs]
    assert decisions.exit_index.tolist() == [0 if run else 2 for run in runs]


def test_switches():
    nothing_runs = DbpSpec(min_sum=1 << 40)
    off = decide(FOUR, policy(early=0, late=0, late_dbp=nothing_runs, exits_enabled=False))
    assert off.exit_index.tolist() == [2] * 4 and not off.evaluated.any() and not off.skipped.any()
    no_dbp = decide(FOUR, policy(early=0, early_dbp=nothing_runs, dbp_enabled=False))
    assert no_dbp.exit_index.tolist() == [0] * 4


def test_policy_of_a_network():
    own = Policy.of(NETWORK)
    assert own == Policy(BRANCHES, (500, 600), (DbpSpec(min_sum=800, max_sum=1700), None))


@pytest.mark.parametrize(
    ("bounds", "early", "late"),
    [
        ({}, (800, 1700), None),
        ({"early": {}}, (800, 1700), None),
        ({"early": {"max_sum": 900}}, (800, 900), None),
        ({"early": {"min_sum": 0, "max_sum": None}}, (0, 1700), None),
        ({"late": {"max_sum": 5}}, (800, 1700), (0, 5)),
        ({"late": {"min_sum": 5}}, (800, 1700), (5, None)),
    ],
)
def test_an_accelerator_replaces_thresholds_and_bounds(bounds, early, late):
    exits = ExitsSpec.model_validate({"late": {"threshold": None}})
    found = Policy.of(with_overrides(NETWORK, exits, PruningSpec.model_validate(bounds)))
    assert found.thresholds == (500, None)
    assert [dbp and (dbp.min_sum, dbp.max_sum) for dbp in found.dbp] == [early, late]


def test_a_lazy_trace_does_not_serve_a_later_exit():
    absent = NOT_COMPUTED
    lazy = trace(
        [[9, absent, absent], [4, 8, absent]],
        [[10, absent], [20, 30]],
        predictions=[[0, -1, -1], [0, 0, -1]],
    )
    assert decide(lazy, policy(early=9, late=8)).exit_index.tolist() == [0, 1]
    with pytest.raises(InvalidInput) as caught:
        decide(lazy, policy(early=10, late=9, late_dbp=DbpSpec(min_sum=1)))
    assert [problem.key for problem in caught.value.problems] == [
        "magnitude_sums.late",
        # The missing sum of image 0 is below every bound: it counts as skipped, and then needs the end of the trunk.
        "predictions.final",
    ]
    with pytest.raises(InvalidInput, match=r"margins.late: 1 of 2 images were not computed this far"):
        decide(lazy, policy(early=10, late=8))


def test_a_trace_of_other_branches():
    with pytest.raises(
        InvalidInput, match="found a trace with the exits early, late, final, expected only, final"
    ):
        decide(FOUR, Policy(("only",), (1,), (None,)))


def test_statistics_by_hand():
    labels = [0, 1, 1, 2]
    predictions = [[0, 2, 0], [0, 1, 2], [0, 0, 1], [1, 0, 2]]
    four = trace(FOUR.margins, FOUR.magnitude_sums, predictions, labels)
    decisions = decide(four, policy(early=5, late=8, late_dbp=DbpSpec(max_sum=39)))
    found = statistics(NETWORK, four, decisions)
    # Exits early, late, early, final: right, right, wrong, right; the full network: right, wrong, right, right.
    assert (found.accuracy, found.full_network_accuracy, found.delta_pp) == (0.75, 0.75, 0.0)
    assert found.paired is not None and (found.paired.b, found.paired.c) == (1, 1)
    assert found.delta_lower95_pp == pytest.approx(-100 * 1.6448536269514722 * math.sqrt(2) / 4)
    assert found.exits == {"early": 2, "late": 1, "final": 1}
    assert [(b.evaluated, b.skipped_by_dbp, b.exited) for b in found.branches.values()] == [
        (4, 0, 2),
        (1, 1, 1),
    ]
    early, late = NETWORK.branches
    until_early = 3 * 3 * 2 * 5 + 3 * 1 * 5
    until_late = until_early + 5 * 6
    full = until_late + 6 * 7 + 7 * 3
    assert (NETWORK.weights, early.weights, late.weights) == (full, 5 * 3, 2 * 2 * 3 * 4 + 1 * 2 * 4 * 3)
    spent = 2 * until_early + until_late + full + 4 * early.weights + late.weights
    assert found.params_used_fraction == spent / (4 * full)


def test_fractions_without_branches_are_one():
    nothing = np.zeros((3, 0), bool)
    assert used_fraction(Decisions(np.zeros(3, np.int64), nothing, nothing), [], [], 7) == 1.0


def test_without_the_full_network_nothing_is_compared_with_it():
    predictions = np.where(np.arange(3) == 0, 0, -1) + np.zeros((4, 1), np.int64)
    lazy = trace(FOUR.margins, FOUR.magnitude_sums, predictions)
    found = statistics(NETWORK, lazy, decide(lazy, policy(early=0)))
    assert (found.accuracy, found.full_network_accuracy, found.delta_pp, found.paired) == (
        1.0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("b", "c", "p"), [(0, 0, 1.0), (0, 1, 1.0), (0, 6, 0.03125), (10, 2, 0.03857421875), (5, 5, 1)]
)
def test_exact_mcnemar(b, c, p):
    """Binomial tails worked out by hand: 2 * (1 + 12 + 66) / 4096 = 0.0386 for 10 against 2."""
    first = np.array([True] * b + [False] * c + [True] * 20)
    second = np.array([False] * b + [True] * c + [True] * 20)
    assert paired_test(first, second).mcnemar_p == p


def test_mcnemar_of_many_images_does_not_underflow_or_overflow():
    first = np.arange(10_000) < 5_100
    test = paired_test(first, ~first)
    assert 0.04 < test.mcnemar_p < 0.05  # z = 200 / sqrt(10,000) = 2
