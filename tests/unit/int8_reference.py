"""The integer definition of a workload in plain NumPy int64: slow, short, and the judge of everything faster."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.network.graph import IMAGE, Layer, Network

Tensor = NDArray[np.int64]


def run_reference(
    network: Network, arrays: Mapping[str, NDArray[Any]], images: NDArray[np.uint8]
) -> dict[str, Tensor]:
    """Every tensor of trunk and branches, int64 (N, H, W, C); classifiers give their logits."""
    channels = np.arange(images.shape[3])
    tensors = {IMAGE: arrays["input/table"][channels, images].astype(np.int64)}
    for layer in network.all_layers():
        own = {
            key.rpartition("/")[2]: a.astype(np.int64)
            for key, a in arrays.items()
            if key.rpartition("/")[0] == layer.name
        }
        tensors[layer.name] = _layer(layer, [tensors[name] for name in layer.inputs], own)
    return tensors


def _layer(layer: Layer, inputs: list[Tensor], own: dict[str, Tensor]) -> Tensor:
    x = inputs[0]
    if layer.op == "add":
        return _requantise(x * own["multiplier"][0] + inputs[1] * own["multiplier"][1], own["shift"], layer)
    if layer.op == "linear":
        accumulators = (x.reshape(len(x), -1) @ own["weight"] + own["bias"])[:, None, None, :]
        if layer.is_classifier:
            return accumulators
        return _requantise(accumulators * own["multiplier"], own["shift"], layer)
    windows = list(_windows(layer, x))
    if layer.op == "max_pool":
        return np.max(windows, axis=0)
    if layer.op in ("avg_pool", "global_avg_pool"):
        return _requantise(np.sum(windows, axis=0) * own["multiplier"], own["shift"], layer)
    taps = own["weight"].reshape(len(windows), *layer.weight_shape[2:])
    products = [
        _grouped(w, tap, layer.groups) if layer.op == "conv2d" else w * tap
        for w, tap in zip(windows, taps, strict=True)
    ]
    return _requantise((np.sum(products, axis=0) + own["bias"]) * own["multiplier"], own["shift"], layer)


def _grouped(window: Tensor, tap: Tensor, groups: int) -> Tensor:
    parts = zip(np.split(window, groups, axis=-1), np.split(tap, groups, axis=-1), strict=True)
    return np.concatenate([maps @ filters for maps, filters in parts], axis=-1)


def _windows(layer: Layer, x: Tensor) -> Any:
    """The input pixel of every output pixel, for each position in the window, row by row."""
    (top, left, *_), (*_, bottom, right), (step_y, step_x) = layer.padding, layer.padding, layer.stride
    height, width = layer.output_shape.height, layer.output_shape.width
    lowest = -128 if layer.op == "max_pool" else 0
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=lowest)
    for ky, kx in itertools.product(range(layer.kernel[0]), range(layer.kernel[1])):
        yield padded[:, ky : ky + height * step_y : step_y, kx : kx + width * step_x : step_x][
            :, :height, :width
        ]


def _requantise(scaled: Tensor, shift: Tensor, layer: Layer) -> Tensor:
    rounding = np.where(shift > 0, 1 << np.maximum(shift - 1, 0), 0)
    low, high = (-128, 127) if layer.signed_output else (0, getattr(layer.spec, "output_max", 255))
    return np.clip((scaled + rounding) >> shift, low, high)
