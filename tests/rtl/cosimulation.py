"""Runs a twin cycle by cycle, and the simulation's units with the same stimuli."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from archsim.config.arch import ArchSpec
from archsim.kernels import compiler
from archsim.sim.channel import Channel, WaitList
from archsim.sim.clock import Clock
from archsim.sim.observe import EventLog, LoggedEvent
from archsim.sim.wiring import Wiring

Drive = Callable[[int, "Bench"], "bool | None"]


class Bench:
    """Inputs and outputs of a twin by name, in the current clock cycle."""

    def __init__(self, unit: Any, context: Any) -> None:
        self._unit, self._context = unit, context
        self._driven: dict[str, int] = {}

    def set(self, **values: int) -> None:
        """Drive inputs; those that are not named keep their value."""
        for name, value in values.items():
            # The simulator settles after every signal that is set, changed or not.
            if self._driven.get(name) != int(value):
                self._driven[name] = int(value)
                self._context.set(getattr(self._unit, name), int(value))

    def __getattr__(self, name: str) -> int:
        return int(self._context.get(getattr(self._unit, name)))


class Simulation:
    """A twin that is compiled once and run often: every run starts from reset."""

    def __init__(self, unit: Any) -> None:
        self._unit = unit
        self._simulator: Any = None

    def run(self, cycles: int, drive: Drive) -> None:
        """Call ``drive(cycle, bench)`` in every clock cycle, until it says True; at most ``cycles`` times."""
        self._cycles, self._drive = cycles, drive
        if self._simulator is None:
            self._simulator = self._compiled()
        else:
            self._simulator.reset()
        try:
            self._simulator.run()
        except BaseException:
            self._simulator = None  # a bench that was cut off would go on in the next run
            raise

    def _compiled(self) -> Any:
        from amaranth.sim import Simulator

        simulator = Simulator(self._unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._bench)
        return simulator

    async def _bench(self, context: Any) -> None:
        wires = Bench(self._unit, context)
        for cycle in range(self._cycles):
            if self._drive(cycle, wires):
                return
            await context.tick()


@lru_cache(maxsize=64)
def simulation_of(make: Callable[..., Any], *parameters: Any) -> Simulation:
    """The twin with these parameters, as compiled for the case before."""
    return Simulation(make(*parameters))


def mutant_of(module: ModuleType, right: str, wrong: str) -> ModuleType:
    """A copy of a module with one line changed, its kernels plain Python: compiled ones cannot be patched."""
    source = inspect.getsource(module)
    assert source.count(right) == 1, f"not once in {module.__name__}: {right}"
    copy = ModuleType(module.__name__)
    copy.__file__ = module.__file__
    # Dataclasses and named tuples look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, copy)
        patch.setattr(compiler, "kernel", lambda function: function)
        exec(compile(source.replace(right, wrong), f"{module.__file__} with {wrong!r}", "exec"), vars(copy))
    return copy


def packed(values: Sequence[int] | np.ndarray, bits: int) -> int:
    """Numbers side by side, the first in the lowest bits, each in two's complement."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << (bits * index) for index, value in enumerate(values))


def unpacked(word: int, bits: int, count: int, *, signed: bool) -> list[int]:
    """The other way."""
    values = [(word >> (bits * index)) & ((1 << bits) - 1) for index in range(count)]
    return [value - (1 << bits) if signed and value >> (bits - 1) else value for value in values]


def step_record(program: Any, index: int) -> dict[str, int]:
    """A word of the program memory that the exit controller reads."""
    step = program.steps[index]
    judged = step.branch if step.branch is not None and step.branch.is_pruned else None
    branch = judged or step.decides
    return {
        "judges": judged is not None,
        "decides": step.decides is not None,
        "branch": 0 if branch is None else branch.index,
        "on_array": judged is not None and bool(judged.steps),
        "skip_to": 0 if judged is None else judged.last_step + 1,
    }


@dataclass(frozen=True)
class Group:
    """Values that are taken in one cycle: written by event ``now_cycle``, the last of burst ``burst`` or not."""

    now_cycle: int
    values: np.ndarray
    burst: int
    is_last_of_burst: bool
    is_last_of_tensor: bool
    word: int = 0


def groups_of(bursts: Sequence[tuple[int, np.ndarray]], lanes: int) -> list[Group]:
    """A tensor that is written in bursts (event, values) as the groups of at most ``lanes`` that a tap takes."""
    groups = []
    for burst, (now_cycle, values) in enumerate(bursts):
        for start in range(0, len(values), lanes):
            ends_burst = start + lanes >= len(values)
            ends_tensor = ends_burst and burst == len(bursts) - 1
            groups.append(Group(now_cycle, values[start : start + lanes], burst, ends_burst, ends_tensor))
    return groups


class WritePath:
    """The FIFO in front of a tap: offers one group a cycle and notes by which event each burst has been taken."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._waiting = deque(groups)
        self.taken_cycles: list[int] = []

    @property
    def is_empty(self) -> bool:
        """Everything has been taken."""
        return not self._waiting

    def next(self, cycle: int) -> Group | None:
        """The group that is taken in a clock cycle."""
        if not self._waiting or self._waiting[0].now_cycle - 1 > cycle:
            return None
        group = self._waiting.popleft()
        if group.is_last_of_burst:
            self.taken_cycles.append(cycle + 1)
        return group


def group_inputs(group: Group | None, lanes: int, bits: int) -> dict[str, int]:
    """A group on the input ports of a tap."""
    if group is None:
        return {"group_valid": 0}
    return {
        "group_valid": 1,
        "group_last": group.is_last_of_tensor,
        "group_keep": (1 << len(group.values)) - 1,
        "group_values": packed(group.values, bits),
    }


@dataclass(frozen=True)
class Surroundings:
    """What a unit of the simulation is connected to when it is tested alone."""

    wiring: Wiring
    log: EventLog

    @classmethod
    def of(cls, arch: ArchSpec, program: Any = None) -> Surroundings:
        """A clock, an inbox of the controller and a log around a unit of an architecture."""
        clock, log = Clock(), EventLog()
        program = program or SimpleNamespace(arch=arch)
        return cls(Wiring(clock, program, Channel(clock), WaitList(clock), log), log)

    def events(self, unit: str) -> list[tuple[int, str, str]]:
        """(cycle, event, subject) of one unit."""
        return [
            (found.cycle, found.event, found.subject) for found in moments(self.log) if found.unit == unit
        ]


def moments(log: EventLog) -> list[LoggedEvent]:
    """What happened, without the beginnings and ends of what lasted."""
    return [entry for entry in log.events if not entry.event.startswith(("begin ", "end "))]


def branch_stub(index: int, **fields: Any) -> Any:
    """As much of a ``BranchStep`` as a unit looks at."""
    return SimpleNamespace(index=index, branch=SimpleNamespace(name=str(index)), **fields)
