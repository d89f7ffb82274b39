"""Quantised ONNX models keep their integers: they equal those of an oracle that knows nothing of archsim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from archsim.api import load, simulate
from archsim.importing.onnx_model import Calibrating, import_onnx
from archsim.network.graph import IMAGE
from tests.onnx_models import QdqBuilder, answers, pictures, qdq, save
from tests.oracle import qdq_oracle
from tests.unit.int8_reference import run_reference

SIGNED_IMAGE = (1 / 127, 0, np.int8)
UNSIGNED_IMAGE = (1 / 255, 0, np.uint8)


def imported(folder: Path, model: Any, **changes: Any) -> Any:
    return import_onnx(save(model, folder / "net.onnx"), folder / "net.yaml", Calibrating(**changes))


@pytest.mark.parametrize(
    ("image", "after_relu", "mean"),
    [
        (SIGNED_IMAGE, (0, np.int8), 0.5),  # symmetric: tensors behind a ReLU stop at 127
        (UNSIGNED_IMAGE, (0, np.uint8), 0.0),
        (UNSIGNED_IMAGE, (-128, np.int8), 0.0),  # the same tensors, as other quantisers write them
        (SIGNED_IMAGE, (3, np.uint8), 0.5),  # any zero point will do behind a ReLU
    ],
)
def test_integers_are_those_of_the_model(
    image: tuple[float, int, Any], after_relu: tuple[int, Any], mean: float, tmp_path: Path
) -> None:
    model = qdq(image, after_relu)
    result = imported(tmp_path, model, mean=(mean,), std=(0.5,) if mean else (1.0,))
    assert not result.notes and not result.shape_only and result.calibration_images == 0
    workload, images = load(tmp_path / "net.yaml"), pictures(3, 10)
    tensors = run_reference(workload.network, workload.weights.arrays(), images)
    names = {"image": IMAGE, "stem_q": "stem", "pool_q": "pool", "wise_q": "wise", "sum_q": "sum"}
    names |= {"grouped_q": "grouped", "gap_q": "gap"}
    saturated = 0
    for index, pixels in enumerate(images):
        normalised = (pixels / 255 - mean) / (0.5 if mean else 1.0)
        integers, logits = qdq_oracle.run(model, normalised.transpose(2, 0, 1)[None])
        for node, layer in names.items():
            found = integers[node].transpose(0, 2, 3, 1)
            np.testing.assert_array_equal(tensors[layer][index : index + 1], found, err_msg=layer)
            saturated += int((found == found.max()).sum())
        fc = tensors["fc"][index, 0, 0]
        scale = logits[0][np.abs(fc).argmax()] / fc[np.abs(fc).argmax()]
        np.testing.assert_allclose(fc * scale, logits[0], rtol=1e-6, atol=1e-6)
    assert saturated > 30  # the upper end of the ranges is reached, so that it is tested


def test_oracle_agrees_with_the_evaluator_of_onnx() -> None:
    model, images = qdq(SIGNED_IMAGE, (0, np.int8)), pictures(4, 10)
    (expected,) = answers(model, images, 0.5, 0.5)
    for index, pixels in enumerate(images):
        _, logits = qdq_oracle.run(model, ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None])
        # ONNX computes in float32 and rounds halves to even: a tensor may differ by one step here and there.
        np.testing.assert_allclose(logits[0], expected[index], atol=0.05)


def test_quantised_networks_simulate(tmp_path: Path) -> None:
    imported(tmp_path, qdq(UNSIGNED_IMAGE, (-128, np.int8)))
    np.savez(tmp_path / "images.npz", images=pictures(2, 10), labels=np.zeros(2, np.int64))
    result = simulate(tmp_path / "net.yaml", data=tmp_path / "images.npz", engine="segment")
    assert result.cycles.total > 0


def test_zero_points_that_no_integer_holds_are_told(tmp_path: Path) -> None:
    """A tensor with negative values and a zero point goes on the finest symmetric scale that holds it."""
    model = qdq(UNSIGNED_IMAGE, (0, np.uint8))
    model = onnx.load_model_from_string(model.SerializeToString())
    quantise = next(node for node in model.graph.node if node.name == "wise_q")
    for node in model.graph.node:
        if node.name == "wise_q" or quantise.output[0] in node.input:
            node.input[2] = "shifted"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(9, np.int8), "shifted"))
    result = imported(tmp_path, model)
    (note,) = result.notes
    assert 'Conv "wise"' in note and "zero point 9" in note
    workload, images = load(tmp_path / "net.yaml"), pictures(4, 10)
    tensors = run_reference(workload.network, workload.weights.arrays(), images)
    for index, pixels in enumerate(images):
        integers, _ = qdq_oracle.run(model, (pixels / 255).transpose(2, 0, 1)[None])
        values = integers["wise_q"].transpose(0, 2, 3, 1) * 0.034
        step = 0.034 * 137 / 128
        assert np.abs(tensors["wise"][index] * step - values).max() <= 0.51 * (step + 0.034)


def test_relu6_of_a_quantised_model_stops_at_six(tmp_path: Path) -> None:
    b = QdqBuilder(side=6)
    x = b.quantised("x", 1 / 255, 0, np.uint8, "image")
    x = b.node("Conv", x, *b.weights((4, 3, 3, 3), 1 / 255, per_channel=True), name="conv")
    x = b.node("Clip", x, b.constant(0.0), b.constant(6.0))
    x = b.quantised(x, 0.05, 0, np.uint8, "conv_q")
    x = b.node("Flatten", b.quantised(b.node("GlobalAveragePool", x), 0.05, 0, np.uint8, "gap_q"))
    imported(tmp_path, b.model(b.node("Gemm", x, *b.weights((3, 4), 0.05, per_channel=False), transB=1)))
    layer = load(tmp_path / "net.yaml").network.by_name["conv"]
    assert layer.relu and layer.output_limits == (0, 120)
