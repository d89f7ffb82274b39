"""The public Python API: :func:`load`, :func:`evaluate` and :func:`simulate`, with which the commands do their work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from archsim import __version__
from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.load import config_hash
from archsim.energy.area import Area
from archsim.errors import Problem
from archsim.functional.decide import decide
from archsim.functional.statistics import ExitStatistics, statistics
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import save_trace as write_trace
from archsim.progress import Progress
from archsim.results.assemble import Measurements, measure
from archsim.results.conservation import check_run
from archsim.results.defaults import DEFAULT_ARCH, DEFAULT_SEED, ENGINES
from archsim.results.host import Host, Stopwatch
from archsim.results.paired import Discordant
from archsim.results.queueing import BACK_TO_BACK, Queue, parse_arrivals, poisson_arrivals, serve
from archsim.results.replay import Part, Replay, Replayed, replay
from archsim.results.run_result import AreaResult, EvaluateResult, ImageResult, Roofs, RunResult
from archsim.results.setup import Setup, collecting, load
from archsim.results.source import Source, Workload
from archsim.results.store import check_out_dir, write_run
from archsim.results.timeline import TimelineRequest
from archsim.sim.engine import Engine, Simulator

__all__ = ["ALONE", "Part", "TimelineRequest", "evaluate", "load", "simulate", "simulate_part"]

ALONE = "alone"
"""How images arrive without ``arrivals``: each on an idle accelerator."""


def evaluate(
    workload: str | Path | Workload,
    *,
    images: int | None = None,
    data: str | Path | None = None,
    overrides: Sequence[str] = (),
    save_trace: Path | None = None,
    progress: Progress | None = None,
) -> EvaluateResult:
    """What a network computes on images: accuracy, exits, pruned branches, parameters used. Nothing is timed.

    workload: path, built-in name or loaded. images: the first so many, all by default. data: images to run instead of
    those that ship with the workload. overrides: ``exits.NAME.threshold=1500``, ``dbp.enabled=false`` and the like.
    save_trace: where to write the functional trace.
    Raises InvalidInput for anything that cannot be used, MissingExtra when reading ``data`` needs one.
    """
    watch = Stopwatch()
    problems: list[Problem] = []
    if save_trace is not None:
        with collecting(problems):
            check_out_dir(save_trace.parent)
    setup = Setup.of(workload, DEFAULT_ARCH, None, overrides, problems, needs_weights=True)
    source = Source.of(setup.workload, data, images)
    trace = source.whole(setup.policy, zero_maps=save_trace is not None, progress=progress)
    quality = statistics(setup.network, trace, decide(trace, setup.policy))
    if save_trace is not None:
        save_trace.parent.mkdir(parents=True, exist_ok=True)
        write_trace(save_trace, trace, setup.network, setup.workload.tensor_hashes)
    files = (str(save_trace),) if save_trace is not None else ()
    return _evaluate_result(setup, quality, tuple(overrides), watch.stop(), files)


def simulate(
    workload: str | Path | Workload,
    *,
    arch: str | Path = DEFAULT_ARCH,
    energy_table: str | Path | None = None,
    images: int | None = None,
    data: str | Path | FunctionalTrace | None = None,
    overrides: Sequence[str] = (),
    engine: str = ENGINES[0],
    arrivals: str | None = None,
    seed: int = DEFAULT_SEED,
    out_dir: Path | None = None,
    progress: Progress | None = None,
    mapping_progress: Progress | None = None,
    parts: Sequence[Part] | None = None,
    check: bool = False,
    timeline: TimelineRequest | None = None,
) -> RunResult:
    """Cycles, energy and accuracy of a network on an accelerator, image by image.

    workload, images, data: as in :func:`evaluate`; a workload's functional trace is used where it ships one, and one
    without weights (shape-only) runs one image unless ``images`` says more; data may be a functional trace. arch,
    energy_table: path or built-in name; the table that the accelerator names by default. overrides: ``KEY=VALUE``
    for the accelerator. engine: one of :data:`archsim.results.defaults.ENGINES`; the result names the one that ran.
    arrivals: ``back-to-back``, a rate in Hz, or None (each image alone); seed: of Poisson arrivals and of the zeros of
    a shape-only workload. out_dir: where to write the files of
    :data:`archsim.results.store.RESULT_FILES`.
    progress: in images; mapping_progress: in layers whose mappings have been searched. parts: what
    :func:`simulate_part` made of consecutive pieces of the images, which then are not simulated again. check: count
    again what the mapping counted, and run both engines (:mod:`archsim.sim.conservation`). timeline: the image to write
    down cycle by cycle, as ``timeline.json`` too.
    Raises InvalidInput for anything that cannot be used, SimulationFailed when the hardware breaks an invariant.

    >>> result = simulate("digits", images=2)
    >>> result.images, sum(result.exits.values()), result.cycles.total > 0
    (2, 2, True)
    """
    watch = Stopwatch()
    problems = _option_problems(engine, arrivals, out_dir)
    setup = Setup.of(workload, arch, energy_table, overrides, problems, needs_weights=False)
    source = Source.of(setup.workload, data, images, seed)
    simulator = Simulator(
        setup.network, setup.arch, setup.dram, cast(Engine, engine), mapping_progress, check=check
    )
    run = replay(setup, simulator, source, parts, progress, timeline)
    queue = _queue(run.per_image, arrivals, setup.arch.clock.core_mhz, seed)
    measured = measure(run.sums, run.per_image, queue, setup.resolved, setup.arch, setup.dram)
    check_run(run.sums, measured, run.quality.exits)
    asked = _Asked(simulator.engine, seed, tuple(overrides), arrivals or ALONE)
    result = _run_result(setup, asked, run, measured, watch)
    return write_run(result, out_dir) if out_dir is not None else result


def simulate_part(
    workload: Workload,
    images: FunctionalTrace,
    first_index: int,
    *,
    arch: str | Path = DEFAULT_ARCH,
    energy_table: str | Path | None = None,
    overrides: Sequence[str] = (),
    engine: str = ENGINES[0],
) -> Part:
    """Some images of a run, for :func:`simulate` to join: elsewhere, at another time, in any order.

    images: their rows of the trace. first_index: position of the first of them in the run. Raises as :func:`simulate`.
    """
    setup = Setup.of(workload, arch, energy_table, overrides, [], needs_weights=False)
    simulator = Simulator(setup.network, setup.arch, setup.dram, cast(Engine, engine))
    run = Replay(setup, simulator)
    run.add(images, first_index)
    return Part(run.sums, tuple(run.per_image))


def _option_problems(engine: str, arrivals: str | None, out_dir: Path | None) -> list[Problem]:
    problems: list[Problem] = []
    if engine not in ENGINES:
        problems.append(Problem("--engine", "", f'found "{engine}", expected one of {", ".join(ENGINES)}'))
    with collecting(problems):
        parse_arrivals(arrivals or BACK_TO_BACK)
    if out_dir is not None:
        with collecting(problems):
            check_out_dir(out_dir)
    return problems


@dataclass(frozen=True)
class _Asked:
    """Options of a run that its result repeats; of engines the one that ran."""

    engine: str
    seed: int
    overrides: tuple[str, ...]
    arrivals: str


def _area(area: Area) -> AreaResult:
    return AreaResult(area.total_mm2, dict(area.by_component), area.uncertainty)


def _roofs(arch: ArchSpec, dram: DramPresetSpec) -> Roofs:
    ratio = dram.clock_mhz // arch.clock.core_mhz
    return Roofs(
        core_mhz=arch.clock.core_mhz,
        pe_array_macs_per_cycle=arch.pe_array.rows * arch.pe_array.cols,
        branch_unit_macs_per_cycle=arch.branch_unit.macs,
        dram_bytes_per_cycle=2 * dram.channel_bits // 8 * ratio,
        glb_bytes_per_cycle=arch.global_buffer.port_bytes_per_cycle,
    )


def _queue(per_image: list[ImageResult], arrivals: str | None, core_mhz: int, seed: int) -> Queue | None:
    if arrivals is None:
        return None
    rate_hz = parse_arrivals(arrivals)
    service_cycles = np.array([image.cycles for image in per_image], np.int64)
    if rate_hz is None:
        return serve(None, service_cycles)
    return serve(poisson_arrivals(len(per_image), rate_hz, core_mhz, seed), service_cycles)


def _evaluate_result(
    setup: Setup, quality: ExitStatistics, overrides: tuple[str, ...], host: Host, files: tuple[str, ...]
) -> EvaluateResult:
    assert quality.accuracy is not None  # a network without weights has been refused
    return EvaluateResult(
        workload=setup.workload.spec.name,
        images=quality.images,
        version=__version__,
        network_hash=setup.workload.network_hash,
        overrides=overrides,
        accuracy=quality.accuracy,
        full_network_accuracy=quality.full_network_accuracy,
        delta_pp=quality.delta_pp,
        delta_lower95_pp=quality.delta_lower95_pp,
        discordant=Discordant(quality.paired.b, quality.paired.c) if quality.paired else None,
        params_used_fraction=quality.params_used_fraction,
        macs_used_fraction=quality.macs_used_fraction,
        exits=quality.exits,
        branches=quality.branches,
        host=host,
        files=files,
    )


def _run_result(
    setup: Setup,
    asked: _Asked,
    run: Replayed,
    measured: Measurements,
    watch: Stopwatch,
) -> RunResult:
    return RunResult(
        workload=setup.workload.spec.name,
        arch=setup.arch.name,
        energy_table=setup.resolved.name,
        images=run.quality.images,
        engine=asked.engine,
        seed=asked.seed,
        version=__version__,
        dram_preset=setup.dram.name,
        config_hash=config_hash(setup.arch),
        dram_preset_hash=config_hash(setup.dram),
        energy_table_hash=setup.resolved.table_hash,
        network_hash=setup.workload.network_hash,
        overrides=asked.overrides,
        arrivals=asked.arrivals,
        accuracy=run.quality.accuracy,
        params_used_fraction=run.quality.params_used_fraction,
        macs_used_fraction=run.quality.macs_used_fraction,
        exits=run.quality.exits,
        branches=run.quality.branches,
        cycles=measured.cycles,
        latency_us=measured.latency_us,
        throughput_ips=measured.throughput_ips,
        energy_uj_per_image=measured.energy_uj_per_image,
        dram_bytes_per_image=run.sums.dram_bytes_per_image(),
        layers=measured.layers,
        energy_uncertainty_uj=measured.energy_uncertainty_uj,
        energy_by_cause_uj=measured.energy_by_cause_uj,
        energy_terms=measured.energy_terms,
        energy_rows_unused=setup.resolved.unused_rows,
        energy_rows_extrapolated=setup.resolved.extrapolated,
        area_mm2=_area(setup.resolved.area),
        roofs=_roofs(setup.arch, setup.dram),
        host=watch.stop(),
        per_image=measured.per_image,
        per_branch=run.per_branch,
        timeline=run.timeline,
    )
