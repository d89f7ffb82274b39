"""One accelerator with one image: wires the components, runs them, reports a deadlock by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simpy.core import EmptySchedule

from archsim.errors import Deadlock
from archsim.mapping.base import Int64Array
from archsim.schedule.program import Program
from archsim.sim.branch_unit import BranchRun, BranchUnit
from archsim.sim.channel import Channel, WaitList
from archsim.sim.clock import Clock
from archsim.sim.controller import Controller, Units
from archsim.sim.dbp_unit import DbpUnit
from archsim.sim.decisions import ImagePath, SealedDecisions
from archsim.sim.dma import Dma, MapsOf
from archsim.sim.dram import Dram
from archsim.sim.global_buffer import GlobalBuffer
from archsim.sim.observe import Observer
from archsim.sim.pe_array import PeArray, StepRun
from archsim.sim.stream import StreamId
from archsim.sim.wiring import Wiring
from archsim.timing.dram import DramCommands

WATCHDOG_EVENTS = 1_000_000
"""Of a busy machine every five or so events move a chunk or start a tile."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one image, before anything is counted.

    array: steps that ran, in order; branches: evaluations. decisions: by branch, (skipped, cycle).
    left_at: branch at which the image left, None at the end of the trunk. moved_bytes: DRAM bytes (whole bursts)
    by stream and owner; buffer_bytes: those that passed the port of the global buffer. commands: DRAM commands until
    the end.
    """

    cycles: int
    array: tuple[StepRun, ...]
    branches: tuple[BranchRun, ...]
    decisions: Mapping[int, tuple[bool, int]]
    left_at: int | None
    moved_bytes: Mapping[StreamId, Mapping[str, int]]
    buffer_bytes: Mapping[StreamId, Mapping[str, int]]
    commands: DramCommands


class System:
    """All components around one SimPy environment. Every image starts on an idle machine with closed DRAM rows."""

    def __init__(
        self,
        program: Program,
        path: ImagePath,
        compute_cycles: Callable[[int], Int64Array],
        observer: Observer | None = None,
        maps_of: MapsOf = lambda _: None,
    ) -> None:
        self.clock = clock = Clock()
        self.waits = WaitList(clock, observer)
        wiring = Wiring(clock, program, Channel(clock), self.waits, observer)
        sealed = SealedDecisions(path)
        self._dram = Dram(clock, program.dram, program.arch.dram, program.dram_cycles_per_core_cycle)
        glb = GlobalBuffer(clock, program.arch.global_buffer)
        self._dma = Dma(wiring, self._dram, glb, maps_of)
        self._controller = Controller(wiring)
        dbp_unit = DbpUnit(wiring, sealed)
        self._branch_unit = BranchUnit(wiring, sealed, self._dma)
        self._array = PeArray(wiring, compute_cycles, self._dma, glb, dbp_unit.tap, self._branch_unit.tap)
        self._units = Units(self._array, dbp_unit, self._branch_unit, self._dma)

    def run(self) -> Outcome:
        """Simulate to the end of the image.

        Raises Deadlock when work is left and nothing can happen, or :data:`WATCHDOG_EVENTS` events change nothing.
        """
        image = self.clock.process(self._controller.run(self._units))
        before: tuple[int, ...] = ()
        while not image.processed:
            if before == (before := self._progress()):
                raise Deadlock(self.clock.cycle, dict(self.waits.reasons))
            try:
                self.clock.run_events(WATCHDOG_EVENTS, until=image)
            except EmptySchedule:
                raise Deadlock(self.clock.cycle, dict(self.waits.reasons)) from None
        return Outcome(
            cycles=self.clock.cycle,
            array=tuple(self._array.runs),
            branches=tuple(self._branch_unit.runs),
            decisions=dict(self._controller.decisions),
            left_at=self._controller.left_at,
            moved_bytes={stream: dict(flow.moved) for stream, flow in self._dma.streams.items()},
            buffer_bytes={stream: dict(flow.buffered) for stream, flow in self._dma.streams.items()},
            commands=self._dram.commands(),
        )

    def _progress(self) -> tuple[int, ...]:
        """What grows whenever the machine gets anywhere."""
        moved = sum(sum(flow.moved.values()) for flow in self._dma.streams.values())
        return moved, self._array.tiles_started, len(self._branch_unit.runs), len(self._controller.decisions)
