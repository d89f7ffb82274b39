"""The row-stationary array in RTL begins, fills, computes and drains in the cycles of the simulated one, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from archsim.kernels import conv
from archsim.mapping import row_stationary, zeros
from archsim.mapping.passes import Passes
from archsim.mapping.zeros import mac_counts
from archsim.sim import pe_array as simulated
from archsim.sim.channel import Channel
from archsim.sim.clock import Done
from archsim.sim.messages import TileLoaded
from archsim.sim.transfer import Transfer
from tests.rtl.array_cases import FILTER_WORDS, PSUM_WORDS, RING_WORDS, Case, Pass, cases
from tests.rtl.cosimulation import Surroundings, mutant_of, packed, simulation_of, unpacked

twin = pytest.importorskip("archsim.rtl.pe_array")
PHASES = {"filling": 0, "computing": 1, "draining": 2}


@pytest.fixture(autouse=True)
def forget_plans() -> Iterator[None]:
    """What follows from a mapping is cached; a test that plants a bug must not meet it, nor leave it behind."""
    row_stationary._sharing.cache_clear()
    yield
    row_stationary._sharing.cache_clear()


@dataclass
class Seen:
    """phases: of each tile, when fill, compute and drain begin and the tile ends. Per tile: MACs done and gated.

    outputs: of each tile (cycle after the beginning of compute, column of the array), in order of cycle.
    """

    phases: list[list[int]] = field(default_factory=list)
    macs: list[int] = field(default_factory=list)
    gated: list[int] = field(default_factory=list)
    outputs: list[list[tuple[int, int]]] = field(default_factory=list)


def run_simulation(case: Case) -> list[list[int]]:
    """The simulated array runs the plan of the layer; tiles come when the case says, transfers take what it says."""
    step = SimpleNamespace(index=0, layer=case.layer, plan=case.plan, branch=None, decides=None)
    around = Surroundings.of(case.arch, SimpleNamespace(arch=case.arch, steps=[step]))
    clock, served = around.wiring.clock, [0]
    ready_at = accumulate(case.of_tile(case.ready_gaps, tile) for tile in range(case.plan.tiles))
    tiles: Channel[TileLoaded] = Channel(clock)
    dispatch_cycles = case.arch.controller.dispatch_cycles
    for tile, cycle in enumerate(ready_at):
        data = Transfer("layer", tile, address=0, transfer_bytes=1, plain_bytes=None, chunks=1)
        clock.after(dispatch_cycles + cycle, lambda _, data=data: data.finish_chunk())
        tiles.send(TileLoaded(0, tile, (data,)))

    def transfer(client: Any, size: int, on_done: Done) -> None:
        """Each phase has one transfer, in order."""
        tile, phase = divmod(served[0], 3)
        served[0] += 1
        clock.after(case.of_tile(case.port_cycles, tile)[phase], lambda _: on_done())

    dma: Any = SimpleNamespace(
        tiles=tiles, stops_for_maps=False, halves=SimpleNamespace(release=lambda: None)
    )
    # Every phase has something to transfer, so that phases can be told apart.
    plan = replace(case.plan, **{name: np.ones(case.plan.tiles, np.int64) for name in
                                 ("fill_read_bytes", "stream_read_bytes", "drain_write_bytes")})  # fmt: skip
    step.plan = replace(plan, stream_write_bytes=np.zeros(case.plan.tiles, np.int64))
    taps: Any = (None, None)
    glb: Any = SimpleNamespace(transfer=transfer)
    unit = simulated.PeArray(around.wiring, lambda _: case.work.compute_cycles, dma, glb, *taps)
    unit.steps.send(step)
    clock.run()
    assert len(unit.runs) == 1
    found: list[list[int]] = []
    for event in around.log.events:
        if event.event == "begin tile":
            found.append([])
        if event.event in ("begin fill", "begin compute", "begin drain", "end tile"):
            found[-1].append(event.cycle - dispatch_cycles)
    return found


def lanes_of(words: Iterator[tuple[int, int]], lanes: int) -> list[list[tuple[int, int]]]:
    """Words of a bus, so many at a time."""
    everything = list(words)
    return [everything[start : start + lanes] for start in range(0, len(everything), lanes)]


class Driver:
    """What is around the twin: buses, port, partial sums of earlier channels; collects what leaves."""

    def __init__(self, case: Case) -> None:
        self.case, self.seen = case, Seen()
        self.sums = np.zeros((*case.out_shape, case.weight.shape[3]), np.int64)
        self.tile, self.ended = -1, 0
        self.ready_at = list(
            accumulate(case.of_tile(case.ready_gaps, tile) for tile in range(len(case.passes)))
        )
        self.phase, self.port_until, self.delivered = "", 0, [0] * case.cols
        self.fill: list[list[tuple[int, int]]] = []
        self.stream: list[list[tuple[int, int]]] = []
        self.filters: list[list[tuple[int, int]]] = []

    def __call__(self, cycle: int, bench: Any) -> bool | None:
        waits = self.tile + 1
        is_ready = waits < len(self.case.passes) and cycle >= self.ready_at[waits]
        bench.set(tile_ready=is_ready, port_done=cycle >= self.port_until, word_valid=0, filter_valid=0)
        if is_ready and self.phase in ("", "draining"):
            done = self.case.passes[waits]
            last = self.case.passes[self.tile] if self.tile >= 0 else None
            is_new = last is None or (last.filters, last.channels) != (done.filters, done.channels)
            drain_cycles = int(self.case.plan.drain_cycles[waits])
            bench.set(**self.case.settings(done), new_filters=is_new, drain_cycles=drain_cycles)
            if bench.begins:
                self._begin(done, is_new)
        if self.tile >= 0:
            self._buses(bench)
            self._collect(cycle, bench)
        return waits == len(self.case.passes) and self.phase == ""

    def _begin(self, done: Pass, is_new: bool) -> None:
        case, kernel_cols = self.case, self.case.weight.shape[1]
        first = [x for x in case.columns if x < kernel_cols]
        rest = [x for x in case.columns if x >= kernel_cols]
        self.tile += 1
        self.fill = lanes_of(case.words(done, first), case.lanes[0])
        self.stream = lanes_of(case.words(done, rest), case.lanes[0])
        self.filters = lanes_of(case.filter_words(done), case.lanes[1]) if is_new else []
        self.delivered = [0] * case.cols
        self.seen.macs.append(0)
        self.seen.gated.append(0)
        self.seen.outputs.append([])

    def _buses(self, bench: Any) -> None:
        words = self.fill if bench.filling else self.stream if bench.computing else []
        for name, bus in (("word", words), ("filter", self.filters)):
            if not bus:
                continue
            rows, values = zip(*bus[0], strict=True)
            bench.set(**{
                f"{name}_valid": (1 << len(bus[0])) - 1,
                f"{name}_rows": packed(rows, twin.ROW_BITS),
                {"word": "words", "filter": "filter_words"}[name]: packed(values, 8),
            })  # fmt: skip
            if name == "filter" or bench.words_taken:
                bus.pop(0)

    def _collect(self, cycle: int, bench: Any) -> None:
        case, done = self.case, self.case.passes[self.tile]
        self._note_phase(cycle, next((name for name in PHASES if getattr(bench, name)), ""))
        places = [divmod(count, len(done.filters)) for count in self.delivered]
        before = [0] * case.cols
        for column, (f, m) in enumerate(places):
            if column < len(done.rows) and f < case.out_shape[1]:
                before[column] = int(self.sums[done.rows[column], f, done.filters[m]])
        bench.set(psum_in=packed(before, 32))
        values = unpacked(bench.psums, 32, case.cols, signed=True)
        for column in range(case.cols):
            if bench.psum_valid >> column & 1:
                f, m = places[column]
                self.sums[done.rows[column], f, done.filters[m]] = values[column]
                self.delivered[column] += 1
                self.seen.outputs[-1].append((cycle - self.seen.phases[-1][1], column))
        self.seen.macs[-1] += bench.macs
        self.seen.gated[-1] += bench.gated

    def _note_phase(self, cycle: int, phase: str) -> None:
        """A phase begins; what was drained until now has ended."""
        if phase == self.phase:
            return
        if self.phase == "draining":
            self.seen.phases[-1].append(cycle)
        if phase == "filling":
            self.seen.phases.append([])
        if phase:
            self.seen.phases[-1].append(cycle)
            self.port_until = cycle + self.case.of_tile(self.case.port_cycles, self.tile)[PHASES[phase]]
        self.phase = phase


def run_twin(case: Case, most_cycles: int) -> Driver:
    spads, bits = (RING_WORDS, FILTER_WORDS, PSUM_WORDS), (8, 8, 32)
    parameters = (len(case.weight), case.cols, case.lanes, case.fifo_words, spads, bits, case.zero)
    driver = Driver(case)
    simulation_of(twin.PeArray, *parameters).run(most_cycles, driver)
    return driver


def compare(case: Case) -> None:
    expected = run_simulation(case)
    driver = run_twin(case, expected[-1][-1] + 4)
    seen = driver.seen
    assert seen.phases == expected
    assert np.array_equal(driver.sums, case.expected)
    counts = mac_counts(case.plan, case.work, case.zero)
    assert seen.macs == counts["pe_array", "mac"].tolist()
    assert seen.gated == counts["pe_array", "gated_mac"].tolist()
    if case.zero != "skip":
        assert seen.outputs == [outputs_of(case, done) for done in case.passes]


def outputs_of(case: Case, done: Pass) -> list[tuple[int, int]]:
    """When partial sums leave by the rule of the plan: MACs of a column of outputs, then a partial sum a cycle."""
    macs, psums = case.settings(done)["weights"], len(done.filters)
    return [
        (column * (macs + psums) + macs + filter_index, row)
        for column in range(case.out_shape[1])
        for filter_index in range(psums)
        for row in range(len(done.rows))
    ]


@settings(max_examples=15, deadline=None)
@given(cases().filter(lambda case: case.is_bus_in_time))
def test_twin_equals_simulation(case: Case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases().filter(lambda case: case.is_bus_in_time))
def test_twin_equals_simulation_on_many_cases(case: Case) -> None:
    compare(case)


def compute_cycles(driver: Driver) -> list[int]:
    """Of each tile."""
    return [drain - compute for _fill, compute, drain, _end in driver.seen.phases]


def late(case: Case) -> tuple[list[int], list[int]]:
    """Compute cycles of the twin and of the plan, without transfers that take longer; results are compared."""
    alone = replace(case, port_cycles=((0, 0, 0),))
    most = 4 * int(alone.work.compute_cycles.sum() + alone.plan.fill_cycles.sum()) + 2000
    driver = run_twin(alone, most)
    assert np.array_equal(driver.sums, alone.expected)
    return compute_cycles(driver), alone.work.compute_cycles.tolist()


@settings(max_examples=8, deadline=None)
@given(cases().filter(lambda case: not case.is_bus_in_time))
def test_a_slow_bus_is_the_known_difference(case: Case) -> None:
    """The plan lets the last words arrive in the cycle in which the pass is over; PEs still have to work on them."""
    found, planned = late(case)
    for took, plan, done in zip(found, planned, case.passes, strict=True):
        column = case.settings(done)["weights"] + len(done.filters)
        assert plan <= took <= plan + case.out_shape[1] * column


def lockstep_cycles(case: Case, done: Pass) -> int:
    """Of a pass in which the PEs of a column of the array wait for each other behind every column of outputs."""
    filters, kernel_cols = len(done.filters), case.weight.shape[1]
    top, slowest = done.rows.start * case.stride[0], 0
    for j in range(len(done.rows)):
        rows = [case.padded[top + j * case.stride[0] + i] != 0 for i in range(len(case.weight))]
        total = 0
        for f in range(case.out_shape[1]):
            left = f * case.stride[1]
            macs = [int(row[left : left + kernel_cols, list(done.channels)].sum()) for row in rows]
            total += filters * max(macs) + filters
        slowest = max(slowest, total)
    return slowest


@settings(max_examples=8, deadline=None)
@given(cases(fifo_words=0).filter(lambda case: case.zero == "skip" and case.is_bus_in_time))
def test_skipping_without_queues_is_the_known_difference(case: Case) -> None:
    """PEs that cannot run ahead wait behind every column of outputs for the slowest one of it, not of the pass."""
    found, planned = late(case)
    assert found == [lockstep_cycles(case, done) for done in case.passes]
    assert all(took >= plan for took, plan in zip(found, planned, strict=True))


def example(zero: str, **changes: Any) -> Case:
    """Two passes of three strips on 3 x 3 PEs, zeros in every place, port and data late now and then."""
    rng = np.random.default_rng(5)
    shape = (5, 6, 2)
    case = Case(
        activations=rng.integers(1, 256, shape).astype(np.uint8) * (rng.random(shape) < 0.5).astype(np.uint8),
        weight=rng.integers(-128, 128, (3, 3, 2, 3)).astype(np.int8),
        stride=(1, 1), padding=(1, 1), cols=3, mapping=(3, 3, 1), lanes=(3, 1), zero=zero,
        fifo_words=18 if zero == "skip" else 0, ready_gaps=(5, 90), port_cycles=((60, 3, 0), (0, 0, 9)),
    )  # fmt: skip
    return replace(case, **changes)


@pytest.mark.parametrize("zero", ["none", "gate", "skip"])
def test_examples(zero: str) -> None:
    compare(example(zero))


def off_by_one(name: str, changed: Any) -> Any:
    """A property of passes, changed."""
    right = getattr(Passes, name).fget
    return property(lambda passes: changed(right(passes), passes))


PROPERTIES = {
    "a MAC more a column of outputs": ("column_cycles", lambda value, passes: value + 1),
    "a filter column less": ("column_cycles", lambda value, passes: value - passes.p * passes.q),
    "a partial sum less a pass": ("accumulate_cycles", lambda value, passes: value - 1),
    "a column of outputs less": ("columns", lambda value, passes: value - 1),
}


@pytest.mark.parametrize("bug", PROPERTIES)
def test_a_plan_that_is_wrong_by_one_is_caught(bug: str, monkeypatch) -> None:
    name, changed = PROPERTIES[bug]
    monkeypatch.setattr(Passes, name, off_by_one(name, changed))
    with pytest.raises(AssertionError):
        compare(example("gate"))


KERNELS = {
    "an output row too far down": ("y = out_row * stride + i - pad", "y = out_row * stride + i - pad + 1"),
    "a padding column too much": ("weight = column_taps[x]", "weight = column_taps[max(0, x - 1)]"),
    "the slowest PE without its last channel": (
        "for channel in range(start, min(start + per_pe, channel0 + channels)):",
        "for channel in range(start, min(start + per_pe, channel0 + channels) - 1):",
    ),
}


@pytest.mark.parametrize("bug", KERNELS)
def test_work_that_is_wrong_by_one_is_caught(bug: str, monkeypatch) -> None:
    wrong = mutant_of(zeros, *KERNELS[bug])
    monkeypatch.setattr(row_stationary, "row_taps", wrong.row_taps)
    monkeypatch.setattr(row_stationary, "set_work", wrong.set_work)
    with pytest.raises(AssertionError):
        compare(example("skip"))


def test_a_phase_that_does_not_wait_for_its_port_is_caught(monkeypatch) -> None:
    real = simulated.PeArray._phase

    def early(self, name, tile, what, cycles, transfer_bytes):
        yield from real(self, name, tile, what, cycles - (what == "compute"), transfer_bytes)

    monkeypatch.setattr(simulated.PeArray, "_phase", early)
    with pytest.raises(AssertionError):
        compare(example("gate"))


def test_a_kernel_with_padding_on_the_wrong_side_is_caught(monkeypatch) -> None:
    real = conv.conv2d

    def shifted(maps, weight, stride, padding):
        return real(maps, weight, stride, (0, 0, *(2 * pad for pad in padding)))

    monkeypatch.setattr(conv, "conv2d", shifted)
    with pytest.raises(AssertionError):
        compare(example("gate"))
