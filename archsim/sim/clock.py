"""SimPy's environment with time in whole core-clock cycles."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import simpy
from simpy.events import EventPriority

Callback = Callable[[simpy.Event], None]

END_OF_CYCLE = cast("EventPriority", 2)
"""Behind SimPy's own priorities 0 (urgent) and 1 (normal)."""


class Clock(simpy.Environment):
    """Starts at cycle 0; delays are integers, so time never becomes a float."""

    def __init__(self) -> None:
        super().__init__(initial_time=0)

    @property
    def cycle(self) -> int:
        """The current core-clock cycle."""
        return cast("int", self._now)

    def after(self, delay_cycles: int, callback: Callback) -> None:
        """Call back when ``delay_cycles`` have passed."""
        on_event(self.timeout(delay_cycles), callback)

    def end_of_cycle(self) -> simpy.Event:
        """Event in this cycle, after everything else that happens in it: an arbiter sees all its requests."""
        event = self.event()
        event._ok, event._value = True, None
        self.schedule(event, priority=END_OF_CYCLE)
        return event


def on_event(event: simpy.Event, callback: Callback) -> None:
    """Call back when an event that has not been processed yet happens."""
    assert event.callbacks is not None, "the event has been processed"
    event.callbacks.append(callback)
