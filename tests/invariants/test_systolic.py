"""What must hold of a simulated image whichever systolic dataflow runs it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.errors import InvalidInput
from tests.machine import Machine, arch

DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")
each_dataflow = pytest.mark.parametrize("dataflow", DATAFLOWS)


def machine(dataflow: str, zero: str = "gate", **sections: dict[str, int]) -> Machine:
    return Machine(arch=arch(pe_array={"dataflow": dataflow, "zero": zero}, **sections))


@each_dataflow
@pytest.mark.parametrize("zero", ["none", "gate"])
def test_macs_are_conserved(dataflow: str, zero: str) -> None:
    found = machine(dataflow, zero)
    record = found.record()
    layers = [layer for layer in record.layers if layer.unit == "pe_array"]
    assert sum(layer.macs for layer in layers) == found.network.macs
    assert all(layer.skipped_macs == 0 for layer in layers)
    executed, gated = (record.counters.total("pe_array", name) for name in ("mac", "gated_mac"))
    assert executed + gated == found.network.macs
    assert (gated > 0) == (zero == "gate")


@each_dataflow
def test_gating_costs_the_same_time(dataflow: str) -> None:
    assert machine(dataflow, "none").record().cycles == machine(dataflow, "gate").record().cycles


@each_dataflow
def test_an_ample_buffer_gives_compulsory_traffic(dataflow: str) -> None:
    found = machine(dataflow, global_buffer={"size_kib": 1024, "filter_kib": 512})
    record = found.record()
    plans = [step.plan for step in found.program.steps]
    loaded = sum(int((plan.weight_load_bytes + plan.ifmap_load_bytes).sum()) for plan in plans)
    assert loaded == found.network.weights + found.network.input_shape.elements
    assert record.dram_write_bytes == 0
    chunks = sum(
        int((plan.weight_load_bytes > 0).sum() + (plan.ifmap_load_bytes > 0).sum()) for plan in plans
    )
    chunks += loaded // found.arch.dma.chunk_bytes
    assert 0 <= record.dram_read_bytes - loaded <= 2 * chunks * found.program.dram.burst_bytes


@settings(max_examples=20)
@given(
    dataflow=st.sampled_from(DATAFLOWS),
    exits_at=st.sampled_from([None, 0, 1]),
    size_kib=st.sampled_from([6, 12, 108]),
    port=st.sampled_from([1, 8, 64]),
    overlap=st.sampled_from(["serial", "speculative"]),
)
def test_conservation_and_bounds(
    dataflow: str, exits_at: int | None, size_kib: int, port: int, overlap: str
) -> None:
    found = Machine(
        arch=arch(
            pe_array={"dataflow": dataflow},
            global_buffer={"size_kib": size_kib, "filter_kib": 4, "port_bytes_per_cycle": port},
            branch_unit={"overlap": overlap},
        )
    )
    record = found.record(exits_at)
    count, burst = record.counters.total, found.program.dram.burst_bytes
    runs = [(found.program.steps[run.step].plan, slice(run.tiles)) for run in found.run(exits_at)[0].array]
    streamed = sum(
        int((plan.drain_write_bytes + plan.stream_write_bytes)[tiles].sum()) for plan, tiles in runs
    )
    written = count("global_buffer", "write_byte") - count("branch_unit", "weight_write_byte")
    assert count("dram", "read_burst") * burst == written - streamed
    assert count("leakage", "core_cycle") == record.cycles
    useful = all(layer.useful for layer in record.layers)
    busy = count("global_buffer", "read_byte") + count("global_buffer", "write_byte")
    array = sum(
        int((plan.fill_cycles + plan.compute_cycles + plan.drain_cycles)[tiles].sum()) for plan, tiles in runs
    )
    if useful:  # a tile that is aborted is paid in full
        assert record.cycles >= max(busy / port, array)
    peak = 2 * found.program.dram.channel_bits // 8 * found.program.dram_cycles_per_core_cycle
    assert record.cycles >= (record.dram_read_bytes + record.dram_write_bytes) / peak
    assert all(0 < layer.macs <= layer.pe_cycles for layer in record.layers if layer.useful)


@each_dataflow
def test_skipping_zeros_is_refused(dataflow: str) -> None:
    with pytest.raises(InvalidInput, match=r"pe_array\.zero: found \"skip\" with "):
        machine(dataflow, "skip")


@each_dataflow
def test_same_image_twice_is_identical(dataflow: str) -> None:
    assert machine(dataflow).run(1)[1].events == machine(dataflow).run(1)[1].events
