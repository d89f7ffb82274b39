"""Models and topologies that somebody made on purpose: small files that would cost much memory or time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.external_data_helper import set_external_data

from archsim.api import load
from archsim.errors import InvalidInput
from archsim.importing import onnx_file
from archsim.importing.onnx_model import Calibrating, import_onnx
from archsim.importing.scalesim import MAX_TOPOLOGY_BYTES, read_topology
from archsim.importing.scalesim_config import MAX_CONFIG_BYTES, import_config
from archsim.importing.walk import Names
from tests.hostile.import_readers import CONFIG, TOPOLOGY
from tests.onnx_models import OnnxBuilder, qdq, save, vgg

PROCESSOR_S = 20
"""Ten times what is needed, and a tenth of what a pass over all layers for each of them takes."""


def refused(folder: Path, model: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        import_onnx(save(model, folder / "net.onnx"), folder / "net.yaml", Calibrating())
    assert [path.name for path in folder.iterdir() if path.suffix == ".yaml"] == []
    return str(caught.value)


def test_thousands_of_layers_of_one_name() -> None:
    """With one pass over all numbers for each, as it once was, this takes minutes."""
    names = Names("a")
    start_s = time.process_time()
    assert [names.free("a") for _ in range(50_000)][-1] == "a_50001"
    assert time.process_time() - start_s < PROCESSOR_S


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TOPOLOGY + b'"open', "is no CSV file"),
        (TOPOLOGY + b"x" * 200_000, "is no CSV file"),
        (TOPOLOGY + b"\xff", "is no CSV file"),
        (bytes(MAX_TOPOLOGY_BYTES + 1), "larger than 16 MiB"),
        (b"", "no header"),
    ],
)
def test_a_topology_that_is_no_csv(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match=expected):
        read_topology(tmp_path / "a.csv")


def test_lines_of_a_topology_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TOPOLOGY.replace(b"Conv2, 10", b'"Conv\n2", none'))
    with pytest.raises(InvalidInput, match=r"a\.csv:4: ifmap height"):
        read_topology(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [CONFIG + bytes(MAX_CONFIG_BYTES), CONFIG + b"\xff", b"[a\nb"])
def test_a_configuration_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.cfg").write_bytes(content)
    with pytest.raises(InvalidInput):
        import_config(tmp_path / "a.cfg", tmp_path / "a.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["a.cfg"]


def test_weights_without_elements_but_of_many_filters(tmp_path: Path) -> None:
    """The bias of so many filters would be made before anything is found wrong."""
    model = vgg(8, ((4, 1),), (6,), 3)
    weight = model.graph.initializer[0]
    weight.dims[:] = [1 << 50, 3, 0, 3]
    weight.raw_data = b""
    assert "weights of 1125899906842624x3x0x3" in refused(tmp_path, model)


def many_joins(b: OnnxBuilder) -> None:
    """Sizes of a Reshape that double: a Gather of thousands of rows of thousands."""
    row, places = b.constant(np.ones((1, 2000))), b.constant(np.zeros(2000), np.int64)
    for _ in range(30):
        b.node("Gather", row, places)


def many_readers(b: OnnxBuilder) -> None:
    """One constant read again and again."""
    weight, scale = b.constant(np.ones((1000, 1000))), b.constant(0.5)
    zero = b.constant(0, np.int8)
    for _ in range(40):
        b.node("QuantizeLinear", weight, scale, zero)


def many_layers(b: OnnxBuilder) -> None:
    weight = b.constant(np.ones((1000, 3, 18, 18)))
    for _ in range(40):
        b.node("Conv", "x", weight, pads=[9, 9, 9, 9])


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (many_joins, "computes large constants"),
        (many_readers, "more than 16 times"),
        (many_layers, "more than 16 times"),
    ],
)
def test_constants_that_a_graph_repeats(
    tmp_path: Path, attack: Callable[[OnnxBuilder], None], expected: str
) -> None:
    b = OnnxBuilder(side=8)
    attack(b)
    assert expected in refused(tmp_path, b.model(b.node("Relu", "x")))


@pytest.mark.parametrize("op", ["Conv", "MaxPool"])
def test_thousands_of_nodes_of_one_name(tmp_path: Path, op: str) -> None:
    b = OnnxBuilder(side=8)
    x = b.conv("x", 3, 3, 1)
    weight = b.constant(np.ones((3, 3, 1, 1)))
    given = (weight,) if op == "Conv" else ()
    window = {} if op == "Conv" else {"kernel_shape": [1, 1]}
    for number in range(2000):
        x = b.node(op, x, *given, name=f"same/{'/' * (number % 3)}", **window)
        b.nodes[-1].output[0] = x = f"{number}"
    start_s = time.process_time()
    refused(tmp_path, b.model(b.node("Relu", x)))
    assert time.process_time() - start_s < PROCESSOR_S


def test_more_nodes_than_any_network_has(tmp_path: Path) -> None:
    b = OnnxBuilder()
    b.node("Relu", "x")
    b.nodes *= onnx_file.MAX_NODES + 1
    assert f"expected at most {onnx_file.MAX_NODES}" in refused(tmp_path, b.model("y"))


def test_files_of_tensors_that_are_too_large_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "MAX_MODEL_BYTES", 100_000)
    (tmp_path / "weights.bin").write_bytes(bytes(60_000))
    b = OnnxBuilder()
    for _ in range(2):
        name = b.constant(np.ones(15_000))
        tensor = b.constants[-1]
        set_external_data(tensor, "weights.bin", length=60_000)
        tensor.ClearField("raw_data")
        assert tensor.name == name and tensor.data_type == TensorProto.FLOAT
    found = refused(tmp_path, b.model(b.node("Relu", "x")))
    assert 'tensor "k1": with those before it more than' in found and 'tensor "k0"' not in found


@pytest.mark.parametrize("factor", [1e38, 1e300])
def test_numbers_beyond_those_of_a_float(tmp_path: Path, factor: float) -> None:
    """They are told, not carried on as infinities."""
    b = OnnxBuilder(side=8)
    x = b.node("Mul", b.conv("x", 3, 4, 3), b.constant(factor, np.float64))
    x = b.node("Mul", x, b.constant(1e20 if factor < 1e100 else factor, np.float64))
    x = b.gemm(b.node("Flatten", b.node("GlobalAveragePool", b.node("Relu", x))), 4, 3)
    np.savez(tmp_path / "data.npz", images=np.full((2, 8, 8, 3), 255, np.uint8), labels=np.array([0, 1]))
    path = save(b.model(x), tmp_path / "net.onnx")
    with pytest.raises(InvalidInput, match=r"beyond the range of float32|malformed"):
        import_onnx(path, tmp_path / "net.yaml", Calibrating(tmp_path / "data.npz", 2))


@pytest.mark.parametrize(
    ("place", "scale", "is_exact"),
    [
        (0, 1e-45, True),
        (0, 1e-38, True),
        (0, 1e38, False),
        (1, 1e-45, False),
        (1, 1e-38, False),
        (1, 1e38, False),
    ],
)
def test_scales_that_are_denormal_or_huge(tmp_path: Path, place: int, scale: float, is_exact: bool) -> None:
    """Of the image: all of it is next to 0, as the model has it. Of a layer: no shift reaches that far."""
    model = qdq((0.02, 0, np.int8), (-128, np.int8), 6)
    scales = [node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    for tensor in model.graph.initializer:
        if tensor.name == scales[place]:
            tensor.raw_data = np.float32(scale).tobytes()
    if not is_exact:
        assert "requantise" in (said := refused(tmp_path, model)) or "scale" in said
        return
    import_onnx(save(model, tmp_path / "net.onnx"), tmp_path / "net.yaml", Calibrating())
    weights = load(tmp_path / "net.yaml").weights
    assert (weights.layers["stem"].multiplier == 1 << 30).all()
    assert (weights.layers["stem"].shift == 61).all()  # 2^-31: of 8 bits nothing is left
