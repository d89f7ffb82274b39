"""A real Dask scheduler and two workers over TCP: the same table as the local pool, also when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from archsim.api import simulate
from archsim.cli.main import cli
from archsim.errors import InvalidInput
from archsim.explore import pool
from archsim.explore.request import spec_from
from archsim.explore.spec import SweepSpec
from archsim.explore.spread import simulate_spread
from archsim.explore.sweep import run_sweep
from tests.builders import write_workload
from tests.inline_workers import InlineWorkers

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
# A cluster that is torn down closes sockets of which it then complains.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

SPACE = {"pe_array.rows": list(range(6, 14)), "pe_array.cols": [8, 14], "global_buffer.size_kib": [4, 54]}
"""32 points; those with 4 KiB are impossible."""


@dataclass
class Cluster:
    address: str
    workers: list[subprocess.Popen[bytes]]


def start(*words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    common = ("--no-dashboard", "--scheduler-file", str(file))
    scheduler = start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common)
    words = (
        "distributed.cli.dask_worker",
        "--nthreads",
        "1",
        "--no-nanny",
        "--local-directory",
        str(folder),
        *common,
    )
    workers = [start(*words), start(*words)]
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield Cluster(address, workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    workload = write_workload(tmp_path_factory.mktemp("dask") / "tiny")
    return spec_from(
        {"schema": "archsim.sweep/1", "name": "dask", "workload": str(workload), "images": 2, "space": SPACE}
    )


@pytest.fixture(scope="module")
def expected(spec: SweepSpec, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of a run without faults, in this process."""
    out = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool.LocalPool, "open", InlineWorkers([]).open)
        run_sweep(spec, out)
    return (out / "points.csv").read_bytes()


def test_two_workers_over_tcp_give_the_same_table(
    cluster: Cluster, spec: SweepSpec, expected: bytes, tmp_path: Path
) -> None:
    assert cluster.address.startswith("tcp://127.0.0.1:")
    out = tmp_path / "out"
    words = ["sweep", spec.workload, "--images", "2", "--scheduler", cluster.address, "--out", str(out)]
    for key, values in SPACE.items():
        words += ["--set", f"{key}={','.join(map(str, values))}"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 6, result.output
    assert (out / "points.csv").read_bytes() == expected


def test_the_images_of_one_simulation_are_spread(cluster: Cluster, spec: SweepSpec, tmp_path: Path) -> None:
    one = spec.model_copy(update={"space": {}, "images": None})
    run_sweep(one, tmp_path / "parts", scheduler=cluster.address, part_images=1)
    run_sweep(one, tmp_path / "whole", scheduler=cluster.address)
    assert (tmp_path / "parts" / "points.csv").read_bytes() == (
        tmp_path / "whole" / "points.csv"
    ).read_bytes()
    simulate_spread(spec.workload, scheduler=cluster.address, out_dir=tmp_path / "spread")
    simulate(spec.workload, out_dir=tmp_path / "one")
    for name in ("images.csv", "layers.csv"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_kill_9_of_a_worker_of_the_scheduler(
    cluster: Cluster, spec: SweepSpec, expected: bytes, tmp_path: Path
) -> None:
    victim = cluster.workers[0]

    def kill(done: int, _total: int) -> None:
        if done == 8 and victim.poll() is None:
            victim.send_signal(signal.SIGKILL)

    summary = run_sweep(spec, tmp_path / "out", scheduler=cluster.address, progress=kill)
    assert victim.wait(10) == -signal.SIGKILL
    assert (summary.points, summary.failed) == (32, 16)
    assert (tmp_path / "out" / "points.csv").read_bytes() == expected


@pytest.mark.slow
def test_a_scheduler_that_is_lost_ends_the_sweep_which_can_be_resumed(
    spec: SweepSpec, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scheduler.json"
    common = ("--no-dashboard", "--scheduler-file", str(file))
    scheduler = start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common)
    worker = start(
        "distributed.cli.dask_worker",
        "--nthreads",
        "1",
        "--no-nanny",
        "--local-directory",
        str(tmp_path),
        *common,
    )
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            address = client.scheduler.address

        def kill(done: int, _total: int) -> None:
            if done == 8 and scheduler.poll() is None:
                scheduler.kill()
                worker.kill()

        with pytest.raises(InvalidInput, match="lost the Dask cluster"):
            run_sweep(spec, tmp_path / "out", scheduler=address, progress=kill)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
    monkeypatch.setattr(pool.LocalPool, "open", InlineWorkers([]).open)
    run_sweep(spec, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "points.csv").read_bytes() == expected


def test_where_no_scheduler_answers(spec: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsim.explore import cluster as module

    monkeypatch.setattr(module, "_CONNECT_S", 0.5)
    words = ["sweep", spec.workload, "--scheduler", "tcp://127.0.0.1:9", "--out", str(tmp_path / "out")]
    start_s = time.monotonic()
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 3
    assert "--scheduler tcp://127.0.0.1:9: found no Dask scheduler (" in result.stderr
    assert time.monotonic() - start_s < 30
