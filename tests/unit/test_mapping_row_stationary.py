"""Row-stationary plans: conservation, limits, the search and what zeros do."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec, DepthwiseConv2dSpec, LinearSpec
from archsim.counters import action_index
from archsim.errors import InvalidInput
from archsim.mapping.base import Placement, TilePlan, TileWork
from archsim.mapping.geometry import geometry_of, hardware_of
from archsim.mapping.row_stationary import RowStationary, mapping_of
from archsim.mapping.row_stationary_search import candidates
from archsim.mapping.tiling import RowStationaryMapping
from archsim.mapping.zeros import mac_counts
from archsim.network.graph import Layer, Shape

ON_CHIP = Placement(True, True, 64 * 1024)
FROM_DRAM = Placement(False, False, 64 * 1024)


def arch(**changes: Any) -> ArchSpec:
    return ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "drawn", **changes})


def conv(
    shape: Shape,
    filters: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Layer:
    spec = Conv2dSpec(
        op="conv2d", name="conv", filters=filters, kernel=kernel, stride=stride, padding=padding
    )
    height = (shape.height + 2 * padding[0] - kernel[0]) // stride[0] + 1
    width = (shape.width + 2 * padding[1] - kernel[1]) // stride[1] + 1
    return Layer("conv", spec, ("image",), shape, Shape(height, width, filters), True, True)


def depthwise(shape: Shape, kernel: int, padding: int) -> Layer:
    spec = DepthwiseConv2dSpec(
        op="depthwise_conv2d", name="depthwise", kernel=(kernel, kernel), padding=(padding, padding)
    )
    side = shape.height + 2 * padding - kernel + 1, shape.width + 2 * padding - kernel + 1
    return Layer("depthwise", spec, ("image",), shape, Shape(*side, shape.channels), True, True)


def linear(shape: Shape, units: int, classifier: bool = False) -> Layer:
    spec = LinearSpec(op="linear", name="linear", units=units)
    return Layer("linear", spec, ("x",), shape, Shape(1, 1, units), False, True, is_classifier=classifier)


LAYERS = [
    conv(Shape(32, 32, 3), 16, (3, 3), padding=(1, 1)),
    conv(Shape(32, 32, 64), 64, (3, 3), padding=(1, 1)),
    conv(Shape(8, 8, 3), 4, (3, 3)),
    conv(Shape(16, 16, 48), 96, (1, 1)),
    conv(Shape(16, 16, 48), 96, (1, 1), stride=(2, 2)),
    conv(Shape(28, 20, 5), 7, (5, 2), stride=(2, 3), padding=(2, 1)),
    conv(Shape(56, 56, 64), 128, (3, 3), padding=(1, 1)),
    conv(Shape(227, 227, 3), 96, (11, 11), stride=(4, 4)),
    depthwise(Shape(14, 14, 100), 3, 1),
    depthwise(Shape(5, 5, 1), 5, 2),
    linear(Shape(2, 2, 128), 100),
    linear(Shape(1, 1, 512), 10, classifier=True),
    linear(Shape(7, 7, 512), 4096),
]
IDS = [f"{layer.op}-{layer.input_shape}-{layer.output_shape}" for layer in LAYERS]


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
@pytest.mark.parametrize("placement", [ON_CHIP, FROM_DRAM], ids=["on-chip", "from-dram"])
def test_what_goes_in_comes_out(layer: Layer, placement: Placement) -> None:
    plan = RowStationary().plan(layer, arch(), placement)
    assert plan.macs.sum() == layer.macs
    assert plan.outputs.sum() == layer.output_shape.elements
    refetched = 1 if plan.mapping["weights_stay"] else plan.mapping["strips"]
    assert plan.weight_load_bytes.sum() == layer.weights * refetched
    assert (plan.weight_load_offset_bytes + plan.weight_load_bytes).max() == layer.weights
    stored_bytes = layer.output_shape.elements * (4 if layer.is_classifier else 1)
    assert plan.store_bytes.sum() == (0 if placement.ofmap_on_chip else stored_bytes)
    finished = plan.outputs > 0
    assert (plan.stream_write_bytes + plan.drain_write_bytes)[finished].sum() == stored_bytes
    if placement.ifmap_on_chip:
        assert not plan.ifmap_load_bytes.any()
    elif plan.mapping["ifmap_stays"]:
        assert plan.ifmap_load_bytes.sum() == layer.input_shape.elements
    else:
        assert plan.ifmap_load_bytes.sum() >= layer.input_shape.elements
    assert (plan.bus_cycles <= plan.compute_cycles).all()
    assert (plan.compute_cycles * plan.active_pes >= plan.macs).all()
    assert all(action_index(*action) >= 0 for action in plan.actions)
    assert plan.counts.shape == (plan.tiles, len(plan.actions))


def test_partial_sums_are_read_by_all_but_the_first_channels() -> None:
    layer = conv(Shape(8, 8, 24), 8, (3, 3), padding=(1, 1))
    mapping = RowStationaryMapping(e=8, p=8, q=2, r=3, t=1)
    plan = RowStationary().plan_with(layer, arch(), ON_CHIP, mapping)
    assert plan.tiles == 4
    psums = 8 * 8 * 8 * 4
    # 8 rows of 6 channels, of which the first window (3 columns, one of them padding) came with the fill
    assert plan.fill_read_bytes.tolist() == [8 * 6 * 2 + 8 * 6 * 9] * 4
    assert plan.stream_read_bytes.tolist() == [8 * 6 * 6] + [8 * 6 * 6 + psums] * 3
    written = plan.stream_write_bytes + plan.drain_write_bytes
    assert written.tolist() == [psums] * 3 + [8 * 8 * 8]
    assert plan.drain_write_bytes.tolist() == [psums // 8] * 3 + [8 * 8]


def test_pooled_outputs_and_summands_are_shared_out_exactly() -> None:
    layer = conv(Shape(9, 9, 6), 5, (3, 3), padding=(1, 1))
    pooled = Placement(
        True, False, 8192, stored_shape=Shape(4, 4, 5), summand_values=405, summand_on_chip=False
    )
    plan = RowStationary().plan_with(layer, arch(), pooled, RowStationaryMapping(e=4, p=2, q=2, r=1, t=1))
    plain = RowStationary().plan_with(layer, arch(), ON_CHIP, RowStationaryMapping(e=4, p=2, q=2, r=1, t=1))
    assert plan.outputs.sum() == 405
    assert plan.store_bytes.sum() == 80
    assert plan.store_offset_bytes[plan.store_bytes > 0].tolist() == [0, 14, 28, 32, 46, 60, 64, 71, 78]
    assert plan.summand_load_bytes.sum() == (plan.stream_read_bytes - plain.stream_read_bytes).sum() == 405
    assert ((plan.summand_load_bytes > 0) == (plan.outputs > 0)).all()


def test_weights_that_do_not_stay_are_fetched_for_every_strip() -> None:
    layer = conv(Shape(16, 16, 64), 32, (3, 3), padding=(1, 1))
    small = arch(global_buffer={"size_kib": 64, "filter_kib": 8})
    together = RowStationaryMapping(e=14, p=16, q=4, r=4, t=1)
    inside = RowStationaryMapping(e=14, p=8, q=4, r=4, t=1)
    plan = RowStationary().plan_with(layer, small, ON_CHIP, together)
    assert plan.weight_load_bytes.sum() == 2 * layer.weights  # 16 filters x 64 channels x 9 > 8 KiB
    plan = RowStationary().plan_with(layer, small, ON_CHIP, inside)
    assert plan.weight_load_bytes.sum() == layer.weights  # 8 x 64 x 9 + 8 x 16 x 9 <= 8 KiB
    plan = RowStationary().plan_with(layer, small, ON_CHIP, replace(inside, strips_outer=True))
    assert plan.weight_load_bytes.sum() == 2 * layer.weights  # all of the layer would have to stay


@pytest.mark.parametrize(
    ("strips_outer", "capacity_bytes", "rows_loaded"),
    [(False, 10240, 40), (False, 10239, 192), (True, 4608, 40), (True, 4607, 192)],
    ids=["whole-map", "filter-groups-outside", "rolling-window", "no-window"],
)
def test_an_input_that_does_not_fit_streams_again_for_every_filter_group(
    strips_outer: bool, capacity_bytes: int, rows_loaded: int
) -> None:
    """40 rows of 16 x 16 bytes in 5 strips of 9, 10, 10, 10 and 9 rows; 4 filter groups; two strips span 18 rows."""
    psums = 8 * 8 * 16 * 4
    layer = conv(Shape(40, 16, 16), 32, (3, 3), padding=(1, 1))
    mapping = RowStationaryMapping(e=8, p=8, q=4, r=2, t=1, strips_outer=strips_outer)
    plan = RowStationary().plan_with(layer, arch(), Placement(False, True, psums + capacity_bytes), mapping)
    assert plan.ifmap_load_bytes.sum() == rows_loaded * 16 * 16


@pytest.mark.parametrize(
    ("layer", "changes", "keys"),
    [
        (conv(Shape(20, 20, 3), 4, (5, 3)), {"pe_array": {"rows": 4}}, ["pe_array.rows"]),
        (
            conv(Shape(20, 20, 3), 4, (13, 13)),
            {"pe_array": {"scratchpad": {"filter_words": 8}}},
            ["pe_array.rows", "pe_array.scratchpad.filter_words", "pe_array.scratchpad.ifmap_words"],
        ),
        (
            conv(Shape(60, 60, 3), 4, (30, 30)),
            {"pe_array": {"rows": 30, "scratchpad": {"ifmap_words": 30}}, "global_buffer": {"filter_kib": 1}},
            ["global_buffer.filter_kib"],
        ),
    ],
    ids=["rows", "scratchpads", "filter-part"],
)
def test_a_layer_that_cannot_be_mapped_names_every_limit(
    layer: Layer, changes: dict[str, Any], keys: list[str]
) -> None:
    with pytest.raises(InvalidInput) as raised:
        RowStationary().plan(layer, arch(**changes), ON_CHIP)
    assert [problem.key for problem in raised.value.problems] == keys
    assert all(problem.where == 'layer "conv" on "drawn"' for problem in raised.value.problems)


def test_the_message_says_what_is_needed_and_what_is_there() -> None:
    with pytest.raises(InvalidInput) as raised:
        RowStationary().plan(conv(Shape(20, 20, 3), 4, (5, 3)), arch(pe_array={"rows": 4}), ON_CHIP)
    assert str(raised.value) == (
        'layer "conv" on "drawn": pe_array.rows: needs 5 rows of PEs for the kernel 5x3, found 4 (hint: use more rows)'
    )


def test_the_smallest_buffer_that_is_asked_for_is_enough() -> None:
    """Two tiles of one channel, 2 x 3 rows x 64, and the partial sums of one filter and row, 64 x 4 bytes."""
    layer = conv(Shape(64, 64, 64), 8, (3, 3), padding=(1, 1))
    plan = RowStationary().plan(layer, arch(), Placement(False, True, 640))
    assert plan.macs.sum() == layer.macs
    assert RowStationary().cost(layer, arch(), Placement(False, True, 639)) is None
    with pytest.raises(InvalidInput, match=r"global_buffer\.size_kib: needs 640 bytes .*, found 639"):
        RowStationary().plan(layer, arch(), Placement(False, True, 639))


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
@pytest.mark.parametrize("source", [(True, True), (False, True), (False, False)])
def test_more_buffer_never_costs_more(layer: Layer, source: tuple[bool, bool]) -> None:
    flow = RowStationary()
    capacities_bytes = [1 << power for power in range(6, 22)]
    costs = [flow.cost(layer, arch(), Placement(*source, capacity)) for capacity in capacities_bytes]
    found = [cost for cost in costs if cost is not None]
    assert found == sorted(found, reverse=True)
    assert costs[: len(costs) - len(found)] == [None] * (len(costs) - len(found))


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
@pytest.mark.parametrize(
    "placement", [ON_CHIP, FROM_DRAM, Placement(False, True, 8192)], ids=["on", "from", "tight"]
)
def test_the_cost_of_the_search_is_what_the_plan_does(layer: Layer, placement: Placement) -> None:
    """Estimates from kinds of passes against sums over all passes; 200 a DRAM byte, 6 a buffer byte, 4 a MAC or PE."""
    dense = arch(pe_array={"zero": "none"})
    cost = RowStationary().cost(layer, dense, placement)
    plan = RowStationary().plan(layer, dense, placement)
    dram = plan.weight_load_bytes + plan.ifmap_load_bytes + plan.store_bytes
    buffer = plan.fill_read_bytes + plan.stream_read_bytes + plan.stream_write_bytes + plan.drain_write_bytes
    array_cycles = plan.fill_cycles + plan.compute_cycles + plan.drain_cycles
    cycles = np.maximum(array_cycles, -(-dram // 32))
    expected = 200 * dram.sum() + 6 * buffer.sum() + 4 * (layer.macs + 168 * cycles.sum())
    assert cost == pytest.approx(expected, rel=0.002)


def test_output_rows_are_cut_into_even_parts_or_as_many_as_the_array_takes() -> None:
    """1000 rows in 6, 8, 10, 12, 16, 20, 24, 32, 48, ... parts; 12 x 14 PEs take 168 at a time."""
    layer = conv(Shape(1000, 1, 1), 1, (1, 1))
    cuts = set(candidates(geometry_of(layer), hardware_of(arch())).e.tolist())
    assert cuts == {168, 167, 125, 100, 84, 63, 50, 42, 32, 21, 16, 11, 8, 6, 4, 3, 2, 1}


@pytest.mark.parametrize("batch", [1, 2])
def test_a_pe_takes_as_many_channels_as_its_scratchpad_holds(batch: int) -> None:
    """One PE and five channels: with fewer of them in it, partial sums would go to the buffer and come back."""
    one_pe = arch(pe_array={"rows": 1, "cols": 1, "scratchpad": {"ifmap_words": 5}})
    layer = conv(Shape(2, 2, 5), 4, (1, 1))
    plan = RowStationary().plan(layer, one_pe, Placement(True, True, 1 << 16, batch=batch))
    assert (plan.mapping["q"], plan.mapping["channel_groups"]) == (5, 1)


@pytest.mark.parametrize(("batch", "searches"), [(1, 1), (2, 4)])
def test_one_search_serves_an_image_wherever_its_maps_lie(
    batch: int, searches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the array does is the same. A batch has more mappings: only what is asked for is costed."""
    monkeypatch.setenv("ARCHSIM_CACHE_DIR", str(tmp_path))
    layer = conv(Shape(5, 7, 3), 2, (3, 3))
    for ifmap, ofmap in product((True, False), repeat=2):
        RowStationary().cost(layer, arch(), Placement(ifmap, ofmap, 8192, batch=batch))
    assert len(list(tmp_path.rglob("*.json"))) == searches


def test_plans_are_repeatable_shared_and_read_only() -> None:
    first, second = (RowStationary().plan(LAYERS[1], arch(), ON_CHIP) for _ in range(2))
    assert first is second
    with pytest.raises(ValueError, match="read-only"):
        first.macs[0] = 0


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_nonzero_macs_by_direct_convolution(layer: Layer) -> None:
    """Sum over all windows of the nonzero activations in them, times the filters that read each."""
    shape, (kernel_rows, kernel_cols), filters = layer.input_shape, layer.kernel, layer.output_shape.channels
    nonzero = np.random.default_rng(1).random((shape.height, shape.width, shape.channels)) < 0.4
    plan = RowStationary().plan(layer, arch(), ON_CHIP)
    work = RowStationary().work(layer, arch(), plan, nonzero)
    if layer.op == "linear":
        assert work.nonzero_macs.sum() == nonzero.sum() * filters
        return
    (pad_rows, pad_cols), (stride_rows, stride_cols) = layer.padding, layer.stride
    padded = np.pad(nonzero.astype(np.int64), ((pad_rows, pad_rows), (pad_cols, pad_cols), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_rows, kernel_cols), axis=(0, 1))
    a_filter = int(windows[::stride_rows, ::stride_cols].sum())
    assert work.nonzero_macs.sum() == a_filter * (1 if layer.op == "depthwise_conv2d" else filters)
    assert (work.nonzero_macs <= plan.macs).all()


def test_only_skipping_changes_the_duration() -> None:
    layer, nothing = LAYERS[1], np.zeros((32, 32, 64), np.bool_)
    everything = ~nothing
    for zero in ("none", "gate", "skip"):
        chosen = arch(pe_array={"zero": zero})
        plan = RowStationary().plan(layer, chosen, ON_CHIP)
        full, empty = (RowStationary().work(layer, chosen, plan, seen) for seen in (everything, nothing))
        assert empty.nonzero_macs.sum() == 0
        if zero == "skip":
            assert empty.compute_cycles.tolist() == plan.bus_cycles.tolist()
            assert (full.compute_cycles <= plan.compute_cycles).all()
        else:
            assert full.compute_cycles is empty.compute_cycles is plan.compute_cycles


def test_fewer_nonzero_values_never_take_longer() -> None:
    layer, chosen = LAYERS[5], arch(pe_array={"zero": "skip"})
    plan = RowStationary().plan(layer, chosen, ON_CHIP)
    random = np.random.default_rng(2).random((28, 20, 5))
    works = [RowStationary().work(layer, chosen, plan, random < share) for share in (0.2, 0.5, 0.8, 2.0)]
    for less, more in pairwise(works):
        assert (less.compute_cycles <= more.compute_cycles).all()
        assert (less.nonzero_macs <= more.nonzero_macs).all()


def counted(plan: TilePlan, work: TileWork, zero: Any) -> dict[str, int]:
    return {action: int(amounts.sum()) for (_, action), amounts in mac_counts(plan, work, zero).items()}


def test_mac_counts_by_zero_option() -> None:
    layer = conv(Shape(4, 4, 2), 3, (3, 3))
    plan = RowStationary().plan(layer, arch(), ON_CHIP)
    nonzero = np.zeros((4, 4, 2), np.bool_)
    nonzero[1, 1, 0] = nonzero[0, 0, 1] = True  # read by 4 windows and by 1
    work = RowStationary().work(layer, arch(), plan, nonzero)
    nothing = {"mac": 216, "gated_mac": 0, "ifmap_spad_read": 216, "filter_spad_read": 216,
               "psum_spad_read": 216, "psum_spad_write": 216}  # fmt: skip
    assert counted(plan, work, "none") == nothing
    gated = {"mac": 15, "gated_mac": 201, "ifmap_spad_read": 216, "filter_spad_read": 15,
             "psum_spad_read": 15, "psum_spad_write": 15}  # fmt: skip
    assert counted(plan, work, "gate") == gated
    assert counted(plan, work, "skip") == gated | {"gated_mac": 0, "ifmap_spad_read": 15}


def test_a_mapping_survives_its_plan() -> None:
    mapping = RowStationaryMapping(e=4, p=3, q=2, r=2, t=1, strips_outer=True)
    assert mapping_of(RowStationary().plan_with(LAYERS[0], arch(), ON_CHIP, mapping)) == mapping


def test_one_more_filter_in_a_pe_than_its_scratchpad_holds_is_refused() -> None:
    layer, chosen = LAYERS[1], arch(pe_array={"scratchpad": {"psum_words": 6}})
    RowStationary().plan_with(layer, chosen, ON_CHIP, RowStationaryMapping(e=4, p=6, q=1, r=1, t=1))
    with pytest.raises(InvalidInput, match=r"psum_words: needs 7 partial sums a PE, found 6"):
        RowStationary().plan_with(layer, chosen, ON_CHIP, RowStationaryMapping(e=4, p=7, q=1, r=1, t=1))
