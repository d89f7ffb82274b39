"""Kill -9 of the sweep and of its workers: none of the points is lost, none is double, and every bit is the same."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from archsim.cli.main import cli
from archsim.explore import pool
from archsim.explore.request import spec_from
from archsim.explore.spec import SweepSpec
from archsim.explore.sweep import run_sweep
from archsim.explore.table import read_table
from tests.builders import write_workload
from tests.inline_workers import InlineWorkers

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")

SPACE = {"pe_array.rows": list(range(4, 16)), "pe_array.cols": [8, 14], "global_buffer.size_kib": [4, 54]}
"""48 points; those with 4 KiB are impossible."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    workload = write_workload(tmp_path_factory.mktemp("faults") / "tiny")
    return spec_from(
        {
            "schema": "archsim.sweep/1",
            "name": "faults",
            "workload": str(workload),
            "images": 2,
            "space": SPACE,
        }
    )


@pytest.fixture(scope="module")
def expected(spec: SweepSpec, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of a run without faults, in this process."""
    out = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool.LocalPool, "open", InlineWorkers([]).open)
        run_sweep(spec, out)
    return (out / "points.csv").read_bytes()


def finished(folder: Path) -> int:
    """Results in the database of a sweep that runs."""
    try:
        with sqlite3.connect(folder / "sweep.sqlite") as connection:
            return int(connection.execute("select count(*) from results where status = 'ok'").fetchone()[0])
    except sqlite3.Error:
        return 0


def children_of(process: int) -> list[int]:
    """Processes that a process has started."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_kill_9_of_the_sweep_then_resume(spec: SweepSpec, expected: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        sys.executable,
        "-m",
        "archsim",
        "sweep",
        spec.workload,
        "--images",
        "2",
        "--jobs",
        "2",
        "--out",
        str(out),
    ]
    for key, values in SPACE.items():
        words += ["--set", f"{key}={','.join(map(str, values))}"]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # a busy machine needs minutes to start three processes
    while finished(out) < 3 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    workers = children_of(running.pid)
    running.kill()
    running.wait()
    kept = finished(out)
    assert 3 <= kept < 24, "the sweep was not killed in the middle"
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers)), "a worker outlived its sweep"
    resumed = CliRunner().invoke(cli, ["sweep", "--resume", "--jobs", "1", "--out", str(out)])
    assert resumed.exit_code == 6, resumed.output
    assert (out / "points.csv").read_bytes() == expected


def test_kill_9_of_a_worker(
    spec: SweepSpec, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    start = pool._start

    def noted() -> subprocess.Popen[str]:
        started.append(start())
        return started[-1]

    def kill_one(done: int, _total: int) -> None:
        if done in (20, 34):
            started[-1].kill()

    monkeypatch.setattr(pool, "_start", noted)
    summary = run_sweep(spec, tmp_path / "out", jobs=2, progress=kill_one)
    assert (summary.points, summary.failed) == (48, 24)
    assert len(started) >= 4
    assert (tmp_path / "out" / "points.csv").read_bytes() == expected
    assert all(process.poll() is not None for process in started)


def test_points_at_which_every_worker_dies_are_tried_again_by_resume(
    spec: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = spec.model_copy(update={"space": {"pe_array.rows": [3, 4]}})
    deadly = "import sys, os, signal; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"

    def dies() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", deadly], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with monkeypatch.context() as patch:
        patch.setattr(pool, "_start", dies)
        assert run_sweep(few, tmp_path / "out", jobs=1).failed == 2
    table = read_table(tmp_path / "out")
    assert table["error"].tolist() == ["3 workers died at it: killed, or out of memory"] * 2
    monkeypatch.setattr(pool.LocalPool, "open", InlineWorkers([]).open)
    assert run_sweep(few, tmp_path / "out", resume=True).failed == 0
