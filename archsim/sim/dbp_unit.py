"""SimPy shell of the DBP unit: sums |a| on the write path and says whether a branch is worth running."""

from __future__ import annotations

from archsim.schedule.branches import BranchStep
from archsim.sim.channel import Channel, Wait
from archsim.sim.decisions import SealedDecisions
from archsim.sim.messages import DbpDecided
from archsim.sim.wiring import Wiring
from archsim.timing.tap import WritePathTap


class DbpUnit:
    """Decides ``decision_cycles`` after the last activation of the branch's tensor has been summed."""

    def __init__(self, wiring: Wiring, sealed: SealedDecisions) -> None:
        self._wiring = wiring
        self._sealed = sealed
        self._spec = wiring.program.arch.dbp_unit
        self.tap = WritePathTap(self._spec.lanes)
        self.tensors: Channel[BranchStep] = Channel(wiring.clock)
        wiring.start(self._run())

    def _run(self) -> Wait:
        clock, waits = self._wiring.clock, self._wiring.waits
        while True:
            branch = yield from self.tensors.receive(waits, "dbp_unit", "a tensor to judge", "idle")
            key = self._wiring.begin("dbp_unit", "judge", branch.branch.name)
            yield clock.timeout(max(0, self.tap.free_at_cycle - clock.cycle) + self._spec.decision_cycles)
            self._wiring.end(key)
            run = self._sealed.reveal_run(branch.index)
            self._wiring.log("dbp_unit", "run" if run else "skip", branch.branch.name)
            self._wiring.reports.send(DbpDecided(branch.index, run))
