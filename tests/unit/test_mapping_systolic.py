"""Systolic plans: what SCALE-Sim counts, what the buffer forces, and what is refused. Cycle by cycle: the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec, DepthwiseConv2dSpec, LinearSpec
from archsim.counters import action_index
from archsim.errors import InvalidInput
from archsim.mapping.base import Placement, TilePlan
from archsim.mapping.systolic import InputStationary, OutputStationary, WeightStationary, mapping_of
from archsim.mapping.systolic_folds import SystolicMapping
from archsim.mapping.zeros import mac_counts
from archsim.network.graph import Layer, Shape

FLOWS = (WeightStationary(), OutputStationary(), InputStationary())
ROOMY = Placement(True, True, 1 << 30)
FROM_DRAM = Placement(False, False, 1 << 30)
WIDE = {f"{name}_bytes_per_cycle": 65536 for name in ("ifmap", "filter", "psum")}
each_flow = pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)


def arch(rows: int = 12, cols: int = 14, filter_kib: int = 512, **pe_array: Any) -> ArchSpec:
    section = {"rows": rows, "cols": cols, "noc": WIDE, **pe_array}
    buffer = {"size_kib": 1024, "filter_kib": filter_kib}
    return ArchSpec.model_validate(
        {"schema": "archsim.arch/1", "name": "drawn", "pe_array": section, "global_buffer": buffer}
    )


def conv(shape: Shape, filters: int, kernel: int, padding: int = 0, stride: int = 1) -> Layer:
    spec = Conv2dSpec(op="conv2d", name="conv", filters=filters, kernel=(kernel, kernel), stride=(stride, stride),
                      padding=(padding, padding))  # fmt: skip
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in (shape.height, shape.width))
    return Layer("conv", spec, ("image",), shape, Shape(height, width, filters), True, True)


def depthwise(shape: Shape, kernel: int) -> Layer:
    spec = DepthwiseConv2dSpec(op="depthwise_conv2d", name="depthwise", kernel=(kernel, kernel))
    out = Shape(shape.height - kernel + 1, shape.width - kernel + 1, shape.channels)
    return Layer("depthwise", spec, ("image",), shape, out, True, True)


def linear(inputs: int, units: int, classifier: bool = False) -> Layer:
    spec = LinearSpec(op="linear", name="linear", units=units)
    shapes = Shape(1, 1, inputs), Shape(1, 1, units)
    return Layer("linear", spec, ("x",), *shapes, False, True, is_classifier=classifier)


def total(plan: TilePlan, action: str) -> int:
    return int(plan.counts[:, [name for _, name in plan.actions].index(action)].sum())


def cycles(plan: TilePlan) -> int:
    return int((plan.fill_cycles + plan.compute_cycles + plan.drain_cycles).sum())


SIDE = st.integers(1, 40)


@given(SIDE, SIDE, SIDE, st.integers(1, 16), st.integers(1, 16))
def test_folds_cycles_and_accesses_are_those_of_scale_sim(
    m: int, k: int, n: int, rows: int, cols: int
) -> None:
    """The table of SCALE-Sim 3.0.0, reproduced by 143 of 143 of its rows."""

    def blocks(length: int, size: int) -> int:
        return -(-length // size)

    layer = conv(Shape(m, 1, k), n, 1)
    expected = {
        "weight_stationary": (blocks(k, rows) * blocks(n, cols), 2 * rows + cols + m - 2,
                              blocks(n, cols) * m * k, k * n, blocks(k, rows) * m * n),
        "output_stationary": (blocks(m, rows) * blocks(n, cols), rows + cols + k - 2,
                              blocks(n, cols) * m * k, blocks(m, rows) * k * n, m * n),
        "input_stationary": (blocks(k, rows) * blocks(m, cols), 2 * rows + cols + n - 2,
                             k * m, blocks(m, cols) * k * n, blocks(k, rows) * m * n),
    }  # fmt: skip
    for flow in FLOWS:
        plan = flow.plan(layer, arch(rows, cols), ROOMY)
        folds, fold_cycles, ifmap_reads, filter_reads, ofmap_writes = expected[flow.name]
        assert plan.tiles == plan.mapping["folds"] == folds
        assert cycles(plan) == folds * fold_cycles
        assert (total(plan, "ifmap_byte"), total(plan, "filter_byte")) == (ifmap_reads, filter_reads)
        psums_in = ofmap_writes - m * n
        reads = plan.fill_read_bytes + plan.stream_read_bytes
        writes = plan.stream_write_bytes + plan.drain_write_bytes
        assert reads.sum() == ifmap_reads + filter_reads + 4 * psums_in
        assert writes.sum() == 4 * psums_in + m * n


LAYERS = [
    conv(Shape(32, 32, 3), 16, 3, padding=1),
    conv(Shape(9, 11, 24), 20, 3, padding=2, stride=2),
    conv(Shape(16, 16, 48), 96, 1, stride=2),
    depthwise(Shape(14, 14, 10), 5),
    linear(512, 10, classifier=True),
]


@each_flow
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.op}-{layer.input_shape}")
@pytest.mark.parametrize("capacity_bytes", [2500, 1 << 30])
@pytest.mark.parametrize("filter_kib", [1, 512])
def test_what_goes_in_comes_out(flow: Any, layer: Layer, capacity_bytes: int, filter_kib: int) -> None:
    chosen = arch(filter_kib=filter_kib)
    plan = flow.plan(layer, chosen, Placement(False, False, capacity_bytes))
    assert plan.macs.sum() == layer.macs
    assert plan.outputs.sum() == layer.output_shape.elements
    stored = layer.output_shape.elements * (4 if layer.is_classifier else 1)
    assert plan.store_bytes.sum() == stored
    assert (plan.stream_write_bytes + plan.drain_write_bytes)[plan.outputs > 0].sum() >= stored
    assert plan.ifmap_load_bytes.sum() >= layer.input_shape.elements
    assert plan.weight_load_bytes.sum() >= layer.weights
    assert (plan.weight_load_bytes * 2).max() <= filter_kib * 1024
    assert (plan.weight_load_offset_bytes + plan.weight_load_bytes).max() == layer.weights
    assert (plan.ifmap_load_offset_bytes + plan.ifmap_load_bytes).max() <= layer.input_shape.elements
    assert (plan.bus_cycles <= plan.compute_cycles).all()
    assert cycles(plan) * plan.active_pes >= layer.macs
    assert all(action_index(*action) >= 0 for action in plan.actions)
    if capacity_bytes == 1 << 30:
        assert plan.ifmap_load_bytes.sum() == layer.input_shape.elements
    if filter_kib == 512:
        assert plan.weight_load_bytes.sum() == layer.weights


def test_sums_that_do_not_fit_cut_a_fold_in_time() -> None:
    """M = 64, K = 24 in 2 row folds, N = 10: 64 x 10 x 4 bytes of partial sums, or two times half of them."""
    layer, flow, chosen = conv(Shape(8, 8, 24), 10, 1), WeightStationary(), arch()
    whole = flow.plan(layer, chosen, Placement(True, True, 2560))
    halves = flow.plan(layer, chosen, Placement(True, True, 2559))
    assert whole.tiles == 2
    assert cycles(whole) == 2 * (2 * 12 + 14 + 64 - 2)
    assert halves.tiles == 4
    assert cycles(halves) == 4 * (2 * 12 + 14 + 32 - 2)
    with pytest.raises(
        InvalidInput, match=r"global_buffer.size_kib: needs 40 bytes for partial sums, found 39"
    ):
        flow.plan(layer, chosen, Placement(True, True, 39))


@pytest.mark.parametrize(
    ("filter_kib", "positions_outer", "times"),
    [(1, False, 6), (2, False, 6), (3, False, 1), (4, True, 6), (5, True, 1)],
)
def test_weights_that_do_not_fit_are_fetched_for_every_block_of_positions(
    filter_kib: int, positions_outer: bool, times: int
) -> None:
    """144 x 14 weights and a tile of the next fold (72 x 14 or 36 x 14), or all 144 x 32; 6 blocks of 12 positions."""
    layer, chosen = conv(Shape(8, 8, 16), 32, 3, padding=1), arch(filter_kib=filter_kib)
    mapping = SystolicMapping(144, 72 if filter_kib > 2 else 36, positions_outer)
    plan = OutputStationary().plan_with(layer, chosen, ROOMY, mapping)
    assert plan.weight_load_bytes.sum() == times * layer.weights


@pytest.mark.parametrize(
    ("ifmap_stays", "positions_outer", "rows"), [(True, False, 8), (False, False, 8 * 3 * 3 - 2 * 3)]
)
def test_an_input_that_does_not_stay_streams_for_every_block_of_filters(
    ifmap_stays: bool, positions_outer: bool, rows: int
) -> None:
    """8 blocks of one output row with three input rows each (two at the borders); 3 blocks of filters."""
    layer, chosen = conv(Shape(8, 8, 16), 32, 3, padding=1), arch(rows=8)
    mapping = SystolicMapping(144, 144, positions_outer, ifmap_stays)
    plan = OutputStationary().plan_with(layer, chosen, FROM_DRAM, mapping)
    assert plan.ifmap_load_bytes.sum() == rows * 8 * 16


@pytest.mark.parametrize(
    ("capacity_bytes", "positions_outer", "rows"), [(512, True, 40), (511, False, 3 * (38 * 3 + 2 * 2))]
)
def test_positions_go_outside_where_only_a_rolling_window_fits(
    capacity_bytes: int, positions_outer: bool, rows: int
) -> None:
    """Two of 40 output rows read 4 input rows of 8 x 16 bytes; without room for them 3 blocks of filters load all."""
    layer, chosen = conv(Shape(40, 8, 16), 32, 3, padding=1), arch(rows=8)
    plan = OutputStationary().plan(layer, chosen, Placement(False, True, capacity_bytes))
    assert plan.mapping["positions_outer"] == positions_outer
    assert plan.ifmap_load_bytes.sum() == rows * 8 * 16


@each_flow
@pytest.mark.parametrize("placement", [ROOMY, FROM_DRAM], ids=["on-chip", "from-dram"])
def test_the_cost_of_the_search_is_what_the_plan_does(flow: Any, placement: Placement) -> None:
    """Of full folds; 200 a DRAM byte, 6 a buffer byte, 4 a MAC or PE and cycle, 1 a tile."""
    layer = conv(Shape(12, 14, 24), 28, 1)  # M = 12 * 14, K = 2 * 12, N = 2 * 14
    plan = flow.plan(layer, arch(), placement)
    dram = plan.weight_load_bytes + plan.ifmap_load_bytes + plan.store_bytes
    buffer = plan.fill_read_bytes + plan.stream_read_bytes + plan.stream_write_bytes + plan.drain_write_bytes
    expected = 200 * dram.sum() + 6 * buffer.sum() + 4 * (layer.macs + 168 * cycles(plan)) + plan.tiles
    assert flow.cost(layer, arch(), placement) == expected


@each_flow
@given(
    st.sampled_from(LAYERS),
    st.booleans(),
    st.booleans(),
    st.integers(0, 4000),
    st.integers(0, 4000),
    st.integers(1, 9),
)
def test_more_buffer_never_costs_more(
    flow: Any, layer: Layer, ifmap: bool, ofmap: bool, capacity_bytes: int, more_bytes: int, filter_kib: int
) -> None:
    chosen, placement = arch(filter_kib=filter_kib), Placement(ifmap, ofmap, capacity_bytes)
    cost = flow.cost(layer, chosen, placement)
    assume(cost is not None)
    assert flow.cost(layer, chosen, replace(placement, capacity_bytes=capacity_bytes + more_bytes)) <= cost


@each_flow
def test_no_cost_where_no_plan(flow: Any) -> None:
    tight = Placement(False, True, 1)
    assert flow.cost(LAYERS[1], arch(), tight) is None
    with pytest.raises(
        InvalidInput, match=r"global_buffer.size_kib: needs \d+ bytes for partial sums and two tiles"
    ):
        flow.plan(LAYERS[1], arch(), tight)


def test_a_filter_part_that_cannot_hold_two_tiles_is_named() -> None:
    layer = conv(Shape(8, 8, 100), 200, 1)
    with pytest.raises(InvalidInput) as raised:
        WeightStationary().plan(layer, arch(128, 128, filter_kib=8), ROOMY)
    assert str(raised.value) == (
        'layer "conv" on "drawn": global_buffer.filter_kib: needs 25600 bytes for the weights of two tiles, '
        "found 8192 (hint: give the filters a larger part of the buffer)"
    )


@each_flow
def test_pes_neither_skip_zeros_nor_start_on_their_own(flow: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        flow.plan(LAYERS[0], arch(zero="skip", dataflow=flow.name), ROOMY)
    (problem,) = raised.value.problems
    assert problem.key == "pe_array.zero"
    assert problem.message == f'found "skip" with {flow.name}, expected "gate" or "none"'
    with pytest.raises(InvalidInput) as raised:
        flow.plan(LAYERS[0], arch(zero="skip", start="arrival", dataflow=flow.name), ROOMY)
    assert [problem.key for problem in raised.value.problems] == ["pe_array.zero", "pe_array.start"]


@each_flow
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.op}-{layer.input_shape}")
def test_nonzero_macs_by_direct_convolution(flow: Any, layer: Layer) -> None:
    shape, (kernel, _), (stride, _) = layer.input_shape, layer.kernel, layer.stride
    nonzero = np.random.default_rng(1).random((shape.height, shape.width, shape.channels)) < 0.4
    plan = flow.plan(layer, arch(), Placement(False, True, 2500))
    work = flow.work(layer, arch(), plan, nonzero)
    pad = layer.padding[0]
    padded = np.pad(nonzero.astype(np.int64), ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(0, 1))
    filters = 1 if layer.op == "depthwise_conv2d" else layer.output_shape.channels
    assert work.nonzero_macs.sum() == windows[::stride, ::stride].sum() * filters
    assert (work.nonzero_macs <= plan.macs).all()
    assert work.compute_cycles is plan.compute_cycles
    gated = mac_counts(plan, work, "gate")
    assert gated["pe_array", "mac"].sum() == work.nonzero_macs.sum()
    assert gated["pe_array", "gated_mac"].sum() == layer.macs - work.nonzero_macs.sum()


@each_flow
def test_buses_that_are_too_narrow_stretch_every_phase(flow: Any) -> None:
    """One byte a cycle: no phase is shorter than what crosses its bus."""
    narrow = {name: 1 for name in WIDE}
    layer, fast = LAYERS[1], flow.plan(LAYERS[1], arch(), ROOMY)
    slow = flow.plan_with(layer, arch(noc=narrow), ROOMY, mapping_of(fast))
    assert (slow.fill_cycles + slow.compute_cycles).sum() >= max(
        total(fast, "ifmap_byte"), total(fast, "filter_byte")
    )
    assert (slow.compute_cycles + slow.drain_cycles).sum() >= total(fast, "psum_byte") // 2
    assert slow.macs.tolist() == fast.macs.tolist()


def test_pooled_outputs_and_summands_are_shared_out_exactly() -> None:
    layer = conv(Shape(9, 9, 6), 5, 3, padding=1)
    place = Placement(
        True, False, 1 << 20, stored_shape=Shape(4, 4, 5), summand_values=405, summand_on_chip=False
    )
    for flow in FLOWS:
        plan, plain = flow.plan(layer, arch(), place), flow.plan(layer, arch(), ROOMY)
        assert plan.store_bytes.sum() == 80
        assert plan.summand_load_bytes.sum() == 405
        assert (plan.stream_read_bytes - plain.stream_read_bytes).sum() == 405


def test_plans_are_repeatable_shared_and_read_only() -> None:
    first, second = (WeightStationary().plan(LAYERS[0], arch(), ROOMY) for _ in range(2))
    assert first is second
    with pytest.raises(ValueError, match="read-only"):
        first.macs[0] = 0
    assert OutputStationary().plan(LAYERS[0], arch(), ROOMY).tiles != first.tiles
