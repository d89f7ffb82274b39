"""The integers of a network: int8 weights, int32 biases, rescaling, and the table that codes the image.

``.npz`` keys; layers of a branch are called ``branch.layer``:

=====================  =============================  ==============================================================
key                    dtype and shape                values
=====================  =============================  ==============================================================
input/table            int8 (C, 256)                  the activation of each pixel value, per channel; uint8 with
                                                      ``input.signed: false``
LAYER/weight           int8, ``Layer.weight_shape``   any
LAYER/bias             int32 (Cout,)                  abs(bias) + 255 * sum of abs(weights) < 2^31 in each channel
LAYER/multiplier       int32 (Cout,)                  2^30 .. 2^31 - 1; not for classifiers
LAYER/shift            int32 (Cout,)                  1 .. 62; not for classifiers
POOL/multiplier, shift int32 ()                       1 .. 2^31 - 1 and 0 .. 62; avg_pool and global_avg_pool
ADD/multiplier, shift  int32 (2,) and ()              the same
=====================  =============================  ==============================================================

How they are used: :mod:`archsim.kernels.requant`. The bound on the bias proves that no int32 accumulator overflows,
whatever the image. Classifiers leave accumulator + bias as int32 logits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput, Problem
from archsim.kernels.arrays import Activations
from archsim.network.graph import IMAGE, Layer, Network
from archsim.network.npz import NpzReader, write_npz
from archsim.network.zeros import zero_fractions

INPUT_TABLE = "input/table"
MAX_WEIGHTS_BYTES = 4 << 30
_INT32_END = 1 << 31
_MAX_SHIFT = 62
_MAX_ACTIVATION = 255

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """Arrays of one layer, None where the layer has none; shapes and ranges in the table above."""

    weight: Int8Array | None = None
    bias: Int32Array | None = None
    multiplier: Int32Array | None = None
    shift: Int32Array | None = None


@dataclass(frozen=True, eq=False)
class Weights:
    """All arrays of a network.

    input_table: int8, or uint8, (C, 256). layers: by layer name, for every layer that has arrays.
    """

    input_table: Activations
    layers: Mapping[str, LayerWeights]

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Weights:
        """From arrays by their ``.npz`` key, which are taken as they are."""
        layers: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for key, array in arrays.items():
            layer, _, part = key.rpartition("/")
            if key != INPUT_TABLE:
                layers.setdefault(layer, {})[part] = array
        return cls(arrays[INPUT_TABLE], {name: LayerWeights(**parts) for name, parts in layers.items()})

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything by its ``.npz`` key, in sorted order."""
        found: dict[str, npt.NDArray[Any]] = {INPUT_TABLE: self.input_table}
        for name, layer in self.layers.items():
            for part, array in vars(layer).items():
                if array is not None:
                    found[f"{name}/{part}"] = array
        return dict(sorted(found.items()))


def expected_arrays(network: Network) -> dict[str, tuple[str, tuple[int, ...]]]:
    """dtype name and shape by key: all that the weights file of a network holds, no more and no less."""
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        INPUT_TABLE: (
            "int8" if network.signed_image else "uint8",
            (network.input_shape.channels, 256),
        )
    }
    for layer in network.all_layers():
        per_channel = (layer.output_shape.channels,)
        if layer.is_compute:
            expected[f"{layer.name}/weight"] = ("int8", layer.weight_shape)
            expected[f"{layer.name}/bias"] = ("int32", per_channel)
        if layer.is_compute and not layer.is_classifier:
            expected[f"{layer.name}/multiplier"] = expected[f"{layer.name}/shift"] = ("int32", per_channel)
        elif layer.op in ("avg_pool", "global_avg_pool", "add"):
            expected[f"{layer.name}/multiplier"] = ("int32", (2,) if layer.op == "add" else ())
            expected[f"{layer.name}/shift"] = ("int32", ())
    return expected


def load_weights(paths: Sequence[Path], network: Network) -> Weights:
    """Read and check the weights of a network; arrays are read-only.

    paths: the files that hold them together. One file alone holds nothing else; several may serve other networks too,
    and an array that lies in more than one of them is taken from the last.
    Raises InvalidInput listing every missing, unexpected or damaged array, wrong dtype, shape or value, and every layer
    in which an int32 accumulator could overflow.
    """
    expected = expected_arrays(network)
    size_bytes = sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in expected.values())
    if size_bytes > MAX_WEIGHTS_BYTES:
        message = f"the network has {size_bytes} bytes of weights, expected at most {MAX_WEIGHTS_BYTES}"
        hint = "a workload without weights can be timed (shape-only)"
        raise InvalidInput([Problem(str(paths[0]), "", message, hint)])
    with ExitStack() as stack:
        readers = [stack.enter_context(NpzReader(path)) for path in paths]
        last_first = readers[::-1]
        homes = {
            key: next((found for found in last_first if key in found.keys), readers[0]) for key in expected
        }
        arrays = {key: homes[key].array(key, dtype, shape) for key, (dtype, shape) in expected.items()}
        if len(readers) == 1:
            readers[0].refuse_others(expected)
        for layer in network.all_layers():
            _check_layer(layer, arrays, homes.get(f"{layer.name}/weight", readers[0]))
        problems = [problem for found in readers for problem in found.problems]
        if problems:
            raise InvalidInput(problems)
    return Weights.of({key: array for key, array in arrays.items() if array is not None})


def save_weights(path: Path, weights: Weights) -> None:
    """Write a weights file; equal weights give equal bytes. Raises InvalidInput when it cannot be written."""
    write_npz(path, weights.arrays())


def network_hash(network: Network, weights: Weights | None) -> str:
    """SHA-256 (hex) of all that decides what a network computes: graph, shapes and weights, if it has any.

    Without them its zeros are given and belong to it.

    How the file was compressed does not matter, and neither do names of networks, thresholds and DBP bounds: a trace
    serves all of those.
    """
    graph = {
        "input": str(network.input_shape),
        "layers": [_layer_key(layer) for layer in network.all_layers()],
        "branches": [[branch.name, branch.after, len(branch.layers)] for branch in network.branches],
    }
    digest = hashlib.sha256(json.dumps(graph, sort_keys=True, separators=(",", ":")).encode())
    if weights is None:
        zeros = sorted(zero_fractions(network).items())
        own = sorted((name, str(shape)) for name, shape in network.own_inputs)
        digest.update(json.dumps([[layer.groups for layer in network.layers], zeros, *own]).encode())
        return digest.hexdigest()
    for key, array in weights.arrays().items():
        digest.update(f"\0{key}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def tensor_hashes(network: Network, weights: Weights) -> dict[str, str]:
    """SHA-256 (hex) of all that decides what each tensor holds: its layer, the layer's arrays, the tensors it reads.

    By the name of the tensor, which is that of its layer. Names themselves do not count, so that a trunk is recognised
    in whatever network it stands.
    """
    image = hashlib.sha256(str(network.input_shape).encode())
    image.update(np.ascontiguousarray(weights.input_table).data)
    image.update(b"" if network.signed_image else b"uint8")
    hashes = {IMAGE: image.hexdigest()}
    for layer in network.all_layers():
        key = [layer.op, [hashes[name] for name in layer.inputs], *_geometry(layer)]
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, separators=(",", ":")).encode())
        parts = weights.layers.get(layer.name)
        for part, array in vars(parts).items() if parts is not None else ():
            if array is not None:
                digest.update(f"\0{part}\0{array.dtype.str}\0{array.shape}\0".encode())
                digest.update(np.ascontiguousarray(array).data)
        hashes[layer.name] = digest.hexdigest()
    return hashes


def _layer_key(layer: Layer) -> list[Any]:
    return [layer.name, layer.op, layer.inputs, *_geometry(layer)]


def _geometry(layer: Layer) -> list[Any]:
    window = [layer.kernel, layer.stride, layer.padding]
    highest = layer.output_limits[1]
    clipped = [] if (highest in (127, 255) and layer.signed_output) or highest == 255 else [highest]
    return [str(layer.output_shape), *window, layer.relu, layer.is_classifier, *clipped]


def _check_layer(layer: Layer, arrays: Mapping[str, npt.NDArray[Any] | None], reader: NpzReader) -> None:
    """Note values out of range; arrays that are not there have been noted already."""
    multiplier, shift = (arrays.get(f"{layer.name}/{part}") for part in ("multiplier", "shift"))
    per_channel = layer.is_compute
    lowest = {"multiplier": 1 << 30 if per_channel else 1, "shift": 1 if per_channel else 0}
    for part, values, highest in (("multiplier", multiplier, _INT32_END - 1), ("shift", shift, _MAX_SHIFT)):
        if values is not None and (values.min() < lowest[part] or values.max() > highest):
            message = f"found {values.min()} .. {values.max()}, expected {lowest[part]} .. {highest}"
            reader.problem(f"{layer.name}/{part}", message)
    weight, bias = (arrays.get(f"{layer.name}/{part}") for part in ("weight", "bias"))
    if weight is not None and bias is not None:
        _check_overflow(layer, weight, bias, reader)
    window = layer.kernel[0] * layer.kernel[1]
    if layer.op in ("avg_pool", "global_avg_pool") and window * _MAX_ACTIVATION >= _INT32_END:
        reader.problem(layer.name, f"the sum of {window} activations overflows int32", "pool in two steps")


def _check_overflow(layer: Layer, weight: Int8Array, bias: Int32Array, reader: NpzReader) -> None:
    """|bias| + 255 * sum |w| bounds every partial sum, in whatever order it is formed."""
    # Depthwise weights end in the channel, the others in the output channel.
    rows = weight.reshape(-1, weight.shape[-1])
    bound = np.abs(bias.astype(np.int64))
    # Summed as positive and negative parts: |-128| does not fit int8, and a widened copy would be large.
    positive = rows.sum(axis=0, dtype=np.int64, where=rows > 0)
    bound += _MAX_ACTIVATION * (2 * positive - rows.sum(axis=0, dtype=np.int64))
    over = np.flatnonzero(bound >= _INT32_END)
    if len(over):
        channel = int(over[0])
        message = (
            f"the accumulator of channel {channel} can reach {bound[channel]}, expected less than 2^31"
            f" ({len(over)} of {len(bound)} channels)"
        )
        reader.problem(f"{layer.name}/bias", message, "scale weights and bias down")
