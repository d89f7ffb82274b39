"""Searches: they repeat, they go on, they find what a grid finds, and they keep to their constraints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archsim.errors import InvalidInput
from archsim.explore import runner as runner_module
from archsim.explore.pool import LocalPool
from archsim.explore.request import spec_from
from archsim.explore.search import JOURNAL
from archsim.explore.sweep import run_sweep
from archsim.explore.table import read_table
from archsim.explore.work import Job
from tests.builders import write_workload
from tests.inline_workers import InlineWorkers

pytest.importorskip("optuna", reason="the extra dse is not installed")

SPACE: dict[str, Any] = {
    "pe_array.rows": [6, 8, 10, 12],
    "pe_array.cols": {"low": 8, "high": 14},
    "exits.early.threshold": {"low": 100, "high": 5000, "log": True},
}


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workload(tmp_path_factory.mktemp("search") / "tiny")


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    performed: list[Job] = []
    monkeypatch.setattr(LocalPool, "open", InlineWorkers(performed).open)
    return performed


def spec(workload: Path, **search: Any) -> Any:
    wanted = {"objectives": {"energy": "min", "accuracy": "max"}, "points": 8, "batch": 4, **search}
    content = {"name": "s", "workload": str(workload), "images": 2, "space": SPACE, "search": wanted}
    return spec_from({"schema": "archsim.sweep/1", **content})


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_search_repeats_and_resumes_bit_for_bit(
    workload: Path, tmp_path: Path, sampler: str, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec(workload, sampler=sampler)
    run_sweep(wanted, tmp_path / "a")
    expected = (tmp_path / "a" / "points.csv").read_bytes()
    assert len(read_table(tmp_path / "a")) == 8
    assert (tmp_path / "a" / JOURNAL).stat().st_size > 0
    jobs.clear()
    run_sweep(wanted, tmp_path / "a", resume=True)
    assert jobs == []
    assert (tmp_path / "a" / "points.csv").read_bytes() == expected
    # Stopped in the second batch, with some of it done.
    finish = runner_module.Runner._finish

    def finish_some(runner: Any, identity: str, outcome: Any) -> None:
        finish(runner, identity, outcome)
        if len(jobs) == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner_module.Runner, "_finish", finish_some)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(wanted, tmp_path / "b")
    run_sweep(wanted, tmp_path / "b", resume=True)
    assert (tmp_path / "b" / "points.csv").read_bytes() == expected


def test_another_seed_searches_elsewhere(workload: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        run_sweep(spec(workload, points=4, seed=seed), tmp_path / str(seed))
    assert (tmp_path / "1" / "points.csv").read_bytes() != (tmp_path / "2" / "points.csv").read_bytes()


def test_points_to_start_with_come_first(workload: Path, tmp_path: Path) -> None:
    start = {"pe_array.rows": 12, "pe_array.cols": 14, "exits.early.threshold": 1500}
    run_sweep(spec(workload, points=4, start=[start]), tmp_path / "out")
    table = read_table(tmp_path / "out")
    assert {key: table[key][0] for key in start} == start
    assert table["energy"].tolist() != [table["energy"][0]] * 4


def test_every_point_satisfies_the_constraints(workload: Path, tmp_path: Path) -> None:
    wanted = spec(workload, points=6, batch=3, objectives={"area": "min", "energy": "min"})
    wanted = wanted.model_copy(update={"constraints": ["pe_array.rows * pe_array.cols <= 100", "area > 4"]})
    run_sweep(wanted, tmp_path / "out")
    table = read_table(tmp_path / "out")
    assert len(table) == 6
    assert (table["pe_array.rows"] * table["pe_array.cols"] <= 100).all()
    assert (table["area"] > 4).all() and len(set(table["area"].tolist())) > 1
    impossible = wanted.model_copy(update={"constraints": ["pe_array.rows > 99"]})
    with pytest.raises(InvalidInput, match="found no point that satisfies them"):
        run_sweep(impossible, tmp_path / "none")


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"objectives": {"enrgy": "min"}}, 'did you mean "energy"'),
        ({"objectives": {"workload": "min"}}, "no such number in the results"),
        ({"start": [{"pe_array.rows": 7}]}, "expected one of its values in the space"),
        ({"start": [{"pe_array.cols": 99}]}, "expected a number from 8 to 14"),
        ({"start": [{"pe_array.row": 6}]}, 'did you mean "pe_array.rows"'),
        ({"storage": "nothing://x"}, "search.storage"),
    ],
)
def test_searches_that_are_refused(workload: Path, tmp_path: Path, search: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        run_sweep(spec(workload, **{"points": 2, "batch": 2, **search}), tmp_path / "out")


def test_hosts_share_a_study_in_a_database(workload: Path, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    run_sweep(spec(workload, points=2, batch=2, storage=storage), tmp_path / "first")
    run_sweep(spec(workload, points=6, batch=2, storage=storage, seed=2), tmp_path / "second")
    assert (len(read_table(tmp_path / "first")), len(read_table(tmp_path / "second"))) == (2, 4)
    assert not (tmp_path / "first" / JOURNAL).exists()


def test_the_spec_is_kept_with_the_results(workload: Path, tmp_path: Path) -> None:
    import sqlite3

    wanted = spec(workload, points=2, batch=2)
    run_sweep(wanted, tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "sweep.sqlite") as connection:
        text = connection.execute("select value from meta where key = 'spec'").fetchone()[0]
    assert spec_from(json.loads(text)) == wanted
