"""From the simulation of one image, observed, to its timeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archsim.errors import InvalidInput, Problem, SimulationFailed, did_you_mean
from archsim.mapping.residency import output_bytes
from archsim.results.timeline import DECISIONS, BufferUse, Feeds, Timeline, TimelineRequest
from archsim.schedule.program import Program
from archsim.sim.decisions import ImagePath
from archsim.sim.engine import run_image
from archsim.sim.observe import LoggedEvent, Recorder, Span
from archsim.sim.records import ImageRecord
from archsim.sim.system import Outcome
from archsim.sim.tally import WorkOf

_QUIET = ("branch_unit", "dbp_unit", "dma.store")
"""Units whose idling is no part of a timeline: they have nothing to do most of the time."""

_SPANS_TELL = ("dispatch", "tile", "start", "chunk")
"""Events that are the beginning of a span."""


def observe_image(
    program: Program, path: ImagePath, work_of: WorkOf, record: ImageRecord, request: TimelineRequest
) -> Timeline:
    """Simulate an image once more, with the tile engine, and write down what happens.

    path, work_of: of the image. record: what its simulation without an observer left behind. Raises InvalidInput for
    layers that are not there and windows that hold nothing, SimulationFailed when observing changes the result.
    """
    from_cycle, until_cycle = _window(program, record, request)
    recorder = Recorder(from_cycle, until_cycle, request.most_spans)
    outcome = run_image(program, path, work_of, recorder)
    recorder.close(outcome.cycles)
    if outcome.cycles != record.cycles:
        raise SimulationFailed(
            f"image {request.image} took {record.cycles} cycles, {outcome.cycles} when observed"
        )
    spans = [span for span in recorder.spans if span.what != "idle" or span.unit not in _QUIET]
    ratio = program.dram_cycles_per_core_cycle
    return Timeline(
        workload=program.network.name,
        arch=program.arch.name,
        image=request.image,
        exit=record.exit_name,
        cycles=outcome.cycles,
        core_mhz=program.arch.clock.core_mhz,
        from_cycle=from_cycle,
        until_cycle=recorder.until_cycle,
        is_truncated=recorder.is_truncated,
        dram_bytes_per_cycle=2 * program.dram.channel_bits // 8 * ratio,
        buffer_bytes=program.arch.global_buffer.size_kib * 1024,
        filter_bytes=program.arch.global_buffer.filter_kib * 1024,
        feeds=_feeds(program),
        buffer=tuple(_buffer(program, outcome, from_cycle, recorder.until_cycle)),
        marks=tuple(
            event
            for event in recorder.events
            if event.event not in _SPANS_TELL and event.unit != "controller"
        ),
        spans=tuple(sorted([*_served(spans), *_handled(recorder.events)], key=_place)),
    )


def _place(span: Span) -> tuple[str, int, int]:
    """Order: by unit and start, what holds others before them."""
    return span.unit, span.start_cycle, -span.end_cycle


def _window(program: Program, record: ImageRecord, request: TimelineRequest) -> tuple[int, int]:
    """Cycles from, until, as they are asked for."""
    known = [step.layer.name for step in program.steps] + [each.branch.name for each in program.branches]
    problems = [
        Problem("--layers", "", f'found "{name}", which takes no step', did_you_mean(name, known))
        for name in request.layers
        if name not in known
    ]
    ran = [layer for layer in record.layers if layer.name in request.layers]
    if request.layers and not ran and not problems:
        message = f"found layers that image {request.image} did not reach: it left at {record.exit_name}"
        problems = [Problem("--layers", "", message, "ask for another image or other layers")]
    if problems:
        raise InvalidInput(problems)
    start = min((layer.start_cycle for layer in ran), default=0)
    end = max((layer.end_cycle for layer in ran), default=record.cycles)
    if request.window is not None:
        start, end = max(start, request.window[0]), min(end, request.window[1])
    if start >= end:
        message = (
            f"found no cycle of image {request.image}, which takes {record.cycles}, in what is asked for"
        )
        raise InvalidInput([Problem("--window", "", message, "FROM:UNTIL, in cycles from its start")])
    return start, end


def _served(spans: Iterable[Span]) -> list[Span]:
    """The spans, those of the DRAM channel and of the clients of the buffer from when they are served.

    Whoever is served in turn has to wait until the one before is done: what waits is not what works.
    """
    queues: dict[tuple[str, str], list[Span]] = {}
    others = []
    for span in spans:
        if span.unit in ("dram", "global_buffer"):
            client = "" if span.unit == "dram" else span.what
            queues.setdefault((span.unit, client), []).append(span)
        else:
            others.append(span)
    for queue in queues.values():
        free_at = 0
        for span in sorted(queue, key=lambda span: (span.end_cycle, span.start_cycle)):
            others.append(span._replace(start_cycle=max(span.start_cycle, free_at)))
            free_at = span.end_cycle
    return others


def _handled(events: Iterable[LoggedEvent]) -> list[Span]:
    """The cycle in which the controller handles each message about a decision."""
    return [
        Span("controller", "decision", f"{event.subject}: {event.event}", -1, event.cycle, event.cycle + 1)
        for event in events
        if event.unit == "controller" and event.event in DECISIONS
    ]


def _feeds(program: Program) -> dict[str, Feeds]:
    judged = {step.branch.index: step.layer.name for step in program.steps if step.branch is not None}
    return {
        branch.branch.name: Feeds(judged[branch.index], program.steps[branch.last_step].layer.name)
        for branch in program.branches
    }


def _buffer(program: Program, outcome: Outcome, from_cycle: int, until_cycle: int) -> list[BufferUse]:
    last_reader = _last_readers(program)
    uses = []
    for run in outcome.array:
        step = program.steps[run.step]
        kept = [
            output_bytes(other.fused, program.arch)
            for other in program.steps
            if other.placement.ofmap_on_chip and other.index <= run.step <= last_reader[other.index]
        ]
        if run.start_cycle < until_cycle and run.end_cycle > from_cycle:
            uses.append(
                BufferUse(step.layer.name, run.start_cycle, run.end_cycle, sum(kept), step.plan.working_bytes)
            )
    return uses


def _last_readers(program: Program) -> Sequence[int]:
    """By step, the last one that reads what it writes; itself where none does."""
    last = list(range(len(program.steps)))
    for step in program.steps:
        for source in (step.ifmap, step.summand):
            if source is not None and source.producer is not None:
                last[source.producer] = max(last[source.producer], step.index)
    return last
