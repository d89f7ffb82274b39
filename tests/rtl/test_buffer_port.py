"""The arbiter of the buffer port in RTL takes, serves and completes transactions in the cycles of the simulated one."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.config.arch import GlobalBufferSpec
from archsim.sim import global_buffer as simulated
from archsim.sim.clock import Clock
from archsim.timing import port
from tests.rtl.cosimulation import mutant_of, packed, simulation_of

twin = pytest.importorskip("archsim.rtl.buffer_port")
MOST_EVENTS = 10_000


@dataclass(frozen=True)
class Case:
    """wanted: of each client (cycles after the one before was taken, bytes) of its transactions."""

    width_bytes: int
    burst_bytes: int
    depth: int
    wanted: tuple[tuple[tuple[int, int], ...], ...]


transactions = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60)), max_size=4).map(tuple)
cases = st.builds(
    Case,
    width_bytes=st.sampled_from([1, 2, 3, 8]),
    burst_bytes=st.sampled_from([1, 4, 5, 16]),
    depth=st.integers(1, 2),
    wanted=st.tuples(transactions, transactions, transactions),
)


@dataclass
class Seen:
    """By client, in order: when a transaction was wanted, taken and done. busy_cycles: of the port."""

    wanted: list[list[int]] = field(default_factory=lambda: [[], [], []])
    taken: list[list[int]] = field(default_factory=lambda: [[], [], []])
    done: list[list[int]] = field(default_factory=lambda: [[], [], []])
    busy_cycles: int = 0


def run_simulation(case: Case) -> Seen:
    """The simulated buffer; a client that has ``depth`` transactions waiting stands still until one is done."""
    clock, seen = Clock(), Seen()
    spec = GlobalBufferSpec(port_bytes_per_cycle=case.width_bytes, burst_bytes=case.burst_bytes)
    buffer = simulated.GlobalBuffer(clock, spec)

    def ask(client, size):
        done = clock.event()

        def finish():
            seen.done[client].append(clock.cycle)
            done.succeed()

        buffer.transfer(simulated.Client(client), size, finish)
        return done

    def asks(client):
        events = []
        for gap, size in case.wanted[client]:
            yield clock.timeout(gap)
            seen.wanted[client].append(clock.cycle)
            if len(events) >= case.depth and not events[-case.depth].processed:
                yield events[-case.depth]
            seen.taken[client].append(clock.cycle)
            events.append(ask(client, size))
            yield clock.timeout(1)

    for client in simulated.Client:
        clock.process(asks(client))
    for _ in range(MOST_EVENTS):
        if clock.peek() == math.inf:
            break
        clock.step()
    assert clock.peek() == math.inf, "a port with a bug waits for a completion that never comes"
    seen.busy_cycles = buffer._port.busy_cycles
    return seen


def run_twin(case: Case, until_cycle: int) -> Seen:
    seen = Seen()
    left = [deque(of_client) for of_client in case.wanted]
    wanted_from = [of_client[0][0] if of_client else 0 for of_client in case.wanted]
    moved = [0, 0, 0]

    def drive(cycle, bench):
        asking = [bool(left[client]) and cycle >= wanted_from[client] for client in range(3)]
        for client in range(3):
            if asking[client] and len(seen.wanted[client]) == len(seen.taken[client]):
                seen.wanted[client].append(cycle)
        sizes = [left[client][0][1] if asking[client] else 0 for client in range(3)]
        bench.set(submit_valid=packed(asking, 1), submit_bytes=packed(sizes, twin.BYTES_BITS))
        for client in range(3):
            if asking[client] and bench.submit_ready >> client & 1:
                seen.taken[client].append(cycle)
                left[client].popleft()
                wanted_from[client] = cycle + 1 + (left[client][0][0] if left[client] else 0)
            if bench.done >> client & 1:
                seen.done[client].append(cycle)
        seen.busy_cycles += bench.is_moving
        moved[bench.owner] += bench.moved_bytes

    parameters = case.width_bytes, case.burst_bytes, 3, case.depth
    simulation_of(twin.BufferPort, *parameters).run(until_cycle, drive)
    assert moved == [sum(size for _, size in of_client) for of_client in case.wanted]
    return seen


def compare(case: Case) -> None:
    expected = run_simulation(case)
    until_cycle = max([cycle for cycles in expected.done for cycle in cycles], default=0) + 4
    assert run_twin(case, until_cycle) == expected


@settings(max_examples=25, deadline=None)
@given(cases)
def test_twin_equals_simulation(case: Case) -> None:
    compare(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(cases)
def test_twin_equals_simulation_on_many_cases(case: Case) -> None:
    compare(case)


QUEUES = Case(8, 16, 1, (((0, 40), (3, 7)), ((1, 33), (0, 16)), ((2, 9), (0, 24))))
JUST_IN_TIME = Case(8, 16, 1, (((0, 40),), ((2, 8),), ()))
"""Client 1 asks in the cycle in which the first burst of client 0 has moved, and is served before the second."""


@pytest.mark.parametrize("case", [QUEUES, JUST_IN_TIME])
def test_examples(case: Case) -> None:
    compare(case)


def test_a_full_queue_stalls_its_client() -> None:
    seen = run_simulation(QUEUES)
    stalls = [taken - wanted for want, take in zip(seen.wanted, seen.taken, strict=True)
              for wanted, taken in zip(want, take, strict=True)]  # fmt: skip
    assert max(stalls) > 0


BUGS = {
    "a burst a byte too long": ("burst = min(left, port.burst_bytes)", "burst = min(left, port.burst_bytes + 1)"),
    "a busy cycle too many": ("memory[_BUSY] += cycles\n", "memory[_BUSY] += cycles + 1\n"),
    "an arrival a cycle too late for a decision": (
        "memory[_FREE_AT] = max(memory[_FREE_AT], now)",
        "memory[_FREE_AT] = max(memory[_FREE_AT], now + 1)",
    ),
    "the turn of the client behind the next": ("memory[_LAST] = client\n", "memory[_LAST] = (client + 1) % 3\n"),
    "a decision that sees arrivals of the cycle before": (
        "while memory[_FREE_AT] < now:",
        "while memory[_FREE_AT] <= now:",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_port_that_is_wrong_by_one_is_caught(bug: str, monkeypatch) -> None:
    monkeypatch.setattr(simulated, "RoundRobinPort", mutant_of(port, *BUGS[bug]).RoundRobinPort)
    with pytest.raises(AssertionError):
        compare(QUEUES)
        compare(JUST_IN_TIME)


def test_a_port_of_plain_python_is_the_compiled_one(monkeypatch) -> None:
    nothing = "NONE = -1"
    monkeypatch.setattr(simulated, "RoundRobinPort", mutant_of(port, nothing, nothing).RoundRobinPort)
    compare(QUEUES)
