"""What computing an image costs: the whole network by archsim, and its convolutions alone by archsim and by others."""

from __future__ import annotations

from pathlib import Path

from archsim.datasets import load_images
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.results.source import Workload
from tests.perf.clock import Work, medians_s
from tests.perf.convolutions import METHODS, Run, convolutions


def an_image_s(workload: Workload, data: Path, images: int, rounds: int) -> dict[str, float]:
    """CPU seconds an image by what is done, ``images`` at a time; torch is left out where it is not installed."""
    batch = load_images(data, limit=images)
    network, weights = workload.network, workload.weights
    policy = Policy.of(network, exits_enabled=False)
    work: dict[str, Work] = {
        "network": lambda: run(network, weights, [batch], policy=policy, lazy=True, zero_maps=False)
    }
    found = convolutions(network, weights, batch.images)
    for name, prepare in METHODS.items():
        try:
            runs = [prepare(convolution) for convolution in found]
        except ImportError:
            continue
        work["convolutions" if name == "archsim" else name] = lambda runs=runs: _all(runs)
    return {name: seconds / images for name, seconds in medians_s(work, rounds).items()}


def _all(runs: list[Run]) -> None:
    for run_one in runs:
        run_one()
