"""The exit controller in RTL dispatches, asks, aborts and ends in the cycles of the simulated one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.sim import controller as simulated
from archsim.sim.messages import BranchDecided, DbpDecided, LayerDone
from tests.machine import arch
from tests.rtl.cosimulation import Surroundings, branch_stub, simulation_of, step_record

twin = pytest.importorskip("archsim.rtl.exit_controller")


@dataclass(frozen=True)
class BranchCase:
    """A branch behind a step of the trunk: own_steps on the array, judged by DBP or not, what is decided, and when."""

    own_steps: int
    is_pruned: bool
    runs: bool
    leaves: bool
    dbp_cycles: int
    evaluation_cycles: int


@dataclass(frozen=True)
class Case:
    """trunk: (cycles of the layer, branch behind it); own steps of a branch take own_cycles each."""

    trunk: list[tuple[int, BranchCase | None]]
    own_cycles: int
    is_speculative: bool
    result_cycles: int
    quiet_after: int
    """Cycles from the exit, or the end of the last layer, until nothing is under way in the memory."""


branch_cases = st.builds(
    BranchCase,
    own_steps=st.integers(0, 2),
    is_pruned=st.booleans(),
    runs=st.booleans(),
    leaves=st.sampled_from([False, False, True]),
    dbp_cycles=st.integers(1, 3),
    evaluation_cycles=st.integers(1, 9),
)
cases = st.builds(
    Case,
    trunk=st.lists(st.tuples(st.integers(1, 6), st.none() | branch_cases), min_size=1, max_size=5),
    own_cycles=st.integers(1, 4),
    is_speculative=st.booleans(),
    result_cycles=st.integers(0, 4),
    quiet_after=st.integers(0, 6),
)


@dataclass
class Program:
    """Steps and branches of a case as the controller sees them, and how long each step takes."""

    arch: Any
    steps: list[Any] = field(default_factory=list)
    branches: list[Any] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    cases: list[BranchCase] = field(default_factory=list)
    network: Any = field(default_factory=lambda: SimpleNamespace(name="random"))

    def add(self, case: Case) -> Program:
        for cycles, found in case.trunk:
            step = SimpleNamespace(index=len(self.steps), branch=None, decides=None)
            self.steps.append(step)
            self.cycles.append(cycles)
            if found is None:
                continue
            own = range(step.index + 1, step.index + 1 + found.own_steps)
            branch = branch_stub(
                len(self.branches),
                steps=tuple(own),
                is_pruned=found.is_pruned,
                last_step=step.index + len(own),
            )
            self.branches.append(branch)
            self.cases.append(found)
            step.branch = branch
            for index in own:
                self.steps.append(SimpleNamespace(index=index, branch=None, decides=None))
                self.cycles.append(case.own_cycles)
            self.steps[-1].decides = branch
        return self


class Machine:
    """What the controller talks to: answers come after the cycles of the case, decisions before the ends of layers."""

    def __init__(self, program: Program, quiet_after: int) -> None:
        self.program, self.quiet_after = program, quiet_after
        self.due: list[tuple[int, int, Any]] = []
        self.events: list[tuple] = []
        self.busy_until = {"dbp": 0, "branch": 0}
        self.stopped_at: int | None = None

    def dispatched(self, now: int, index: int) -> None:
        self.events.append((now, "dispatch", index))
        self.due.append((now + self.program.cycles[index], 2, LayerDone(index)))

    def judged(self, now: int, index: int) -> None:
        self.events.append((now, "judge", index))
        at = self._when("dbp", now, self.program.cases[index].dbp_cycles)
        self.due.append((at, 0, DbpDecided(index, self.program.cases[index].runs)))

    def evaluated(self, now: int, index: int) -> None:
        """The cycle of the question is not compared: the RTL asks for the second of two a cycle later."""
        at = self._when("branch", now, self.program.cases[index].evaluation_cycles + 1)
        self.due.append((at, 1, BranchDecided(index, self.program.cases[index].leaves)))

    def _when(self, unit: str, now: int, cycles: int) -> int:
        self.busy_until[unit] = max(now, self.busy_until[unit]) + cycles
        return self.busy_until[unit]

    def reports(self, now: int) -> list[Any]:
        """Messages of this cycle: DBP, branch unit, array."""
        found = sorted((entry for entry in self.due if entry[0] == now), key=lambda entry: entry[1])
        return [] if self.stopped_at is not None else [report for _, _, report in found]

    def stop(self, now: int) -> None:
        self.events.append((now, "abort"))
        self.stopped_at = now


def run_simulation(program: Program, case: Case) -> list[tuple]:
    around = Surroundings.of(program.arch, program)
    clock, reports = around.wiring.clock, around.wiring.reports
    machine = Machine(program, case.quiet_after)
    at = lambda act: SimpleNamespace(send=lambda message: act(clock.cycle, message.index))  # noqa: E731

    def quiet():
        yield clock.timeout(max(0, case.quiet_after - case.result_cycles))

    def ticks():
        while True:
            for report in machine.reports(clock.cycle):
                reports.send(report)
            yield clock.timeout(1)

    units = SimpleNamespace(
        pe_array=SimpleNamespace(steps=at(machine.dispatched), abort=lambda: machine.stop(clock.cycle)),
        dbp_unit=SimpleNamespace(tensors=at(machine.judged)),
        branch_unit=SimpleNamespace(requests=at(machine.evaluated)),
        dma=SimpleNamespace(
            cancel=lambda: None,
            quiet=quiet,
            decide=lambda branch, run: machine.events.append((clock.cycle, "fetch", run)),
        ),
    )
    unit = simulated.Controller(around.wiring)

    def image():
        yield from unit.run(units)
        machine.events.append((clock.cycle, "done"))

    ended = clock.process(image())
    clock.process(ticks())
    while not ended.processed:
        clock.step()
        assert clock.cycle < 500
    return machine.events


def run_twin(program: Program, case: Case, end_cycle: int, ending_cycle: int) -> list[tuple]:
    machine = Machine(program, case.quiet_after)
    step, ended = 0, False

    def drive(cycle, bench):
        nonlocal step, ended
        bench.set(start=cycle == 0, steps=len(program.steps), **step_record(program, step))
        bench.set(layer_done=0, dbp_decided=0, branch_decided=0)
        bench.set(memory_quiet=cycle >= ending_cycle + case.quiet_after)
        for report in machine.reports(cycle):
            if isinstance(report, LayerDone):
                bench.set(layer_done=1)
            elif isinstance(report, DbpDecided):
                bench.set(dbp_decided=1, dbp_branch=report.branch, dbp_run=report.run)
            else:
                bench.set(branch_decided=1, branch_decided_branch=report.branch, branch_leave=report.leave)
        if bench.fetch_decided:
            machine.events.append((cycle, "fetch", bool(bench.fetch_run)))
        if bench.abort:
            machine.stop(cycle)
        if bench.judge:
            machine.judged(cycle, bench.judge_branch)
        if bench.evaluate:
            machine.evaluated(cycle, bench.evaluate_branch)
        if bench.dispatch:
            machine.dispatched(cycle, bench.dispatch_step)
        if bench.done:
            machine.events.append((cycle, "done"))
        step = bench.step_address

    parameters = program.arch.controller.result_cycles, case.is_speculative
    simulation_of(twin.ExitController, *parameters).run(end_cycle + 3, drive)
    return machine.events


def compare(case: Case) -> None:
    spec = arch(
        branch_unit={"overlap": "speculative" if case.is_speculative else "serial"},
        controller={"result_cycles": case.result_cycles},
    )
    program = Program(spec).add(case)
    expected = run_simulation(program, case)
    end_cycle = expected[-1][0]
    ending_cycle = end_cycle - max(case.result_cycles, case.quiet_after)
    found = run_twin(program, case, end_cycle, ending_cycle)
    assert sorted(found, key=str) == sorted(expected, key=str)


@settings(max_examples=20, deadline=None)
@given(cases)
def test_twin_equals_simulation(case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases)
def test_twin_equals_simulation_on_many_cases(case) -> None:
    compare(case)


RUN_AND_LEAVE = BranchCase(0, True, True, True, 1, 4)
SKIPPED = BranchCase(2, True, False, False, 2, 4)
GOES_ON = BranchCase(0, False, True, False, 1, 9)
EXAMPLES = [
    Case([(3, SKIPPED), (2, GOES_ON), (2, None), (4, RUN_AND_LEAVE), (3, None)], 2, True, 4, 6),
    Case([(3, GOES_ON), (2, None)], 2, False, 4, 0),
]


@pytest.mark.parametrize("case", EXAMPLES)
def test_examples(case: Case) -> None:
    compare(case)


def overtakes_two(self, branch: int) -> bool:
    return self._program.branches[branch].last_step >= self._next_step - 2


def skips_one_step_less(self, report, units) -> None:
    ON_DBP(self, report, units)
    if not report.run and self._program.branches[report.branch].steps:
        self._next_step -= 1


def never_overtakes(self, branch: int) -> bool:
    return False


def forgets_to_close(self, branch: int, skipped: bool) -> None:
    if skipped or branch != 1:
        SETTLE(self, branch, skipped)
    else:
        self._open.remove(branch)
        self._next_step = max(0, self._next_step - 1)


ON_DBP = simulated.Controller._on_dbp
SETTLE = simulated.Controller._settle


@pytest.mark.parametrize(
    ("name", "broken", "case"),
    [
        ("_may_overtake", overtakes_two, EXAMPLES[1]),
        ("_may_overtake", never_overtakes, EXAMPLES[0]),
        ("_on_dbp", skips_one_step_less, EXAMPLES[0]),
        ("_settle", forgets_to_close, EXAMPLES[0]),
    ],
)
def test_a_controller_that_is_wrong_by_one_is_caught(name: str, broken, case: Case, monkeypatch) -> None:
    monkeypatch.setattr(simulated.Controller, name, broken)
    with pytest.raises(AssertionError):
        compare(case)
