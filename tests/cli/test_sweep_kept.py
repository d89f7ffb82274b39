"""What a sweep keeps as it runs: parts of a point, results of an interrupted run, whole rows for readers."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from archsim import api
from archsim.explore.request import spec_from
from archsim.explore.store import SweepStore
from archsim.explore.sweep import run_sweep
from archsim.explore.work import Job
from tests.sweeps import assert_row_is, rows_of, sweep


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
def test_readers_see_whole_rows_while_it_runs(tiny: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def look(done: int, _total: int) -> None:
        with sqlite3.connect(tmp_path / "out" / "sweep.sqlite") as connection:
            seen.append(connection.execute("select count(*) from results").fetchone()[0])
        seen.append(done)

    spec = spec_from(
        {
            "schema": "archsim.sweep/1",
            "name": "s",
            "workload": str(tiny),
            "space": {"pe_array.rows": [4, 6, 8]},
        }
    )
    run_sweep(spec, tmp_path / "out", jobs=1, progress=look)
    assert seen == [1, 1, 2, 2, 3, 3]


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
