"""How components talk: a FIFO of messages, a counter of free places, and the list of who waits for what.

SimPy has richer stores; these two yield only when they would block, which is most of the speed of the tile engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any, Generic, TypeVar

import simpy

from archsim.sim.clock import Clock
from archsim.sim.observe import NO_TILE, NOT_KEPT, Observer

Message = TypeVar("Message")

Wait = Generator[simpy.Event, Any, Any]
"""What a process is made of: ``result = yield from something()``."""


class WaitList:
    """Who waits for what, for the report of a deadlock and for observers."""

    def __init__(self, clock: Clock, observer: Observer | None = None) -> None:
        self._clock = clock
        self._observer = observer
        self.reasons: dict[str, str] = {}

    def on(self, process: str, reason: str, event: simpy.Event, what: str = "wait") -> Wait:
        """Wait for an event under a name. what: ``idle`` where there is nothing to do until then."""
        key = self.begin(process, reason, what)
        value = yield event
        self.end(process, key)
        return value

    def begin(self, process: str, reason: str, what: str = "wait") -> int:
        """A process begins to wait; returns the key of the end. what: as in :meth:`on`."""
        self.reasons[process] = reason
        if self._observer is None:
            return NOT_KEPT
        return self._observer.begin(self._clock.cycle, process, what, reason, NO_TILE, 0)

    def end(self, process: str, key: int) -> None:
        """It has waited."""
        if self._observer is not None:
            self._observer.end(self._clock.cycle, key)
        del self.reasons[process]


class Channel(Generic[Message]):
    """Unbounded FIFO with one reader; a message is received in the cycle in which it was sent."""

    def __init__(self, env: Clock) -> None:
        self._env = env
        self._messages: deque[Message] = deque()
        self._reader: simpy.Event | None = None

    def send(self, message: Message) -> None:
        """Append a message and wake the reader."""
        self._messages.append(message)
        if self._reader is not None:
            self._reader.succeed()
            self._reader = None

    def receive(self, waits: WaitList, process: str, reason: str, what: str = "wait") -> Wait:
        """Next message, waiting for it if there is none; what: as in :meth:`WaitList.on`."""
        if not self._messages:
            self._reader = self._env.event()
            yield from waits.on(process, reason, self._reader, what)
        return self._messages.popleft()


class Credits:
    """A number of free places (buffer halves); waiters are served in order."""

    def __init__(self, env: Clock, places: int) -> None:
        self._env = env
        self._free = places
        self._waiters: deque[simpy.Event] = deque()

    def acquire(self, waits: WaitList, process: str, reason: str) -> Wait:
        """Take a place, waiting for one if all are taken."""
        if self._free and not self._waiters:
            self._free -= 1
            return
        turn = self._env.event()
        self._waiters.append(turn)
        yield from waits.on(process, reason, turn)

    def release(self) -> None:
        """Give a place back, to the first waiter if there is one."""
        if self._waiters:
            self._waiters.popleft().succeed()
        else:
            self._free += 1
