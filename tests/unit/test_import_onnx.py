"""ONNX models become workloads that compute what the models compute, and run on an accelerator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsim.api import load, simulate
from archsim.datasets import ImageBatch
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.importing.onnx_model import Calibrating, import_onnx
from archsim.importing.result import ImportResult
from tests.onnx_models import alexnet, answers, keras, mobilenet, pictures, resnet, save, two_exits, vgg
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
}
MOST_ERROR = 0.15
"""Of the logits, against their spread over classes and images: what eight bits a tensor may cost in these networks."""


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
        centred = logits - logits.mean(axis=1, keepdims=True)
        integers = tensors[end][:, 0, 0, :].astype(float)
        integers -= integers.mean(axis=1, keepdims=True)
        scale = (centred * integers).sum() / (integers * integers).sum()
        error = np.sqrt(np.square(scale * integers - centred).mean()) / centred.std()
        assert scale > 0 and error < MOST_ERROR, (end, error)
        top_two = np.sort(logits, axis=1)[:, -2:]
        clear = top_two[:, 1] - top_two[:, 0] > MOST_ERROR * logits.std()
        assert clear.sum() >= TESTED // 3
        same = integers.argmax(axis=1) == logits.argmax(axis=1)
        assert same[clear].all(), (end, same.mean())
    assert min(result.top1_agreement.values()) > 0.8
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
