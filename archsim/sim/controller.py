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
    before it (speculative). Layers of a branch that DBP decides about wait for DBP in both. The image is done when its
    result is written and nothing is under way any more.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._program = wiring.program
        self._next_step = 0
        self._array_free = True
        self._open: deque[int] = deque()
        self.left_at: int | None = None
        self.decisions: dict[int, tuple[bool, int]] = {}
        """By branch: (it was skipped, cycle in which it was known whether the image leaves)."""

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
        key = self._wiring.begin("controller", "result", self._program.network.name)
        yield self._wiring.clock.timeout(self._program.arch.controller.result_cycles)
        self._wiring.end(key)
        yield from units.dma.quiet()
        self._wiring.log("controller", "done", self._program.network.name)

    @property
    def _finished(self) -> bool:
        return self._next_step == len(self._program.steps) and self._array_free and not self._open

    def _what_is_open(self) -> str:
        names = [self._program.branches[branch].branch.name for branch in self._open]
        return f"the decision of {', '.join(names)}" if names else "the end of the layer on the array"

    def _dispatch(self, units: Units) -> None:
        if self.left_at is not None or not self._array_free or self._next_step == len(self._program.steps):
            return
        if all(self._may_overtake(branch) for branch in self._open):
            self._array_free = False
            units.pe_array.steps.send(self._program.steps[self._next_step])
            self._next_step += 1

    def _may_overtake(self, branch: int) -> bool:
        """May the next layer start while the decision of a branch is open?"""
        speculative = self._program.arch.branch_unit.overlap == "speculative"
        return speculative and self._program.branches[branch].last_step == self._next_step - 1

    def _ask(self, index: int, units: Units) -> None:
        """A layer is complete: ask whether the branch that reads it runs, or what the one that ends here decides."""
        step = self._program.steps[index]
        if step.branch is not None and step.branch.is_pruned:
            self._open.append(step.branch.index)
            units.dbp_unit.tensors.send(step.branch)
        elif step.decides is not None:
            self._open.append(step.decides.index)
            units.branch_unit.requests.send(step.decides)

    def _on_dbp(self, report: DbpDecided, units: Units) -> None:
        branch = self._program.branches[report.branch]
        self._wiring.log("controller", "run" if report.run else "skip", branch.branch.name)
        if branch.steps:
            units.dma.decide(branch.index, report.run)
        if not report.run:
            self._settle(branch.index, skipped=True)
            self._next_step = max(self._next_step, branch.last_step + 1)
        elif branch.steps:
            self._open.remove(branch.index)  # open again at the end of its last step
        else:
            units.branch_unit.requests.send(branch)

    def _on_branch(self, report: BranchDecided) -> None:
        name = self._program.branches[report.branch].branch.name
        self._wiring.log("controller", "exit" if report.leave else "go on", name)
        self._settle(report.branch, skipped=False)
        if report.leave:
            self.left_at = report.branch

    def _settle(self, branch: int, skipped: bool) -> None:
        self._open.remove(branch)
        self.decisions[branch] = (skipped, self._wiring.clock.cycle)
