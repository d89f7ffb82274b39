"""The arbiters of a banked buffer equal the per-cycle oracle, and the shared port where there is one bank."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.timing.banked_port import BankedPort
from archsim.timing.port import RoundRobinPort
from tests.exactness.test_port import arrivals_strategy, replay
from tests.oracle.port_oracle import BankedPortOracle, completions


@settings(max_examples=150)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 6), arrivals_strategy)
def test_banks_equal_the_per_cycle_oracle(width, burst, banks, arrivals) -> None:
    found = replay(BankedPort(width, burst, 3, banks), arrivals)
    assert found == completions(BankedPortOracle(width, burst, 3, banks), arrivals)


@given(st.integers(1, 40), st.integers(1, 70), arrivals_strategy)
def test_one_bank_is_the_shared_port(width, burst, arrivals) -> None:
    shared, banked = RoundRobinPort(width, burst, 3), BankedPort(width, burst, 3, 1)
    assert replay(banked, arrivals) == replay(shared, arrivals)
    assert banked.busy_cycles == shared.busy_cycles


def test_clients_in_different_banks_do_not_wait_for_each_other() -> None:
    port = BankedPort(width_bytes=8, burst_bytes=64, clients=2, banks=2)
    assert replay(port, [(0, 0, 128), (0, 1, 128)]) == [16, 16]
    assert port.conflict_cycles == 0


def test_a_client_that_wants_the_bank_of_another_waits_for_its_burst() -> None:
    """Client 1 begins a cycle late in bank 1 and is a cycle behind; client 0 wants bank 1 in cycle 8, has it in 9."""
    port = BankedPort(width_bytes=8, burst_bytes=64, clients=2, banks=2)
    assert replay(port, [(0, 0, 128), (1, 1, 64)]) == [17, 9]
    assert port.conflict_cycles == 1


@pytest.mark.parametrize("engine", ["tile", "segment"])
def test_banks_are_switched_on_by_a_key(engine: str) -> None:
    """Off changes nothing, one bank is the shared port, many banks are never behind it here."""
    cycles = {}
    for access, banks in (("port", 27), ("banks", 1), ("banks", 27)):
        overrides = [
            f"global_buffer.access={access}", f"global_buffer.banks={banks}", "global_buffer.port_bytes_per_cycle=2",
        ]  # fmt: skip
        result = api.simulate("digits", images=1, arch="gated-rs", overrides=overrides, engine=engine)
        cycles[access, banks] = result.cycles.total
    plain = api.simulate(
        "digits", images=1, arch="gated-rs", overrides=["global_buffer.port_bytes_per_cycle=2"], engine=engine
    )
    assert cycles["port", 27] == cycles["banks", 1] == plain.cycles.total > cycles["banks", 27]
