"""What all tests share: hypothesis bounded and repeatable, and the image pack that does not ship."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "archsim",
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("archsim")


@pytest.fixture(scope="session", autouse=True)
def mapping_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mappings are cached in a folder of this run, not in that of the user."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("ARCHSIM_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def image_pack() -> Path:
    """Folder with the CIFAR-10 Parquet files; the test is skipped where they are not at hand."""
    folder = Path(os.environ.get("ARCHSIM_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "cifar10_test.parquet").is_file():
        pytest.skip(f"no cifar10_test.parquet in {folder}; set ARCHSIM_DATA")
    return folder
