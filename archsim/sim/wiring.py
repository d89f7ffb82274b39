"""What every component of one machine is connected to."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.schedule.program import Program
from archsim.sim.channel import Channel, Wait, WaitList
from archsim.sim.clock import Clock, Done
from archsim.sim.messages import Report
from archsim.sim.observe import NO_TILE, NOT_KEPT, Observer


@dataclass(frozen=True, slots=True)
class Wiring:
    """The clock, the program that runs, the controller's inbox, who waits for what, and who looks on (None: nobody)."""

    clock: Clock
    program: Program
    reports: Channel[Report]
    waits: WaitList
    observer: Observer | None

    def log(self, unit: str, event: str, subject: str) -> None:
        """Tell the observer of something that happens in this cycle."""
        if self.observer is not None:
            self.observer.record(self.clock.cycle, unit, event, subject)

    def begin(self, unit: str, what: str, subject: str, tile: int = NO_TILE, amount_bytes: int = 0) -> int:
        """Tell the observer of something that begins in this cycle; returns the key of its end."""
        if self.observer is None:
            return NOT_KEPT
        return self.observer.begin(self.clock.cycle, unit, what, subject, tile, amount_bytes)

    def end(self, key: int) -> None:
        """Tell the observer that it has ended."""
        if self.observer is not None:
            self.observer.end(self.clock.cycle, key)

    def ends(self, key: int, on_done: Done) -> Done:
        """A callback that tells the observer of the end first."""
        if self.observer is None:
            return on_done

        def tell() -> None:
            self.end(key)
            on_done()

        return tell

    def start(self, process: Wait) -> None:
        """Run a process from this cycle on."""
        self.clock.process(process)
