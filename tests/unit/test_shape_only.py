"""Networks without weights: what they count, where their zeros lie, and what cannot be asked of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from archsim import api
from archsim.cli.main import cli
from archsim.errors import InvalidInput
from archsim.functional.shape_only import shape_only_traces
from archsim.network.zeros import zero_fractions
from archsim.results.read import read_run
from tests.builders import build, write_workload

CONV = {"op": "conv2d", "kernel": 3, "padding": 1, "relu": True}
SHAPES: dict[str, Any] = {
    "schema": "archsim.workload/1",
    "name": "shapes",
    "dataset": {"name": "none", "classes": 5},
    "input": {"height": 14, "width": 14, "channels": 4},
    "layers": [
        {"name": "conv1", "filters": 8, **CONV},
        {"name": "pool1", "op": "max_pool", "kernel": 3, "stride": 2, "padding": 1},
        {"name": "conv2", "filters": 8, "groups": 2, "zero_fraction": 0.5, **CONV},
        {"name": "down", "op": "conv2d", "input": "pool1", "filters": 8, "kernel": 1},
        {"name": "conv3", "filters": 8, "input": "conv2", "zero_fraction": 0.25, **CONV},
        {"name": "sum", "op": "add", "other": "down", "relu": True},
        {"name": "gap", "op": "global_avg_pool"},
        {"name": "fc", "op": "linear", "units": 5, "zero_fraction": 0.1},
    ],
}
MACS = 14 * 14 * 9 * 4 * 8 + 49 * (9 * 4 * 8 + 8 * 8 + 9 * 8 * 8) + 8 * 5


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "shapes.yaml"
    path.write_text(yaml.safe_dump(SHAPES | changes))
    return path


def with_layer(position: int, **changes: Any) -> list[dict[str, Any]]:
    return [layer | changes if index == position else layer for index, layer in enumerate(SHAPES["layers"])]


def test_alexnet_counts_its_published_macs() -> None:
    """Output pixels x window x channels a filter sees x filters, groups of two in conv2, conv4 and conv5."""
    convolutions = [
        (55 * 55, 11 * 11, 3, 96),
        (27 * 27, 5 * 5, 48, 256),
        (13 * 13, 9, 256, 384),
        (13 * 13, 9, 192, 384),
        (13 * 13, 9, 192, 256),
    ]
    classifier = [6 * 6 * 256 * 4096, 4096 * 4096, 4096 * 1000]
    expected = [int(np.prod(sizes)) for sizes in convolutions] + classifier
    layers = [layer for layer in api.load("alexnet").network.layers if layer.is_compute]
    assert [layer.macs for layer in layers] == expected
    assert (sum(expected[:5]), sum(expected)) == (665_784_864, 724_406_816)


def test_vgg16_counts_its_published_macs() -> None:
    blocks = [(224, 3, 64, 2), (112, 64, 128, 2), (56, 128, 256, 3), (28, 256, 512, 3), (14, 512, 512, 3)]
    expected = [
        side * side * 9 * (channels if position == 0 else filters) * filters
        for side, channels, filters, layers in blocks
        for position in range(layers)
    ] + [7 * 7 * 512 * 4096, 4096 * 4096, 4096 * 1000]
    layers = [layer for layer in api.load("vgg16").network.layers if layer.is_compute]
    assert [layer.macs for layer in layers] == expected
    assert (sum(expected[:13]), sum(expected)) == (15_346_630_656, 15_470_264_320)


def test_resnet18_counts_its_published_macs() -> None:
    """The stem, four stages of two blocks (two 3x3 convolutions each), three 1x1 shortcuts, the classifier."""
    total = 112 * 112 * 49 * 3 * 64 + 4 * 56 * 56 * 9 * 64 * 64 + 512 * 1000
    for side, filters in ((28, 128), (14, 256), (7, 512)):
        total += (
            side * side * (9 * filters // 2 * filters + 3 * 9 * filters * filters + filters // 2 * filters)
        )
    assert api.load("resnet18").network.macs == total == 1_814_073_344


def test_mobilenetv2_counts_its_published_macs() -> None:
    """Table 2 of the paper: expansion, channels, repeats and stride of each bottleneck."""
    total, side, channels = 112 * 112 * 9 * 3 * 32, 112, 32
    table = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expansion, filters, repeats, first_stride in table:
        for repeat in range(repeats):
            wide, before = channels * expansion, side
            side //= first_stride if repeat == 0 else 1
            total += before * before * channels * wide * (expansion > 1)
            total += side * side * wide * (9 + filters)
            channels = filters
    total += 7 * 7 * 320 * 1280 + 1280 * 1000
    assert api.load("mobilenetv2").network.macs == total == 300_774_272


def test_zeros_have_the_fractions_of_the_file_and_a_seed() -> None:
    network = build(SHAPES)
    fractions = zero_fractions(network)
    assert fractions == {"image": 0.0, "pool1": 0.5, "conv2": 0.25, "conv3": 0.0, "down": 0.0, "gap": 0.1}
    fractions |= {"pool1": 1.0}
    first, second = shape_only_traces(network, fractions, 2, seed=3)
    (again,) = shape_only_traces(network, fractions, 1, seed=3)
    (other,) = shape_only_traces(network, fractions, 1, seed=4)
    zeros = np.unpackbits(first.zero_maps["conv2"][0])[: 49 * 8]
    assert abs(zeros.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(zeros))
    assert not first.zero_maps["image"].any() and first.zero_maps["pool1"].sum() == 49 * 255
    assert np.array_equal(first.zero_maps["conv2"], again.zero_maps["conv2"])
    for different in (second, other):
        assert not np.array_equal(first.zero_maps["conv2"], different.zero_maps["conv2"])


@pytest.mark.parametrize(
    ("arch", "overrides"),
    [
        ("locoexnet-65nm", []),
        ("eyeriss-65nm", []),
        ("gated-rs", ["pe_array.dataflow=weight_stationary"]),
        ("gated-rs", ["pe_array.dataflow=output_stationary"]),
        ("gated-rs", ["pe_array.dataflow=input_stationary", "dma.compression=rlc"]),
    ],
)
def test_it_is_simulated_like_any_other(tmp_path: Path, arch: str, overrides: list[str]) -> None:
    result = api.simulate(write(tmp_path), arch=arch, overrides=overrides, images=2)
    assert sum(layer.macs + layer.skipped_macs for layer in result.layers) == MACS
    assert result.accuracy is None and result.exits == {"final": 2} and result.branches == {}
    assert [(image.label, image.prediction) for image in result.per_image] == [(None, None)] * 2
    assert (result.params_used_fraction, result.macs_used_fraction) == (1.0, 1.0)


def test_more_zeros_are_skipped_and_coded(tmp_path: Path) -> None:
    """Zeros of conv2's input, which is stored in DRAM by a buffer that is too small for it."""
    overrides = [
        "pe_array.zero=skip",
        "dma.compression=rlc",
        "global_buffer.size_kib=2",
        "global_buffer.filter_kib=1",
    ]
    sparse, dense = (
        api.simulate(
            write(tmp_path, layers=with_layer(2, zero_fraction=fraction)),
            arch="gated-rs",
            overrides=overrides,
        )
        for fraction in (0.9, 0.1)
    )
    assert sparse.cycles.total < dense.cycles.total
    assert sparse.dram_bytes_per_image.read < dense.dram_bytes_per_image.read
    skipped = {layer.name: layer.skipped_macs for layer in sparse.layers}
    assert skipped["conv2"] > 0.85 * 49 * 9 * 4 * 8


def test_images_and_seeds_differ_in_their_zeros_alone(tmp_path: Path) -> None:
    path = write(tmp_path)
    first, again, other = (api.simulate(path, images=4, seed=seed) for seed in (0, 0, 1))
    cycles = [[image.cycles for image in run.per_image] for run in (first, again, other)]
    assert cycles[0] == cycles[1] != cycles[2] and len(set(cycles[0])) > 1
    assert first.network_hash == other.network_hash
    changed = write(tmp_path, layers=with_layer(2, zero_fraction=0.6))
    assert api.simulate(changed).network_hash != first.network_hash


def test_results_say_that_nothing_is_known(tmp_path: Path) -> None:
    path, out = write(tmp_path), tmp_path / "run"
    shown = CliRunner().invoke(cli, ["simulate", str(path)])
    assert shown.exit_code == 0 and "accuracy unknown" in shown.stdout
    result = CliRunner().invoke(cli, ["simulate", str(path), "--json", "--out", str(out)])
    assert result.exit_code == 0 and json.loads(result.stdout)["accuracy"] is None
    assert read_run(out).per_image[0].label is None
    plot = CliRunner().invoke(cli, ["plot", str(out), "--kind", "exits", "-o", str(tmp_path / "exits.svg")])
    assert plot.exit_code == 0, plot.stderr
    assert "all images: unknown" in (tmp_path / "exits.svg").read_text()


def test_evaluate_and_data_need_weights(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(InvalidInput, match="found no weights, expected some"):
        api.evaluate(path)
    with pytest.raises(InvalidInput, match="no weights to run them with"):
        api.simulate(path, data=tmp_path / "images.npz")
    result = CliRunner().invoke(cli, ["evaluate", str(path)])
    assert result.exit_code == 3 and "weights" in result.stderr


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"images": "i.npz"}, "images: found without weights"),
        ({"trace": "t.npz"}, "trace: found without weights"),
        (
            {"branches": [{"name": "b", "after": "conv1", "layers": [{"name": "fc", "op": "linear", "units": 5}]}]},
            "branches: found without weights",
        ),
        ({"layers": with_layer(3, zero_fraction=0.4)}, 'found 0.4 for the tensor "pool1", which "conv2" reads'),
        ({"layers": with_layer(2, zero_fraction=1.5)}, "layers.2.zero_fraction"),
        ({"layers": with_layer(2, groups=3)}, "8 channels and 8 filters cannot be cut into 3 groups"),
        ({"layers": with_layer(1, padding=2)}, "padding 2x2 is more than half of the kernel 3x3"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_where_it_stands(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(InvalidInput) as caught:
        api.load(path)
    assert expected in str(caught.value) and f"{path}:" in str(caught.value)


def test_weights_say_what_is_zero(tmp_path: Path) -> None:
    path = write_workload(tmp_path)
    document = yaml.safe_load(path.read_text())
    document["layers"][2]["zero_fraction"] = 0.5
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(
        InvalidInput, match=r"layers\.2\.zero_fraction: a network with weights computes its zeros"
    ):
        api.load(path)
