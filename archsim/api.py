"""The public Python API: :func:`load`, :func:`evaluate` and :func:`simulate`, with which the commands do their work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from archsim import __version__
from archsim.config.arch import ArchSpec
from archsim.config.checks import check_mappings
from archsim.config.dram import DramPresetSpec
from archsim.config.load import (
    check_exits,
    config_hash,
    load_dram_preset,
    load_energy_table,
    load_workload,
    read_arch,
)
from archsim.energy.account import total_pj
from archsim.energy.area import Area
from archsim.energy.table import ResolvedTable, resolve
from archsim.errors import InvalidInput, Problem
from archsim.functional.decide import Policy, decide
from archsim.functional.executor import concatenate
from archsim.functional.statistics import ExitStatistics, statistics
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import save_trace as write_trace
from archsim.network.graph import Network
from archsim.network.load import load_network
from archsim.network.overrides import with_overrides
from archsim.results.aggregate import RunSums
from archsim.results.assemble import Measurements, measure
from archsim.results.defaults import DEFAULT_ARCH, DEFAULT_SEED, ENGINES
from archsim.results.host import Host, Stopwatch
from archsim.results.paired import Discordant
from archsim.results.queueing import BACK_TO_BACK, Queue, parse_arrivals, poisson_arrivals, serve
from archsim.results.run_result import AreaResult, EvaluateResult, ImageResult, RunResult
from archsim.results.source import Progress, Source, Workload
from archsim.results.store import check_out_dir, write_run
from archsim.sim.engine import Engine, Simulator
from archsim.sim.records import ImageRecord
from archsim.units import pj_to_uj

ALONE = "alone"
"""How images arrive without ``arrivals``: each on an idle accelerator."""


def load(workload: str | Path) -> Workload:
    """A workload by path or built-in name. Raises InvalidInput listing every problem of the file.

    >>> load("digits").network.class_count
    10
    """
    loaded = load_workload(workload)
    return Workload(loaded, load_network(loaded))


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
        with _collecting(problems):
            check_out_dir(save_trace.parent)
    setup = _Setup.of(workload, DEFAULT_ARCH, None, overrides, problems, needs_weights=True)
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
) -> RunResult:
    """Cycles, energy and accuracy of a network on an accelerator, image by image.

    workload, images, data: as in :func:`evaluate`; a workload's functional trace is used where it ships one, and one
    without weights (shape-only) runs one image unless ``images`` says more; data may be a functional trace. arch,
    energy_table: path or built-in name; the table that the accelerator names by default. overrides: ``KEY=VALUE``
    for the accelerator. engine: one of :data:`archsim.results.defaults.ENGINES`; the result names the one that ran.
    arrivals: ``back-to-back``, a rate in Hz, or None (each image alone); seed: of Poisson arrivals and of the zeros of
    a shape-only workload. out_dir: where to write ``result.json``, ``images.csv`` and ``layers.csv``.
    progress: in images; mapping_progress: in layers whose mappings have been searched. parts: what
    :func:`simulate_part` made of consecutive pieces of the images, which then are not simulated again.
    Raises InvalidInput for anything that cannot be used, SimulationFailed when the hardware breaks an invariant.

    >>> result = simulate("digits", images=2)
    >>> result.images, sum(result.exits.values()), result.cycles.total > 0
    (2, 2, True)
    """
    watch = Stopwatch()
    problems = _option_problems(engine, arrivals, out_dir)
    setup = _Setup.of(workload, arch, energy_table, overrides, problems, needs_weights=False)
    source = Source.of(setup.workload, data, images, seed)
    simulator = Simulator(setup.network, setup.arch, setup.dram, cast(Engine, engine), mapping_progress)
    run_sums, per_image, quality = _replay(setup, simulator, source, parts, progress)
    queue = _queue(per_image, arrivals, setup.arch.clock.core_mhz, seed)
    measured = measure(run_sums, per_image, queue, setup.resolved, setup.arch, setup.dram)
    asked = _Asked(simulator.engine, seed, tuple(overrides), arrivals or ALONE)
    result = _run_result(setup, asked, quality, run_sums, measured, watch)
    return write_run(result, out_dir) if out_dir is not None else result


@dataclass(frozen=True)
class Part:
    """Consecutive images of a run, simulated and counted, not yet averaged."""

    sums: RunSums
    per_image: tuple[ImageResult, ...]


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
    setup = _Setup.of(workload, arch, energy_table, overrides, [], needs_weights=False)
    simulator = Simulator(setup.network, setup.arch, setup.dram, cast(Engine, engine))
    run = _Replay(setup, simulator)
    run.add(images, first_index)
    return Part(run.sums, tuple(run.per_image))


@contextmanager
def _collecting(problems: list[Problem]) -> Iterator[None]:
    """Keep the problems of what is read inside, so that all inputs are reported together."""
    try:
        yield
    except InvalidInput as error:
        problems += error.problems


def _option_problems(engine: str, arrivals: str | None, out_dir: Path | None) -> list[Problem]:
    problems: list[Problem] = []
    if engine not in ENGINES:
        problems.append(Problem("--engine", "", f'found "{engine}", expected one of {", ".join(ENGINES)}'))
    with _collecting(problems):
        parse_arrivals(arrivals or BACK_TO_BACK)
    if out_dir is not None:
        with _collecting(problems):
            check_out_dir(out_dir)
    return problems


@dataclass(frozen=True)
class _Setup:
    """Everything that is decided before the first image runs. network: the workload's as the accelerator decides."""

    workload: Workload
    network: Network
    arch: ArchSpec
    dram: DramPresetSpec
    resolved: ResolvedTable
    policy: Policy

    @classmethod
    def of(
        cls,
        workload: str | Path | Workload,
        arch: str | Path,
        energy_table: str | Path | None,
        overrides: Sequence[str],
        problems: list[Problem],
        *,
        needs_weights: bool,
    ) -> _Setup:
        """Read all files; InvalidInput lists the problems of all of them behind those found before."""
        opened, accelerator, table = None, None, None
        with _collecting(problems):
            opened = workload if isinstance(workload, Workload) else load(workload)
        with _collecting(problems):
            accelerator = read_arch(arch, overrides)
        with _collecting(problems):
            table = None if energy_table is None else load_energy_table(energy_table)
        if opened is not None:
            with _collecting(problems):
                # Read now, so that a damaged file is reported together with all other problems.
                _ = opened.weights if needs_weights or not opened.spec.is_shape_only else None
            if accelerator is not None:
                with _collecting(problems):
                    check_exits(accelerator.spec, opened.network, accelerator.document)
                with _collecting(problems):
                    check_mappings(accelerator.spec, opened.network, accelerator.document)
        if problems or opened is None or accelerator is None:
            raise InvalidInput(problems)
        spec = accelerator.spec
        dram = load_dram_preset(spec.dram.preset)
        resolved = resolve(table or load_energy_table(spec.energy_table), spec, dram)
        network = with_overrides(opened.network, spec.exits, spec.dbp)
        policy = Policy.of(network, exits_enabled=spec.exits.enabled, dbp_enabled=spec.dbp.enabled)
        return cls(opened, network, spec, dram, resolved, policy)


@dataclass(frozen=True)
class _Asked:
    """Options of a run that its result repeats; of engines the one that ran."""

    engine: str
    seed: int
    overrides: tuple[str, ...]
    arrivals: str


class _Replay:
    """Images on one accelerator, counted as they are simulated."""

    def __init__(self, setup: _Setup, simulator: Simulator, progress: Progress | None = None) -> None:
        self._setup, self._simulator, self._progress = setup, simulator, progress
        network, arch = setup.network, setup.arch
        self.sums = RunSums(network, setup.dram.burst_bytes, arch.controller.result_cycles)
        self.per_image: list[ImageResult] = []

    def add(self, trace: FunctionalTrace, first_index: int, total: int = 0) -> None:
        """Simulate the images of a trace; first_index: position of the first of ``total`` in the run."""
        decisions = decide(trace, self._setup.policy)
        for index, record in enumerate(self._simulator.records(trace, decisions)):
            self.sums.add(record)
            prediction = int(trace.predictions[index, decisions.exit_index[index]])
            answer = None if trace.is_shape_only else (int(trace.labels[index]), prediction)
            self.per_image.append(_image_result(first_index + index, answer, record, self._setup.resolved))
            if self._progress is not None:
                self._progress(len(self.per_image), total)


def _replay(
    setup: _Setup,
    simulator: Simulator,
    source: Source,
    parts: Sequence[Part] | None,
    progress: Progress | None,
) -> tuple[RunSums, list[ImageResult], ExitStatistics]:
    """Compute, decide and simulate part by part, so that memory does not grow with the zero maps of all images."""
    network = setup.network
    run = _Replay(setup, simulator, progress)
    for part in parts or ():
        run.sums.merge(part.sums)
        run.per_image += part.per_image
    traces: list[FunctionalTrace] = []
    if progress is not None:
        progress(0, source.limit or 0)
    for trace in source.parts(setup.policy):
        if parts is None:
            total = trace.images if source.is_trace else source.limit or 0
            run.add(trace, len(run.per_image), total)
        traces.append(dataclasses.replace(trace, zero_maps={}))
    decided = concatenate(traces)
    return run.sums, run.per_image, statistics(network, decided, decide(decided, setup.policy))


def _image_result(
    index: int, answer: tuple[int, int] | None, record: ImageRecord, resolved: ResolvedTable
) -> ImageResult:
    """answer: label and prediction; None where nothing was computed."""
    label, prediction = answer or (None, None)
    return ImageResult(
        index=index,
        label=label,
        prediction=prediction,
        exit=record.exit_name,
        cycles=record.cycles,
        waiting_cycles=0,
        energy_uj=pj_to_uj(total_pj(record.counters, resolved)),
        dram_read_bytes=record.dram_read_bytes,
        dram_write_bytes=record.dram_write_bytes,
        wasted_bytes=record.wasted_bytes,
        branches_skipped=tuple(branch.name for branch in record.branches if branch.skipped),
    )


def _area(area: Area) -> AreaResult:
    return AreaResult(area.total_mm2, dict(area.by_component), area.uncertainty)


def _queue(per_image: list[ImageResult], arrivals: str | None, core_mhz: int, seed: int) -> Queue | None:
    if arrivals is None:
        return None
    rate_hz = parse_arrivals(arrivals)
    service_cycles = np.array([image.cycles for image in per_image], np.int64)
    if rate_hz is None:
        return serve(None, service_cycles)
    return serve(poisson_arrivals(len(per_image), rate_hz, core_mhz, seed), service_cycles)


def _evaluate_result(
    setup: _Setup, quality: ExitStatistics, overrides: tuple[str, ...], host: Host, files: tuple[str, ...]
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
    setup: _Setup,
    asked: _Asked,
    quality: ExitStatistics,
    sums: RunSums,
    measured: Measurements,
    watch: Stopwatch,
) -> RunResult:
    return RunResult(
        workload=setup.workload.spec.name,
        arch=setup.arch.name,
        energy_table=setup.resolved.name,
        images=quality.images,
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
        accuracy=quality.accuracy,
        params_used_fraction=quality.params_used_fraction,
        macs_used_fraction=quality.macs_used_fraction,
        exits=quality.exits,
        branches=quality.branches,
        cycles=measured.cycles,
        latency_us=measured.latency_us,
        throughput_ips=measured.throughput_ips,
        energy_uj_per_image=measured.energy_uj_per_image,
        dram_bytes_per_image=sums.dram_bytes_per_image(),
        layers=measured.layers,
        energy_uncertainty_uj=measured.energy_uncertainty_uj,
        energy_by_cause_uj=measured.energy_by_cause_uj,
        energy_terms=measured.energy_terms,
        energy_rows_unused=setup.resolved.unused_rows,
        energy_rows_extrapolated=setup.resolved.extrapolated,
        area_mm2=_area(setup.resolved.area),
        host=watch.stop(),
        per_image=measured.per_image,
    )
