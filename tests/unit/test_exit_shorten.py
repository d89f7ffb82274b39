"""A trunk that ends early for all images: the cheapest place at which the goal of accuracy is met."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from archsim.exits.shorten import cuts, shortest
from archsim.exits.structure import AccuracyGoal
from archsim.exits.tables import CandidateTable
from tests.builders import build, tiny_document
from tests.exit_tables import costs_of


def branch(name: str, after: str) -> dict[str, object]:
    head = [{"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 4}]
    return {"name": name, "after": after, "layers": head}


NETWORK = build(tiny_document(branches=[branch("a", "pool1"), branch("b", "conv2"), branch("c", "gap")]))
NOTHING = np.zeros((100, 3), np.int64)


def table(wrong: tuple[int, int, int], trunk: tuple[float, ...] = (300, 500, 900)) -> CandidateTable:
    """100 images, of which the full network has the first two wrong; candidate k the last ``wrong[k]``."""
    correct = np.ones((100, 4), bool)
    correct[:2, -1] = False
    for k, count in enumerate(wrong):
        correct[100 - count :, k] = False
    kinds = ("pool", "conv", "linear")
    return CandidateTable(
        ("a", "b", "c"), kinds, np.arange(3), NOTHING, NOTHING, correct, costs_of(trunk, 20)
    ).checked()


@pytest.mark.parametrize(
    ("wrong", "max_loss", "standard_errors", "expected"),
    [
        ((3, 3, 2), 0.0, 0.0, "c"),
        ((3, 2, 2), 0.0, 0.0, "b"),
        ((3, 3, 3), 0.01, 0.0, "a"),
        ((3, 3, 3), 0.0, 0.0, None),
        ((3, 2, 1), 0.01, 1.645, None),  # b = 1, c = 2: SE 1.73 points, 1 - 1.645 SE below -1
        ((3, 2, 0), 0.01, 1.645, "c"),  # c = 2 alone: SE 1.4 points, 2 - 1.645 SE above -1
    ],
)
def test_the_cheapest_that_meets_the_goal_is_taken(
    wrong: tuple[int, int, int], max_loss: float, standard_errors: float, expected: str | None
) -> None:
    found = shortest(cuts(NETWORK, table(wrong), AccuracyGoal(max_loss, standard_errors=standard_errors)))
    assert (found.name if found else None) == expected


def test_every_cut_is_told_the_cheapest_first() -> None:
    found = cuts(NETWORK, table((5, 2, 0), trunk=(300, 200, 990)), AccuracyGoal(0.0, standard_errors=0))
    assert [(cut.name, cut.after, cut.structure, cut.met) for cut in found] == [
        ("b", "conv2", "conv", True),
        ("a", "pool1", "pool", False),
        ("c", "gap", "linear", False),
    ]
    assert [cut.cost_fraction for cut in found] == [0.22, 0.32, 1.01], "what is not cheaper is no cut"
    assert [cut.accuracy for cut in found] == [0.98, 0.95, 1.0]
    assert dataclasses.astuple(found[1].paired.discordant) == (5, 2)


def test_what_costs_as_much_is_no_cut() -> None:
    """The branch c costs 20 behind a trunk of 980, the network without branches 1000."""
    found = cuts(NETWORK, table((5, 5, 0), trunk=(300, 200, 980)), AccuracyGoal(0.0, standard_errors=0))
    assert [(cut.name, cut.cost_fraction, cut.met) for cut in found][-1] == ("c", 1.0, False)
    assert shortest(found) is None
