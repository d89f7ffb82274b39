"""Row-stationary plans agree with the oracle that enumerates every PE and every cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec, DepthwiseConv2dSpec
from archsim.errors import InvalidInput
from archsim.mapping.base import Placement, TilePlan
from archsim.mapping.row_stationary import RowStationary, mapping_of
from archsim.mapping.tiling import RowStationaryMapping
from archsim.network.graph import Layer, Shape
from tests.exactness.paddings import PADDINGS
from tests.oracle.row_stationary_oracle import OracleCase, OraclePass, loops, simulate

Columns = dict[str, list[int]]


def convolution(depthwise: bool, shape: Shape, filters: int, kernel: tuple[int, int], **spec: Any) -> Layer:
    stride, padding = spec.get("stride", (1, 1)), spec.get("padding", (0, 0))
    common = {"name": "layer", "kernel": kernel, "stride": stride, "padding": padding}
    described: Conv2dSpec | DepthwiseConv2dSpec
    if depthwise:
        described, filters = DepthwiseConv2dSpec(op="depthwise_conv2d", **common), shape.channels
    else:
        described = Conv2dSpec(op="conv2d", filters=filters, **common)
    height = (shape.height + padding[0] + padding[-2] - kernel[0]) // stride[0] + 1
    width = (shape.width + padding[1] + padding[-1] - kernel[1]) // stride[1] + 1
    return Layer("layer", described, ("image",), shape, Shape(height, width, filters), True, True)


def architecture(**pe_array: Any) -> ArchSpec:
    precision = pe_array.pop("precision", {})
    return ArchSpec.model_validate(
        {"schema": "archsim.arch/1", "name": "drawn", "pe_array": pe_array, "precision": precision}
    )


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    side = st.integers(1, 7)
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = draw(PADDINGS)
    shape = Shape(draw(side), draw(side), draw(st.integers(1, 5)))
    padded = (shape.height + padding[0] + padding[-2], shape.width + padding[1] + padding[-1])
    assume(padded[0] >= kernel[0] and padded[1] >= kernel[1])
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return convolution(
        draw(st.booleans()), shape, draw(st.integers(1, 5)), kernel, stride=stride, padding=padding
    )  # fmt: skip


@st.composite
def arrays(draw: st.DrawFn, rows: int | None = None, cols: int | None = None) -> ArchSpec:
    """Arrays of any size, or of a given size with scratchpads that hold all mappings drawn here."""
    bus = st.integers(1, 5)
    spads = {
        "ifmap_words": draw(st.integers(4, 12)),
        "filter_words": draw(st.integers(4, 40)),
        "psum_words": draw(bus),
    }
    return architecture(
        rows=rows or draw(st.integers(4, 9)),
        cols=cols or draw(st.integers(1, 6)),
        zero=draw(st.sampled_from(["none", "gate", "skip"])),
        start=draw(st.sampled_from(["filled", "arrival"])),
        scratchpad=spads if rows is None else {"ifmap_words": 16, "filter_words": 64, "psum_words": 4},
        noc={f"{name}_bytes_per_cycle": draw(bus) for name in ("ifmap", "filter", "psum")},
        precision={
            "activation_bits": draw(st.sampled_from([8, 16])),
            "weight_bits": draw(st.sampled_from([4, 8, 16])),
            "psum_bits": draw(st.sampled_from([16, 32])),
        },
    )


@st.composite
def mapped(draw: st.DrawFn) -> tuple[Layer, ArchSpec, RowStationaryMapping]:
    """A layer, a mapping of it and an array that just holds it. Of a batch of more images than the mapping holds."""
    layer, small = draw(layers()), st.integers(1, 4)
    one = st.just(1) if layer.op == "depthwise_conv2d" else small
    cols, e, r, t = draw(st.integers(1, 6)), draw(st.integers(1, 8)), draw(one), draw(small)
    bands = -(-r * t // (cols // e)) if e <= cols else r * t * -(-e // cols)
    rows = bands * layer.kernel[0] + draw(st.integers(0, layer.kernel[0] - 1))
    g = 1 if layer.op == "depthwise_conv2d" else draw(st.integers(1, 3))
    mapping = RowStationaryMapping(
        e, draw(one), draw(small), r, t, strips_outer=draw(st.booleans()), n=draw(st.integers(1, 3)), g=g
    )
    return layer, draw(arrays(rows, cols)), mapping


def oracle_case(layer: Layer, arch: ArchSpec, mapping: RowStationaryMapping, batch: int) -> OracleCase:
    noc, bits = arch.pe_array.noc, arch.precision
    return OracleCase(
        channels=layer.input_shape.channels,
        filters=layer.output_shape.channels,
        depthwise=layer.op == "depthwise_conv2d",
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        height=layer.input_shape.height,
        width=layer.input_shape.width,
        e=mapping.e,
        p=mapping.p,
        q=mapping.q,
        r=mapping.r,
        t=mapping.t,
        strips_outer=mapping.strips_outer,
        bus_bytes=(noc.ifmap_bytes_per_cycle, noc.filter_bytes_per_cycle, noc.psum_bytes_per_cycle),
        bits=(bits.activation_bits, bits.weight_bits, bits.psum_bits),
        batch=batch,
        n=mapping.n,
        g=mapping.g,
        starts_on_arrival=arch.pe_array.start == "arrival",
    )


def oracle_columns(passes: list[OraclePass]) -> Columns:
    names = ("fill_cycles", "compute_cycles", "drain_cycles", "nonzero_macs", "ifmap_bus_words", "filter_words",
             "ifmap_spad_writes", "filter_spad_writes", "local_psum_words", "outputs")  # fmt: skip
    columns = {name: [int(getattr(done, name)) for done in passes] for name in names}
    columns["macs"] = [len(done.macs) for done in passes]
    columns["ifmap_read_words"] = [done.ifmap_read_words for done in passes]
    columns["psum_words"] = [done.psum_in_words + done.out_words for done in passes]
    return columns


def plan_columns(
    plan: TilePlan, arch: ArchSpec, layer: Layer, nonzero: np.ndarray, case: OracleCase
) -> Columns:
    bits = arch.precision
    activation_bytes, psum_bytes = bits.activation_bits // 8, bits.psum_bits // 8
    counts = {name: plan.counts[:, index] for index, (_component, name) in enumerate(plan.actions)}
    work = RowStationary().work(layer, arch, plan, nonzero)
    out_bytes = np.where(plan.outputs > 0, plan.outputs * activation_bytes, 0)
    taps = layer.kernel[0] * layer.kernel[1]
    values = plan.macs // taps // np.array([len(at.channels) or 1 for at in loops(case)])
    unfinished = np.where(plan.outputs > 0, 0, values * psum_bytes)
    psum_in = counts["psum_byte"] - out_bytes - unfinished
    filter_bytes = counts["filter_byte"]
    ifmap_read = plan.fill_read_bytes + plan.stream_read_bytes - psum_in - filter_bytes
    columns = {
        "fill_cycles": plan.fill_cycles,
        "compute_cycles": work.compute_cycles,
        "drain_cycles": plan.drain_cycles,
        "nonzero_macs": work.nonzero_macs,
        "ifmap_bus_words": counts["ifmap_byte"] // activation_bytes,
        "filter_words": counts["filter_byte"] * 8 // bits.weight_bits,
        "ifmap_spad_writes": counts["ifmap_spad_write"],
        "filter_spad_writes": counts["filter_spad_write"],
        "local_psum_words": counts["local_psum_byte"] // psum_bytes,
        "outputs": plan.outputs,
        "macs": plan.macs,
        "ifmap_read_words": ifmap_read // activation_bytes,
        "psum_words": psum_in // psum_bytes + values,
    }
    return {name: column.tolist() for name, column in columns.items()}


def drawn_zeros(layer: Layer, seed: int, batch: int = 1) -> np.ndarray:
    shape = layer.input_shape
    return np.random.default_rng(seed).random((batch, shape.height, shape.width, shape.channels)) < 0.6


def assert_agrees(layer: Layer, arch: ArchSpec, plan: TilePlan, nonzero: np.ndarray) -> None:
    case = oracle_case(layer, arch, mapping_of(plan), len(nonzero))
    passes = simulate(case, nonzero, arch.pe_array.zero == "skip")
    expected, found = oracle_columns(passes), plan_columns(plan, arch, layer, nonzero, case)
    if arch.precision.weight_bits == 4:
        expected["filter_words"] = [words + words % 2 for words in expected["filter_words"]]
    assert found == expected
    assert plan.active_pes == max(done.active_pes for done in passes)
    done = [mac for one in passes for mac in one.macs]
    assert len(done) == len(set(done)) == layer.macs * len(nonzero)
    assert_loaded_in_time(layer, arch, plan, passes, len(nonzero))


def assert_loaded_in_time(
    layer: Layer, arch: ArchSpec, plan: TilePlan, passes: list[OraclePass], batch: int
) -> None:
    """Every input element that a pass needs has been fetched: by itself, by the first pass of its filter block on the
    same activations, or before if rows stay.
    """
    shape, width = layer.input_shape, arch.precision.activation_bits // 8
    block = min(
        plan.mapping["q"] * (plan.mapping["t" if layer.op == "depthwise_conv2d" else "r"]), shape.channels
    )
    held: set[int] = set()
    for tile, done in enumerate(passes):
        begin = int(plan.ifmap_load_offset_bytes[tile])
        fetched = set(range(begin, begin + int(plan.ifmap_load_bytes[tile])))
        if plan.mapping["ifmap_stays"]:
            held |= fetched
        elif fetched or plan.mapping["g"] == 1:
            held = fetched
        for image, channel, y, x in done.needed:
            first, first_image = channel // block * block, image // plan.mapping["n"] * plan.mapping["n"]
            inside, images = min(block, shape.channels - first), min(plan.mapping["n"], batch - first_image)
            word = (first_image * shape.channels + first * images) * shape.height * shape.width
            word += ((y * images + image - first_image) * shape.width + x) * inside + channel - first
            assert {word * width, word * width + width - 1} <= held


@settings(max_examples=60)
@given(layers(), arrays(), st.sampled_from([1, 1, 2, 3]), st.integers(0, 99))
def test_searched_plans_agree_with_the_oracle(layer: Layer, arch: ArchSpec, batch: int, seed: int) -> None:
    try:
        plan = RowStationary().plan(layer, arch, Placement(False, False, 2048, batch=batch))
    except InvalidInput:
        assume(False)
    assert_agrees(layer, arch, plan, drawn_zeros(layer, seed, batch))


@settings(max_examples=120)
@given(mapped(), st.sampled_from([256, 1024, 4096]), st.integers(1, 4), st.integers(0, 99))
def test_any_mapping_that_fits_agrees_with_the_oracle(
    case: tuple[Layer, ArchSpec, RowStationaryMapping], capacity_bytes: int, batch: int, seed: int
) -> None:
    layer, arch, mapping = case
    placement = Placement(False, False, capacity_bytes, batch=batch)
    try:
        plan = RowStationary().plan_with(layer, arch, placement, mapping)
    except InvalidInput:
        assume(False)
    assert_agrees(layer, arch, plan, drawn_zeros(layer, seed, batch))


def test_a_folded_set_and_a_remainder_by_hand() -> None:
    """5 output rows on 3 columns: the 2-row set folds onto two of the three bands; 3 filters, 2 channels of 3."""
    layer = convolution(False, Shape(6, 4, 3), 3, (2, 2))
    arch = architecture(rows=6, cols=3, zero="none", noc={"ifmap_bytes_per_cycle": 1, "filter_bytes_per_cycle": 2,
                                                           "psum_bytes_per_cycle": 4})  # fmt: skip
    mapping = RowStationaryMapping(e=5, p=2, q=2, r=1, t=1)
    plan = RowStationary().plan_with(layer, arch, Placement(True, True, 65536), mapping)
    # filter groups of 2 and 1, channel groups of 2 and 1
    assert plan.tiles == 4
    assert plan.macs.tolist() == [2 * 2 * 4 * 15, 2 * 4 * 15, 2 * 4 * 15, 4 * 15]
    # first window of 6 rows: 6 * 2 channels * 2 words a cycle each, against 16 weights at 2 a cycle
    assert plan.fill_cycles.tolist() == [24, 12, 24, 12]
    # the longest of p*q*S*F + p*F (30, 18, 15, 9), the other columns (24, 12, 24, 12), psums in (0, 30, 0, 15) and out
    assert plan.compute_cycles.tolist() == [30, 30, 24, 15]
    assert plan.bus_cycles.tolist() == [24, 30, 24, 15]
    assert plan.drain_cycles.tolist() == [10, 3, 5, 2]
    assert plan.active_pes == 10
