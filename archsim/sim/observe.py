"""Observers of a simulation. Nothing is recorded unless somebody asks, and recording changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

NO_TILE = -1
"""Tile of what concerns no single one."""
NOT_KEPT = -1
"""Key of a span that an observer takes no note of."""


class LoggedEvent(NamedTuple):
    """One thing that happened: the cycle, the unit, what, and to what."""

    cycle: int
    unit: str
    event: str
    subject: str


class Span(NamedTuple):
    """Something that lasted: what a unit did, to what, from a cycle to (not including) another.

    unit, what: as the units call them. subject: a layer or branch, or the reason of a wait. tile: its index in the
    layer, :data:`NO_TILE` where there is none. amount_bytes: moved meanwhile. is_cut: ended by an exit, unfinished.
    """

    unit: str
    what: str
    subject: str
    tile: int
    start_cycle: int
    end_cycle: int
    amount_bytes: int = 0
    is_cut: bool = False


class Observer(Protocol):
    """Told of every event, and of every beginning and end, in the order in which they happen."""

    def record(self, cycle: int, unit: str, event: str, subject: str) -> None:
        """Take note; must not change anything."""
        ...

    def begin(self, cycle: int, unit: str, what: str, subject: str, tile: int, amount_bytes: int) -> int:
        """Something begins; returns the key under which its end will be told."""
        ...

    def end(self, cycle: int, key: int) -> None:
        """It has ended."""
        ...


@dataclass
class EventLog:
    """Observer that keeps everything as events, for tests."""

    events: list[LoggedEvent] = field(default_factory=list)

    def record(self, cycle: int, unit: str, event: str, subject: str) -> None:
        """Append."""
        self.events.append(LoggedEvent(cycle, unit, event, subject))

    def begin(self, cycle: int, unit: str, what: str, subject: str, tile: int, amount_bytes: int) -> int:
        """Append."""
        self.record(cycle, unit, f"begin {what}", f"{subject}/{tile}/{amount_bytes}")
        return len(self.events) - 1

    def end(self, cycle: int, key: int) -> None:
        """Append."""
        begun = self.events[key]
        self.record(cycle, begun.unit, begun.event.replace("begin", "end"), begun.subject)


@dataclass
class Recorder:
    """Observer that keeps the spans and events of a window of cycles, and no more spans than a limit.

    What touches the window is kept whole. At the limit the window ends: ``until_cycle`` becomes that cycle.
    """

    from_cycle: int = 0
    until_cycle: int = 1 << 62
    most_spans: int = 1 << 62
    spans: list[Span] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    is_truncated: bool = False
    _open: dict[int, Span] = field(default_factory=dict)
    _keys: int = 0

    def record(self, cycle: int, unit: str, event: str, subject: str) -> None:
        """Keep an event of the window; an abort or a cancellation ends what the unit was doing."""
        if event in ("abort", "cancel"):
            self._cut(cycle, unit)
        if self.from_cycle <= cycle < self.until_cycle:
            self.events.append(LoggedEvent(cycle, unit, event, subject))

    def begin(self, cycle: int, unit: str, what: str, subject: str, tile: int, amount_bytes: int) -> int:
        """Keep the beginning of a span, unless the window is over."""
        if cycle >= self.until_cycle:
            return NOT_KEPT
        if len(self.spans) + len(self._open) >= self.most_spans:
            self.until_cycle, self.is_truncated = cycle, True
            return NOT_KEPT
        self._keys += 1
        self._open[self._keys] = Span(unit, what, subject, tile, cycle, cycle, amount_bytes)
        return self._keys

    def end(self, cycle: int, key: int) -> None:
        """Keep a span that touches the window and has any length."""
        span = self._open.pop(key, None)
        if span is not None and cycle > max(span.start_cycle, self.from_cycle):
            self.spans.append(span._replace(end_cycle=cycle))

    def close(self, cycle: int) -> None:
        """The simulation is over: what nobody has ended lasted until now."""
        self._cut(cycle, "")

    def _cut(self, cycle: int, unit: str) -> None:
        """End whatever a unit, or a part of it (``unit.part``), was doing; that of all units for an empty name."""
        for key, span in list(self._open.items()):
            if unit in ("", span.unit, span.unit.partition(".")[0]):
                self._open[key] = span._replace(is_cut=unit != "")
                self.end(cycle, key)
