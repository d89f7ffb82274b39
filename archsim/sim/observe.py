"""Observers of a simulation. Nothing is recorded unless somebody asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class LoggedEvent(NamedTuple):
    """One thing that happened: the cycle, the unit, what, and to what."""

    cycle: int
    unit: str
    event: str
    subject: str


class Observer(Protocol):
    """Told of every event in the order in which they happen."""

    def record(self, cycle: int, unit: str, event: str, subject: str) -> None:
        """Take note; must not change anything."""
        ...


class Silent:
    """Observer that takes no note."""

    def record(self, cycle: int, unit: str, event: str, subject: str) -> None:
        """Forget it."""


@dataclass
class EventLog:
    """Observer that keeps everything, for tests and timelines."""

    events: list[LoggedEvent] = field(default_factory=list)

    def record(self, cycle: int, unit: str, event: str, subject: str) -> None:
        """Append."""
        self.events.append(LoggedEvent(cycle, unit, event, subject))
