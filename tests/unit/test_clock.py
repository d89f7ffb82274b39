"""The loop over SimPy's events: ends of cycles, what is certain, and processes that fail."""

from __future__ import annotations

import pytest
import simpy
from simpy.core import EmptySchedule

from archsim.sim.clock import Clock


def test_last_calls_come_behind_all_events_of_their_cycle_and_before_the_next_one() -> None:
    clock, seen = Clock(), []

    def chain(_: simpy.Event) -> None:
        seen.append(f"event {clock.cycle}")
        clock.at_end_of_cycle(lambda: seen.append(f"last {clock.cycle}"))
        clock.event().succeed().callbacks.append(lambda _: seen.append(f"late event {clock.cycle}"))

    clock.after(3, chain)
    clock.after(4, lambda _: seen.append(f"event {clock.cycle}"))
    end = clock.timeout(5)
    clock.run_events(100, until=end)
    assert seen == ["event 3", "late event 3", "last 3", "event 4"]
    assert clock.cycle == 5


def test_a_last_call_may_be_all_that_is_left() -> None:
    clock, end = Clock(), simpy.Event(Clock())
    clock.at_end_of_cycle(lambda: clock.after(7, lambda _: None))
    with pytest.raises(EmptySchedule):
        clock.run_events(100, until=end)
    assert clock.cycle == 7


def test_no_more_events_than_asked_for() -> None:
    clock = Clock()
    for delay in (1, 2, 3):
        clock.after(delay, lambda _: None)
    clock.run_events(2, until=clock.event())
    assert clock.cycle == 2


def test_what_a_process_raises_is_raised() -> None:
    clock = Clock()

    def process():
        yield clock.timeout(2)
        raise LookupError("nothing there")

    clock.process(process())
    with pytest.raises(LookupError, match="nothing there"):
        clock.run_events(100, until=clock.event())
