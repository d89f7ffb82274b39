"""Fusion of pools and adds, and what stays in the buffer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from archsim.config.arch import ArchSpec
from archsim.config.workload import InputSpec, LayerSpec
from archsim.errors import InvalidInput
from archsim.mapping.fusion import fuse
from archsim.mapping.residency import place
from archsim.mapping.row_stationary import RowStationary
from archsim.network.build import build_network
from archsim.network.graph import Network, Shape

SPECS: TypeAdapter[list[LayerSpec]] = TypeAdapter(list[LayerSpec])


def network(side: int, channels: int, layers: list[dict[str, Any]], classes: int = 10) -> Network:
    image = InputSpec(height=side, width=side, channels=channels)
    built, problems = build_network("drawn", image, classes, SPECS.validate_python(layers), [])
    assert built is not None, problems
    return built


def conv(name: str, filters: int, **spec: Any) -> dict[str, Any]:
    return {"op": "conv2d", "name": name, "filters": filters, "kernel": 3, "padding": 1, "relu": True} | spec


def vgg(side: int, width: int) -> Network:
    layers: list[dict[str, Any]] = []
    for stage, (count, filters) in enumerate([(2, 1), (2, 2), (3, 4), (3, 8), (3, 8)], 1):
        layers += [conv(f"conv{stage}_{index}", filters * width) for index in range(1, count + 1)]
        layers.append({"op": "max_pool", "name": f"pool{stage}", "kernel": 2})
    layers += [
        {"op": "linear", "name": "fc1", "units": 32, "relu": True},
        {"op": "linear", "name": "fc2", "units": 10},
    ]
    return network(side, 3, layers)


def residual(side: int = 16) -> Network:
    """Two residual blocks, the second with a strided shortcut."""
    return network(
        side,
        3,
        [
            conv("stem", 16),
            conv("a1", 16),
            conv("a2", 16, relu=False),
            {"op": "add", "name": "a", "other": "stem", "relu": True},
            conv("b1", 32, stride=2),
            conv("b2", 32, relu=False),
            conv("shortcut", 32, input="a", kernel=1, padding=0, stride=2, relu=False),
            {"op": "add", "name": "b", "other": "b2", "relu": True},
            {"op": "global_avg_pool", "name": "pool"},
            {"op": "linear", "name": "fc", "units": 10},
        ],
    )


def arch(size_kib: int, filter_kib: int = 8) -> ArchSpec:
    buffer = {"size_kib": size_kib, "filter_kib": filter_kib}
    return ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "drawn", "global_buffer": buffer})


def dram_bytes(net: Network, accelerator: ArchSpec) -> int:
    total = 0
    placements = place(fuse(net), accelerator)
    for fused in fuse(net):
        plan = RowStationary().plan(fused.layer, accelerator, placements[fused.layer.name])
        loads = plan.weight_load_bytes + plan.ifmap_load_bytes + plan.summand_load_bytes
        total += int((loads + plan.store_bytes).sum())
    return total


def test_pools_and_adds_belong_to_the_layer_before_them() -> None:
    runs = fuse(residual())
    assert [(run.layer.name, run.output_tensor) for run in runs] == [
        ("stem", "stem"), ("a1", "a1"), ("a2", "a"), ("b1", "b1"), ("b2", "b2"), ("shortcut", "pool"), ("fc", "fc")
    ]  # fmt: skip
    assert runs[2].summand == ("stem", Shape(16, 16, 16))
    assert runs[5].summand == ("b2", Shape(8, 8, 32))
    assert runs[5].stored_shape == Shape(1, 1, 32)
    assert [run.pool_values for run in runs] == [0, 0, 0, 0, 0, 8 * 8 * 32, 0]


@pytest.mark.parametrize(
    ("layers", "named", "said"),
    [
        ([{"op": "max_pool", "name": "pool", "kernel": 2}, conv("c", 4)], "pool", "needs a layer with weights"),
        (
            [conv("c", 4), conv("d", 4), {"op": "max_pool", "name": "pool", "kernel": 2, "input": "c"}],
            "pool", 'reads "c", expected "d", which is written last',
        ),
        (
            [conv("c", 4), conv("d", 4), {"op": "add", "name": "s", "other": "c"},
             {"op": "add", "name": "u", "other": "c"}],
            "u", 'is the second add behind "d", expected one',
        ),
        (
            [conv("c", 4), {"op": "avg_pool", "name": "pool", "kernel": 2}, conv("d", 4, input="c")],
            "d", 'the tensor "c" is read here but fused with the layer behind it',
        ),
    ],
    ids=["pool-of-the-image", "pool-of-an-older-tensor", "two-adds", "hidden-tensor"],
)  # fmt: skip
def test_what_cannot_be_fused_is_said(layers: list[dict[str, Any]], named: str, said: str) -> None:
    net = network(8, 3, [*layers, {"op": "linear", "name": "fc", "units": 10}])
    with pytest.raises(InvalidInput) as raised:
        fuse(net)
    assert [problem.key for problem in raised.value.problems] == [named]
    assert said in raised.value.problems[0].message


@pytest.mark.parametrize(
    "net", [vgg(32, 16), vgg(32, 4), residual(), residual(32)], ids=["vgg", "thin", "res", "res32"]
)
def test_an_infinite_buffer_leaves_compulsory_traffic(net: Network) -> None:
    assert dram_bytes(net, arch(1 << 20, 1 << 14)) == net.weights + net.input_shape.elements


@pytest.mark.parametrize(
    "net", [vgg(32, 16), vgg(32, 64), residual(), residual(64)], ids=["quarter", "full", "res", "res64"]
)
def test_doubling_the_buffer_never_adds_traffic(net: Network) -> None:
    traffic = [dram_bytes(net, arch(8 + size)) for size in (8, 16, 32, 64, 128, 256, 512)]
    assert traffic == sorted(traffic, reverse=True)
    assert traffic[0] > traffic[-1] >= net.weights + net.input_shape.elements


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Plain or residual chains of small convolutions."""
    side, layers, previous = draw(st.sampled_from([8, 13, 16])), [], ""
    width = draw(st.sampled_from([4, 16, 48]))
    for index in range(draw(st.integers(2, 5))):
        layers.append(
            conv(f"conv{index}", width, kernel=draw(st.sampled_from([(1, 3), (3, 3)])), padding=(0, 1))
        )
        layers[-1]["padding"] = (layers[-1]["kernel"][0] // 2, 1)
        if previous and draw(st.booleans()):
            layers.append({"op": "add", "name": f"add{index}", "other": previous})
        previous = layers[-1]["name"]
    return network(side, 3, [*layers, {"op": "linear", "name": "fc", "units": 10}])


@settings(max_examples=15)
@given(networks(), st.integers(1, 24), st.integers(0, 24))
def test_more_buffer_never_costs_more(net: Network, size_kib: int, more_kib: int) -> None:
    """By the measure that shares out the buffer, for whole networks; exactly."""
    costs = []
    for accelerator in (arch(8 + size_kib), arch(8 + size_kib + more_kib)):
        placements, flow = place(fuse(net), accelerator), RowStationary()
        found = [flow.cost(run.layer, accelerator, placements[run.layer.name]) for run in fuse(net)]
        assume(None not in found)
        costs.append(sum(cost or 0 for cost in found))
    assert costs[1] <= costs[0]


def test_the_image_comes_from_dram_and_the_logits_stay() -> None:
    placements = place(fuse(vgg(32, 16)), arch(108))
    assert next(iter(placements)) == "conv1_1"
    assert not placements["conv1_1"].ifmap_on_chip
    assert placements["fc2"].ofmap_on_chip
    assert all(placement.ifmap_on_chip for name, placement in placements.items() if name != "conv1_1")
    assert placements["conv1_2"].stored_shape == Shape(16, 16, 16)


def test_what_one_layer_stores_the_next_one_loads() -> None:
    net = vgg(32, 64)
    placements = place(fuse(net), arch(40))
    runs = fuse(net)
    on_chip = {run.output_tensor: placements[run.layer.name].ofmap_on_chip for run in runs} | {"image": False}
    assert {placements[run.layer.name].ifmap_on_chip for run in runs} == {True, False}
    assert [placements[run.layer.name].ifmap_on_chip for run in runs] == [
        on_chip[run.layer.inputs[0]] for run in runs
    ]


def test_a_summand_is_kept_over_its_block_or_loaded_again() -> None:
    """3 KiB do not hold the 4 KiB that enter the block."""
    net = residual()
    roomy, tight = place(fuse(net), arch(108)), place(fuse(net), arch(8 + 3))
    assert roomy["a2"].summand_on_chip
    assert roomy["a2"].summand_values == 16 * 16 * 16
    assert not tight["a2"].summand_on_chip
    plan = RowStationary().plan(net.by_name["a2"], arch(11), tight["a2"])
    assert plan.summand_load_bytes.sum() == 16 * 16 * 16


def test_everything_alive_fits_the_buffer() -> None:
    for size_kib in (12, 16, 24, 40, 108):
        net, accelerator = residual(), arch(8 + size_kib)
        placements, runs = place(fuse(net), accelerator), fuse(net)
        index = {run.output_tensor: number for number, run in enumerate(runs)}
        for number, run in enumerate(runs):
            alive = 0
            for tensor, made in index.items():
                readers = [
                    later for later, other in enumerate(runs)
                    if tensor in (other.layer.inputs[0], other.summand[0] if other.summand else None)
                ]  # fmt: skip
                if placements[runs[made].layer.name].ofmap_on_chip and made <= number <= max(
                    readers, default=made
                ):
                    alive += net.shape(tensor).elements * (4 if tensor == "fc" else 1)
            placement = placements[run.layer.name]
            assert alive + placement.capacity_bytes == size_kib * 1024


TOY = network(8, 3, [conv("c", 4), {"op": "linear", "name": "fc", "units": 10}])


@pytest.mark.parametrize("net", [vgg(32, 16), vgg(224, 64), TOY], ids=["quarter", "imagenet", "toy"])
def test_whole_networks_are_mapped(net: Network) -> None:
    placements = place(fuse(net), arch(108))
    for run in fuse(net):
        plan = RowStationary().plan(run.layer, arch(108), placements[run.layer.name])
        assert plan.macs.sum() == run.layer.macs
        assert 0 < plan.active_pes <= 168


def test_a_branch_convolution_is_planned_like_any_other() -> None:
    branch = [
        conv("conv", 8),
        {"op": "global_avg_pool", "name": "pool"},
        {"op": "linear", "name": "fc", "units": 10},
    ]
    trunk = [conv("c", 4), conv("d", 4), {"op": "linear", "name": "fc", "units": 10}]
    net = network(8, 3, trunk)
    layer = network(8, 4, branch).layers[0]
    placement = place(fuse(net), arch(24))["d"]
    plan = RowStationary().plan(layer, arch(24), placement)
    assert plan.macs.sum() == layer.macs
