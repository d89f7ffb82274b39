"""The arbiter of the buffer port equals the per-cycle oracle."""

from __future__ import annotations

import numba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.sim.global_buffer import Client
from archsim.timing.port import RoundRobinPort, submit
from tests.oracle.port_oracle import PortOracle, completions


def replay(port: RoundRobinPort, arrivals: list[tuple[int, int, int]]) -> list[int]:
    """Drive the core as the shell does: submit in time order, sleep to the next completion."""
    done = [-1] * len(arrivals)

    def settle(until: float) -> None:
        while (cycle := port.next_completion_cycle()) is not None and cycle <= until:
            port.advance(cycle)
            for ticket in port.pop_completed(cycle):
                done[ticket] = cycle

    for cycle, client, size in arrivals:
        settle(cycle)
        port.submit(cycle, client, size)
    settle(float("inf"))
    return done


arrivals_strategy = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(1, 300)), min_size=1, max_size=12
).map(sorted)


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), arrivals_strategy)
def test_port_equals_the_per_cycle_oracle(width, burst, arrivals) -> None:
    assert replay(RoundRobinPort(width, burst, 3), arrivals) == completions(
        PortOracle(width, burst, 3), arrivals
    )


def test_two_clients_alternate_burst_by_burst() -> None:
    port = RoundRobinPort(width_bytes=8, burst_bytes=64, clients=2)
    assert replay(port, [(0, 0, 128), (0, 1, 64)]) == [24, 16]


def test_a_burst_is_not_interrupted() -> None:
    port = RoundRobinPort(width_bytes=8, burst_bytes=64, clients=2)
    assert replay(port, [(0, 1, 64), (1, 0, 8)]) == [8, 9]


def test_completions_wait_until_they_are_asked_for() -> None:
    """Seven grants at once: around the clients twice while transactions that are done have not been fetched."""
    port = RoundRobinPort(width_bytes=8, burst_bytes=8, clients=3)
    for client, size in ((0, 8), (1, 16), (2, 8), (0, 8), (1, 8), (2, 8)):
        port.submit(0, client, size)
    port.advance(100)
    assert port.pop_completed(100) == [0, 2, 3, 1, 5, 4]
    assert port.next_completion_cycle() is None


def test_busy_cycles_are_the_bursts() -> None:
    port = RoundRobinPort(width_bytes=8, burst_bytes=64, clients=1)
    replay(port, [(0, 0, 100), (50, 0, 1)])
    assert port.busy_cycles == 8 + 5 + 1


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_a_client_of_an_enumeration_is_its_number() -> None:
    """Numba would compile the kernel once more, and take longer to recognise the member than to serve it."""
    port = RoundRobinPort(8, 32, 3)
    port.submit(0, 1, 64)
    compiled = list(submit.signatures)
    port.submit(0, Client.LOAD, 64)
    assert submit.signatures == compiled
