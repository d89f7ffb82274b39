"""Systolic plans agree with the oracle that shifts every register in every cycle, and with exact integer products."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec, DepthwiseConv2dSpec, LinearSpec
from archsim.errors import InvalidInput
from archsim.mapping.base import Placement, TilePlan
from archsim.mapping.geometry import geometry_of, hardware_of
from archsim.mapping.systolic import InputStationary, OutputStationary, WeightStationary, mapping_of
from archsim.mapping.systolic_folds import FORMS, Folding, SystolicMapping
from archsim.mapping.systolic_search import needed_bytes
from archsim.network.graph import Layer, Shape
from tests.exactness.paddings import PADDINGS
from tests.oracle.systolic_oracle import OracleArray, OracleFold, windows_of

DATAFLOWS = {flow.name: flow() for flow in (WeightStationary, OutputStationary, InputStationary)}
STANDING = {"weight_stationary": "filter", "input_stationary": "ifmap", "output_stationary": None}
WIDE = {"ifmap_bytes_per_cycle": 65536, "filter_bytes_per_cycle": 65536, "psum_bytes_per_cycle": 65536}


def architecture(rows: int, cols: int, **pe_array: Any) -> ArchSpec:
    section = {"rows": rows, "cols": cols, "noc": WIDE, **pe_array}
    return ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "drawn", "pe_array": section})


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


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    small = st.integers(1, 4)
    shape = Shape(draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    if draw(st.sampled_from([False, False, False, True])):
        units = draw(st.integers(1, 9))
        spec = LinearSpec(op="linear", name="layer", units=units)
        return Layer(
            "layer", spec, ("x",), shape, Shape(1, 1, units), True, True, is_classifier=draw(st.booleans())
        )
    kernel, padding = (draw(small), draw(small)), draw(PADDINGS)
    padded = (shape.height + padding[0] + padding[-2], shape.width + padding[1] + padding[-1])
    assume(padded[0] >= kernel[0] and padded[1] >= kernel[1])
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    depthwise, filters = draw(st.sampled_from([False, False, True])), draw(st.integers(1, 9))
    return convolution(depthwise, shape, filters, kernel, stride=stride, padding=padding)


class Checked:
    """A plan beside what the oracle did with random operands."""

    def __init__(
        self, layer: Layer, arch: ArchSpec, dataflow: str, plan: TilePlan, seed: int, batch: int
    ) -> None:
        self.layer, self.arch, self.dataflow, self.plan, self.batch = layer, arch, dataflow, plan, batch
        self.mapping = mapping_of(plan)
        shape, linear = layer.input_shape, layer.op == "linear"
        self.shape = Shape(1, 1, shape.elements) if linear else shape
        rng = np.random.default_rng(seed)
        values = rng.integers(-128, 128, (batch, shape.height, shape.width, shape.channels))
        values *= rng.random(values.shape) < 0.6
        self.nonzero = values != 0
        self.weight = rng.integers(-128, 128, layer.weight_shape)
        self.depthwise = layer.op == "depthwise_conv2d"
        found = [
            windows_of(
                image.reshape(self.shape.height, self.shape.width, self.shape.channels),
                layer.kernel, layer.stride, layer.padding, self.depthwise, partial(self.word_of, index),
            )
            for index, image in enumerate(values)
        ]  # fmt: skip
        self.windows, self.places = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        self.weights = self.weight_matrices()
        array = OracleArray(
            arch.pe_array.rows, arch.pe_array.cols, dataflow, self.steps_a_fold, self.mapping.positions_outer
        )
        self.outputs, self.folds = array.run(self.windows, self.weights)
        self.spans = [self.tiles_of(index) for index in range(len(self.folds))]

    def time_axis(self, fold: OracleFold) -> range:
        return {"weight_stationary": fold.m, "output_stationary": fold.k, "input_stationary": fold.n}[
            self.dataflow
        ]

    @property
    def steps_a_fold(self) -> int:
        return self.mapping.steps_a_fold

    def weight_matrices(self) -> np.ndarray:
        """(groups, k, n) with k in the order (channel, row, column)."""
        if self.layer.op == "linear":
            return self.weight[np.newaxis]
        if self.depthwise:
            return self.weight.transpose(2, 0, 1).reshape(self.shape.channels, -1, 1)
        return self.weight.transpose(2, 0, 1, 3).reshape(1, -1, self.layer.output_shape.channels)

    def word_of(self, image: int, channel: int, y: int, x: int) -> int:
        """Word of the input tensor in DRAM; channel blocks begin where tiles meet new channels."""
        taps = self.layer.kernel[0] * self.layer.kernel[1]
        elements = taps * (1 if self.depthwise else self.shape.channels)
        size = self.mapping.steps_a_tile if self.dataflow == "output_stationary" else self.arch.pe_array.rows
        edges = sorted({-(-start // taps) for start in range(0, elements, size)} | {-(-elements // taps)})
        edges = [edge + (channel if self.depthwise else 0) for edge in edges]
        begin = max(edge for edge in edges if edge <= channel)
        end = min(edge for edge in edges if edge > channel)
        height, width = self.shape.height, self.shape.width
        row = image * height + y
        return begin * self.batch * height * width + (row * width + x) * (end - begin) + channel - begin

    def tiles_of(self, fold: int) -> range:
        """Tiles of a fold, counted off."""
        counts = [-(-len(self.time_axis(one)) // self.mapping.steps_a_tile) for one in self.folds[: fold + 1]]
        return range(sum(counts[:-1]), sum(counts))

    def count(self, action: str, tiles: range) -> int:
        index = [name for _, name in self.plan.actions].index(action)
        return int(self.plan.counts[tiles.start : tiles.stop, index].sum())


def assert_results(checked: Checked) -> None:
    """The oracle computes the product, and its MACs are the plan's."""
    assert (checked.outputs == checked.windows @ checked.weights).all()
    plan = checked.plan
    assert sum(len(span) for span in checked.spans) == plan.tiles
    for fold, span in zip(checked.folds, checked.spans, strict=True):
        assert plan.macs[span].sum() == fold.macs
    assert plan.macs.sum() == checked.batch * checked.layer.macs
    assert plan.outputs.sum() == checked.batch * checked.layer.output_shape.elements
    work = DATAFLOWS[checked.dataflow].work(checked.layer, checked.arch, plan, checked.nonzero)
    assert (work.compute_cycles == plan.compute_cycles).all()
    for fold, span in zip(checked.folds, checked.spans, strict=True):
        seen = checked.windows[fold.group][np.ix_(fold.m, fold.k)] != 0
        assert work.nonzero_macs[span].sum() == seen.sum() * len(fold.n)


def assert_cycles(checked: Checked) -> None:
    """Every fold takes what the oracle took, and every output leaves in the phase in which it left there."""
    plan, final = checked.plan, checked.windows.shape[2]
    for fold, span in zip(checked.folds, checked.spans, strict=True):
        assert plan.fill_cycles[span].tolist() == [fold.fill_cycles] + [0] * (len(span) - 1)
        assert (plan.compute_cycles + plan.drain_cycles)[span].sum() == fold.stream_cycles
        bits = 32 if fold.k.stop < final or checked.layer.is_classifier else 8
        clock = 0
        for tile in span:
            end = clock + int(plan.compute_cycles[tile])
            streamed = sum(clock <= cycle < end for cycle in fold.left)
            assert plan.stream_write_bytes[tile] == streamed * bits // 8
            if tile != span[-1]:
                assert plan.drain_cycles[tile] == plan.drain_write_bytes[tile] == 0
            else:
                drained = sum(cycle >= end for cycle in fold.left)
                assert plan.drain_write_bytes[tile] == drained * bits // 8
                assert max(*fold.entered["rows"], *fold.entered["cols"], *fold.entered["sums"], 0) < end
            clock = end


def assert_traffic(checked: Checked) -> None:
    """Words over the edges of the array, between PEs and into their registers; reads from the buffer."""
    plan, standing, final = checked.plan, STANDING[checked.dataflow], checked.windows.shape[2]
    for fold, span in zip(checked.folds, checked.spans, strict=True):
        moving = {"weight_stationary": {"ifmap": "rows"}, "input_stationary": {"filter": "rows"},
                  "output_stationary": {"ifmap": "rows", "filter": "cols"}}[checked.dataflow]  # fmt: skip
        words = {name: len(fold.entered[edge]) for name, edge in moving.items()}
        stores = {name: fold.stores[edge] for name, edge in moving.items()}
        if standing is not None:
            words[standing], stores[standing] = fold.standing_words, fold.stores["standing"]
        for name in ("ifmap", "filter"):
            assert checked.count(f"{name}_byte", span) == words[name]
            assert checked.count(f"{name}_spad_write", span) == stores[name]
        out_bits = 32 if fold.k.stop < final or checked.layer.is_classifier else 8
        psum_in = 4 * len(fold.entered["sums"])
        assert checked.count("psum_byte", span) == psum_in + len(fold.left) * out_bits // 8
        hops = fold.hops["standing"] + fold.hops["rows"] + fold.hops["cols"] + 4 * fold.hops["sums"]
        assert checked.count("local_psum_byte", span) == hops
        real = int((checked.places[fold.group][np.ix_(fold.m, fold.k)] >= 0).sum())
        filled = {"ifmap": real, "filter": words["filter"], None: 0}[standing]
        assert plan.fill_read_bytes[span].sum() == filled
        assert plan.stream_read_bytes[span].sum() == real + words["filter"] - filled + psum_in


def assert_loaded_in_time(checked: Checked) -> tuple[list[set[Any]], list[set[Any]]]:
    """Whatever a tile uses was fetched by itself or before: by any tile if it stays, else for the same positions.

    Returns, per tile, the words of the input that it loads and that it uses.
    """
    loaded: list[set[Any]] = []
    uses: list[set[Any]] = []
    plan, mapping = checked.plan, checked.mapping
    if mapping.ifmap_stays:
        assert plan.ifmap_load_bytes.sum() == checked.batch * checked.layer.input_shape.elements
    if plan.mapping["weights_stay"]:
        assert plan.weight_load_bytes.sum() == checked.layer.weights
    inputs: dict[Any, set[int]] = defaultdict(set)
    weights: set[int] = set()
    for fold, span in zip(checked.folds, checked.spans, strict=True):
        key = None if mapping.ifmap_stays else (fold.group, fold.m.start, fold.n.start)
        if not plan.mapping["weights_stay"] and fold.k.start == 0:
            weights = set()
        time = checked.time_axis(fold)
        for tile, start in zip(span, time[:: mapping.steps_a_tile], strict=True):
            now = range(start, min(start + mapping.steps_a_tile, time.stop))
            axes = {"m": fold.m, "k": fold.k, "n": fold.n}
            axes[{"weight": "m", "output": "k", "input": "n"}[checked.dataflow.partition("_")[0]]] = now
            for held, load, offset in (
                (inputs[key], plan.ifmap_load_bytes, plan.ifmap_load_offset_bytes),
                (weights, plan.weight_load_bytes, plan.weight_load_offset_bytes),
            ):
                held |= set(range(int(offset[tile]), int(offset[tile] + load[tile])))
            used = checked.places[fold.group][np.ix_(axes["m"], axes["k"])]
            assert set(used[used >= 0].tolist()) <= inputs[key]
            fetched = range(int(plan.ifmap_load_offset_bytes[tile]), int(plan.ifmap_load_offset_bytes[tile] +
                                                                         plan.ifmap_load_bytes[tile]))  # fmt: skip
            loaded.append({(key, word) for word in fetched})
            uses.append({(key, word) for word in used[used >= 0].tolist()})
            size = checked.weights.shape[1] * checked.weights.shape[2]
            begin = fold.group * size + fold.n.start * checked.weights.shape[1]
            begin += axes["k"].start * len(fold.n) + (axes["n"].start - fold.n.start) * len(axes["k"])
            assert set(range(begin, begin + len(axes["k"]) * len(axes["n"]))) <= weights
    return loaded, uses


def assert_fits(checked: Checked, capacity_bytes: int) -> None:
    """Partial sums in flight and the input words that are still to be used, those of the next tile included."""
    loaded, uses = assert_loaded_in_time(checked)
    words = {word for one in loaded for _, word in one}
    assert words <= set(range(checked.batch * checked.layer.input_shape.elements))
    sums = [4 * len(fold.m) * len(fold.n) * bool(fold.entered["sums"]) for fold in checked.folds]
    last_use = {word: tile for tile, used in enumerate(uses) for word in used}
    alive: set[Any] = set(loaded[0])
    for tile in range(len(loaded)):
        alive |= loaded[tile + 1] if tile + 1 < len(loaded) else set()
        alive = {word for word in alive if last_use.get(word, -1) >= tile}
        assert len(alive) + max(sums) <= capacity_bytes


def assert_agrees(
    layer: Layer, arch: ArchSpec, dataflow: str, plan: TilePlan, seed: int, capacity_bytes: int, batch: int
) -> None:
    checked = Checked(layer, arch, dataflow, plan, seed, batch)
    assert_results(checked)
    assert_cycles(checked)
    assert_traffic(checked)
    assert_fits(checked, capacity_bytes)


@settings(max_examples=150)
@given(
    layers(),
    st.sampled_from(sorted(DATAFLOWS)),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([16, 32, 64, 128, 256, 4096]),
    st.integers(0, 99),
    st.sampled_from([1, 1, 2]),
)
def test_searched_plans_agree_with_the_oracle(
    layer: Layer, dataflow: str, rows: int, cols: int, capacity_bytes: int, seed: int, batch: int
) -> None:
    """In the buffer that they were given, too."""
    arch = architecture(rows, cols)
    try:
        plan = DATAFLOWS[dataflow].plan(layer, arch, Placement(False, False, capacity_bytes, batch=batch))
    except InvalidInput:
        assume(False)
    assert_agrees(layer, arch, dataflow, plan, seed, capacity_bytes, batch)


@settings(max_examples=150)
@given(
    layers(),
    st.sampled_from(sorted(DATAFLOWS)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.builds(SystolicMapping, st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans()),
    st.integers(0, 99),
    st.sampled_from([1, 1, 3]),
)
def test_any_mapping_agrees_with_the_oracle(
    layer: Layer, dataflow: str, size: tuple[int, int], mapping: SystolicMapping, seed: int, batch: int
) -> None:
    """In the buffer that it is said to need, too."""
    if dataflow == "output_stationary":  # sums never leave their PE before they are finished
        mapping = SystolicMapping(10_000, mapping.steps_a_tile, mapping.positions_outer, mapping.ifmap_stays)
    arch, placement = architecture(*size), Placement(False, False, 0, batch=batch)
    plan = DATAFLOWS[dataflow].plan_with(layer, arch, placement, mapping)
    folding = Folding(geometry_of(layer), hardware_of(arch), FORMS[dataflow], mapping, batch)
    assert_agrees(layer, arch, dataflow, plan, seed, needed_bytes(folding, placement), batch)


@pytest.mark.parametrize(
    ("dataflow", "shape", "kernel", "size", "steps_a_tile", "ifmap_stays"),
    [
        ("weight_stationary", Shape(5, 2, 3), 2, (5, 1), 1, False),
        ("output_stationary", Shape(5, 4, 1), 1, (2, 1), 9, True),
        ("output_stationary", Shape(5, 4, 2), 1, (3, 1), 9, False),
    ],
    ids=[
        "a shared channel outlasts many tiles",
        "two blocks in one row, or in two",
        "blocks begin within a row",
    ],
)
def test_tight_buffers_hold_what_is_still_needed(
    dataflow: str, shape: Shape, kernel: int, size: tuple[int, int], steps_a_tile: int, ifmap_stays: bool
) -> None:
    arch, placement = architecture(*size), Placement(False, False, 0)
    layer = convolution(False, shape, 2, (kernel, kernel))
    mapping = SystolicMapping(10_000, steps_a_tile, positions_outer=True, ifmap_stays=ifmap_stays)
    plan = DATAFLOWS[dataflow].plan_with(layer, arch, placement, mapping)
    folding = Folding(geometry_of(layer), hardware_of(arch), FORMS[dataflow], mapping)
    assert_fits(Checked(layer, arch, dataflow, plan, 0, 1), needed_bytes(folding, placement))


@pytest.mark.parametrize(
    ("dataflow", "folds", "cycles"),
    [("weight_stationary", 9, 2 * 2 + 3 + 12 - 2), ("output_stationary", 18, 2 + 3 + 6 - 2),
     ("input_stationary", 12, 2 * 2 + 3 + 7 - 2)],
)  # fmt: skip
def test_a_product_by_hand(dataflow: str, folds: int, cycles: int) -> None:
    """M = 12, K = 6, N = 7 on 2 x 3 PEs: the closed forms of SCALE-Sim, fold by fold."""
    layer = convolution(False, Shape(3, 4, 6), 7, (1, 1))
    plan = DATAFLOWS[dataflow].plan(layer, architecture(2, 3), Placement(True, True, 1 << 20))
    assert plan.tiles == plan.mapping["folds"] == folds
    assert (plan.fill_cycles + plan.compute_cycles + plan.drain_cycles).tolist() == [cycles] * folds
