"""Fronts and sensitivities against definitions, and tables of sweeps that never ran."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.errors import InvalidInput
from archsim.explore.export import write_csv
from archsim.explore.pareto import pareto_front
from archsim.explore.sensitivity import full_grid, sensitivities
from archsim.explore.table import SweepTable
from tests.sweep_tables import sweep_table


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=25))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, int, int]]) -> None:
    costs = np.array(points, np.float64)
    expected = [
        not any((other <= point).all() and (other < point).any() for other in costs) for point in costs
    ]
    assert pareto_front(costs).tolist() == expected


def test_a_point_without_a_result_is_on_no_front() -> None:
    assert pareto_front(np.array([[1.0, np.nan], [2.0, 2.0]])).tolist() == [False, True]


def test_indices_of_a_product_are_those_of_the_textbook() -> None:
    """y = a b with a, b of mean 0 has no effect of either alone, and all of it together."""
    grid = np.outer([-1.0, 1.0], [-2.0, 0.0, 2.0])
    found = sensitivities(["a", "b"], grid, [1, 2])
    assert [(one.first_order, one.total) for one in found] == [(0.0, 1.0), (0.0, 1.0)]
    assert found[0].alone.tolist() == [-2.0, 2.0]
    assert found[1].alone.tolist() == [-2.0, 0.0, 2.0]


def test_a_constant_is_sensitive_to_nothing() -> None:
    assert [one.total for one in sensitivities(["a"], np.ones(3), [0])] == [0.0]


def test_first_order_indices_of_a_sum_add_up_to_one() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=size) for size in (3, 4, 2)]
    grid = parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None, :]
    found = sensitivities(list("abc"), grid, [0, 0, 0])
    assert sum(one.first_order for one in found) == pytest.approx(1)
    for one, part in zip(found, parts, strict=True):
        assert one.first_order == pytest.approx(part.var() / grid.var()) == pytest.approx(one.total)


def test_only_complete_grids() -> None:
    rows = np.array(list(itertools.product(range(2), range(3)))).T
    values = np.arange(6.0)
    grid = full_grid(list(rows), values)
    assert grid is not None and grid.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert full_grid([found[:5] for found in rows], values[:5]) is None
    assert full_grid(list(rows), np.where(values == 2, np.nan, values)) is None
    assert full_grid([np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])], np.arange(4.0)) is None


def test_columns_by_short_name_and_by_key() -> None:
    table = sweep_table()
    assert table["energy"].tolist() == table["energy_uj_per_image.total"].tolist()
    assert table["pe_array.rows"].tolist() == table["param.pe_array.rows"].tolist() == [4, 4, 8, 8]
    assert table.params == table.varied == ["pe_array.rows", "pe_array.zero"]
    with pytest.raises(InvalidInput, match='did you mean "energy"'):
        _ = table["enrgy"]
    with pytest.raises(InvalidInput, match="expected numbers"):
        table.numbers("pe_array.zero")


def test_the_best_points_in_both_directions() -> None:
    table = sweep_table()
    assert table.best("energy", 2)["energy"].tolist() == [1.0, 2.0]
    assert table.best("-energy")["energy"].tolist() == [4.0]
    assert table.best("accuracy")["accuracy"].tolist() == [0.9]
    assert len(table.best("energy", 99)) == 4


def test_failed_points_are_left_out(tmp_path: Path) -> None:
    columns = dict(sweep_table().columns)
    columns["status"] = np.array(["ok", "failed", "ok", "ok"], object)
    assert len(SweepTable("s", tmp_path, columns).ok()) == 3
    columns["status"] = np.array(["failed"] * 4, object)
    with pytest.raises(InvalidInput, match="found no point that was simulated"):
        SweepTable("s", tmp_path, columns).ok()


def test_a_csv_cell_has_all_digits(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a": 0.1 + 0.2, "b": True}, {"a": 2**60, "c": 'x,"y"'}]
    path = write_csv(tmp_path / "t.csv", ["a", "b", "c"], rows)
    assert path.read_text() == 'a,b,c\n0.30000000000000004,true,\n1152921504606846976,,"x,""y"""\n'
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]
