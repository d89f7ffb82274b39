"""How much faster the segment engine is than the tile engine, in one run: ``pytest -m perf -s``."""

from __future__ import annotations

import pytest

from archsim import api
from tests.perf.timing import an_image_s


@pytest.mark.perf
def test_segment_engine_is_ten_times_as_fast(capsys) -> None:
    """VGG-16 slim with zero skipping to the end of the trunk, one image after the other, counters included."""
    spent_s = an_image_s(api.load("vgg16-slim-cifar10"), "skip-rs", rounds=9)
    ratio = spent_s["tile"] / spent_s["segment"]
    with capsys.disabled():
        print(
            f"\ntile {1000 * spent_s['tile']:.1f} ms, segment {1000 * spent_s['segment']:.1f} ms: {ratio:.1f} x"
        )
    assert ratio > 10
