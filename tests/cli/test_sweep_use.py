"""How sweeps are asked for: by dry run, by file, from Python, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

import archsim
from archsim import api
from archsim.errors import InvalidInput, MissingExtra
from archsim.explore.table import read_table
from tests.sweeps import rows_of, sweep


def test_a_dry_run_counts_and_simulates_one_point(tiny: Path, tmp_path: Path) -> None:
    words = ("--set", "pe_array.rows=4,8,12", "--where", "pe_array.rows > 4", "--jobs", 2, "--dry-run")
    result = sweep(tiny, *words, "--out", tmp_path / "out", "--json")
    found = json.loads(result.stdout)
    assert (found["points"], found["excluded"], found["jobs"]) == (2, 1, 2)
    assert found["seconds"] == pytest.approx(found["seconds_a_point"]) and found["seconds"] > 0
    assert not (tmp_path / "out" / "sweep.sqlite").exists()
    assert "2 (1 more are excluded" in sweep(tiny, *words, "--out", tmp_path / "out").stdout
    nothing = sweep(tiny, *words, "--where", "pe_array.rows > 99", "--out", tmp_path / "out")
    assert (nothing.exit_code, "found no point" in nothing.stderr) == (3, True)


@pytest.mark.usefixtures("jobs")
def test_a_sweep_file(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "schema": "archsim.sweep/1",
                "name": "rows",
                "workload": "tiny/tiny.yaml",
                "images": 3,
                "space": {"pe_array.rows": [4, 8]},
            }
        )
    )
    assert sweep(file, "--out", tmp_path / "out").exit_code == 0
    assert [row["images"] for row in rows_of(tmp_path / "out")] == ["3", "3"]
    assert read_table(tmp_path / "out").name == "rows"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("--out", "x"), 2),
        (("digits",), 2),
        (("digits", "--out", "x", "--jobs", 0), 2),
        (("digits", "--out", "x", "--sample", "grid:3"), 3),
        (("digits", "--out", "x", "--set", "pe_array.rows"), 3),
        (("digits", "--out", "x", "--set", "pe_aray.rows=3"), 3),
        (("digts", "--out", "x"), 3),
        (("--resume", "--out", "x"), 3),
    ],
)
def test_wrong_use(
    words: tuple[object, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = sweep(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("jobs")
def test_the_python_interface(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    done: list[tuple[int, int]] = []
    table = archsim.sweep(
        tiny,
        {"pe_array.rows": range(4, 9, 4), "pe_array.zero": ("gate",)},
        out_dir=tmp_path / "out",
        jobs=1,
        images=4,
        progress=lambda points, total: done.append((points, total)),
    )
    assert done == [(1, 2), (2, 2)]
    assert (len(table), table.params, table.varied) == (
        2,
        ["pe_array.rows", "pe_array.zero"],
        ["pe_array.rows"],
    )
    expected = [
        api.simulate(tiny, images=4, overrides=[f"pe_array.rows={rows}", "pe_array.zero=gate"])
        for rows in (4, 8)
    ]
    assert table["energy"].tolist() == [result.energy_uj_per_image.total for result in expected]
    assert table["pe_array.zero"].tolist() == ["gate", "gate"]
    frame = table.to_pandas()
    assert frame["latency_us.mean"].tolist() == [result.latency_us.mean for result in expected]
    assert frame["param.pe_array.rows"].tolist() == [4, 8]
    with pytest.raises(InvalidInput, match="spce"):
        archsim.sweep(tiny, out_dir=tmp_path / "b", spce={})


@pytest.mark.usefixtures("jobs")
def test_missing_extras(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("distributed", "optuna", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    words = (tiny, "--set", "pe_array.rows=8", "--out", tmp_path / "a")
    result = sweep(*words, "--scheduler", "tcp://127.0.0.1:1")
    assert (result.exit_code, result.stderr) == (
        5,
        '--scheduler needs the extra "cluster": pip install "archsim[cluster]"\n',
    )
    search = {"objectives": {"energy": "min"}, "points": 2}
    with pytest.raises(MissingExtra, match="dse"):
        archsim.sweep(tiny, {"pe_array.rows": [4, 8]}, search=search, out_dir=tmp_path / "b", jobs=1)
    table = archsim.sweep(tiny, {"pe_array.rows": [4]}, out_dir=tmp_path / "c", jobs=1)
    with pytest.raises(MissingExtra, match="data"):
        table.to_pandas()
