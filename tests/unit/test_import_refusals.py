"""What cannot be imported is listed, all at once and by node; a hostile file is refused and nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data

from archsim.cli.main import cli
from archsim.errors import InvalidInput
from archsim.importing.onnx_model import Calibrating, import_onnx
from tests.onnx_models import OnnxBuilder, save


def refused(folder: Path, model: Any, **changes: Any) -> list[str]:
    """The problems of an import, one a line."""
    before = set(folder.iterdir())
    path = save(model, folder / "net.onnx")
    with pytest.raises(InvalidInput) as caught:
        import_onnx(path, folder / "net.yaml", Calibrating(**changes))
    assert set(folder.iterdir()) == before | {path}, "something was left behind"
    return str(caught.value).splitlines()


def classifier(builder: OnnxBuilder, x: str, channels: int) -> str:
    """GlobalAveragePool, Flatten, Gemm."""
    return builder.gemm(builder.node("Flatten", builder.node("GlobalAveragePool", x)), channels, 4)


def clipped(b: OnnxBuilder) -> str:
    return classifier(b, b.node("Clip", b.conv("x", 3, 8, 3), b.constant(-1.0), b.constant(1.0)), 8)


def averaged(b: OnnxBuilder) -> str:
    return classifier(b, b.node("AveragePool", b.conv("x", 3, 8, 3), kernel_shape=[3, 3], pads=[1] * 4), 8)


def expanded(b: OnnxBuilder) -> str:
    """Four terabytes of weights."""
    weights = b.node("Expand", b.constant(1.0), b.constant([768, 1 << 30], np.int64))
    return b.node("Gemm", b.node("Flatten", "x"), weights)


def test_all_unsupported_nodes_are_listed_by_name(tmp_path: Path) -> None:
    b = OnnxBuilder()
    b.node("LeakyRelu", b.conv("x", 3, 8, 3, dilations=[2, 2]), name="/act")
    fine = b.conv("x", 3, 4, 3)
    y = b.node("Concat", fine, fine, axis=1, name="/join")
    z = b.node("Relu", b.node("Sigmod", "x", name="/gate"))
    z = b.node("Relu", z, name="/other", domain="com.example")
    problems = refused(tmp_path, b.model(classifier(b, b.node("Add", y, z), 8)))
    assert [line.split(": ")[1] for line in problems] == [
        'Conv "conv_0"',
        'LeakyRelu "/act"',
        'Concat "/join"',
        'Sigmod "/gate"',
        'com.example.Relu "/other"',
    ]
    assert "dilations [2, 2], expected 1" in problems[0]
    assert "hint: train with Relu" in problems[1]
    assert "cannot be simulated" in problems[2]
    assert all(line.startswith(f"{tmp_path / 'net.onnx'}: ") for line in problems)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda b: classifier(b, b.conv("x", 3, 8, 3, pads=[0, 0, 0, 2000]), 8), "less than or equal to 1024"),
        (lambda b: classifier(b, b.node("Relu", "x"), 3), "clips the image"),
        (lambda b: classifier(b, b.normalise(b.node("Relu", b.conv("x", 3, 8, 3)), 8), 8), "and its ReLU"),
        (clipped, "-1.0 .. 1.0"),
        (lambda b: b.node("GlobalAveragePool", b.conv("x", 3, 8, 3)), "expected Gemm or MatMul"),
        (averaged, "averages over padding"),
        (lambda b: classifier(b, b.node("CastLike", b.conv("x", 3, 8, 3), b.constant(1.0)), 8), "expected a constant"),
        (lambda b: classifier(b, b.node("GatherND", b.conv("x", 3, 8, 3), b.constant([0])), 8), "enlarges a map"),
        (expanded, "large constants"),
        (lambda b: classifier(b, b.node("MaxPool", "x", kernel_shape=[2, 2]), 3), "needs a layer with weights"),
        (lambda b: b.node("Softmax", b.node("Flatten", "x"), axis=1), "does not depend on a layer"),
        (lambda b: classifier(b, b.node("Add", b.conv("x", 3, 8, 3), b.constant(np.zeros((8, 14, 14)))), 8), "8x14x14"),
    ],
)  # fmt: skip
def test_each_limit_has_its_words(make: Any, expected: str, tmp_path: Path) -> None:
    b = OnnxBuilder()
    assert expected in "\n".join(refused(tmp_path, b.model(make(b))))


def test_attributes_of_another_kind_are_problems(tmp_path: Path) -> None:
    b = OnnxBuilder()
    x = b.conv("x", 3, 8, 3, strides=3)
    y = b.node("MaxPool", b.conv("x", 3, 8, 3), kernel_shape=[2, 2], auto_pad=1)
    found = refused(tmp_path, b.model(classifier(b, b.node("Add", x, y), 8)))
    assert len(found) == 2 and all("malformed" in line for line in found)


def test_relu_that_a_neighbour_does_not_see(tmp_path: Path) -> None:
    b = OnnxBuilder()
    x = b.conv("x", 3, 8, 3)
    (problem,) = refused(tmp_path, b.model(classifier(b, b.node("Add", x, b.node("Relu", x, name="r")), 8)))
    assert 'Relu "r": clips Conv "conv_0", which other nodes read without it' in problem


def test_outputs_that_are_no_branches(tmp_path: Path) -> None:
    b = OnnxBuilder()
    x = b.node("Relu", b.conv("x", 3, 8, 3))
    hidden = b.gemm(b.node("Flatten", b.node("GlobalAveragePool", x)), 8, 6, "hidden")
    (problem,) = refused(tmp_path, b.model(hidden, b.gemm(hidden, 6, 4)))
    assert "on the way to the last output" in problem


@pytest.mark.parametrize("dims", [[1, 3, "height", 16], [1, 3, 16], [1, 4, 16, 16], [1, 3, 1 << 20, 16]])
def test_image_must_be_known(dims: list[Any], tmp_path: Path) -> None:
    b = OnnxBuilder()
    b.image = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    (problem,) = refused(tmp_path, b.model(classifier(b, b.conv("x", 3, 8, 3), 8)))
    assert 'input "x"' in problem


def external(folder: Path, location: str, **entries: Any) -> Any:
    b = OnnxBuilder()
    model = b.model(classifier(b, b.conv("x", 3, 8, 3), 8))
    weight = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(weight.raw_data)
    set_external_data(weight, location, **entries)
    weight.ClearField("raw_data")
    return model


def test_external_data_inside_the_folder_is_read(tmp_path: Path) -> None:
    save(external(tmp_path, "weights.bin"), tmp_path / "net.onnx")
    assert import_onnx(tmp_path / "net.onnx", tmp_path / "net.yaml", Calibrating()).shape_only


@pytest.mark.parametrize(
    ("location", "entries"),
    [
        ("../weights.bin", {}),
        ("/etc/hostname", {}),
        ("link.bin", {}),
        ("gone.bin", {}),
        ("weights.bin", {"offset": 8}),
        ("weights.bin", {"length": 1 << 40}),
    ],
)
def test_external_data_elsewhere_is_refused(location: str, entries: dict[str, int], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(864))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    (problem,) = refused(folder, external(folder, location, **entries))
    assert 'tensor "k0"' in problem


def damaged(raw: bytes) -> list[bytes]:
    rng = np.random.default_rng(0)
    flipped = [bytearray(raw) for _ in range(20)]
    for copy in flipped:
        for place in rng.integers(0, len(raw), 8):
            copy[place] ^= int(rng.integers(1, 256))
    return [b"", b"\x80\x04junk", raw[: len(raw) // 2], raw[:-7], *map(bytes, flipped)]


def test_damaged_files_are_refused_without_a_traceback(tmp_path: Path) -> None:
    b = OnnxBuilder()
    raw = b.model(classifier(b, b.conv("x", 3, 8, 3), 8)).SerializeToString()
    codes = []
    for data in damaged(raw):
        (tmp_path / "net.onnx").write_bytes(data)
        result = CliRunner().invoke(
            cli, ["import", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "net.yaml")]
        )
        assert result.exit_code in (0, 3), result.output  # a flipped weight is a weight
        codes.append(result.exit_code)
    assert codes[:4] == [3, 3, 3, 3] and codes.count(3) > 6


def test_sizes_that_do_not_fit_their_data_are_refused(tmp_path: Path) -> None:
    b = OnnxBuilder()
    model = b.model(classifier(b, b.conv("x", 3, 8, 3), 8))
    model.graph.initializer[0].dims[0] = 1 << 40
    (problem,) = refused(tmp_path, model)
    assert "bytes, expected" in problem


def test_without_the_extra_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "archsim.importing.onnx_file", raising=False)
    monkeypatch.delitem(sys.modules, "archsim.importing.onnx_model", raising=False)
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "net.yaml")])
    assert result.exit_code == 5 and "archsim[onnx]" in result.output


@pytest.mark.parametrize(
    "arguments",
    [["net.txt", "-o", "x.yaml"], ["net.onnx", "-o", "x.npz"], ["net.onnx", "-o", "x.yaml", "--mean", "a"]],
)
def test_options_that_do_not_fit(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["import", *arguments]).exit_code == 3
