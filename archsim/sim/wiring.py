"""What every component of one machine is connected to."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.schedule.program import Program
from archsim.sim.channel import Channel, Wait, WaitList
from archsim.sim.clock import Clock
from archsim.sim.messages import Report
from archsim.sim.observe import Observer


@dataclass(frozen=True, slots=True)
class Wiring:
    """The clock, the program that runs, the controller's inbox, who waits for what, and who looks on."""

    clock: Clock
    program: Program
    reports: Channel[Report]
    waits: WaitList
    observer: Observer

    def log(self, unit: str, event: str, subject: str) -> None:
        """Tell the observer of something that happens in this cycle."""
        self.observer.record(self.clock.cycle, unit, event, subject)

    def start(self, process: Wait) -> None:
        """Run a process from this cycle on."""
        self.clock.process(process)
