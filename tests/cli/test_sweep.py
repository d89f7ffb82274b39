"""``archsim sweep``: rows that equal single simulations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from archsim import api
from archsim.cli.main import cli
from archsim.explore.table import read_table
from archsim.explore.task import flatten
from archsim.explore.work import Job
from tests.builders import random_images, tiny_document, write_workload
from tests.sweeps import assert_row_is, rows_of, sweep

GRID = ("--set", "pe_array.rows=4,8", "--set", "global_buffer.size_kib=4,27,54")
"""Six points, two of which are impossible: filters alone need 8 KiB."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """(workload, folder of a finished sweep of GRID, by two processes): read only."""
    root = tmp_path_factory.mktemp("sweep")
    workload = write_workload(root / "tiny")
    result = sweep(workload, *GRID, "--images", 6, "--jobs", 2, "--out", root / "out")
    assert result.exit_code == 6, result.output
    yield workload, root / "out"


def test_every_row_is_the_simulation_of_its_point(shared: tuple[Path, Path]) -> None:
    workload, folder = shared
    rows = rows_of(folder)
    assert [(row["param.pe_array.rows"], row["param.global_buffer.size_kib"]) for row in rows] == [
        (rows_, kib) for rows_ in ("4", "8") for kib in ("4", "27", "54")
    ]
    assert [row["status"] for row in rows] == ["failed", "ok", "ok"] * 2
    for row in rows:
        overrides = [f"{key}={row[f'param.{key}']}" for key in ("pe_array.rows", "global_buffer.size_kib")]
        if row["status"] == "failed":
            assert "global_buffer.filter_kib: found 8, expected less than" in row["error"]
            assert row["cycles.mean"] == ""
            continue
        expected = flatten(api.simulate(workload, overrides=overrides, images=6))
        assert {key: row[key] for key in expected} == {key: str(value) for key, value in expected.items()}
        assert row["error"] == ""


def test_the_columns_are_the_keys_of_simulate(shared: tuple[Path, Path]) -> None:
    workload, folder = shared
    result = json.loads(
        CliRunner()
        .invoke(cli, ["simulate", str(workload), "--images", "6", "--set", "pe_array.rows=4", "--json"])
        .stdout
    )
    columns = set(rows_of(folder)[1])
    assert set(result) - {"host", "files", "overrides", "energy_terms", "layers"} == {
        name.partition(".")[0]
        for name in columns - {"status", "error"}
        if not name.startswith(("param.", "layers."))
    }
    for layer in result["layers"]:
        assert {f"layers.{layer['name']}.{key}" for key in layer if key != "name"} <= columns
    assert {
        f"energy_uj_per_image.by_component.{name}" for name in result["energy_uj_per_image"]["by_component"]
    } <= columns


def test_parquet_holds_the_same_with_types(shared: tuple[Path, Path]) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    _, folder = shared
    table = pq.read_table(folder / "points.parquet").to_pylist()
    for row, text in zip(table, rows_of(folder), strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == text
    assert isinstance(table[1]["cycles.total"], int)
    assert isinstance(table[1]["latency_us.mean"], float)
    assert table[0]["latency_us.mean"] is None


def test_what_is_said(shared: tuple[Path, Path]) -> None:
    workload, folder = shared
    before = (folder / "points.csv").read_bytes()
    result = sweep(workload, *GRID, "--images", 6, "--resume", "--out", folder, "--json")
    assert result.exit_code == 6
    found = json.loads(result.stdout)
    assert (found["sweep"], found["points"], found["failed"]) == ("tiny", 6, 2)
    assert found["files"] == [str(folder / name) for name in ("points.csv", "points.parquet")]
    energies = [point["energy_uj_per_image.total"] for point in found["best"]]
    assert len(energies) == 4 and energies == sorted(energies)
    assert (folder / "points.csv").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [
        *("points.csv", "points.parquet", "sweep.sqlite", "traces")
    ]


def test_best_needs_no_simulation(shared: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = shared
    monkeypatch.setattr(api, "simulate", None)
    least = sweep("--best", "cycles", "--top", 1, "--out", folder, "--json")
    assert least.exit_code == 0
    table = read_table(folder).ok()
    assert json.loads(least.stdout)["best"][0]["cycles.mean"] == table["cycles"].min()
    most = json.loads(sweep("--best", "-cycles", "--top", 1, "--out", folder, "--json").stdout)
    assert most["best"][0]["cycles.mean"] == table["cycles"].max()
    text = sweep("--best", "latency", "--top", 2, "--out", folder)
    assert text.stdout.splitlines()[0] == "tiny, 6 points, 2 failed"
    assert text.stdout.splitlines()[1].split()[:3] == [
        "pe_array.rows",
        "global_buffer.size_kib",
        "latency_us.mean",
    ]
    assert len(text.stdout.splitlines()) == 4
    assert sweep("--best", "enrgy", "--out", folder).exit_code == 3
    assert sweep("--best", "workload", "--out", folder).exit_code == 3


def test_results_are_not_written_over(shared: tuple[Path, Path]) -> None:
    workload, folder = shared
    result = sweep(workload, *GRID, "--out", folder)
    assert result.exit_code == 3
    assert "found the results of a sweep (hint: --resume goes on with it" in result.stderr


def test_points_that_mean_the_same_are_simulated_once(tiny: Path, tmp_path: Path, jobs: list[Job]) -> None:
    (tmp_path / "same.yaml").write_text(
        "schema: archsim.arch/1\nname: dense-rs\nextends: dense-rs\n"
        "description: Row-stationary 12x14 array that computes every MAC, no early exits\n"
    )
    out = tmp_path / "out"
    words = ("--set", f"arch=dense-rs,{tmp_path / 'same.yaml'}", "--set", "pe_array.rows=8,12")
    assert sweep(tiny, *words, "--out", out).exit_code == 0
    rows = rows_of(out)
    assert len(rows) == 4 and len(jobs) == 2
    assert [row["cycles.total"] for row in rows[:2]] == [row["cycles.total"] for row in rows[2:]]
    assert rows[0]["cycles.total"] != rows[1]["cycles.total"]
    # A larger space goes on with what is there, and with nothing else.
    wider = (*words[:2], "--set", "pe_array.rows=8,12,6", "--resume", "--out", out)
    assert sweep(tiny, *wider).exit_code == 0
    assert len(jobs) == 3
    assert [row["param.pe_array.rows"] for row in rows_of(out)] == ["8", "12", "6"] * 2


@pytest.mark.usefixtures("jobs")
def test_options_of_a_point_are_those_of_simulate(tiny: Path, tmp_path: Path) -> None:
    words = (
        *(
            "--set",
            "images=3,5",
            "--set",
            "arrivals=20000,back-to-back",
            "--set",
            "exits.early.threshold=100,100000",
        ),
        *(
            "--set",
            "dbp.enabled=false",
            "--arch",
            "gated-rs",
            "--energy-table",
            "65nm",
            "--seed",
            9,
            "--jobs",
            2,
        ),
    )
    assert sweep(tiny, *words, "--out", tmp_path / "out").exit_code == 0
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 8
    for row in rows:
        overrides = (f"exits.early.threshold={row['param.exits.early.threshold']}", "dbp.enabled=false")
        expected = api.simulate(
            tiny,
            arch="gated-rs",
            energy_table="65nm",
            images=int(row["param.images"]),
            arrivals=row["param.arrivals"],
            seed=9,
            overrides=overrides,
        )
        assert_row_is(row, expected)


@pytest.mark.usefixtures("jobs")
def test_the_trace_that_ships_is_used_where_it_lies(tiny: Path, tmp_path: Path) -> None:
    api.evaluate(tiny, save_trace=tiny.parent / "tiny.trace.npz")
    document = yaml.safe_load(tiny.read_text())
    tiny.write_text(yaml.safe_dump({**document, "trace": "tiny.trace.npz"}))
    assert sweep(tiny, "--set", "pe_array.rows=8", "--out", tmp_path / "out").exit_code == 0
    assert not (tmp_path / "out" / "traces").exists()
    assert_row_is(rows_of(tmp_path / "out")[0], api.simulate(tiny, overrides=["pe_array.rows=8"]))


@pytest.mark.usefixtures("jobs")
def test_other_images(tiny: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **random_images(tiny_document(), 5, seed=8))
    words = (
        "--data",
        tmp_path / "mine.npz",
        "--set",
        "pe_array.rows=8",
        "--jobs",
        1,
        "--out",
        tmp_path / "out",
    )
    assert sweep(tiny, *words).exit_code == 0
    assert_row_is(
        rows_of(tmp_path / "out")[0],
        api.simulate(tiny, data=tmp_path / "mine.npz", overrides=["pe_array.rows=8"]),
    )
