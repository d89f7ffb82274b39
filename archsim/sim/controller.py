"""SimPy shell of the exit controller: dispatches layers, asks for decisions, stops everything at an exit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from archsim.sim.branch_unit import BranchUnit
from archsim.sim.channel import Wait
from archsim.sim.dbp_unit import DbpUnit
from archsim.sim.dma import Dma
from archsim.sim.messages import BranchDecided, DbpDecided, LayerDone
from archsim.sim.pe_array import PeArray
from archsim.sim.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Units:
    """The units that the controller commands."""

    pe_array: PeArray
    dbp_unit: DbpUnit
    branch_unit: BranchUnit
    dma: Dma


class Controller:
    """Learns everything by message and knows no decision before it is told.

    A layer is dispatched when the array is free and no decision is open (serial), or at most that of the layer just
    before it (speculative). The image is done when its result is written and nothing is under way any more.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._program = wiring.program
        self._next_step = 0
        self._array_free = True
        self._open: deque[int] = deque()
        self.left_at: int | None = None
        self.decisions: dict[int, tuple[bool, int]] = {}
        """Per step with a branch: (branch was skipped, cycle in which the step's decision was known)."""

    def run(self, units: Units) -> Wait:
        """Process of one image; ends with the image."""
        self._dispatch(units)
        while self.left_at is None and not self._finished:
            report = yield from self._wiring.reports.receive(
                self._wiring.waits, "controller", self._what_is_open()
            )
            if isinstance(report, LayerDone):
                self._array_free = True
                self._ask(report.step, units)
            elif isinstance(report, DbpDecided):
                self._on_dbp(report, units)
            else:
                self._on_branch(report)
            self._dispatch(units)
        if self.left_at is not None:
            yield self._wiring.clock.end_of_cycle()  # what starts in the cycle of the exit is paid for
            units.pe_array.abort()
            units.dma.cancel()
        yield self._wiring.clock.timeout(self._program.arch.controller.result_cycles)
        yield from units.dma.quiet()
        self._wiring.log("controller", "done", self._program.network.name)

    @property
    def _finished(self) -> bool:
        return self._next_step == len(self._program.steps) and self._array_free and not self._open

    def _what_is_open(self) -> str:
        names = [self._program.steps[step].layer.name for step in self._open]
        return f"the decision after {', '.join(names)}" if names else "the end of the layer on the array"

    def _dispatch(self, units: Units) -> None:
        speculative = self._program.arch.branch_unit.overlap == "speculative"
        allowed = {self._next_step - 1} if speculative else set()
        if self.left_at is None and self._array_free and self._next_step < len(self._program.steps):
            if not set(self._open) <= allowed:
                return
            self._array_free = False
            units.pe_array.steps.send(self._program.steps[self._next_step])
            self._next_step += 1

    def _ask(self, index: int, units: Units) -> None:
        """A layer is complete: if a branch hangs on it, its decision is open now."""
        step = self._program.steps[index]
        if step.branch is None:
            return
        self._open.append(index)
        if self._program.arch.dbp.enabled and step.branch.branch.dbp is not None:
            units.dbp_unit.tensors.send(step)
        else:
            units.branch_unit.requests.send(step)

    def _on_dbp(self, report: DbpDecided, units: Units) -> None:
        if report.run:
            units.branch_unit.requests.send(self._program.steps[report.step])
        else:
            self._settle(report.step, skipped=True)

    def _on_branch(self, report: BranchDecided) -> None:
        self._settle(report.step, skipped=False)
        if report.leave:
            self.left_at = report.step

    def _settle(self, step: int, skipped: bool) -> None:
        self._open.remove(step)
        self.decisions[step] = (skipped, self._wiring.clock.cycle)
