"""A timeline is what happened: it changes nothing, and what it shows adds up to the counters of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise

import pytest

from archsim.errors import InvalidInput
from archsim.results.chrome_trace import track_of
from archsim.results.timeline import DECISIONS, Timeline, TimelineRequest, arrows
from archsim.sim.decisions import ImagePath
from archsim.sim.engine import run_image
from archsim.sim.observe import Recorder, Span
from archsim.sim.records import ImageRecord
from tests.machine import CONV_HEAD, POOLED_HEAD, Machine, arch, small_network

PATHS = [(None, (False, False)), (0, (False, False)), (1, (True, False)), (None, (True, True))]
SMALL_BUFFER = {"size_kib": 16}
MACHINES: dict[str, Callable[[], Machine]] = {
    "unit": Machine,
    "array": lambda: Machine(network=small_network(head=CONV_HEAD)),
    "speculative": lambda: Machine(arch=arch(branch_unit={"overlap": "speculative", "weight_sram_kib": 0})),
    "banks": lambda: Machine(arch=arch(global_buffer={"access": "banks", **SMALL_BUFFER})),
    "stops": lambda: Machine(arch=arch(dma={"overlap": "weights"}, global_buffer={"size_kib": 24})),
    "frfcfs": lambda: Machine(arch=arch(dram={"policy": "frfcfs"}, global_buffer=SMALL_BUFFER)),
}


@cache
def machine_of(name: str) -> Machine:
    return MACHINES[name]()


@cache
def observed(
    name: str, exits_at: int | None = None, skipped: tuple[bool, ...] = (False, False)
) -> tuple[Timeline, ImageRecord]:
    machine = machine_of(name)
    return machine.timeline(exits_at, skipped), machine.record(exits_at, skipped)


def lasting(spans: Iterable[Span]) -> int:
    return sum(span.end_cycle - span.start_cycle for span in spans)


def moved(spans: Iterable[Span]) -> int:
    return sum(span.amount_bytes for span in spans)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("exits_at", "skipped"), PATHS)
class TestOfAnyImage:
    """Every machine, every path."""

    def test_observing_changes_nothing(self, machine, exits_at, skipped) -> None:
        program, work_of, path = (
            machine_of(machine).program,
            machine_of(machine).work_of,
            ImagePath(skipped, exits_at),
        )
        alone = run_image(program, path, work_of)
        assert run_image(program, path, work_of, Recorder()) == alone
        assert run_image(program, path, work_of, Recorder(most_spans=3)) == alone

    def test_the_array_is_accounted_for(self, machine, exits_at, skipped) -> None:
        """Cycle by cycle: dispatch, phases and waits of a layer are all the cycles that it holds the array."""
        timeline, record = observed(machine, exits_at, skipped)
        parts = [span for span in timeline.of("pe_array") if span.what not in ("layer", "tile", "idle")]
        layers = timeline.of("pe_array", "layer")
        records = [layer for layer in record.layers if layer.unit == "pe_array"]
        assert [(span.subject, span.start_cycle, span.end_cycle) for span in layers] == [
            (layer.name, layer.start_cycle, layer.end_cycle) for layer in records if layer.cycles
        ]
        for span, layer in zip(layers, [each for each in records if each.cycles], strict=True):
            inside = [
                part
                for part in parts
                if span.start_cycle <= part.start_cycle and part.end_cycle <= span.end_cycle
            ]
            assert lasting(inside) == layer.cycles
            if not span.is_cut:
                assert lasting(part for part in inside if part.what == "wait") == layer.stall_cycles

    def test_bytes_are_those_of_the_counters(self, machine, exits_at, skipped) -> None:
        timeline, record = observed(machine, exits_at, skipped)
        counters, burst_bytes = record.counters, machine_of(machine).program.dram.burst_bytes
        reads = moved(timeline.of("dram", "load")) + moved(timeline.of("dram", "branch"))
        assert reads == burst_bytes * counters.total("dram", "read_burst")
        assert moved(timeline.of("dram", "store")) == burst_bytes * counters.total("dram", "write_burst")
        if not any(
            span.is_cut for span in timeline.of("pe_array")
        ):  # a tile that was started is paid in full
            ports = moved(timeline.of("global_buffer"))
            assert ports == counters.total("global_buffer", "read_byte") + counters.total(
                "global_buffer", "write_byte"
            )

    def test_decisions_are_those_of_the_counters(self, machine, exits_at, skipped) -> None:
        timeline, record = observed(machine, exits_at, skipped)
        decisions = timeline.of("controller", "decision")
        assert len(decisions) == record.counters.total("controller", "decision")
        found = {span.subject for span in decisions}
        for branch in record.branches:
            said = "skip" if branch.skipped else "exit" if branch.exited else "go on"
            assert f"{branch.name}: {said}" in found
        evaluated = [layer for layer in record.layers if layer.unit == "branch_unit"]
        assert lasting(timeline.of("branch_unit", "evaluate")) == sum(layer.cycles for layer in evaluated)
        marks = [mark for mark in timeline.marks if mark.event in DECISIONS]
        assert [(f"{mark.subject}: {mark.event}", mark.cycle) for mark in marks] == [
            (span.subject, span.start_cycle) for span in decisions
        ]

    def test_spans_of_a_track_nest_or_follow_each_other(self, machine, exits_at, skipped) -> None:
        tracks: dict[tuple[str, str], list[Span]] = defaultdict(list)
        for span in observed(machine, exits_at, skipped)[0].spans:
            tracks[track_of(span.unit, span.what)].append(span)
        assert len(tracks) >= 6
        for (unit, _), spans in tracks.items():
            open_until: list[int] = []
            for span in sorted(spans, key=lambda span: (span.start_cycle, -span.end_cycle)):
                while open_until and open_until[-1] <= span.start_cycle:
                    open_until.pop()
                assert not open_until or span.end_cycle <= open_until[-1], (unit, span)
                open_until.append(span.end_cycle)
                assert unit not in ("dram", "global_buffer") or len(open_until) == 1, (unit, span)

    def test_arrows_go_forward_in_time_from_unit_to_unit(self, machine, exits_at, skipped) -> None:
        found = list(arrows(observed(machine, exits_at, skipped)[0]))
        assert found
        for arrow in found:
            units = [span.unit for span in arrow.spans]
            assert len(units) == len(set(units)) > 1
            assert all(one.start_cycle <= two.start_cycle for one, two in pairwise(arrow.spans))

    def test_the_buffer_never_holds_more_than_it_can(self, machine, exits_at, skipped) -> None:
        timeline, _ = observed(machine, exits_at, skipped)
        held = [timeline.filter_bytes + use.maps_bytes + use.working_bytes for use in timeline.buffer]
        assert held
        assert max(held) <= timeline.buffer_bytes


def test_the_way_of_a_decision_leads_from_the_dram_to_the_controller() -> None:
    timeline, _ = observed("unit", 0)
    ways = {arrow.name: [span.unit for span in arrow.spans] for arrow in arrows(timeline)}
    assert ways["early: exit"] == ["dram", "global_buffer", "pe_array", "branch_unit", "controller"]
    assert ways["early: run"] == ["dram", "global_buffer", "pe_array", "dbp_unit", "controller"]


def test_an_exit_cancels_fetches_and_aborts_the_array() -> None:
    machine = Machine(
        network=small_network(head=POOLED_HEAD),
        arch=arch(branch_unit={"overlap": "speculative"}, global_buffer={"size_kib": 16}),
    )
    timeline = machine.timeline(0)
    (exit_span,) = [span for span in timeline.of("controller", "decision") if span.subject == "early: exit"]
    cut = [span for span in timeline.spans if span.is_cut]
    assert {"pe_array", "dma.load"} <= {span.unit for span in cut}
    assert {span.end_cycle for span in cut} == {exit_span.start_cycle}
    assert [(mark.unit, mark.event) for mark in timeline.marks if mark.cycle == exit_span.start_cycle] == [
        ("branch_unit", "exit"),
        ("dma", "cancel"),
        ("pe_array", "abort"),
    ]


def test_a_window_keeps_what_touches_it() -> None:
    whole, part = observed("unit")[0], machine_of("unit").timeline(request=TimelineRequest(window=(400, 900)))
    assert (part.from_cycle, part.until_cycle, part.cycles) == (400, 900, whole.cycles)
    touching = [span for span in whole.spans if span.start_cycle < 900 and span.end_cycle > 400]
    served = {"dram", "global_buffer"}  # asked for in the window, served behind it, or the other way round
    assert [span for span in part.spans if span.unit not in served] == [
        span for span in touching if span.unit not in served
    ]


def test_layers_choose_the_window() -> None:
    machine = machine_of("unit")
    record, timeline = machine.record(), machine.timeline(request=TimelineRequest(layers=("conv2", "conv3")))
    cycles = {layer.name: (layer.start_cycle, layer.end_cycle) for layer in record.layers}
    assert (timeline.from_cycle, timeline.until_cycle) == (cycles["conv2"][0], cycles["conv3"][1])
    both = TimelineRequest(layers=("conv2",), window=(0, cycles["conv2"][0] + 10))
    assert machine.timeline(request=both).until_cycle == cycles["conv2"][0] + 10


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TimelineRequest(layers=("conv9",)), 'found "conv9", which takes no step'),
        (TimelineRequest(layers=("fc",)), "found layers that image 0 did not reach: it left at early"),
        (TimelineRequest(window=(10**9, 10**9 + 1)), "found no cycle of image 0"),
        (TimelineRequest(layers=("conv1",), window=(10**6, 10**7)), "found no cycle of image 0"),
    ],
)
def test_nothing_to_show(request_: TimelineRequest, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        machine_of("unit").timeline(0, request=request_)


def test_a_timeline_is_bounded() -> None:
    full: Timeline = machine_of("unit").timeline(request=TimelineRequest(most_spans=100))
    assert full.is_truncated
    assert 90 <= len(full.spans) <= 110  # decisions are added to those that were recorded
    assert full.until_cycle < full.cycles
    assert max(span.start_cycle for span in full.spans) <= full.until_cycle
    assert not observed("unit")[0].is_truncated
