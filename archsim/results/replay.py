"""The images of a run, one after the other on one accelerator, counted as they are simulated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from archsim.energy.account import total_pj
from archsim.energy.table import ResolvedTable
from archsim.errors import InvalidInput, Problem
from archsim.functional.decide import decide
from archsim.functional.executor import concatenate
from archsim.functional.statistics import ExitStatistics, statistics
from archsim.functional.trace import FunctionalTrace
from archsim.progress import Progress
from archsim.results.aggregate import RunSums
from archsim.results.branch_images import branch_images
from archsim.results.observed import observe_image
from archsim.results.run_result import BranchImage, ImageResult
from archsim.results.setup import Setup
from archsim.results.source import Source
from archsim.results.timeline import Timeline, TimelineRequest
from archsim.sim.engine import Simulator, image_path, image_work
from archsim.sim.records import ImageRecord
from archsim.units import pj_to_uj


@dataclass(frozen=True)
class Part:
    """Consecutive images of a run, simulated and counted, not yet averaged."""

    sums: RunSums
    per_image: tuple[ImageResult, ...]


@dataclass(frozen=True)
class Replayed:
    """All images of a run. quality: what was computed; per_branch: image by image what each branch decided.

    timeline: of the image that it was asked for.
    """

    sums: RunSums
    per_image: list[ImageResult]
    quality: ExitStatistics
    per_branch: tuple[BranchImage, ...]
    timeline: Timeline | None


class Replay:
    """Images on one accelerator, counted as they are simulated."""

    def __init__(
        self,
        setup: Setup,
        simulator: Simulator,
        progress: Progress | None = None,
        observed: TimelineRequest | None = None,
    ) -> None:
        self._setup, self._simulator, self._progress = setup, simulator, progress
        self._observed = observed
        self.timeline: Timeline | None = None
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
            if self._observed is not None and self._observed.image == first_index + index:
                path = image_path(decisions, index, len(self._setup.network.branches))
                program = self._simulator.program
                work_of = image_work(program, trace, index)
                self.timeline = observe_image(program, path, work_of, record, self._observed)
            if self._progress is not None:
                self._progress(len(self.per_image), total)


def replay(
    setup: Setup,
    simulator: Simulator,
    source: Source,
    parts: Sequence[Part] | None,
    progress: Progress | None,
    observed: TimelineRequest | None = None,
) -> Replayed:
    """Compute, decide and simulate part by part, so that memory does not grow with the zero maps of all images.

    observed: the image to make a timeline of, of which there is none where ``parts`` are. Raises InvalidInput when the
    run does not have it.
    """
    run = Replay(setup, simulator, progress, observed)
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
    if observed is not None and run.timeline is None:
        message = f"found image {observed.image}, expected one of the {len(run.per_image)} of the run, from 0"
        raise InvalidInput([Problem("--timeline", "", message)])
    trace = concatenate(traces)
    decisions = decide(trace, setup.policy)
    quality = statistics(setup.network, trace, decisions)
    per_branch = branch_images(trace, decisions, setup.policy)
    return Replayed(run.sums, run.per_image, quality, per_branch, run.timeline)


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
        macs=sum(layer.macs for layer in record.layers),
    )
