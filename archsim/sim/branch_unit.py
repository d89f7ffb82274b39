"""SimPy shell of the branch unit: pools on the write path, classifies, compares the margin, says exit or go on."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.config.arch import BranchUnitSpec
from archsim.schedule.program import Step
from archsim.sim.channel import Channel, Wait, WaitList
from archsim.sim.clock import Clock
from archsim.sim.decisions import SealedDecisions
from archsim.sim.dma import Dma
from archsim.sim.messages import BranchDecided, Report
from archsim.sim.observe import Observer
from archsim.timing.tap import WritePathTap


@dataclass(frozen=True, slots=True)
class BranchRun:
    """One evaluation, from the request to the decision."""

    step: int
    start_cycle: int
    end_cycle: int
    leave: bool


class BranchUnit:
    """One branch at a time, in order.

    Weights that are not resident are fetched when the branch is asked for; the MAC lanes work while they arrive, so
    the branch takes the longer of the fetch and the MACs, then the pipeline up to the comparison.
    """

    def __init__(
        self,
        env: Clock,
        spec: BranchUnitSpec,
        sealed: SealedDecisions,
        dma: Dma,
        controller: Channel[Report],
        waits: WaitList,
        log: Observer,
    ) -> None:
        self._env = env
        self._spec = spec
        self._sealed = sealed
        self._dma = dma
        self._controller = controller
        self._waits = waits
        self._log = log
        self.tap = WritePathTap(spec.tap_lanes)
        self.requests: Channel[Step] = Channel(env)
        self.runs: list[BranchRun] = []
        env.process(self._run())

    def _run(self) -> Wait:
        while True:
            step = yield from self.requests.receive(self._waits, "branch_unit", "a branch to evaluate")
            branch = step.branch
            start_cycle = self._env.cycle
            self._log.record(start_cycle, "branch_unit", "start", branch.branch.name)
            ready_cycle = max(start_cycle, self.tap.free_at_cycle) + branch.mac_cycles
            if not branch.resident:
                yield from self._dma.fetch_branch(
                    branch.branch.name, branch.weight_address, branch.weight_bytes
                )
            yield self._env.timeout(max(0, ready_cycle - self._env.cycle) + self._spec.pipeline_cycles)
            leave = self._sealed.reveal_exit(branch.index)
            self._log.record(self._env.cycle, "branch_unit", "exit" if leave else "go on", branch.branch.name)
            self.runs.append(BranchRun(step.index, start_cycle, self._env.cycle, leave))
            self._controller.send(BranchDecided(step.index, leave))
            if leave:
                return  # nothing behind an exit is evaluated
