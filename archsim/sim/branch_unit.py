"""SimPy shell of the branch unit: pools on the write path, classifies, compares the margin, says exit or go on."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.schedule.branches import BranchStep
from archsim.sim.channel import Channel, Wait
from archsim.sim.decisions import SealedDecisions
from archsim.sim.dma import Dma
from archsim.sim.messages import BranchDecided
from archsim.sim.wiring import Wiring
from archsim.timing.tap import WritePathTap


@dataclass(frozen=True, slots=True)
class BranchRun:
    """One evaluation, from the request to the decision; of a branch on the array, its classifier and decision alone."""

    branch: int
    start_cycle: int
    end_cycle: int
    leave: bool


class BranchUnit:
    """One branch at a time, in order.

    Weights that are not resident are fetched when the branch is asked for; the MAC lanes work while they arrive, so
    the branch takes the longer of the fetch and the MACs, then the pipeline up to the comparison. Without MAC lanes
    only the pipeline is left: the array has computed the logits, which passed it on their way to the buffer.
    """

    def __init__(self, wiring: Wiring, sealed: SealedDecisions, dma: Dma) -> None:
        self._wiring = wiring
        self._sealed = sealed
        self._dma = dma
        self._spec = wiring.program.arch.branch_unit
        self.tap = WritePathTap(self._spec.tap_lanes)
        self.requests: Channel[BranchStep] = Channel(wiring.clock)
        self.runs: list[BranchRun] = []
        wiring.start(self._run())

    def _run(self) -> Wait:
        clock, waits = self._wiring.clock, self._wiring.waits
        while True:
            branch = yield from self.requests.receive(waits, "branch_unit", "a branch to evaluate", "idle")
            start_cycle = clock.cycle
            self._wiring.log("branch_unit", "start", branch.branch.name)
            key = self._wiring.begin("branch_unit", "evaluate", branch.branch.name)
            ready_cycle = max(start_cycle, self.tap.free_at_cycle) + branch.mac_cycles
            if not branch.resident:
                yield from self._dma.fetch_branch(
                    branch.branch.name, branch.weight_address, branch.weight_bytes
                )
            yield clock.timeout(max(0, ready_cycle - clock.cycle) + self._spec.pipeline_cycles)
            self._wiring.end(key)
            leave = self._sealed.reveal_exit(branch.index)
            self._wiring.log("branch_unit", "exit" if leave else "go on", branch.branch.name)
            self.runs.append(BranchRun(branch.index, start_cycle, clock.cycle, leave))
            self._wiring.reports.send(BranchDecided(branch.index, leave))
            if leave:
                return  # nothing behind an exit is evaluated
