"""The tables of docs/performance.md, measured: ``python -m tests.perf.table --data FILE --scale-sim PYTHON``.

Everything is CPU time (user and system), so that a busy machine lengthens nothing; what is compared is measured in
turns. ``NUMBA_NUM_THREADS``, ``OMP_NUM_THREADS`` and ``OPENBLAS_NUM_THREADS`` say how many threads all sides may use.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archsim import api
from archsim.results.source import Workload
from tests.perf import functional, scale_sim, timing
from tests.perf.clock import command_median_s

TRUNK, NETWORK = "vgg16-cifar10", "vgg16-cifar10-locoexnet"
PARTS = ("function", "timing", "commands", "sizes")
COMMANDS = (
    (f"simulate {NETWORK} --images 1", "<= 3 s, aim 1.5 s"),
    (f"simulate {NETWORK} --images 1 --engine segment", "<= 3 s, aim 1.5 s"),
    ("validate systolic", "<= 0.4 s"),
    ("--help", "<= 0.15 s"),
)
"""Words of a command line, and the goal."""


@dataclass(frozen=True)
class Row:
    """``seconds`` of some work; ``beside``: what it is compared with; ``goal``: in words."""

    work: str
    seconds: float
    beside: str = ""
    beside_s: float = 0.0
    goal: str = ""

    def cells(self) -> tuple[str, ...]:
        """As a row of Markdown."""
        ratio = ""
        if self.beside:
            faster = self.beside_s / self.seconds
            ratio = f"{faster:,.0f} x faster" if faster >= 10 else f"{self.seconds / self.beside_s:.2f} x"
        return self.work, _time(self.seconds), self.beside, _time(self.beside_s), ratio, self.goal


def _time(seconds: float) -> str:
    if not seconds:
        return ""
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def function_rows(workload: Workload, data: Path, rounds: int) -> Iterator[Row]:
    """The whole network, an image, beside its convolutions alone by others."""
    for images, beside, goal in (
        (64, "torch float32 conv2d", "<= 1.0 x, aim 0.7 x"),
        (1, "NumPy float32 GEMM", "<= 0.8 x"),
    ):
        found = functional.an_image_s(workload, data, images, rounds)
        for work in ("network", "convolutions"):
            name = f"function, {images} at a time: {work}"
            yield Row(name, found[work], f"{beside}, convolutions", found[beside], goal)


def timing_rows(
    workload: Workload, scale_sim_python: str, layers: Sequence[str], rounds: int
) -> Iterator[Row]:
    """One image to the end of the trunk, counters included, beside SCALE-Sim on the same layers or some of them."""
    beside: tuple[str, float] = ("", 0.0)
    if scale_sim_python:
        trunk = [layer for layer in workload.network.layers if layer.is_compute]
        chosen = [layer for layer in trunk if not layers or layer.name in layers]
        with tempfile.TemporaryDirectory() as folder:
            seconds = scale_sim.cpu_seconds(scale_sim_python, chosen, Path(folder))
        beside = (f"SCALE-Sim, {' '.join(layers) + ' alone' if layers else 'the same network'}", seconds)
    goals = {"tile": ">= 300 x, aim 1,000 x", "segment": ">= 3,000 x, aim 10,000 x"}
    for engine, seconds in timing.an_image_s(workload, "dense-rs", rounds).items():
        yield Row(f"timing of an image, engine {engine}", seconds, *beside, goals[engine])


def command_rows(rounds: int) -> Iterator[Row]:
    """Whole commands, each in a process of its own, with warm caches."""
    for words, goal in COMMANDS:
        yield Row(f"`archsim {words}`", command_median_s(rounds, *words.split()), goal=goal)


def scaling_rows(rounds: int) -> Iterator[tuple[str, ...]]:
    """How the cost of an image grows with network and array: tiles, time, time a tile."""
    for name, arch, overrides in timing.SIZES:
        tiles, seconds = timing.size_s(name, arch, overrides, rounds)
        yield name, arch, " ".join(overrides), str(tiles), _time(seconds), f"{1e6 * seconds / tiles:.2f} us"


def markdown(header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Lines of a table, each as soon as it is measured."""
    yield f"| {' | '.join(header)} |"
    yield "|" + " --- |" * len(header)
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def _measured(arguments: argparse.Namespace) -> Iterator[Row]:
    workload, rounds, parts = api.load(TRUNK), arguments.rounds, arguments.parts
    if "function" in parts and arguments.data:
        yield from function_rows(workload, arguments.data, rounds)
    if "timing" in parts:
        yield from timing_rows(workload, arguments.scale_sim, arguments.scale_sim_layers, rounds)
    if "commands" in parts:
        yield from command_rows(rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.table", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"some of: {' '.join(PARTS)} (default: all)")
    parser.add_argument("--data", type=Path, help="CIFAR-10 test images, without which nothing is computed")
    parser.add_argument("--scale-sim", metavar="PYTHON", default="", help="one that has it (scale_sim.py)")
    parser.add_argument("--scale-sim-layers", metavar="NAME", nargs="+", default=(), help="instead of all")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (default: 3)")
    return parser.parse_args()


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def main() -> None:
    """Print the tables."""
    arguments = _arguments()
    threads = os.environ.get("NUMBA_NUM_THREADS", "all")
    sys.stdout.write(f"CPU time, medians of {arguments.rounds}, threads: {threads}\n\n")
    header: tuple[str, ...] = ("work", "CPU time", "beside", "CPU time", "ratio", "goal")
    _print(markdown(header, (row.cells() for row in _measured(arguments))))
    if "sizes" in arguments.parts:
        sys.stdout.write("\n")
        header = ("network", "accelerator", "changed", "tiles", "an image, engine segment", "a tile")
        _print(markdown(header, scaling_rows(arguments.rounds)))


if __name__ == "__main__":
    main()
