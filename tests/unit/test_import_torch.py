"""Networks as PyTorch's two exporters write them, against ONNX Runtime. Skipped where one of them is missing.

What they write is also made by hand in ``tests/onnx_models.py``, which needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from archsim.api import load, simulate
from archsim.importing.onnx_model import Calibrating, import_onnx
from archsim.importing.result import ImportResult
from tests.logits import assert_agree, correlation_over_images
from tests.onnx_models import pictures
from tests.unit.int8_reference import run_reference

torch: Any = pytest.importorskip("torch", reason="torch is not installed")
runtime: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")
nn: Any = torch.nn

pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporters
TESTED, SIDE, CLASSES = 24, 32, 10


def unit(
    inputs: int, filters: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: Any = nn.ReLU
) -> Any:
    conv = nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters), *([act()] if act else []))


class Residual(nn.Module):
    """What comes from two ways is added, with a ReLU behind it or none."""

    def __init__(self, body: Any, short: Any, *, relu: bool) -> None:
        super().__init__()
        self.body, self.short, self.relu = body, short, relu

    def forward(self, x: Any) -> Any:
        y = self.body(x) + self.short(x)
        return torch.relu(y) if self.relu else y


def resnet(widths: tuple[int, ...], blocks: int, stem: Any) -> Any:
    layers, inputs = [stem], widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            body = nn.Sequential(unit(inputs, width, 3, stride), unit(width, width, act=None))
            same = stride == 1 and inputs == width
            short = nn.Identity() if same else unit(inputs, width, 1, stride, act=None)
            layers.append(Residual(body, short, relu=True))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


def resnet18() -> Any:
    """He et al., CVPR 2016, at an eighth of the width."""
    stem = nn.Sequential(unit(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1))
    return resnet((8, 16, 32, 64), 2, stem)


def resnet20() -> Any:
    """The same for CIFAR-10, at half the width."""
    return resnet((8, 16, 32), 3, unit(3, 8))


def mobilenetv2() -> Any:
    """Sandler et al., CVPR 2018, Table 2, at a quarter of the width."""
    layers, inputs = [unit(3, 8, 3, 2, act=nn.ReLU6)], 8
    for expansion, width, repeats, stride in (
        (1, 4, 1, 1), (6, 6, 2, 2), (6, 8, 3, 2), (6, 16, 4, 2), (6, 24, 3, 1), (6, 40, 3, 2), (6, 80, 1, 1),
    ):  # fmt: skip
        for index in range(repeats):
            step, hidden = stride if index == 0 else 1, inputs * expansion
            widen = [unit(inputs, hidden, 1, act=nn.ReLU6)] if expansion > 1 else []
            body = nn.Sequential(
                *widen,
                unit(hidden, hidden, 3, step, hidden, act=nn.ReLU6),
                unit(hidden, width, 1, act=None),
            )
            same = step == 1 and inputs == width
            layers.append(Residual(body, nn.Identity(), relu=False) if same else body)
            inputs = width
    head = [nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1), nn.Dropout(0.2), nn.Linear(320, CLASSES)]
    return nn.Sequential(*layers, unit(inputs, 320, 1, act=nn.ReLU6), *head)


def vgg16() -> Any:
    """Simonyan and Zisserman, ICLR 2015, configuration D with BN, at an eighth of the width."""
    layers: list[Any] = []
    inputs = 3
    for width, repeats in ((8, 2), (16, 2), (32, 3), (64, 3), (64, 3)):
        for _ in range(repeats):
            layers.append(unit(inputs, width))
            inputs = width
        layers.append(nn.MaxPool2d(2, 2))
    head = [nn.Linear(64, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, CLASSES)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), *head)


def alexnet() -> Any:
    """Krizhevsky, 2014, at an eighth of the width; a window of 7 in place of 11, for small images."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 24, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(24, 48, 3, 1, 1), nn.ReLU(), nn.Conv2d(48, 32, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten(),
        nn.Dropout(), nn.Linear(32 * 9, 64), nn.ReLU(), nn.Linear(64, CLASSES),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], Any]] = {
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "mobilenetv2": mobilenetv2,
    "alexnet": alexnet,
}


LEAST_CORRELATION = {"mobilenetv2": 0.75}
"""Eight bits cost this network with random weights more than others: ONNX Runtime's own reach 0.77 to 0.87."""


def network(name: str) -> Any:
    """Random weights, and the statistics that batch normalisation has seen of some images."""
    torch.manual_seed(len(name))
    found = NETWORKS[name]()
    for module in found.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    images = torch.tensor(inputs_of(pictures(64, SIDE, seed=5)))
    found.train()
    for _ in range(3):
        found(images)
    return found.eval()


def inputs_of(images: np.ndarray) -> np.ndarray:
    return (images / 255).astype(np.float32).transpose(0, 3, 1, 2)


def exported(name: str, folder: Path, **options: Any) -> Path:
    path = folder / "net.onnx"
    image = torch.zeros(options.pop("batch", 1), 3, SIDE, SIDE)
    torch.onnx.export(network(name), (image,), str(path), verbose=False, **options)
    return path


def imported(model: Path) -> ImportResult:
    data = model.with_name("images.npz")
    np.savez(data, images=pictures(48, SIDE, seed=1), labels=np.zeros(48, np.int64))
    return import_onnx(model, model.with_name("net.yaml"), Calibrating(data, 32))


def logits_of(model: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime says, image by image: (images, classes)."""
    session = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: each[None]})[0] for each in inputs_of(images)])


def integers_of(model: Path, images: np.ndarray) -> np.ndarray:
    """What the integers of the workload say, by the reference: (images, classes)."""
    workload = load(model.with_name("net.yaml"))
    tensors = run_reference(workload.network, workload.weights.arrays(), images)
    return tensors[workload.network.layers[-1].name][:, 0, 0, :]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("exporter", ["script", pytest.param("dynamo", marks=pytest.mark.slow)])
def test_exported_networks_answer_as_they_do_in_onnx_runtime(
    name: str, exporter: str, tmp_path: Path
) -> None:
    model = exported(name, tmp_path, dynamo=exporter == "dynamo")
    result = imported(model)
    images = pictures(TESTED, SIDE)
    found, expected = integers_of(model, images), logits_of(model, images)
    assert_agree(found, expected)
    assert correlation_over_images(found, expected) > LEAST_CORRELATION.get(name, 0.95)
    assert not result.notes and result.top1_agreement["final"] > 0.8
    run = simulate(tmp_path / "net.yaml", data=tmp_path / "images.npz", images=2, engine="segment")
    assert run.cycles.total > 0


@pytest.mark.parametrize(
    "options",
    [
        {"dynamo": True},
        {"dynamo": True, "optimize": False},
        {"dynamo": True, "batch": 2, "dynamic_shapes": ({0: "batch"},)},
        {"dynamo": False, "do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE},
        {"dynamo": False, "opset_version": 13},
    ],
    ids=["dynamo", "unoptimised", "free batch", "unfolded", "opset 13"],
)
def test_every_way_of_exporting_gives_the_same_workload(options: dict[str, Any], tmp_path: Path) -> None:
    """Folded or not, a batch normalisation is the same layer; rounding may move a weight by one step."""
    results = []
    for name, given in (("a", {"dynamo": False}), ("b", options)):
        folder = tmp_path / name
        folder.mkdir()
        model = exported("resnet20", folder, **given)
        results.append((imported(model), integers_of(model, pictures(8, SIDE))))
    (first, expected), (second, found) = results
    assert (second.layers, second.parameters, second.macs) == (first.layers, first.parameters, first.macs)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.999


SCHEMES: dict[str, dict[str, Any]] = {
    "symmetric": {"activation": "QInt8", "per_channel": True, "extra_options": {"ActivationSymmetric": True}},
    "asymmetric": {"activation": "QUInt8", "per_channel": True},
    "one scale a tensor": {"activation": "QInt8"},
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["resnet20", "mobilenetv2"])
def test_models_that_onnx_runtime_quantised(name: str, scheme: str, tmp_path: Path) -> None:
    """QDQ as its quantiser writes it; the workload answers as the quantised model does, not only as the float one."""
    quantization: Any = pytest.importorskip("onnxruntime.quantization")
    pre_process: Any = pytest.importorskip("onnxruntime.quantization.shape_inference")
    model, prepared = exported(name, tmp_path, dynamo=False), tmp_path / "prepared.onnx"
    pre_process.quant_pre_process(str(model), str(prepared))
    name_of_input = onnx.load(prepared).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(inputs_of(pictures(16, SIDE, seed=1)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {name_of_input: image[None]}

    options = dict(SCHEMES[scheme])
    activation = getattr(quantization.QuantType, options.pop("activation"))
    model = tmp_path / "net.onnx"
    quantization.quantize_static(
        str(prepared),
        str(model),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=activation,
        weight_type=quantization.QuantType.QInt8,
        **options,
    )
    result = imported(model)
    assert not result.shape_only
    assert bool(result.notes) == (scheme != "symmetric")  # zero points of tensors with negative values
    images = pictures(TESTED, SIDE)
    found, expected = integers_of(model, images), logits_of(model, images)
    assert_agree(found, expected)
    if scheme == "symmetric":
        assert correlation_over_images(found, expected) > 0.99
