"""Runs images one after the other, each on an idle machine, and counts what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Literal

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.errors import ConservationBroken, InvalidInput, Problem
from archsim.functional.decide import Decisions
from archsim.functional.trace import FunctionalTrace
from archsim.mapping.base import BoolArray, MapTransfers, TileWork
from archsim.mapping.compression import CodedMap, map_transfers
from archsim.network.graph import IMAGE, Network
from archsim.progress import Progress
from archsim.schedule.program import Program, Step, compile_program
from archsim.sim.conservation import disagreements, more_disagreements
from archsim.sim.decisions import ImagePath
from archsim.sim.observe import Observer
from archsim.sim.records import ImageRecord
from archsim.sim.segment import SegmentEngine
from archsim.sim.system import Outcome, System
from archsim.sim.tally import WorkOf, tally

Engine = Literal["tile", "segment"]


class Simulator:
    """One network on one accelerator, for any number of images.

    Timing depends on an image's zeros only where they are skipped or coded; elsewhere each path (exit and pruned
    branches) is simulated once. Raises InvalidInput when the network does not map.

    engine: ``tile`` (SimPy) or ``segment`` (compiled); they give the same records. The attribute says which of them
    runs: ``tile`` also where the segment engine lacks the hardware (``global_buffer.access: banks``). progress: of the
    search for mappings, in layers. check: count again and run the other engine too, image by image
    (:mod:`archsim.sim.conservation`).
    """

    def __init__(
        self,
        network: Network,
        arch: ArchSpec,
        dram: DramPresetSpec,
        engine: Engine = "tile",
        progress: Progress | None = None,
        *,
        check: bool = False,
    ) -> None:
        self.program = compile_program(network, arch, dram, progress)
        runs_segments = engine == "segment" and SegmentEngine.runs(self.program)
        self._segments = SegmentEngine(self.program) if runs_segments else None
        self._check = check
        self._images = 0
        self.engine: Engine = "segment" if runs_segments else "tile"
        self._paths: dict[ImagePath, Outcome] = {}

    def records(self, trace: FunctionalTrace, decisions: Decisions) -> Iterator[ImageRecord]:
        """Simulate every image of a trace in order.

        Raises InvalidInput when the trace lacks a zero map that timing needs, Deadlock when the hardware hangs,
        ConservationBroken when counters contradict each other.
        """
        check_maps(self.program, trace)
        for image in range(trace.images):
            path = image_path(decisions, image, len(self.program.network.branches))
            work_of = image_work(self.program, trace, image)
            outcome = self._outcome(path, work_of)
            record = tally(self.program, outcome, work_of)
            found = disagreements(self.program, outcome, record)
            if self._check:
                nonzero_of = partial(nonzero_map, trace, network=self.program.network, image=image)
                other = self._other_outcome(path, work_of)
                found += more_disagreements(self.program, outcome, work_of, nonzero_of, other)
            if found:
                raise ConservationBroken(f"image {self._images}", found)
            self._images += 1
            yield record

    def _other_outcome(self, path: ImagePath, work_of: WorkOf) -> Outcome | None:
        """What the engine that does not run makes of an image; None where it lacks the hardware."""
        if self._segments is not None:
            return run_image(self.program, path, work_of)
        return SegmentEngine(self.program).run(path, work_of) if SegmentEngine.runs(self.program) else None

    def _outcome(self, path: ImagePath, work_of: WorkOf) -> Outcome:
        if self.program.arch.pe_array.zero == "skip" or self.program.arch.dma.compression == "rlc":
            return self._run(path, work_of)
        if path not in self._paths:
            self._paths[path] = self._run(path, work_of)
        return self._paths[path]

    def _run(self, path: ImagePath, work_of: WorkOf) -> Outcome:
        if self._segments is not None:
            return self._segments.run(path, work_of)
        return run_image(self.program, path, work_of)


def run_image(
    program: Program, path: ImagePath, work_of: WorkOf, observer: Observer | None = None
) -> Outcome:
    """Simulate one image along a path with the tile engine."""

    def maps_of(step: int) -> MapTransfers | None:
        return work_of(step).maps if program.arch.dma.compression == "rlc" else None

    return System(program, path, lambda step: work_of(step).compute_cycles, observer, maps_of).run()


def image_path(decisions: Decisions, image: int, branch_count: int) -> ImagePath:
    """The decisions of one image."""
    exit_index = int(decisions.exit_index[image])
    skipped = tuple(bool(flag) for flag in decisions.skipped[image])
    return ImagePath(skipped, exit_index if exit_index < branch_count else None)


def image_work(program: Program, trace: FunctionalTrace, image: int) -> WorkOf:
    """What one image's zeros make of each step, computed when first asked for."""

    @cache
    def coded(tensor: str) -> CodedMap | None:
        if tensor == IMAGE:
            return None
        nonzero = nonzero_map(trace, tensor, program.network, image)
        return CodedMap.of(nonzero, program.arch.precision.activation_bits)

    def maps_of(step: Step) -> MapTransfers:
        summand = coded(step.fused.summand[0]) if step.fused.summand else None
        stored = coded(step.fused.output_tensor) if _codes_outputs(step) else None
        return map_transfers(step.plan, coded(step.layer.inputs[0]), summand, stored)

    @cache
    def work_of(step_index: int) -> TileWork:
        step = program.steps[step_index]
        nonzero = nonzero_map(trace, step.layer.inputs[0], program.network, image)
        work = program.dataflow.work(step.layer, program.arch, step.plan, nonzero)
        if program.arch.dma.compression == "none":
            return work
        return replace(work, maps=maps_of(step))

    return work_of


def _codes_outputs(step: Step) -> bool:
    return bool(step.plan.store_bytes.any()) and not step.layer.is_classifier


def check_maps(program: Program, trace: FunctionalTrace) -> None:
    """Raises InvalidInput naming every tensor whose zeros timing depends on and the trace has no zero map of."""
    needed = {step.layer.inputs[0] for step in program.steps}
    if program.arch.dma.compression == "rlc":
        needed |= {step.fused.summand[0] for step in program.steps if step.fused.summand} - {IMAGE}
        needed |= {step.fused.output_tensor for step in program.steps if _codes_outputs(step)}
    problems = [
        Problem(trace.workload, tensor, "the trace has no zero map of this tensor, which timing depends on",
                "write the trace again with evaluate --save-trace")
        for tensor in sorted(needed - set(trace.zero_maps))
    ]  # fmt: skip
    if problems:
        raise InvalidInput(problems)


def nonzero_map(trace: FunctionalTrace, tensor: str, network: Network, image: int) -> BoolArray:
    """Bool (height, width, channels): where a tensor of one image is not zero."""
    shape = network.shape(tensor)
    bits = np.unpackbits(trace.zero_maps[tensor][image], count=shape.elements, bitorder="little")
    nonzero: BoolArray = (bits == 0).reshape(shape.height, shape.width, shape.channels)
    return nonzero
