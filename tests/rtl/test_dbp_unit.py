"""The DBP unit in RTL takes groups and decides in the cycles of the simulated one, with the bits of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.config.workload import DbpSpec
from archsim.functional import decide
from archsim.functional.decide import Policy
from archsim.kernels.sparsity import magnitude_sum
from archsim.sim import dbp_unit as simulated
from archsim.sim.decisions import ImagePath, SealedDecisions
from archsim.timing import tap
from archsim.timing.tap import WritePathTap
from tests.machine import arch
from tests.rtl.cosimulation import (
    Surroundings,
    WritePath,
    branch_stub,
    group_inputs,
    groups_of,
    simulation_of,
)

twin = pytest.importorskip("archsim.rtl.dbp_unit")
NO_MAXIMUM = (1 << twin.SUM_BITS) - 1


@dataclass(frozen=True)
class Tensor:
    """Bursts (cycles after the one before, values) of a tensor, and the bounds of its branch."""

    bursts: tuple[tuple[int, np.ndarray], ...]
    bounds: DbpSpec

    @property
    def sum(self) -> int:
        """Of the magnitudes, as the kernel computes it."""
        values = np.concatenate([values for _, values in self.bursts])
        return int(magnitude_sum(values.reshape(1, 1, 1, -1))[0])


@st.composite
def tensors(draw: st.DrawFn, lanes: int, dtype: type) -> Tensor:
    gaps = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    limits = np.iinfo(dtype)
    most = draw(st.sampled_from([limits.max, 3]))
    bursts = []
    for index, gap in enumerate(gaps):
        count = draw(st.integers(0 if index < len(gaps) - 1 else 1, 3 * lanes))
        values = rng.integers(max(limits.min, -most - 1), most, count, endpoint=True).astype(dtype)
        bursts.append((gap, values))
    exact = Tensor(tuple(bursts), DbpSpec(min_sum=0)).sum
    low = max(0, exact + draw(st.integers(-1, 1)))
    high = draw(st.sampled_from([None, *(max(low, exact + step) for step in (-1, 0, 1))]))
    return Tensor(tuple(bursts), DbpSpec(min_sum=low, max_sum=high))


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, type, list[Tensor]]:
    lanes, decision_cycles = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    dtype = draw(st.sampled_from([np.uint8, np.int8]))
    return lanes, decision_cycles, dtype, draw(st.lists(tensors(lanes, dtype), min_size=1, max_size=3))


def run_simulation(lanes: int, decision_cycles: int, found: list[Tensor]) -> tuple[list, list, list]:
    """Bursts of each tensor with the event of each, the events by which they were taken, (event, run) of decisions."""
    spec = arch(dbp_unit={"lanes": lanes, "decision_cycles": decision_cycles})
    around = Surroundings.of(spec)
    sums = np.array([tensor.sum for tensor in found])
    policy = Policy(
        tuple(str(index) for index in range(len(found))), (None,) * len(found), tuple(t.bounds for t in found)
    )
    skipped = tuple(not bool(policy.runs(index, sums[index : index + 1])[0]) for index in range(len(found)))
    unit = simulated.DbpUnit(around.wiring, SealedDecisions(ImagePath(skipped, None)))
    clock, written, taken = around.wiring.clock, [], []

    def writes():
        yield clock.timeout(1)
        for index, tensor in enumerate(found):
            written.append([])
            for position, (gap, values) in enumerate(tensor.bursts):
                yield clock.timeout(gap)
                if index and position == len(tensor.bursts) - 1:
                    yield from around.wiring.reports.receive(
                        around.wiring.waits, "test", "the decision before"
                    )
                written[-1].append((clock.cycle, values))
                taken_cycle = unit.tap.absorb(clock.cycle, len(values))
                if len(values):
                    taken.append(taken_cycle)
            unit.tensors.send(branch_stub(index))

    clock.process(writes())
    clock.run()
    decisions = [(cycle, event == "run") for cycle, event, _ in around.events("dbp_unit")]
    return written, taken, decisions


def compare(case: tuple[int, int, type, list[Tensor]]) -> None:
    lanes, decision_cycles, dtype, found = case
    written, taken, decisions = run_simulation(lanes, decision_cycles, found)
    path = WritePath([group for bursts in written for group in groups_of(bursts, lanes)])
    seen: list[tuple[int, bool]] = []
    sums: list[int] = []
    complete = 0
    last_cycle = max(cycle for cycle, _ in decisions)

    def drive(cycle, bench):
        nonlocal complete
        bounds = found[max(0, complete - 1)].bounds
        bench.set(min_sum=bounds.min_sum, max_sum=NO_MAXIMUM if bounds.max_sum is None else bounds.max_sum)
        group = path.next(cycle)
        bench.set(**group_inputs(group, lanes, 8), is_signed=dtype is np.int8)
        complete += group is not None and group.is_last_of_tensor
        if decision_cycles == 0 and bench.decided:
            sums.append(bench.magnitude_sum)
        if bench.decided:
            seen.append((cycle, bool(bench.run)))

    simulation_of(twin.DbpUnit, lanes, 8, decision_cycles).run(last_cycle + 4, drive)
    assert path.is_empty and path.taken_cycles == taken
    assert seen == decisions
    assert sums == ([tensor.sum for tensor in found] if decision_cycles == 0 else [])


@settings(max_examples=25, deadline=None)
@given(cases())
def test_twin_equals_simulation(case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases())
def test_twin_equals_simulation_on_many_cases(case) -> None:
    compare(case)


def bounds_of(low: int, high: int | None) -> DbpSpec:
    return DbpSpec(min_sum=low, max_sum=high)


BURSTS = (
    (0, np.array([7, 0, 255], np.uint8)),
    (2, np.arange(1, 9, dtype=np.uint8)),
    (1, np.array([5] * 5, np.uint8)),
    (9, np.array([1], np.uint8)),
)
TOTAL = 7 + 255 + 36 + 25 + 1
CASES = [
    (2, 1, np.uint8, [Tensor(BURSTS, bounds_of(TOTAL, None)), Tensor(BURSTS, bounds_of(TOTAL + 1, None))]),
    (2, 0, np.uint8, [Tensor(BURSTS, bounds_of(0, TOTAL)), Tensor(BURSTS, bounds_of(0, TOTAL - 1))]),
]


@pytest.mark.parametrize("case", CASES)
def test_twin_equals_simulation_at_the_bounds(case) -> None:
    compare(case)


def late_tap(lanes: int, free_at: int, now: int, values: int) -> int:
    return max(free_at, now) + -(-values // lanes) if values else free_at


def rounding_down(lanes: int, free_at: int, now: int, values: int) -> int:
    return max(free_at, now - 1) + values // lanes if values else free_at


def forgetting(lanes: int, free_at: int, now: int, values: int) -> int:
    return now - 1 + -(-values // lanes) if values else free_at


@pytest.mark.parametrize("broken", [late_tap, rounding_down, forgetting])
def test_a_tap_that_is_wrong_by_a_cycle_is_caught(broken: Callable, monkeypatch) -> None:
    monkeypatch.setattr(tap, "free_after", broken)
    with pytest.raises(AssertionError):
        compare(CASES[0])


def decide_early(self, now_cycle: int, values: int) -> int:
    self.free_at_cycle = int(tap.free_after(self.lanes, self.free_at_cycle, now_cycle, values))
    return max(self.free_at_cycle, now_cycle) - 1


def without_maximum(self, branch_index, sums):
    return sums >= self.dbp[branch_index].min_sum


def strictly_above(self, branch_index, sums):
    bounds = self.dbp[branch_index]
    return (sums > bounds.min_sum) & (bounds.max_sum is None or sums <= bounds.max_sum)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "case"),
    [
        (WritePathTap, "absorb", decide_early, CASES[0]),
        (decide.Policy, "runs", without_maximum, CASES[1]),
        (decide.Policy, "runs", strictly_above, CASES[0]),
    ],
)
def test_a_decision_that_is_wrong_by_one_is_caught(owner, name, broken, case, monkeypatch) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        compare(case)
