"""The branch unit in RTL decides in the cycle of the simulated one, with the logits and margins of the kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.kernels import margin
from archsim.schedule import branches as schedule
from archsim.sim import branch_unit as simulated
from archsim.sim.decisions import ImagePath, SealedDecisions
from archsim.timing import tap
from tests.machine import arch
from tests.rtl.branch_cases import Branch, branches, cases
from tests.rtl.cosimulation import Surroundings, WritePath, branch_stub, group_inputs, simulation_of

twin = pytest.importorskip("archsim.rtl.branch_unit")


class Run:
    """Branches on the simulated unit: when what was written and taken, which weights came when, what was decided."""

    def __init__(self, pipeline_cycles: int, found: list[Branch]) -> None:
        self.found = found
        top = [margin.top_two(branch.logits) for branch in found]
        self.predictions = [int(prediction[0]) for prediction, _ in top]
        self.margins = [int(value[0]) for _, value in top]
        self.thresholds = [
            None if branch.threshold_step is None else max(0, value + branch.threshold_step)
            for branch, value in zip(found, self.margins, strict=True)
        ]
        leaves = [
            limit is not None and value >= limit
            for limit, value in zip(self.thresholds, self.margins, strict=True)
        ]
        exits_at = leaves.index(True) if True in leaves else None
        spec = arch(branch_unit={"macs": found[0].lanes, "tap_lanes": found[0].lanes,
                                 "pipeline_cycles": pipeline_cycles})  # fmt: skip
        self.around = Surroundings.of(spec)
        path = ImagePath((False,) * len(found), exits_at)
        self.written: list[list[int]] = []
        self.taken: list[int] = []
        self.requests: dict[int, int] = {}
        self.arrivals: dict[int, list[int]] = {}
        dma: Any = SimpleNamespace(fetch_branch=self._fetch)
        self.unit = simulated.BranchUnit(self.around.wiring, SealedDecisions(path), dma)
        clock = self.around.wiring.clock
        clock.process(self._writes(exits_at))
        clock.run()

    @property
    def decisions(self) -> list[tuple[int, int, bool, int, int]]:
        """(event, branch, leaves, prediction, margin)."""
        return [
            (run.end_cycle, run.branch, run.leave, self.predictions[run.branch], self.margins[run.branch])
            for run in self.unit.runs
        ]

    def _writes(self, exits_at: int | None):
        clock, waits = self.around.wiring.clock, self.around.wiring.waits
        yield clock.timeout(1)
        reports = 0
        for index, branch in enumerate(self.found):
            # The controller has at most two decisions open.
            while reports < index - 1:
                report = yield from self.around.wiring.reports.receive(waits, "test", "a decision")
                reports += 1
                if report.leave:
                    return
            self.written.append([])
            for gap, groups in branch.bursts:
                yield clock.timeout(gap)
                self.written[-1].append(clock.cycle)
                values = sum(len(values) for _, values in groups)
                self.taken.append(self.unit.tap.absorb(clock.cycle, values))
            yield clock.timeout(branch.delay)
            self.requests[clock.cycle] = index
            cycles = schedule.classifier_cycles(len(branch.weight), branch.units, branch.lanes)
            is_resident = branch.fetch_gaps is None
            self.unit.requests.send(
                branch_stub(index, mac_cycles=cycles, resident=is_resident, weight_address=0, weight_bytes=1)
            )
            # Nothing of the next tensor is written before this one has been taken.
            yield clock.timeout(1 + max(0, self.unit.tap.free_at_cycle - clock.cycle))

    def _fetch(self, name: str, address: int, size: int):
        clock, gaps = self.around.wiring.clock, self.found[int(name)].fetch_gaps
        self.arrivals[int(name)] = [clock.cycle + offset for offset in accumulate(gaps)]
        yield clock.timeout(sum(gaps))


def configuration(run: Run, index: int, cycle: int) -> dict[str, int]:
    """The configuration registers of a branch, and how many words of its weights are there."""
    branch, threshold = run.found[index], run.thresholds[index]
    arrived = run.arrivals.get(index, [])
    words = branch.words * branch.units
    if branch.fetch_gaps is not None:
        words = sum(arrival - 1 <= cycle for arrival in arrived)
    return {
        "words": branch.words,
        "units": branch.units,
        "weight_words": words,
        "shift": branch.shift,
        "is_signed": branch.is_signed,
        "threshold": threshold or 0,
        "never": threshold is None,
    }


def compare(case: tuple[int, list[Branch]]) -> None:
    pipeline_cycles, found = case
    run = Run(pipeline_cycles, found)
    lanes, signs, groups = found[0].lanes, [], []
    for branch, now_cycles in zip(found, run.written, strict=False):
        groups += branch.groups(now_cycles)
        signs += [branch.is_signed] * sum(len(part) for _, part in branch.bursts)
    path = WritePath(groups)
    served, asked, seen, issued = 0, (0, 0), [], []

    def drive(cycle, bench):
        nonlocal served, asked
        group = path.next(cycle)
        if group is not None:
            bench.set(group_word=group.word, group_signed=signs.pop(0))
        bench.set(**group_inputs(group, lanes, 8))
        bench.set(request=cycle in run.requests, request_branch=run.requests.get(cycle, 0), flush=0)
        bench.set(
            weight_data=found[served].weight_word(asked[0]), bias_data=int(found[served].bias[asked[1]])
        )
        if bench.decided:
            leave = bool(bench.leave)
            seen.append((cycle, served, leave, bench.prediction, bench.margin))
            bench.set(flush=leave)
            if leave:
                return True
        served = bench.serving
        bench.set(**configuration(run, served, cycle))
        asked = bench.weight_address, min(bench.bias_address, found[served].units - 1)
        if bench.issue:
            issued.append(served)
        return None

    simulation = simulation_of(twin.BranchUnit, lanes, 8, 8, 32, pipeline_cycles)
    simulation.run(run.decisions[-1][0] + 8, drive)
    assert seen == run.decisions
    assert run.taken[: len(path.taken_cycles)] == path.taken_cycles
    for _, index, *_ in seen:
        assert issued.count(index) == found[index].words * found[index].units


@settings(max_examples=20, deadline=None)
@given(cases())
def test_twin_equals_simulation(case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases())
def test_twin_equals_simulation_on_many_cases(case) -> None:
    compare(case)


def example(**changes: Any) -> Branch:
    """Two words of two lanes, written in two bursts, with the margin at the threshold."""
    rows = [(0, np.array([9, 200])), (1, np.array([3, 4])), (0, np.array([1, 2])), (1, np.array([7]))]
    branch = Branch(
        lanes=2, bursts=[(0, rows[:3]), (1, rows[3:])], delay=0,
        weight=np.array([[1, -2, 3], [4, 5, -6], [7, 8, 9], [1, 0, 1]], np.int8),
        bias=np.array([5, -7, 9], np.int32), shift=1, is_signed=False, threshold_step=0, fetch_gaps=None,
    )  # fmt: skip
    return replace(branch, **changes)


EXAMPLE = (5, [example(threshold_step=1), example()])


def test_example() -> None:
    compare(EXAMPLE)


def one_word_more(features: int, units: int, lanes: int) -> int:
    return units * (features // lanes + 1)


def tap_a_cycle_late(lanes: int, free_at: int, now: int, values: int) -> int:
    return max(free_at, now) + -(-values // lanes) if values else free_at


def packed_without_gaps(features: int, units: int, lanes: int) -> int:
    return -(-features * units // lanes) - 1


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (schedule, "classifier_cycles", one_word_more),
        (schedule, "classifier_cycles", packed_without_gaps),
        (tap, "free_after", tap_a_cycle_late),
    ],
)
def test_a_unit_that_is_wrong_by_a_cycle_is_caught(owner, name, broken: Callable, monkeypatch) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        compare(EXAMPLE)


def margin_plus_one(logits):
    prediction, value = TOP_TWO(logits)
    return prediction, value + 1


def second_from_above(logits):
    prediction, value = TOP_TWO(logits)
    return (prediction + 1) % logits.shape[1], value


TOP_TWO = margin.top_two


@pytest.mark.parametrize("broken", [margin_plus_one, second_from_above])
def test_a_margin_that_is_wrong_by_one_is_caught(broken: Callable, monkeypatch) -> None:
    monkeypatch.setattr(margin, "top_two", broken)
    with pytest.raises(AssertionError):
        compare(EXAMPLE)


def test_a_decision_a_cycle_early_is_caught(monkeypatch) -> None:
    real = simulated.BranchRun
    early = lambda branch, start, end, leave: real(branch, start, end - 1, leave)  # noqa: E731
    monkeypatch.setattr(simulated, "BranchRun", early)
    with pytest.raises(AssertionError):
        compare(EXAMPLE)


@settings(max_examples=3, deadline=None)
@given(st.data())
def test_weights_that_come_faster_than_the_lanes_take_them_are_the_known_difference(data) -> None:
    """Two words a cycle: when the last one comes the lanes have not worked on all of them, as the simulation says."""
    lanes = 2
    branch = data.draw(branches(lanes))
    count = branch.words * branch.units
    burst = [9] + [0, 1] * count
    fetched = replace(branch, fetch_gaps=burst[:count], threshold_step=None)
    run = Run(5, [fetched])
    (ready,) = [end - 5 for end, *_ in run.decisions]
    arrivals = np.array(run.arrivals[0])
    lanes_done = int((arrivals + np.arange(count)[::-1]).max())
    assert ready <= max(lanes_done, run.unit.tap.free_at_cycle + count)
