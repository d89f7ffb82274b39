"""A grouped convolution is its groups, one behind the other: each equals the plan of that group as a layer of its own.

Plans of ungrouped layers equal oracles (``test_row_stationary.py``, ``test_systolic.py``); so do these.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec
from archsim.errors import InvalidInput
from archsim.mapping.base import Placement, TilePlan
from archsim.network.graph import Layer, Shape
from archsim.registry import DATAFLOWS, get_dataflow

OFFSETS = (
    "weight_load_offset_bytes",
    "ifmap_load_offset_bytes",
    "summand_load_offset_bytes",
    "store_offset_bytes",
    "group",
)
COLUMNS = [field.name for field in fields(TilePlan)
           if field.name not in (*OFFSETS, "layer", "actions", "active_pes", "working_bytes", "mapping")]  # fmt: skip


def convolution(side: int, channels: int, filters: int, kernel: int, stride: int, groups: int) -> Layer:
    spec = Conv2dSpec(
        op="conv2d", name="layer", filters=filters, kernel=(kernel, kernel), stride=(stride, stride),
        padding=(kernel // 2, kernel // 2), groups=groups,
    )  # fmt: skip
    out = (side + 2 * (kernel // 2) - kernel) // stride + 1
    return Layer(
        "layer", spec, ("image",), Shape(side, side, channels), Shape(out, out, filters), False, False
    )


def architecture(dataflow: str, zero: str, bits: int) -> ArchSpec:
    return ArchSpec.model_validate({
        "schema": "archsim.arch/1",
        "name": "drawn",
        "pe_array": {"rows": 6, "cols": 5, "dataflow": dataflow, "zero": zero},
        "precision": {"activation_bits": bits, "weight_bits": bits},
    })  # fmt: skip


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(DATAFLOWS)),
    st.sampled_from([(side, kernel, stride) for side in (5, 8) for kernel in (1, 3) for stride in (1, 2)]),
    st.tuples(st.integers(2, 3), st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from([8, 16]),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_grouped_layer_is_its_groups_in_turn(
    dataflow: str,
    window: tuple[int, int, int],
    sizes: tuple[int, int, int],
    bits: int,
    on_chip: bool,
    seed: int,
) -> None:
    (side, kernel, stride), (groups, channels, filters) = window, sizes
    whole = convolution(side, groups * channels, groups * filters, kernel, stride, groups)
    part = convolution(side, channels, filters, kernel, stride, 1)
    arch = architecture(dataflow, "skip" if dataflow == "row_stationary" else "gate", bits)
    flow = get_dataflow(dataflow)
    placement = Placement(
        on_chip, on_chip, 2048, stored_shape=whole.output_shape, summand_values=whole.output_shape.elements
    )
    of_part = Placement(
        on_chip, on_chip, 2048, stored_shape=part.output_shape, summand_values=part.output_shape.elements
    )
    try:
        expected = flow.plan(part, arch, of_part)
    except InvalidInput:
        assume(False)
    plan, tiles = flow.plan(whole, arch, placement), expected.tiles
    cost = flow.cost(part, arch, of_part)
    assert cost is not None and flow.cost(whole, arch, placement) == groups * cost
    assert plan.tiles == groups * tiles and plan.macs.sum() == whole.macs
    nonzero = np.random.default_rng(seed).random((side, side, groups * channels)) < 0.6
    work = flow.work(whole, arch, plan, nonzero)
    steps = {
        "weight_load_offset_bytes": part.weights * bits // 8,
        "ifmap_load_offset_bytes": part.input_shape.elements * bits // 8,
        "summand_load_offset_bytes": part.output_shape.elements * bits // 8,
        "store_offset_bytes": part.output_shape.elements * bits // 8,
        "group": int(expected.group.max()) + 1,
    }
    for index in range(groups):
        rows = slice(index * tiles, (index + 1) * tiles)
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(plan, name)[rows], getattr(expected, name), name)
        for name, step in steps.items():
            np.testing.assert_array_equal(
                getattr(plan, name)[rows], getattr(expected, name) + index * step, name
            )
        alone = flow.work(part, arch, expected, nonzero[:, :, index * channels : (index + 1) * channels])
        np.testing.assert_array_equal(work.compute_cycles[rows], alone.compute_cycles)
        np.testing.assert_array_equal(work.nonzero_macs[rows], alone.nonzero_macs)


@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
def test_groups_fetch_every_weight_once(dataflow: str) -> None:
    layer = convolution(4, 6, 12, 3, 1, 3)
    plan = get_dataflow(dataflow).plan(layer, architecture(dataflow, "gate", 8), Placement(True, True, 65536))
    ranges = zip(plan.weight_load_offset_bytes, plan.weight_load_bytes, strict=True)
    fetched = [byte for offset, size in ranges for byte in range(offset, offset + size)]
    assert sorted(fetched) == list(range(layer.weights)) == list(range(3 * 3 * 2 * 12))
