"""The record of a validation, golden files, and systolic arrays against SCALE-Sim."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.errors import InvalidInput
from archsim.validation.golden_csv import one_of, read_golden, whole_number
from archsim.validation.report import RowComparison, ValidationReport
from archsim.validation.systolic import SHIPPED, SystolicCase, simulated_cycles, validate_systolic

FEW = Path(__file__).parents[1] / "golden" / "systolic.csv"
HEADER = "layer,dataflow,array_rows,array_cols,ifmap_h,ifmap_w,filt_h,filt_w,channels,num_filters,stride,compute_cycles"


def golden(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "golden.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        validate_systolic(path)
    return [str(problem).replace(f"{path}", "FILE") for problem in raised.value.problems]


def test_errors_are_summed_up() -> None:
    report = ValidationReport("toy", [
        RowComparison("a", {"cycles": 200, "reads": 0}, {"cycles": 190, "reads": 0}),
        RowComparison("b", {"cycles": 100}, {"cycles": 101}),
        RowComparison("c", {"cycles": 50, "reads": 4}, {"cycles": 50, "reads": 5}),
    ])  # fmt: skip
    found = report.to_json()
    assert (found["target"], found["rows"]) == ("toy", 3)
    assert found["max_abs_error_pct"] == 25
    assert found["mean_abs_error_pct"] == (5 + 0 + 1 + 0 + 25) / 5
    assert found["worst"] == {"row": "c", "metric": "reads", "golden": 4, "predicted": 5, "error_pct": 25}
    assert found["by_metric"] == {
        "cycles": {"mape_pct": 2, "max_pct": 5},
        "reads": {"mape_pct": 12.5, "max_pct": 25},
    }
    assert found["per_row"][1] == {"row": "b", "cycles": {"golden": 100, "predicted": 101, "error_pct": 1}}


@pytest.mark.parametrize(("predicted", "error_pct"), [(0, 0), (3, 100)])
def test_an_error_of_nothing(predicted: int, error_pct: float) -> None:
    assert RowComparison("a", {"refreshes": 0}, {"refreshes": predicted}).error_pct("refreshes") == error_pct


def test_golden_rows_keep_lines_values_and_other_cells(tmp_path: Path) -> None:
    path = golden(tmp_path, "x, 7,u", "", "y,8,v", header="name,size,kind")
    rows = read_golden(path, {"size": whole_number(1, 9), "kind": one_of("u", "v")})
    assert [(row.line, row.values, row.cells["name"]) for row in rows] == [
        (2, {"size": 7, "kind": "u"}, "x"),
        (4, {"size": 8, "kind": "v"}, "y"),
    ]


@pytest.mark.parametrize(("path", "rows"), [(SHIPPED, 79), (FEW, 15)], ids=["shipped", "few"])
def test_every_row_of_scale_sim_is_met(path: Path, rows: int) -> None:
    report = validate_systolic(path)
    assert len(report.rows) == rows
    assert [row.name for row in report.rows if row.golden != row.predicted] == []
    assert report.max_abs_error_pct == 0


def test_the_shipped_file_is_the_default() -> None:
    assert len(validate_systolic(None).rows) == 79


def test_a_wrong_golden_value_shows(tmp_path: Path) -> None:
    """M = 6 * 6, K = 36, N = 5 on 4 x 4 weights: 9 * 2 folds of 2 * 4 + 4 + 36 - 2 cycles, less one."""
    report = validate_systolic(golden(tmp_path, "a,ws,4,4,8,8,3,3,4,5,1,1000"))
    assert report.rows[0].predicted == {"compute_cycles": 9 * 2 * 46 - 1}
    assert report.max_abs_error_pct == pytest.approx(17.3)


def test_cycles_are_true_counts() -> None:
    """A 4 x 5 map under a stride of 2 that does not divide it: M = 2 * 2, one row of windows more than fits."""
    case = SystolicCase("output_stationary", 2, 3, 4, 5, 3, 3, 2, 7, 2)
    assert case.out_shape == (2, 2)
    assert case.layer.input_shape.height == 5
    assert simulated_cycles(case) == 2 * 3 * (2 + 3 + 18 - 2)


def test_all_bad_cells_are_listed_with_their_lines(tmp_path: Path) -> None:
    path = golden(
        tmp_path,
        "a,ws,4,4,8,8,3,3,4,5,1,10",
        "b,rs,4,0,8,8,3,3,4,5,1,10",
        "c,ws,4",
        "d,is,4,4,2,8,3,9,x,5,1,10",
    )
    assert problems(path) == [
        'FILE:3: dataflow: found "rs", expected one of ws, os, is',
        'FILE:3: array_cols: found "0", expected a whole number from 1 to 1024',
        "FILE:4: found 3 cells, expected 12 as in the header",
        'FILE:5: channels: found "x", expected a whole number from 1 to 32768',
    ]


def test_a_window_larger_than_the_map_is_refused(tmp_path: Path) -> None:
    path = golden(tmp_path, "d,is,4,4,2,8,3,9,4,5,1,10")
    assert problems(path) == [
        "FILE:2: filt_h: found 3, expected at most the 2 of ifmap_h",
        "FILE:2: filt_w: found 9, expected at most the 8 of ifmap_w",
    ]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = golden(tmp_path, "a,b", header="datflow,array_rows")
    assert problems(path)[0] == 'FILE:1: dataflow: found no such column (hint: did you mean "datflow"?)'
    assert len(problems(path)) == 10


def test_files_without_rows_or_that_are_no_text_are_refused(tmp_path: Path) -> None:
    assert problems(golden(tmp_path)) == ["FILE: found a header only, expected at least one row"]
    assert problems(tmp_path / "nowhere.csv") == ["FILE: cannot be read: No such file or directory"]
    path = tmp_path / "bytes.csv"
    path.write_bytes(b"\xff\xfe\x00\x80,")
    assert problems(path)[0].startswith("FILE: is no CSV file (")
    path.write_text("")
    assert len(problems(path)) == 11
