"""Oracles and controls on tables small enough to be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from archsim.exits.controls import auc, dbp_quality, oracle_dbp, oracle_exit, random_skips, spearman
from archsim.exits.policy import ExitPolicy, Window
from archsim.exits.tables import CandidateTable, Costs

COSTS = Costs(
    objective="macs",
    unit="MAC",
    full=1000.0,
    trunk=np.array([200.0, 600.0]),
    branch=np.array([10.0, 20.0]),
    tap=np.array([1.0, 2.0]),
    dbp=np.array([3.0, 5.0]),
)
TABLE = CandidateTable(
    names=("a", "b"),
    structures=("gap", "gap"),
    positions=np.array([0, 2]),
    margins=np.array([[6, 0], [1, 7], [1, 1], [4, 4]]),
    magnitude_sums=np.array([[9, 9], [8, 1], [2, 7], [1, 3]]),
    correct=np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 0]], bool),
    costs=COSTS,
).checked()


def test_the_oracle_leaves_at_the_cheapest_right_exit() -> None:
    """Exits cost 210, 620 and 1000. The last image is right at the first alone."""
    outcome = oracle_exit(TABLE)
    assert outcome.exits.tolist() == [0, 1, 2, 0]
    assert outcome.costs.tolist() == [210, 620, 1000, 210]
    assert outcome.correct.all()


def test_the_oracle_wastes_nothing_where_no_exit_is_right() -> None:
    never = replace(TABLE, correct=np.zeros_like(TABLE.correct))
    dear = replace(COSTS, branch=np.array([900.0, 20.0]))
    for costs, exit_index, cost in ((COSTS, 0, 210), (dear, 1, 620)):
        outcome = oracle_exit(never.with_costs(costs))
        assert outcome.exits.tolist() == [exit_index] * 4 and outcome.costs.tolist() == [cost] * 4
        assert not outcome.correct.any()


def test_the_oracle_would_pay_for_a_right_answer_what_it_gets_for_nothing_wrong() -> None:
    free = replace(COSTS, trunk=np.array([0.0, 600.0]), branch=np.zeros(2))
    assert oracle_exit(TABLE.with_costs(free)).exits.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("price", "luck_credit", "expected"),
    [
        (0.38, 1.0, [0, 0, 0, 0]),  # a wrong answer at the first exit costs 0.21 + 0.38, the second exit 0.62
        (0.42, 1.0, [0, 1, 0, 0]),
        (0.8, 1.0, [0, 1, 2, 0]),  # 0.21 + 0.8 is more than the full network
    ],
)
def test_the_oracle_weighs_right_answers_by_their_price(
    price: float, luck_credit: float, expected: list[int]
) -> None:
    assert oracle_exit(TABLE, price, luck_credit).exits.tolist() == expected


def test_luck_counts_as_much_as_it_is_credited() -> None:
    """The last image gets right at the first exit, for 0.91, what it gets wrong at the second, for 0.62."""
    dear = TABLE.with_costs(replace(COSTS, branch=np.array([710.0, 20.0])))
    exits = {credit: int(oracle_exit(dear, 1.0, credit).exits[-1]) for credit in (0.0, 0.25, 0.3, 1.0)}
    assert exits == {0.0: 1, 0.25: 1, 0.3: 0, 1.0: 0}


def test_perfect_pruning_runs_branches_for_those_that_leave() -> None:
    outcome = oracle_dbp(TABLE, ExitPolicy((5, 5), (Window(9), None)))
    assert outcome.exits.tolist() == [0, 1, 2, 2]
    assert outcome.costs.tolist() == [
        200 + 10 + 3,
        600 + (1 + 3) + (20 + 5),
        1000 + (1 + 3) + (2 + 5),
        1000 + (1 + 3) + (2 + 5),
    ]
    assert outcome.correct.tolist() == [True, True, True, False]


def test_skips_by_chance_are_as_many_as_those_of_the_window() -> None:
    """Of four images at the first branch two are skipped, of the three behind it one: the same in 20 draws."""
    policy = ExitPolicy((5, 4), (Window(8), Window(3)))
    rng = np.random.default_rng([11, 6])
    costs, right = [], []
    for _ in range(20):
        skips = [rng.random(4) < rate for rate in (2 / 4, 1 / 3)]
        for image in range(4):
            cost, leaves_at = 0.0, 2
            for k, threshold in enumerate((5, 4)):
                if leaves_at == 2:
                    cost += COSTS.dbp[k] + (COSTS.tap[k] if skips[k][image] else COSTS.branch[k])
                    if not skips[k][image] and TABLE.margins[image, k] >= threshold:
                        leaves_at = k
            costs.append(cost + COSTS.exits[leaves_at])
            right.append(TABLE.correct[image, leaves_at])
    assert random_skips(TABLE, policy, seed=11) == (
        pytest.approx(np.mean(costs)),
        pytest.approx(np.mean(right)),
    )


def test_a_branch_that_no_image_reaches_is_skipped_by_none() -> None:
    policy = ExitPolicy((0, 4), (None, Window(3)))
    assert random_skips(TABLE, policy, seed=1) == (210.0, 0.5)
    assert dbp_quality(TABLE, policy, 1).reached == 0


def test_quality_of_pruning_by_hand() -> None:
    """Three images reach the second branch, with sums 1, 7 and 3; the window skips the first of them."""
    quality = dbp_quality(TABLE, ExitPolicy((5, 4), (None, Window(3, 7))), 1)
    assert (quality.reached, quality.skipped) == (3, 1)
    assert (quality.true_skips, quality.false_skips) == (0.0, 0.5)
    assert quality.auc == 0.0, "the one that stays has the largest sum"
    assert quality.spearman == -1.0


def test_the_margin_before_counts_images_that_the_branch_before_ran_for() -> None:
    """Margins 1, 1 and 4 of the three images that reach the second branch, of which the first and the last leave."""
    quality = dbp_quality(TABLE, ExitPolicy((5, 4), (None, None)), 1)
    assert quality.margin_auc == 0.75
    alone = dbp_quality(TABLE, ExitPolicy((5, 4), (None, None)), 0)
    assert math.isnan(alone.margin_auc), "nothing comes before the first branch"
    absent = dbp_quality(TABLE, ExitPolicy((None, 4), (None, None)), 1)
    assert math.isnan(absent.margin_auc), "nor where the first one is not kept"
    # A window on the first branch skips the image with a sum of 1 there: 1 leaves and 1 stays, with equal margins.
    skipping = dbp_quality(TABLE, ExitPolicy((5, 4), (Window(2), None)), 1)
    assert skipping.margin_auc == 0.5


def test_at_a_branch_that_is_not_there_no_image_would_leave() -> None:
    quality = dbp_quality(TABLE, ExitPolicy((5, None), (None, None)), 1)
    assert (quality.reached, quality.skipped, quality.true_skips) == (3, 0, 0.0)
    assert math.isnan(quality.false_skips) and math.isnan(quality.auc)


def test_rank_measures_by_hand() -> None:
    assert auc(np.array([3, 1, 2, 2]), np.array([True, False, True, False])) == 0.875
    assert auc(np.array([1, 2, 3]), np.array([True, False, False])) == 0.0
    assert math.isnan(auc(np.array([1, 2]), np.array([False, False])))
    assert spearman(np.array([1, 2]), np.array([3.5, 4.5])) == 1.0
    # Ranks 2, 2, 2, 4 and 1, 2, 3, 4.
    assert spearman(np.array([0, 0, 0, 9]), np.array([1, 2, 3, 4])) == pytest.approx(3 / math.sqrt(3 * 5))
    assert math.isnan(spearman(np.array([]), np.array([])))
