"""ONNX models become workloads that compute what the models compute, and run on an accelerator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from archsim.api import load, simulate
from archsim.cli.main import cli
from archsim.datasets import ImageBatch
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.importing.onnx_model import Calibrating, import_onnx
from archsim.importing.result import ImportResult
from archsim.network.graph import Network
from tests.logits import assert_agree, correlation_over_images
from tests.onnx_models import (
    alexnet,
    answers,
    keras,
    mobilenet,
    pictures,
    resnet,
    save,
    two_exits,
    unoptimised,
    vgg,
)
from tests.unit.int8_reference import run_reference

TESTED = 24
"""Images that are not among those of the calibration."""
MODELS: dict[str, tuple[Callable[..., Any], int]] = {
    "vgg": (vgg, 16),
    "resnet": (resnet, 16),
    "mobilenet": (mobilenet, 16),
    "alexnet": (alexnet, 35),
    "keras": (keras, 16),
    "two_exits": (two_exits, 16),
    "unoptimised": (unoptimised, 16),
}


def imported(folder: Path, model: Any, side: int, **changes: Any) -> ImportResult:
    np.savez(folder / "images.npz", images=pictures(48, side, seed=1), labels=np.zeros(48, np.int64))
    calibrating = Calibrating(**{"data": folder / "images.npz", "images": 32, **changes})
    return import_onnx(save(model, folder / "net.onnx"), folder / "net.yaml", calibrating)


@pytest.mark.parametrize("name", MODELS)
def test_integers_answer_as_the_model_does(name: str, tmp_path: Path) -> None:
    build, side = MODELS[name]
    model = build()
    result = imported(tmp_path, model, side)
    workload = load(tmp_path / "net.yaml")
    network, images = workload.network, pictures(TESTED, side)
    tensors = run_reference(network, workload.weights.arrays(), images)
    ends = [*(branch.layers[-1].name for branch in network.branches), network.layers[-1].name]
    expected = answers(model, images)
    if name == "vgg":
        expected = [np.log(expected[0])]  # its softmax is left out
    for end, logits in zip(ends, expected, strict=True):
        assert_agree(tensors[end][:, 0, 0, :], logits)
        assert correlation_over_images(tensors[end][:, 0, 0, :], logits) > 0.97, end
    assert result.calibration_images == 32 and min(result.top1_agreement.values()) > 0.8
    batch = ImageBatch(images, np.zeros(TESTED, np.int64))
    trace = run(network, workload.weights, [batch], policy=Policy.of(network), lazy=False)
    for index, end in enumerate(ends):
        logits = np.sort(tensors[end][:, 0, 0, :], axis=1)
        np.testing.assert_array_equal(trace.margins[:, index], logits[:, -1] - logits[:, -2])


@pytest.mark.parametrize("name", MODELS)
def test_imported_networks_simulate(name: str, tmp_path: Path) -> None:
    build, side = MODELS[name]
    imported(tmp_path, build(), side)
    result = simulate(tmp_path / "net.yaml", data=tmp_path / "images.npz", images=2, engine="segment")
    assert result.cycles.total > 0 and sum(result.exits.values()) == 2


MOBILENET_PLAN = (
    (1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 32, 1), (6, 64, 2), (6, 64, 1), (6, 64, 1),
    (6, 64, 1), (6, 96, 1), (6, 96, 1), (6, 96, 1), (6, 160, 2), (6, 160, 1), (6, 160, 1), (6, 320, 1),
)  # fmt: skip
"""Sandler et al., CVPR 2018, Table 2."""
FULL_SIZE: dict[str, Callable[[], Any]] = {
    "vgg16": lambda: vgg(224, ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), (4096, 4096), 1000),
    "resnet18": lambda: resnet(224, (64, 128, 256, 512), 2, 1000, 7),
    "mobilenetv2": lambda: mobilenet(224, MOBILENET_PLAN, 1000, 32, 1280),
}


def layer_shapes(network: Network) -> list[tuple[str, ...]]:
    """Operators and shapes of all layers, in no order."""
    return sorted(
        (
            layer.op,
            str(layer.input_shape),
            str(layer.output_shape),
            str((layer.kernel, layer.stride, layer.padding)),
        )
        for layer in network.layers
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_models_have_the_shapes_of_the_workloads_that_ship(name: str, tmp_path: Path) -> None:
    path = save(FULL_SIZE[name](), tmp_path / "net.onnx")
    result = import_onnx(path, tmp_path / "net.yaml", Calibrating())
    shipped = load(name).network
    assert result.shape_only and (result.macs, result.parameters) == (shipped.macs, shipped.weights)
    assert layer_shapes(load(tmp_path / "net.yaml").network) == layer_shapes(shipped)


@pytest.mark.slow
def test_full_size_model_runs_end_to_end(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=pictures(4, 224), labels=np.zeros(4, np.int64))
    path = save(FULL_SIZE["resnet18"](), tmp_path / "net.onnx")
    result = import_onnx(path, tmp_path / "net.yaml", Calibrating(tmp_path / "images.npz", 4))
    assert not result.shape_only
    run = simulate(tmp_path / "net.yaml", data=tmp_path / "images.npz", images=1, engine="segment")
    assert run.cycles.total > 0


def test_a_float_model_without_images_is_timed_only(tmp_path: Path) -> None:
    path = save(two_exits(), tmp_path / "net.onnx")
    result = import_onnx(path, tmp_path / "net.yaml", Calibrating())
    assert result.shape_only and result.exits == ("final",) and result.files == (str(tmp_path / "net.yaml"),)
    assert any("--data" in note and "exits are left out" in note for note in result.notes)
    assert simulate(tmp_path / "net.yaml", engine="segment").accuracy is None


def test_exits_are_branches_behind_the_layers_they_read(tmp_path: Path) -> None:
    imported(tmp_path, two_exits(), 16)
    network = load(tmp_path / "net.yaml").network
    found = {
        branch.name: (branch.after, [layer.op for layer in branch.layers]) for branch in network.branches
    }
    early, late = found
    assert found[early][1] == ["avg_pool", "linear"]
    assert found[late][1] == ["conv2d", "global_avg_pool", "linear"]
    assert all(network.by_name[after].op == "max_pool" for after, _ in found.values())
    assert all(branch.threshold is None for branch in network.branches)
    # The graph reads (x - 0.5) / 0.25: black is -2, white 2, and 8 bits hold both.
    table = load(tmp_path / "net.yaml").weights.input_table
    assert table.dtype == np.int8 and (table[:, 0] == -127).all() and (table[:, 255] == 127).all()


def test_images_from_zero_keep_all_eight_bits(tmp_path: Path) -> None:
    imported(tmp_path, vgg(), 16)
    table = load(tmp_path / "net.yaml").weights.input_table
    assert table.dtype == np.uint8
    np.testing.assert_array_equal(table, np.tile(np.arange(256), (3, 1)))


def test_equal_models_and_images_give_equal_files(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        imported(folder, resnet(), 16)
    for name in ("net.yaml", "net.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_command_says_what_was_made(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=pictures(8, 16), labels=np.zeros(8, np.int64))
    save(vgg(), tmp_path / "net.onnx")
    arguments = [
        str(tmp_path / "net.onnx"),
        "--data",
        str(tmp_path / "images.npz"),
        "-o",
        str(tmp_path / "net.yaml"),
    ]
    printed = CliRunner().invoke(cli, ["import", *arguments, "--json"])
    content = json.loads(printed.stdout)
    assert content["calibration_images"] == 8 and content["exits"] == ["final"]
    assert 0 <= content["top1_agreement"]["final"] <= 1
    assert "Softmax" in printed.stderr and "wrote" in printed.stderr
    assert "same answer as the model" in CliRunner().invoke(cli, ["import", *arguments]).stdout
