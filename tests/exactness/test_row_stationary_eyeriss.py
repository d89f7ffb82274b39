"""The published buffer traffic of the Eyeriss chip follows from its published mappings."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from archsim.config.arch import ArchSpec
from archsim.config.workload import Conv2dSpec
from archsim.mapping.base import Placement, TilePlan
from archsim.mapping.row_stationary import RowStationary
from archsim.mapping.tiling import RowStationaryMapping
from archsim.network.graph import Layer, Shape

GOLDEN = Path(__file__).parent.parent / "golden" / "eyeriss_alexnet_mapping.csv"
IMAGES = 4
WORD_BYTES = 2

# The chip prefetches one pass of filters into 8 KiB while its scratchpads hold another; here the filter part holds
# both, hence 16 KiB beside the 100 KiB for feature maps and partial sums.
EYERISS = ArchSpec.model_validate(
    {
        "schema": "archsim.arch/1",
        "name": "eyeriss",
        "precision": {"activation_bits": 16, "weight_bits": 16, "psum_bits": 16},
        "pe_array": {
            "noc": {"ifmap_bytes_per_cycle": 2, "filter_bytes_per_cycle": 8, "psum_bytes_per_cycle": 8}
        },
        "global_buffer": {"size_kib": 116, "filter_kib": 16},
    }
)
PLACEMENT = Placement(True, True, 100 * 1024)


def rows() -> list[dict[str, str]]:
    with GOLDEN.open(newline="") as file:
        return list(csv.DictReader(file))


def layer_of(row: dict[str, str]) -> Layer:
    """One layer with its padding in the map, as the chip got it; the two groups of CONV2, 4 and 5 side by side."""
    side, kernel, out = int(row["H_padded"]), int(row["R"]), int(row["E"])
    spec = Conv2dSpec(
        op="conv2d",
        name=row["layer"],
        filters=int(row["M"]),
        kernel=(kernel, kernel),
        stride=(int(row["U"]),) * 2,
    )
    shape = Shape(side, side, int(row["C_per_group"]))
    return Layer(row["layer"], spec, ("image",), shape, Shape(out, out, int(row["M"])), True, True)


def plan_of(row: dict[str, str]) -> TilePlan:
    mapping = RowStationaryMapping(*(int(row[name]) for name in "epqrt"))
    return RowStationary().plan_with(layer_of(row), EYERISS, PLACEMENT, mapping)


def map_and_psum_bytes(plan: TilePlan) -> int:
    """Bytes between buffer and array for one image, filters not counted."""
    moved = plan.fill_read_bytes + plan.stream_read_bytes + plan.stream_write_bytes + plan.drain_write_bytes
    filters = plan.counts[:, plan.actions.index(("noc", "filter_byte"))]
    return int((moved - filters).sum())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["layer"])
def test_buffer_traffic_is_the_published_formula(row: dict[str, str]) -> None:
    """2 cg N M E F psums + cg mg N q r (strip rows) H activations, in words.

    Exactly, but for two words of accounting: the formula reads psums for the first channels too, where archsim starts
    from zero, and reads the channels that are missing from the last group (CONV3: 43 groups of 6 for 256 channels).
    """
    layer, plan = layer_of(row), plan_of(row)
    out, filters, channels = int(row["E"]), int(row["M"]), int(row["C_per_group"])
    e, p, q, r, t = (int(row[name]) for name in "epqrt")
    channel_groups, filter_groups = -(-channels // (q * r)), filters // (p * t)
    strips = [min(e, out - start) for start in range(0, out, e)]
    strip_rows = sum((length - 1) * int(row["U"]) + int(row["R"]) for length in strips)
    a_channel = filter_groups * strip_rows * int(row["H_padded"])
    formula = 2 * channel_groups * filters * out * out + channel_groups * q * r * a_channel
    not_there = filters * out * out + (channel_groups * q * r - channels) * a_channel
    assert map_and_psum_bytes(plan) == WORD_BYTES * (formula - not_there)
    assert WORD_BYTES * IMAGES * formula / 1e6 == pytest.approx(float(row["glb_mb_calc"]), abs=0.006)
    assert plan.tiles * IMAGES == int(row["passes"]) * int(row["n"])
    assert plan.macs.sum() == layer.macs


@pytest.mark.parametrize(
    "row", [row for row in rows() if "tableIII" not in row["layer"]], ids=lambda row: row["layer"]
)
def test_buffer_traffic_is_what_the_chip_measured(row: dict[str, str]) -> None:
    plan = plan_of(row)
    first_psums = plan.outputs.sum() * WORD_BYTES
    measured_bytes = float(row["glb_mb_measured"]) * 1e6 / IMAGES
    assert map_and_psum_bytes(plan) + first_psums == pytest.approx(measured_bytes, rel=0.004)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["layer"])
def test_active_pes_are_those_of_the_paper(row: dict[str, str]) -> None:
    assert plan_of(row).active_pes == int(row["active_pes"])


@pytest.mark.parametrize(("name", "image_cycles"), [("CONV1", 16.5), ("CONV2", 39.2)], ids=["CONV1", "CONV2"])
def test_processing_latency_of_single_image_passes_is_within_two_percent(
    name: str, image_cycles: float
) -> None:
    """The chip ran CONV1 and CONV2 one image at a time; batches are compared in test_validation_eyeriss.py."""
    plan = plan_of(next(row for row in rows() if row["layer"] == name))
    cycles = int((plan.fill_cycles + plan.compute_cycles + plan.drain_cycles).sum()) * IMAGES
    assert cycles / 200e3 == pytest.approx(image_cycles, rel=0.02)
