"""Memory of a run does not grow with its images: ``pytest -m perf``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archsim import api
from archsim.datasets import load_images

FEW, MANY = 1000, 4000
MOST_BYTES_AN_IMAGE = 2048
"""What a result keeps of an image: its row of ``per_image``."""


def peak_rss_bytes(data: Path, images: int) -> float:
    """Of ``archsim simulate`` on so many images."""
    words = [
        "simulate",
        "digits",
        "--data",
        str(data),
        "--images",
        str(images),
        "--engine",
        "segment",
        "--json",
    ]
    run = subprocess.run([sys.executable, "-m", "archsim", *words], check=True, capture_output=True)
    found = json.loads(run.stdout)
    assert found["images"] == images
    return 1e6 * found["host"]["peak_rss_mb"]


@pytest.mark.perf
def test_memory_is_constant_in_the_number_of_images(tmp_path: Path) -> None:
    path = api.load("digits").loaded.images_path
    assert path is not None
    sample = load_images(path)
    times = -(-MANY // len(sample))
    data = tmp_path / "many.npz"
    np.savez(data, images=np.tile(sample.images, (times, 1, 1, 1)), labels=np.tile(sample.labels, times))
    grown = peak_rss_bytes(data, MANY) - peak_rss_bytes(data, FEW)
    assert grown < (MANY - FEW) * MOST_BYTES_AN_IMAGE
