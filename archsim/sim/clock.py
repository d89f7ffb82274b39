"""SimPy's environment with time in whole core-clock cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import cast

import simpy
from simpy.core import EmptySchedule
from simpy.events import EventPriority

Callback = Callable[[simpy.Event], None]
Done = Callable[[], None]
"""What a component calls back when it has done what it was asked for."""

NORMAL = cast("EventPriority", 1)
"""SimPy's own."""
END_OF_CYCLE = cast("EventPriority", 2)
"""Behind SimPy's own priorities 0 (urgent) and 1 (normal)."""


class _Call:
    """What SimPy asks of an event that is certain when it is made: less work than a timeout."""

    __slots__ = ("callbacks",)
    _ok = True

    def __init__(self, callback: Callback) -> None:
        self.callbacks = (callback,)


class Clock(simpy.Environment):
    """Starts at cycle 0; delays are integers, so time never becomes a float."""

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self._last_calls: list[Done] = []
        """Of this cycle; they are no events, because nothing but the end of the cycle is in between."""

    @property
    def cycle(self) -> int:
        """The current core-clock cycle."""
        return self._now  # type: ignore[return-value]

    def after(self, delay_cycles: int, callback: Callback) -> None:
        """Call back when ``delay_cycles`` have passed."""
        entry = self._now + delay_cycles, NORMAL, next(self._eid), _Call(callback)
        heappush(self._queue, entry)  # type: ignore[misc]

    def at_end_of_cycle(self, call: Done) -> None:
        """Call in this cycle, after everything else that happens in it: an arbiter sees all its requests."""
        self._last_calls.append(call)

    def end_of_cycle(self) -> simpy.Event:
        """Event in this cycle, after everything else that happens in it."""
        event = self.event()
        event._ok, event._value = True, None
        self.schedule(event, priority=END_OF_CYCLE)
        return event

    def run_events(self, count: int, until: simpy.Event) -> None:
        """Let events happen: so many, or until one has. Raises simpy.core.EmptySchedule when none is left before.

        The loop of SimPy's ``run`` and ``step`` in one, with the end of each cycle.
        """
        queue = self._queue
        for _ in range(count):
            if self._last_calls and (not queue or queue[0][0] > self._now):
                calls, self._last_calls = self._last_calls, []
                for call in calls:
                    call()
            if not queue:
                raise EmptySchedule
            self._now, _, _, event = heappop(queue)
            callbacks: Iterable[Callback]
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):
                raise event._value  # of a process
            if until.callbacks is None:
                return


def on_event(event: simpy.Event, callback: Callback) -> None:
    """Call back when an event that has not been processed yet happens."""
    assert event.callbacks is not None, "the event has been processed"
    event.callbacks.append(callback)
