"""Why a candidate was not kept, as the report of ``exits build`` says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy
from archsim.exits.report import _reason
from archsim.exits.safeguards import Chosen
from archsim.exits.spec import ExitsBuildSpec
from archsim.exits.structure import Choice, Search
from archsim.exits.tables import CandidateTable
from tests.exit_tables import synthetic_table

PRICE = 2.0


def reason(table: CandidateTable, searched: ExitPolicy, k: int, **search: Any) -> str:
    spec = ExitsBuildSpec.model_validate({"schema": "archsim.exits/1", "name": "case", "workload": "digits"})
    rows = np.arange(table.images)
    return _reason(
        spec, table, Chosen(Search(**search), Choice(searched, PRICE), searched, rows, None, None), k
    )


def test_nothing_was_chosen() -> None:
    table = synthetic_table(1, 100, 2)
    assert reason(table, ExitPolicy.without_exits(2), 0) == "no policy with exits met the accuracy"


def test_it_was_chosen_and_not_certified() -> None:
    table = synthetic_table(1, 100, 2)
    searched = ExitPolicy((None, 5), (None, None))
    assert reason(table, searched, 1) == "it was chosen, but certification left it no image"


def test_another_structure_is_there() -> None:
    table = synthetic_table(1, 100, 2, structures=2)
    searched = ExitPolicy((None, 5, None, 3), (None,) * 4)
    assert reason(table, searched, 0) == "exit1 at the same position is better"
    assert reason(table, searched, 2) == "exit3 at the same position is better"


def test_it_costs_more_than_it_earns() -> None:
    table = synthetic_table(1, 100, 2)
    table = replace(table, costs=replace(table.costs, branch=np.array([5000.0, 5.0])))
    searched = ExitPolicy((None, 5), (None, None))
    assert reason(table, searched, 0) == "at no threshold it earns what it costs"


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, "it would gain only {gain} % of the full cost"),
        ({"max_branches": 2}, "it would gain only {gain} % of the full cost"),
        ({"max_branches": 1}, "it would gain {gain} % of the full cost, but max_branches is reached"),
    ],
)
def test_how_much_it_would_gain(search: dict[str, int], expected: str) -> None:
    """A percent of the full cost of an image is what J falls by where the branch comes in at its best threshold."""
    table = synthetic_table(1, 100, 2)
    searched = ExitPolicy((None, 5), (None, None))
    lagrangian = Lagrangian(table, PRICE, 0.5)
    with_it = [searched.with_branch(0, threshold) for threshold in np.unique(table.margins[:, 0]).tolist()]
    gain = lagrangian.value(searched) - min(map(lagrangian.value, with_it))
    assert gain > 0.001
    assert reason(table, searched, 0, **search) == expected.format(gain=f"{100 * gain:.3f}")
