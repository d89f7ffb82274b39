"""Random small networks and machines on which engines and oracle are compared."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from archsim.sim.decisions import ImagePath
from tests.machine import Machine

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
                                                "burst_bytes": st.sampled_from([8, 24, 64]),
                                                "access": st.sampled_from(["port", "port", "banks"]),
                                                "banks": st.integers(1, 5)}),
        "dma": st.fixed_dictionaries({"chunk_bytes": st.sampled_from([64, 128, 512]),
                                      "outstanding_chunks": st.integers(1, 3),
                                      "compression": st.sampled_from(["none", "rlc"]),
                                      "overlap": st.sampled_from(["all", "weights"])}),
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


def paths(draw: st.DrawFn, machine: Machine) -> ImagePath:
    """Any way through a machine's network: an exit or none, branches that DBP skips."""
    branches = machine.program.branches
    exits_at = draw(st.sampled_from([None, *range(len(branches))]))
    skipped = tuple(
        branch.is_pruned and branch.index != exits_at and draw(st.booleans()) for branch in branches
    )
    return ImagePath(skipped, exits_at)
