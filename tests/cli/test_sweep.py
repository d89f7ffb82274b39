"""``archsim sweep``: rows that equal single simulations, what fails, what is kept, what goes on."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

import archsim
from archsim import api
from archsim.cli.main import cli
from archsim.errors import InvalidInput, MissingExtra
from archsim.explore import sweep as sweep_module
from archsim.explore.pool import LocalPool
from archsim.explore.store import SweepStore
from archsim.explore.table import read_table
from archsim.explore.task import flatten
from archsim.explore.work import Job
from archsim.results.run_result import RunResult
from tests.builders import random_images, tiny_document, write_workload
from tests.inline_workers import InlineWorkers

GRID = ("--set", "pe_array.rows=4,8", "--set", "global_buffer.size_kib=4,27,54")
"""Six points, two of which are impossible: filters alone need 8 KiB."""


def sweep(*words: object) -> Result:
    return CliRunner().invoke(cli, ["sweep", *(str(word) for word in words)])


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "points.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs of the sweeps of a test, which are performed in this process."""
    performed: list[Job] = []
    monkeypatch.setattr(LocalPool, "open", InlineWorkers(performed).open)
    return performed


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


def assert_row_is(row: dict[str, str], expected: RunResult) -> None:
    flat = flatten(expected)
    assert {key: row[key] for key in flat} == {key: str(value) for key, value in flat.items()}


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


@pytest.mark.usefixtures("jobs")
def test_a_big_simulation_in_parts_is_the_same(tiny: Path, tmp_path: Path) -> None:
    words = ("--set", "pe_array.zero=gate,skip", "--arrivals", "20000")
    assert sweep(tiny, *words, "--part-images", 5, "--out", tmp_path / "parts").exit_code == 0
    assert sweep(tiny, *words, "--out", tmp_path / "whole").exit_code == 0
    assert (tmp_path / "parts" / "points.csv").read_bytes() == (
        tmp_path / "whole" / "points.csv"
    ).read_bytes()


def test_parts_that_are_there_are_not_simulated_again(
    tiny: Path, tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = SweepStore.add_part

    def add_two(store: SweepStore, identity: str, first: int, part: str) -> None:
        add(store, identity, first, part)
        if first == 2:
            raise KeyboardInterrupt

    words = (tiny, "--part-images", 2, "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(SweepStore, "add_part", add_two)
        assert sweep(*words).exit_code == 130
    kept = {job["first"] for job in jobs[:2]}
    jobs.clear()
    assert sweep(*words, "--resume").exit_code == 0
    assert {job["first"] for job in jobs} == set(range(0, 12, 2)) - kept
    assert_row_is(rows_of(tmp_path / "out")[0], api.simulate(tiny))


@pytest.mark.usefixtures("jobs")
def test_an_interrupt_keeps_what_is_finished(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = SweepStore.add_outcome

    def add_two(store: SweepStore, *words: Any) -> None:
        add(store, *words)
        if store.counts()["ok"] == 2:
            raise KeyboardInterrupt

    words = (tiny, "--set", "pe_array.rows=4..16:2", "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(SweepStore, "add_outcome", add_two)
        result = sweep(*words)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\ninterrupted\n")
    assert len(rows_of(tmp_path / "out")) == 2
    assert sweep("--resume", "--out", tmp_path / "out").exit_code == 0
    assert sweep(*words[:-1], tmp_path / "whole").exit_code == 0
    assert (tmp_path / "out" / "points.csv").read_bytes() == (tmp_path / "whole" / "points.csv").read_bytes()


@pytest.mark.usefixtures("jobs")
def test_two_writers_in_one_folder(tiny: Path, tmp_path: Path) -> None:
    with SweepStore.create(tmp_path / "out", resume=False):
        result = sweep(tiny, "--set", "pe_array.rows=8", "--resume", "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "found another sweep that is writing into the folder" in result.stderr


def test_a_folder_that_is_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sweep.sqlite").write_bytes(b"no database" * 100)
    result = sweep("--best", "energy", "--out", tmp_path)
    assert result.exit_code == 3
    assert "sweep.sqlite: cannot be used (file is not a database)" in result.stderr
    assert sweep("--best", "energy", "--out", tmp_path / "none").exit_code == 3


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


# --- Python interface -----------------------------------------------------------------------------------------------


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


@pytest.mark.usefixtures("jobs")
def test_readers_see_whole_rows_while_it_runs(tiny: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def look(done: int, _total: int) -> None:
        with sqlite3.connect(tmp_path / "out" / "sweep.sqlite") as connection:
            seen.append(connection.execute("select count(*) from results").fetchone()[0])
        seen.append(done)

    spec = sweep_module.spec_from(
        {
            "schema": "archsim.sweep/1",
            "name": "s",
            "workload": str(tiny),
            "space": {"pe_array.rows": [4, 6, 8]},
        }
    )
    sweep_module.run_sweep(spec, tmp_path / "out", jobs=1, progress=look)
    assert seen == [1, 1, 2, 2, 3, 3]
