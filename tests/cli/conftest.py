"""The tiny workload that the tests of the command line run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import write_workload


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Path of a workload file with weights and 12 images."""
    return write_workload(tmp_path / "tiny")
