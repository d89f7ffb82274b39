"""``archsim validate``."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from archsim.cli.main import cli

FEW = Path(__file__).parents[1] / "golden" / "systolic.csv"


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["validate", *map(str, words)])


def test_json_has_the_promised_keys() -> None:
    result = run("systolic", "--golden", FEW, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found) == [
        "target",
        "rows",
        "max_abs_error_pct",
        "mean_abs_error_pct",
        "worst",
        "by_metric",
        "per_row",
    ]
    assert (found["target"], found["rows"]) == ("systolic", len(found["per_row"]))
    assert found["max_abs_error_pct"] == found["mean_abs_error_pct"] == 0
    assert found["by_metric"] == {"compute_cycles": {"mape_pct": 0, "max_pct": 0}}


def test_the_summary_names_metric_and_worst_row() -> None:
    result = run("systolic", "--golden", FEW)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "systolic, 15 rows against cycles of systolic arrays, counted by SCALE-Sim"
    assert lines[2].split() == ["compute_cycles", "0.000", "0.000"]
    assert lines[3].startswith(
        "worst: compute_cycles of odd_shapes/4x8_ws_sram64k_calc/b/line 2, golden 2549, "
    )


def test_a_bad_golden_file_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(FEW.read_text().replace(",ws,", ",sw,", 1))
    result = run("systolic", "--golden", bad, "--json")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == f'{bad}:2: dataflow: found "sw", expected one of ws, os, is\n'


def test_an_unknown_target_is_a_usage_error() -> None:
    assert run("systolik").exit_code == 2
