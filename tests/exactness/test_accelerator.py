"""The SimPy accelerator equals the per-cycle oracle: cycles, tiles, layer times and bytes, decisions included."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.sim.decisions import ImagePath
from archsim.sim.dma import StreamId
from tests.builders import build
from tests.machine import Machine, arch
from tests.oracle.accelerator_oracle import BRANCH, LOAD, STORE, AcceleratorOracle

FC = {"name": "fc", "op": "linear", "units": 3}
GAP = {"name": "gap", "op": "global_avg_pool"}
POOL = {"name": "pool", "op": "max_pool", "kernel": 1}
BOTTLENECK = {"name": "thin", "op": "conv2d", "filters": 2, "kernel": 1, "relu": True}
DEPTHWISE = {"name": "depth", "op": "depthwise_conv2d", "kernel": 3, "padding": 1, "relu": True}
CONV = {"name": "conv", "op": "conv2d", "filters": 9, "kernel": 3, "padding": 1, "relu": True}
HIDDEN = {"name": "hidden", "op": "linear", "units": 5, "relu": True}
HEADS = [
    [GAP, FC], [BOTTLENECK, GAP, FC], [POOL, BOTTLENECK, DEPTHWISE, FC], [CONV, POOL, HIDDEN, FC], [GAP, HIDDEN, FC]
]  # fmt: skip
STREAMS = {StreamId.BRANCH: BRANCH, StreamId.LOAD: LOAD, StreamId.STORE: STORE}


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """One to four convolutions, pools between them, a shortcut now and then, a branch behind some."""
    layers: list[dict[str, Any]] = []
    branches = []
    side, channels = draw(st.integers(3, 14)), draw(st.integers(1, 4))
    for index in range(draw(st.integers(1, 4))):
        filters = draw(st.integers(1, 20))
        kernel = draw(st.sampled_from([1, 3]))
        conv = {"name": f"conv{index}", "op": "conv2d", "filters": filters, "kernel": kernel, "relu": True}
        layers.append({**conv, "padding": kernel // 2})
        stored = f"conv{index}"
        if index and layers[-2]["op"] == "conv2d" and draw(st.booleans()):
            layers[-1]["filters"] = layers[-2]["filters"]
            stored = f"add{index}"
            layers.append({"name": stored, "op": "add", "other": layers[-2]["name"], "relu": True})
        elif draw(st.booleans()):
            stored = f"pool{index}"
            layers.append({"name": stored, "op": "max_pool", "kernel": 2 if index == 0 else 1})
        if draw(st.booleans()):
            dbp = draw(st.sampled_from([None, {"min_sum": 1}, {"min_sum": 1, "max_sum": 9}]))
            branch = {"name": f"exit{index}", "after": stored, "layers": draw(st.sampled_from(HEADS))}
            branch |= {"threshold": 1, "dbp": dbp}
            branches.append(branch)
    layers.append({"name": "fc", "op": "linear", "units": 3})
    return {
        "schema": "archsim.workload/1",
        "name": "random",
        "dataset": {"name": "noise", "classes": 3},
        "input": {"height": side, "width": side, "channels": channels},
        "weights": "none.npz",
        "layers": layers,
        "branches": branches,
    }


architectures = st.fixed_dictionaries(
    {
        "pe_array": st.fixed_dictionaries({"rows": st.integers(3, 6), "cols": st.integers(2, 6),
                                           "zero": st.sampled_from(["none", "gate", "skip"])}),
        "global_buffer": st.fixed_dictionaries({"size_kib": st.sampled_from([4, 5, 108]), "filter_kib": st.just(2),
                                                "port_bytes_per_cycle": st.sampled_from([1, 3, 8, 32]),
                                                "burst_bytes": st.sampled_from([8, 24, 64])}),
        "dma": st.fixed_dictionaries({"chunk_bytes": st.sampled_from([64, 128, 512]),
                                      "outstanding_chunks": st.integers(1, 3)}),
        "dram": st.fixed_dictionaries({"policy": st.sampled_from(["in_order", "frfcfs_row_hit"])}),
        "branch_unit": st.builds(
            lambda size, tap_lanes, overlap: {**size, "tap_lanes": tap_lanes, "overlap": overlap},
            st.sampled_from([{"macs": macs, "weight_sram_kib": kib} for macs, kib in
                             [(0, 0), (0, 0), (1, 0), (16, 0), (1, 24), (16, 24)]]),
            st.sampled_from([1, 16]), st.sampled_from(["serial", "speculative"])),
        "dbp_unit": st.fixed_dictionaries({"lanes": st.sampled_from([1, 3, 16])}),
        "controller": st.fixed_dictionaries({"dispatch_cycles": st.integers(0, 5), "result_cycles": st.integers(0, 5)}),
        "dbp": st.fixed_dictionaries({"enabled": st.booleans()}),
    }
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(networks(), architectures, st.data())
def test_simulator_equals_the_per_cycle_oracle(document, sections, data) -> None:
    machine = Machine(network=build(document), arch=arch(**sections))
    count = len(machine.network.branches)
    exits_at = data.draw(st.sampled_from([None, *range(count)]))
    dbp_runs = machine.arch.dbp.enabled
    skipped = tuple(
        dbp_runs and branch.dbp is not None and index != exits_at and data.draw(st.booleans())
        for index, branch in enumerate(machine.network.branches)
    )
    outcome, _ = machine.run(exits_at, skipped)
    oracle = AcceleratorOracle(
        machine.program, ImagePath(skipped, exits_at), lambda step: machine.work_of(step).compute_cycles
    )
    cycles, runs, moved = oracle.run()
    assert outcome.cycles == cycles
    assert [(run.step, run.tiles, run.start_cycle, run.end_cycle) for run in outcome.array] == runs
    names = {str(step.index): step.layer.name for step in machine.program.steps}
    expected = {(stream, names.get(owner, owner)): size for (stream, owner), size in moved.items()}
    assert {
        (STREAMS[stream], owner): size
        for stream, by_owner in outcome.moved_bytes.items()
        for owner, size in by_owner.items()
    } == expected
