"""Readers of what other tools write: ONNX models, topologies and configurations of SCALE-Sim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from archsim.errors import InvalidInput
from archsim.importing.result import ImportResult
from archsim.importing.scalesim import import_topology
from archsim.importing.scalesim_config import import_config
from tests.hostile.mutate import write
from tests.hostile.reader import Reader

TOPOLOGY = b"""Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 10, 12, 3, 3, 3, 8, 1,
Conv2, 10, 12, 3, 3, 8, 16, 2,
Pooled, 2, 3, 2, 2, 16, 16, 1,
FC, 1, 2, 1, 2, 16, 10, 1,
"""
GEMM = b"Layer, M, N, K,\nfirst, 7, 5, 30,\nsecond, 7, 9, 5,\n"
CONFIG = b"""[general]
run_name = small

[architecture_presets]
ArrayHeight:    16
ArrayWidth:     8
IfmapSramSzkB:    64
FilterSramSzkB:   32
OfmapSramSzkB:    16
IfmapOffset:    0
Bandwidth : 10
Dataflow : os
"""


def _imported(path: Path, target: Path, import_file: Callable[[], ImportResult]) -> ImportResult:
    """The result; what is refused has left nothing behind."""
    before = set(path.parent.iterdir())
    try:
        result = import_file()
    except InvalidInput:
        assert set(path.parent.iterdir()) == before, "something was left behind"
        raise
    assert target.is_file()
    return result


def _read_topology(path: Path) -> object:
    target = path.with_name("out.yaml")
    return _imported(path, target, lambda: import_topology(path, target))


def _read_config(path: Path) -> object:
    target = path.with_name("out.yaml")
    return _imported(path, target, lambda: import_config(path, target))


def _float_seeds(_: Path) -> list[bytes]:
    from tests.onnx_models import keras, mobilenet, two_exits, vgg

    small = vgg(8, ((4, 1),), (6,), 3)
    models = (two_exits(), small, mobilenet(8, ((1, 4, 1), (2, 4, 1)), 3, 4, 6), keras())
    return [model.SerializeToString() for model in models]


def _quantised_seeds(_: Path) -> list[bytes]:
    from tests.onnx_models import qdq

    models = (qdq((0.02, 128, np.uint8), (0, np.uint8)), qdq((0.02, 0, np.int8), (-128, np.int8), 6))
    return [model.SerializeToString() for model in models]


def _with_images_seeds(_: Path) -> list[bytes]:
    from tests.onnx_models import mobilenet, vgg

    models = (vgg(8, ((4, 1),), (6,), 3), mobilenet(8, ((1, 4, 1), (2, 4, 1)), 3, 4, 6))
    return [model.SerializeToString() for model in models]


def _read_onnx(path: Path) -> object:
    from archsim.importing.onnx_model import Calibrating, import_onnx

    target = path.with_name("out.yaml")
    return _imported(path, target, lambda: import_onnx(path, target, Calibrating()))


def _read_onnx_with_images(path: Path) -> object:
    from archsim.importing.onnx_model import Calibrating, import_onnx

    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    data, target = path.with_name("data.npz"), path.with_name("out.yaml")
    np.savez(data, images=images, labels=np.array([0, 1]))
    return _imported(path, target, lambda: import_onnx(path, target, Calibrating(data, 2)))


def _read_onnx_beside_weights(path: Path) -> object:
    """Tensors may name files: one that is there, and a link to one elsewhere."""
    write(path.with_name("weights.bin"), bytes(4096))
    path.with_name("link.bin").symlink_to("/etc/passwd")
    return _read_onnx(path)


def _external_seeds(_: Path) -> list[bytes]:
    from onnx.external_data_helper import set_external_data

    from tests.onnx_models import vgg

    seeds = []
    for location, offset in (("weights.bin", 0), ("weights.bin", 64)):
        model = vgg(8, ((4, 1),), (6,), 3)
        for tensor in model.graph.initializer[:2]:
            set_external_data(tensor, location, offset=offset, length=len(tensor.raw_data))
            tensor.ClearField("raw_data")
        seeds.append(model.SerializeToString())
    return seeds


IMPORTS: dict[str, Reader] = {
    "SCALE-Sim topology": Reader("a.csv", "bytes", lambda _: [TOPOLOGY, GEMM], _read_topology),
    "SCALE-Sim configuration": Reader("a.cfg", "bytes", lambda _: [CONFIG], _read_config),
    "ONNX, float": Reader("a.onnx", "onnx", _float_seeds, _read_onnx, True),
    "ONNX, quantised": Reader("a.onnx", "onnx", _quantised_seeds, _read_onnx, True),
    "ONNX, with images": Reader("a.onnx", "onnx", _with_images_seeds, _read_onnx_with_images, True),
    "ONNX, external tensors": Reader("a.onnx", "onnx", _external_seeds, _read_onnx_beside_weights, True),
}
