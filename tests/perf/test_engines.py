"""How much faster the segment engine is than the tile engine, in one run: ``pytest -m perf -s``."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from archsim import api
from archsim.config.load import load_arch, load_dram_preset
from archsim.functional.decide import Policy, decide
from archsim.results.source import Source
from archsim.sim.engine import Engine, Simulator

IMAGES: dict[Engine, int] = {"tile": 4, "segment": 60}


def seconds_an_image(run: Callable[[int], None], images: int) -> float:
    """CPU seconds of this process; the first image, which compiles and fills caches, does not count."""
    run(0)
    start = time.process_time()
    for image in range(1, images + 1):
        run(image)
    return (time.process_time() - start) / images


@pytest.mark.perf
def test_segment_engine_is_ten_times_as_fast(capsys) -> None:
    """VGG-16 slim with zero skipping to the end of the trunk, one image after the other, counters included."""
    workload = api.load("vgg16-slim-cifar10")
    policy = Policy.of(workload.network, exits_enabled=False)
    (trace,) = Source.of(workload, None, max(IMAGES.values()) + 1).parts(policy)
    decisions = decide(trace, policy)
    arch = load_arch("skip-rs")
    spent = {}
    for engine, images in IMAGES.items():
        simulator = Simulator(workload.network, arch, load_dram_preset(arch.dram.preset), engine)
        records = simulator.records(trace, decisions)
        spent[engine] = seconds_an_image(lambda _, records=records: next(records), images)
    ratio = spent["tile"] / spent["segment"]
    with capsys.disabled():
        print(
            f"\ntile {1000 * spent['tile']:.1f} ms, segment {1000 * spent['segment']:.1f} ms: {ratio:.1f} x"
        )
    assert ratio > 10
