"""Pools on their own: what passes the array, and in how many tiles it streams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput
from archsim.mapping.base import Placement
from archsim.mapping.pool_pass import WithPools
from archsim.mapping.row_stationary import RowStationary
from archsim.network.graph import Layer, Shape
from tests.builders import build, tiny_document
from tests.machine import arch as machine_arch

FLOW = WithPools(RowStationary())
ON_CHIP = Placement(True, True, 0)


def pool_layer() -> Layer:
    """A 2x2 pool of 8x8x4."""
    pool = {"name": "pool", "op": "max_pool", "kernel": 2}
    document = tiny_document()
    document["branches"] = [
        {"name": "b", "after": "conv1", "layers": [pool, {"name": "fc", "op": "linear", "units": 4}]}
    ]
    layer = build(document).by_name["b.pool"]
    assert (layer.input_shape, layer.output_shape) == (Shape(8, 8, 4), Shape(4, 4, 4))
    return layer


def arch(**noc: Any) -> ArchSpec:
    return machine_arch(pe_array={"noc": {"ifmap_bytes_per_cycle": 4, "psum_bytes_per_cycle": 16, **noc}})


def test_a_tensor_on_chip_passes_at_the_rate_of_the_bus() -> None:
    plan = FLOW.plan(pool_layer(), arch(), ON_CHIP)
    assert (plan.tiles, plan.compute_cycles.tolist(), plan.macs.tolist()) == (1, [256 // 4], [0])
    assert (plan.stream_read_bytes.tolist(), plan.stream_write_bytes.tolist()) == ([256], [64])
    assert plan.ifmap_load_bytes.sum() == plan.store_bytes.sum() == plan.weight_load_bytes.sum() == 0
    assert dict(zip(plan.actions, plan.counts.sum(axis=0).tolist(), strict=True)) == {
        ("noc", "ifmap_byte"): 256, ("noc", "psum_byte"): 64
    }  # fmt: skip
    slow_out = FLOW.plan(pool_layer(), arch(ifmap_bytes_per_cycle=64, psum_bytes_per_cycle=1), ON_CHIP)
    assert slow_out.compute_cycles.tolist() == [64]


def test_a_tensor_in_dram_streams_through_half_of_the_capacity() -> None:
    placement = Placement(False, False, 60)
    plan = FLOW.plan(pool_layer(), arch(), placement)
    assert plan.tiles == 9  # 256 bytes, 30 at a time
    assert plan.ifmap_load_bytes.sum() == 256 and plan.ifmap_load_bytes.max() <= 30
    assert (np.cumsum(plan.ifmap_load_bytes) - plan.ifmap_load_bytes == plan.ifmap_load_offset_bytes).all()
    assert plan.store_bytes.sum() == plan.outputs.sum() == 64
    with pytest.raises(InvalidInput, match="8 bytes for two pixels of its input, found 7"):
        FLOW.plan(pool_layer(), arch(), replace(placement, capacity_bytes=7))
    assert FLOW.cost(pool_layer(), arch(), replace(placement, capacity_bytes=7)) is None


def test_more_traffic_costs_more() -> None:
    costs = [
        FLOW.cost(pool_layer(), arch(), Placement(ifmap, ofmap, 1 << 20))
        for ifmap, ofmap in [(True, True), (True, False), (False, True), (False, False)]
    ]
    assert costs == sorted(costs) and len(set(costs)) == 4
    # 256 + 64 bytes of the buffer, 64 cycles of 168 PEs: 6 and 4 units each
    assert costs[0] == 6 * 320 + 4 * 168 * 64


def test_zeros_of_a_pool_change_nothing() -> None:
    plan = FLOW.plan(pool_layer(), arch(), ON_CHIP)
    work = FLOW.work(pool_layer(), arch(), plan, np.zeros((8, 8, 4), bool))
    assert work.compute_cycles.tolist() == plan.compute_cycles.tolist() and not work.nonzero_macs.any()
