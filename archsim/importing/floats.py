"""The network in floating point, on images: what its tensors hold before anything is rounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from archsim.network.graph import IMAGE, Layer, Network
from archsim.quantisation.integer import FloatLayer

Maps = NDArray[np.float32]
"""(images, height, width, channels)."""


def float_tensors(
    network: Network, floats: Mapping[str, FloatLayer], ceilings: Mapping[str, float], images: Maps
) -> Iterator[tuple[str, Maps]]:
    """Name and values of every tensor of trunk and branches, in order; those that nobody reads any more are forgotten.

    floats: by layer. ceilings: upper bounds behind a ReLU, by layer. images: normalised.
    """
    layers = list(network.all_layers())
    last_reader = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    tensors = {IMAGE: images}
    for index, layer in enumerate(layers):
        result = _output(layer, floats.get(layer.name), [tensors[name] for name in layer.inputs])
        if layer.relu:
            result = np.clip(result, 0, ceilings.get(layer.name))
        yield layer.name, result
        tensors[layer.name] = result
        tensors = {name: kept for name, kept in tensors.items() if last_reader.get(name, -1) > index}


def _output(layer: Layer, weights: FloatLayer | None, inputs: list[Maps]) -> Maps:
    x = inputs[0]
    if layer.op == "add":
        return x + inputs[1]
    if layer.op == "max_pool":
        largest: Maps = _windows(layer, x, -np.inf).max(axis=(-2, -1))
        return largest
    if weights is None:
        mean: Maps = _windows(layer, x, 0.0).sum(axis=(-2, -1)) / np.float32(math.prod(layer.kernel))
        return mean
    weight, bias = weights.weight.astype(np.float32), weights.bias.astype(np.float32)
    if layer.op == "linear":
        return (x.reshape(len(x), -1) @ weight + bias)[:, None, None, :]
    windows = _windows(layer, x, 0.0)
    result = np.zeros((len(x), layer.output_shape.height, layer.output_shape.width, len(bias)), np.float32)
    for row in range(layer.kernel[0]):
        for column in range(layer.kernel[1]):
            seen, filters = windows[..., row, column], weight[row, column]
            result += (
                seen * filters if layer.op == "depthwise_conv2d" else _grouped(seen, filters, layer.groups)
            )
    return result + bias


def _grouped(seen: Maps, filters: Maps, groups: int) -> Maps:
    if groups == 1:
        return seen @ filters
    parts = zip(np.split(seen, groups, axis=-1), np.split(filters, groups, axis=-1), strict=True)
    return np.concatenate([own @ weight for own, weight in parts], axis=-1)


def _windows(layer: Layer, x: Maps, outside: float) -> Maps:
    """(images, rows, columns, channels, kernel rows, kernel columns): a view of the padded map."""
    (top, left, *_), (*_, bottom, right), (step_y, step_x) = layer.padding, layer.padding, layer.stride
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=outside)
    shape = layer.output_shape
    return sliding_window_view(padded, layer.kernel, axis=(1, 2))[:, ::step_y, ::step_x][
        :, : shape.height, : shape.width
    ]
