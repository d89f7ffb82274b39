"""Energy by cause: the counts of an image, split exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.counters import Counters
from archsim.results.causes import CAUSES, CauseSplit
from archsim.sim.records import ImageRecord
from tests.machine import CONV_HEAD, POOLED_HEAD, Machine, arch, small_network


def split(machine: Machine, record: ImageRecord) -> dict[str, Counters]:
    causes = {cause: Counters() for cause in CAUSES}
    result_cycles = machine.arch.controller.result_cycles
    CauseSplit(machine.network, machine.program.dram.burst_bytes, result_cycles).add(record, causes)
    return causes


def cycles(causes: dict[str, Counters]) -> dict[str, int]:
    return {cause: found.total("leakage", "core_cycle") for cause, found in causes.items()}


@settings(max_examples=25, deadline=None)
@given(
    exits_at=st.sampled_from([None, 0, 1]),
    skipped=st.tuples(st.booleans(), st.booleans()),
    unit=st.sampled_from([{}, {"weight_sram_kib": 0}, {"macs": 0, "weight_sram_kib": 0}]),
    head=st.sampled_from([POOLED_HEAD, CONV_HEAD]),
    overlap=st.sampled_from(["serial", "speculative"]),
    port=st.sampled_from([1, 32]),
)
def test_causes_add_up_to_the_counters(exits_at, skipped, unit, head, overlap, port) -> None:
    skipped = tuple(skip and index != exits_at for index, skip in enumerate(skipped))
    spec = arch(branch_unit={"overlap": overlap, **unit}, global_buffer={"port_bytes_per_cycle": port})
    machine = Machine(network=small_network(head=head), arch=spec)
    record = machine.record(exits_at, skipped)
    causes = split(machine, record)
    merged = Counters()
    for counters in causes.values():
        merged.merge(counters)
    assert merged.as_mapping() == record.counters.as_mapping()
    assert sum(cycles(causes).values()) == record.cycles
    wasted = causes["wasted"]
    assert wasted.total("dram", "read_burst") * machine.program.dram.burst_bytes == record.wasted_bytes
    assert (cycles(causes)["wasted"] > 0) <= (exits_at is not None)
    assert cycles(causes)["idle"] == 0
    assert causes["dbp"].total("dbp_unit", "add") == record.counters.total("dbp_unit", "add")
    assert causes["branch"].total("branch_unit", "mac") == record.counters.total("branch_unit", "mac")


def test_time_goes_to_whoever_the_array_waits_for() -> None:
    machine = Machine()
    record = machine.record(None, (True, False))
    found = cycles(split(machine, record))
    conv2, conv3 = (next(each for each in record.layers if each.name == name) for name in ("conv2", "conv3"))
    starts = {each.name: each.start_cycle for each in record.layers}
    assert found["dbp"] == starts["conv3"] - conv2.end_cycle > 0
    assert found["branch"] == starts["conv4"] - conv3.end_cycle > 0
    assert found["stalled"] == sum(each.stall_cycles for each in record.layers if each.unit == "pe_array")
    assert found["wasted"] == 0


@pytest.mark.parametrize("overlap", ["serial", "speculative"])
def test_an_exit_wastes_what_was_started_or_fetched_for_later(overlap: str) -> None:
    machine = Machine(arch=arch(branch_unit={"overlap": overlap}))
    record = machine.record(0)
    causes = split(machine, record)
    thrown_away = {each.name for each in record.layers if not each.useful}
    assert thrown_away == ({"conv3"} if overlap == "speculative" else set())
    macs = sum(record.counters.total("pe_array", "mac", name) for name in thrown_away)
    assert causes["wasted"].total("pe_array", "mac") == macs
    assert causes["wasted"].total("dram", "read_burst") > 0
    assert causes["wasted"].total("global_buffer", "write_byte") > 0
    decided = record.branches[0].decided_cycle
    result_cycles = machine.arch.controller.result_cycles
    wasted = cycles(causes)["wasted"]
    if overlap == "serial":
        assert wasted == record.cycles - decided - result_cycles
        assert cycles(causes)["branch"] == decided - record.layers[1].end_cycle


@pytest.mark.parametrize("unit", [{}, {"macs": 0, "weight_sram_kib": 0}], ids=["unit", "array"])
def test_a_branch_on_the_array_is_a_branch_all_the_same(unit) -> None:
    machine = Machine(network=small_network(head=CONV_HEAD), arch=arch(branch_unit=unit))
    record = machine.record(0)
    causes = split(machine, record)
    own = [each for each in record.layers if each.name.startswith("early.")]
    counted = sum(causes["branch"].total("pe_array", action) for action in ("mac", "gated_mac"))
    assert counted == sum(each.macs for each in own) > 0
    held = sum(each.cycles - each.stall_cycles for each in own)
    assert cycles(causes)["branch"] >= held
    decided, result_cycles = record.branches[0].decided_cycle, machine.arch.controller.result_cycles
    assert cycles(causes)["wasted"] == record.cycles - decided - result_cycles
