"""SimPy shell of the DBP unit: sums |a| on the write path and says whether a branch is worth running."""

from __future__ import annotations

from archsim.config.arch import DbpUnitSpec
from archsim.schedule.program import Step
from archsim.sim.channel import Channel, Wait, WaitList
from archsim.sim.clock import Clock
from archsim.sim.decisions import SealedDecisions
from archsim.sim.messages import DbpDecided, Report
from archsim.sim.observe import Observer
from archsim.timing.tap import WritePathTap


class DbpUnit:
    """Decides ``decision_cycles`` after the last activation of the branch's tensor has been summed."""

    def __init__(
        self,
        env: Clock,
        spec: DbpUnitSpec,
        sealed: SealedDecisions,
        controller: Channel[Report],
        waits: WaitList,
        log: Observer,
    ) -> None:
        self._env = env
        self._spec = spec
        self._sealed = sealed
        self._controller = controller
        self._waits = waits
        self._log = log
        self.tap = WritePathTap(spec.lanes)
        self.tensors: Channel[Step] = Channel(env)
        env.process(self._run())

    def _run(self) -> Wait:
        while True:
            step = yield from self.tensors.receive(self._waits, "dbp_unit", "a tensor to judge")
            yield self._env.timeout(
                max(0, self.tap.free_at_cycle - self._env.cycle) + self._spec.decision_cycles
            )
            run = self._sealed.reveal_run(step.branch.index)
            self._log.record(self._env.cycle, "dbp_unit", "run" if run else "skip", step.branch.branch.name)
            self._controller.send(DbpDecided(step.index, run))
