"""What must hold whatever the implementation (docs/explanation/hardware.md)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.errors import Deadlock
from archsim.functional.decide import Decisions
from archsim.functional.statistics import used_fraction
from archsim.sim.channel import Channel
from archsim.sim.decisions import ImagePath
from archsim.sim.dma import Dma
from archsim.sim.system import System
from tests.machine import Machine, arch, small_network


def dram_bytes(record) -> int:
    return record.dram_read_bytes + record.dram_write_bytes


def test_exits_off_is_the_plain_network_to_the_cycle() -> None:
    plain = Machine(network=small_network(branches=False)).record(skipped=())
    off = Machine(arch=arch(exits={"enabled": False})).record()
    assert off.cycles == plain.cycles
    assert off.counters.as_mapping() == plain.counters.as_mapping()


def test_speculation_never_costs_time_and_wastes_what_it_fetched() -> None:
    serial, speculative = Machine(), Machine(arch=arch(branch_unit={"overlap": "speculative"}))
    assert speculative.record(None).cycles < serial.record(None).cycles
    assert speculative.record(0).cycles >= serial.record(0).cycles
    assert [layer.name for layer in speculative.record(0).layers if not layer.useful] == ["conv3"]


def test_an_early_exit_stops_the_clock_and_the_memory() -> None:
    machine = Machine()
    first, second, full = machine.record(0), machine.record(1), machine.record(None)
    assert first.cycles < second.cycles < full.cycles
    assert dram_bytes(first) < dram_bytes(second) < dram_bytes(full)
    assert (first.exit_name, second.exit_name, full.exit_name) == ("early", "late", "final")
    assert full.wasted_bytes == 0
    assert first.wasted_bytes > 0


def test_prefetched_bytes_of_an_exit_are_paid_and_wasted() -> None:
    machine = Machine()
    record = machine.record(0)
    used = sum(layer.weights for layer in machine.network.layers[:2]) + 12 * 12 * 3
    assert record.dram_read_bytes - record.wasted_bytes >= used
    assert record.dram_read_bytes - record.wasted_bytes - used < 4 * machine.program.dram.burst_bytes


@pytest.mark.parametrize("leaves_at", [0, 1, None])
@pytest.mark.parametrize("skipped", [(False, False), (True, False), (False, True)])
def test_bytes_fetched_are_the_parameters_used(leaves_at: int | None, skipped: tuple[bool, bool]) -> None:
    """*Parameters used* times the weights is what the DRAM delivers, besides the image and what is thrown away."""
    if leaves_at is not None and skipped[leaves_at]:
        return  # nobody leaves at a branch that was skipped
    machine = Machine(arch=arch(branch_unit={"weight_sram_kib": 0}))
    network = machine.network
    met = [leaves_at is None or k <= leaves_at for k in range(2)]
    evaluated = np.array([[m and not s for m, s in zip(met, skipped, strict=True)]])
    exit_index = np.array([2 if leaves_at is None else leaves_at])
    used = used_fraction(
        Decisions(exit_index, evaluated, np.array([met]) & ~evaluated),
        [sum(layer.weights for layer in network.trunk_until(branch)) for branch in network.branches],
        [branch.weights for branch in network.branches],
        network.weights,
    )
    record = machine.record(leaves_at, skipped)
    image_bytes = network.input_shape.elements
    rest = record.dram_read_bytes - record.wasted_bytes - image_bytes - round(used * network.weights)
    assert 0 <= rest < 8 * machine.program.dram.burst_bytes  # every tensor is fetched in whole bursts


def test_a_skipped_branch_costs_no_macs_and_less_time() -> None:
    machine = Machine()
    run, skipped = machine.record(None), machine.record(None, (True, True))
    assert skipped.cycles < run.cycles
    assert skipped.counters.total("branch_unit", "mac") == 0
    assert run.counters.total("branch_unit", "mac") == sum(branch.macs for branch in machine.network.branches)
    assert [branch.skipped for branch in skipped.branches] == [True, True]


@pytest.mark.parametrize("zero", ["none", "gate", "skip"])
def test_macs_are_conserved(zero) -> None:
    machine = Machine(arch=arch(pe_array={"zero": zero}))
    record = machine.record()
    macs = sum(layer.macs + layer.skipped_macs for layer in record.layers if layer.unit == "pe_array")
    assert macs == machine.network.macs
    counted = record.counters.total("pe_array", "mac") + record.counters.total("pe_array", "gated_mac")
    assert counted + sum(layer.skipped_macs for layer in record.layers) == machine.network.macs
    assert (counted == machine.network.macs) == (zero != "skip")


def test_zero_options_are_ordered() -> None:
    none, gate, skip = (
        Machine(arch=arch(pe_array={"zero": zero})).record() for zero in ("none", "gate", "skip")
    )
    assert none.cycles == gate.cycles > skip.cycles
    assert none.counters.total("pe_array", "gated_mac") == 0 < gate.counters.total("pe_array", "gated_mac")


@pytest.mark.parametrize("policy", ["in_order", "frfcfs", "frfcfs_row_hit"])
@settings(max_examples=25, deadline=None)
@given(
    exits_at=st.sampled_from([None, 0, 1]),
    size_kib=st.sampled_from([12, 20, 108]),
    chunk_bytes=st.sampled_from([64, 512, 4096]),
    port=st.sampled_from([1, 8, 64]),
    sram_kib=st.sampled_from([0, 24]),
    overlap=st.sampled_from(["serial", "speculative"]),
)
def test_conservation_and_bounds(policy, exits_at, size_kib, chunk_bytes, port, sram_kib, overlap) -> None:
    spec = arch(
        global_buffer={"size_kib": size_kib, "filter_kib": 4, "port_bytes_per_cycle": port},
        dma={"chunk_bytes": chunk_bytes},
        branch_unit={"weight_sram_kib": sram_kib, "overlap": overlap},
        dram={"policy": policy},
    )
    machine = Machine(arch=spec)
    record = machine.record(exits_at)
    count, burst = record.counters.total, machine.program.dram.burst_bytes
    loaded = count("dram", "read_burst") * burst - count("branch_unit", "weight_write_byte")
    streamed = sum(
        int(step.plan.drain_write_bytes[: run.tiles].sum() + step.plan.stream_write_bytes[: run.tiles].sum())
        for run in machine.run(exits_at)[0].array
        for step in [machine.program.steps[run.step]]
    )
    assert loaded == count("global_buffer", "write_byte") - streamed
    assert count("leakage", "core_cycle") == record.cycles
    busy = count("global_buffer", "read_byte") + count("global_buffer", "write_byte")
    if all(layer.useful for layer in record.layers):  # a tile that is aborted is paid in full
        assert record.cycles >= busy / port
    peak = 2 * machine.program.dram.channel_bits // 8 * machine.program.dram_cycles_per_core_cycle
    assert record.cycles >= dram_bytes(record) / peak
    ends = [layer.end_cycle for layer in record.layers if layer.unit == "pe_array"]
    starts = [layer.start_cycle for layer in record.layers if layer.unit == "pe_array"]
    assert starts[0] == 0
    assert ends == sorted(ends)
    assert all(0 < layer.macs <= layer.pe_cycles for layer in record.layers if layer.useful)


def test_same_image_twice_is_identical() -> None:
    assert Machine().run(1)[1].events == Machine().run(1)[1].events


def test_branch_weights_are_fetched_when_they_do_not_fit() -> None:
    resident, fetched = Machine(), Machine(arch=arch(branch_unit={"weight_sram_kib": 0}))
    assert resident.record().counters.total("branch_unit", "weight_write_byte") == 0
    record = fetched.record()
    weights = sum(branch.weights for branch in fetched.network.branches)
    assert record.counters.total("branch_unit", "weight_write_byte") >= weights
    assert record.cycles > resident.record().cycles


def test_a_deadlock_names_who_waits_for_whom(monkeypatch) -> None:
    """A DMA that never says that a tile is there."""

    def lazy_load(self):
        yield self._wiring.clock.timeout(5)

    monkeypatch.setattr(Dma, "_load", lazy_load)
    machine = Machine()
    system = System(
        machine.program, ImagePath((False, False), None), lambda step: machine.work_of(step).compute_cycles
    )
    with pytest.raises(Deadlock) as caught:
        system.run()
    assert caught.value.waiting["pe_array"] == "tile 0 of conv1"
    assert caught.value.waiting["controller"] == "the end of the layer on the array"


def test_a_message_is_received_in_the_cycle_it_was_sent() -> None:
    machine = Machine()
    system = System(
        machine.program, ImagePath((False, False), None), lambda step: machine.work_of(step).compute_cycles
    )
    channel: Channel[int] = Channel(system.clock)
    received = []

    def reader():
        received.append((yield from channel.receive(system.waits, "reader", "a number")))
        received.append(system.clock.now)

    def writer():
        yield system.clock.timeout(7)
        channel.send(42)

    system.clock.process(reader())
    system.clock.process(writer())
    system.clock.run(until=8)
    assert received == [42, 7]
