"""More of a resource: what it never costs, what it may cost after all, and what a larger buffer saves."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from archsim.config.arch import ArchSpec
from archsim.mapping.base import Placement
from archsim.mapping.given import entry_of
from archsim.registry import get_dataflow
from archsim.sim.records import ImageRecord
from archsim.timing.banked_port import BankedPort
from tests.exactness.test_groups import convolution
from tests.exactness.test_port import replay
from tests.machine import Machine, arch, small_network

NETWORK = small_network(branches=False)
AMPLE = {"size_kib": 108, "filter_kib": 8}
TIGHT = {"size_kib": 3, "filter_kib": 1}


def record(**sections: Any) -> ImageRecord:
    return Machine(network=NETWORK, arch=arch(**sections)).record(skipped=())


@cache
def found_mappings(tight: bool) -> list[dict[str, Any]]:
    """Mappings of the machine as it is, so that only the resource changes and not what is made of it."""
    program = Machine(network=NETWORK, arch=arch(global_buffer=TIGHT if tight else AMPLE)).program
    return [
        entry_of(step.layer.name, program.dataflow.name, step.plan.mapping)
        for step in program.steps
        if step.layer.is_compute
    ]


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize(
    ("section", "key", "amounts"),
    [
        ("global_buffer", "port_bytes_per_cycle", (2, 8, 32, 64)),
        ("noc", "ifmap_bytes_per_cycle", (1, 4, 16)),
        ("noc", "filter_bytes_per_cycle", (1, 8, 32)),
        ("noc", "psum_bytes_per_cycle", (1, 16, 64)),
        ("dma", "outstanding_chunks", (1, 2, 8)),
    ],
)
def test_more_of_it_never_costs_cycles(tight: bool, section: str, key: str, amounts: tuple[int, ...]) -> None:
    buffer, cycles = TIGHT if tight else AMPLE, []
    for amount in amounts:
        sections: dict[str, Any] = {"global_buffer": buffer, "mappings": found_mappings(tight)}
        if section == "noc":
            sections["pe_array"] = {"noc": {key: amount}}
        elif section == "global_buffer":
            sections["global_buffer"] = buffer | {key: amount}
        else:
            sections[section] = {key: amount}
        cycles.append(record(**sections).cycles)
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]


def test_a_larger_buffer_changes_traffic_and_stalls() -> None:
    """From 4 KiB on every map stays on chip: the bytes are those that have to move, and no more buffer changes them."""
    small, enough, infinite = (
        record(global_buffer={"size_kib": size_kib, "filter_kib": 2}) for size_kib in (3, 4, 1 << 16)
    )
    compulsory = NETWORK.weights + NETWORK.input_shape.elements
    moved = [one.dram_read_bytes + one.dram_write_bytes for one in (small, enough, infinite)]
    stalled = [sum(layer.stall_cycles for layer in one.layers) for one in (small, enough, infinite)]
    bursts = len(NETWORK.layers) * Machine(network=NETWORK).program.dram.burst_bytes
    assert compulsory <= moved[1] == moved[2] < compulsory + bursts < moved[0]
    assert stalled[0] > stalled[1] >= stalled[2]
    assert small.cycles > enough.cycles >= infinite.cycles


def test_exception_a_buffer_for_less_traffic_may_take_longer() -> None:
    """``pe_array.mapping: traffic`` asks for bytes; what it takes for them is more cycles here."""
    layer, flow = convolution(16, 16, 24, 3, 1, 1), get_dataflow("row_stationary")
    spec = ArchSpec.model_validate(
        {"schema": "archsim.arch/1", "name": "x", "pe_array": {"mapping": "traffic"}}
    )
    less, more = (flow.plan(layer, spec, Placement(False, False, capacity)) for capacity in (800, 1000))
    moved = [int((plan.weight_load_bytes + plan.ifmap_load_bytes).sum()) for plan in (less, more)]
    taken = [int((plan.fill_cycles + plan.compute_cycles + plan.drain_cycles).sum()) for plan in (less, more)]
    assert moved[1] < moved[0] and taken[1] > taken[0]


def test_exception_a_bank_more_may_delay_a_transaction() -> None:
    """Client 1 is sooner done with its first burst and, for that, before client 2 in the bank that both want."""
    arrivals = [(2, 0, 10), (5, 1, 7), (8, 1, 5), (8, 2, 12)]
    one, two = (
        replay(BankedPort(width_bytes=4, burst_bytes=16, clients=3, banks=banks), arrivals)
        for banks in (1, 2)
    )
    assert (one, two) == ([5, 7, 13, 11], [5, 7, 10, 13])
