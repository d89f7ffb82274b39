"""What timing an image costs, from its zero maps to its counters: networks to the end of the trunk, decisions off."""

from __future__ import annotations

from itertools import cycle

from archsim import api
from archsim.config.load import load_arch, load_dram_preset
from archsim.functional.decide import Policy, decide
from archsim.results.source import Source, Workload
from archsim.schedule.program import Program, compile_program
from archsim.sim.engine import Engine, image_path, image_work, run_image
from archsim.sim.segment import SegmentEngine
from archsim.sim.tally import tally
from tests.perf.clock import Work, medians_s

ENGINES: tuple[Engine, ...] = ("tile", "segment")
IMAGES = 4
SIZES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("digits", "skip-rs", ()),
    ("vgg16-slim-cifar10", "skip-rs", ()),
    ("vgg16-cifar10", "skip-rs", ()),
    ("vgg16-cifar10", "skip-rs", ("pe_array.rows=24", "pe_array.cols=28")),
    ("vgg16-cifar10", "skip-rs", ("global_buffer.size_kib=432",)),
)
"""Workload, accelerator, overrides."""


def an_image_s(workload: Workload, arch: str, rounds: int) -> dict[str, float]:
    """CPU seconds of one image by engine."""
    work = {engine: next_image(workload, arch, (), engine)[1] for engine in ENGINES}
    return medians_s(work, rounds)


def size_s(name: str, arch: str, overrides: tuple[str, ...], rounds: int) -> tuple[int, float]:
    """Tiles, and CPU seconds of one image with the segment engine."""
    program, work = next_image(api.load(name), arch, overrides, "segment")
    tiles = sum(step.plan.tiles for step in program.steps)
    return tiles, medians_s({"image": work}, rounds)["image"]


def next_image(
    workload: Workload, arch: str, overrides: tuple[str, ...], engine: Engine
) -> tuple[Program, Work]:
    """A program, and what simulates one image more at each call, on accelerators too that need one of a path only."""
    spec = load_arch(arch, (*overrides, "exits.enabled=false"))
    policy = Policy.of(workload.network, exits_enabled=False)
    trace = next(Source.of(workload, None, IMAGES).parts(policy))
    decisions = decide(trace, policy)
    program = compile_program(workload.network, spec, load_dram_preset(spec.dram.preset))
    segments = SegmentEngine(program)
    images = cycle(range(trace.images))

    def simulate() -> None:
        image = next(images)
        work_of = image_work(program, trace, image)
        path = image_path(decisions, image, len(workload.network.branches))
        outcome = segments.run(path, work_of) if engine == "segment" else run_image(program, path, work_of)
        tally(program, outcome, work_of)

    return program, simulate
