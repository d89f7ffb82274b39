"""The tiny workload that the tests of the command line run, and workers of sweeps that start no process."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.cli import progress
from archsim.explore.pool import LocalPool
from archsim.explore.work import Job
from tests.builders import write_workload
from tests.inline_workers import InlineWorkers


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Path of a workload file with weights and 12 images."""
    return write_workload(tmp_path / "tiny")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No progress on stderr: on the first run compiling the kernels takes longer than the two quiet seconds."""
    monkeypatch.setattr(progress, "_QUIET_S", 3600.0)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs of the sweeps of a test, which are performed in this process."""
    performed: list[Job] = []
    monkeypatch.setattr(LocalPool, "open", InlineWorkers(performed).open)
    return performed
