"""The integer definition of every operator and of the decisions, one output value or one image at a time.

Slow and obvious, in Python and NumPy int64; nothing of it is shared with the package.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from archsim.functional.decide import Policy
from archsim.network.graph import IMAGE, Layer, Network
from archsim.network.weights import LayerWeights, Weights


def windows(
    shape: tuple[int, ...], window, stride, padding
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """For each (n, out_y, out_x): the taps (i, j, y, x) of its window that lie inside the map."""
    count, height, width, _ = shape
    out_height = (height + padding[0] + padding[-2] - window[0]) // stride[0] + 1
    out_width = (width + padding[1] + padding[-1] - window[1]) // stride[1] + 1
    for n, out_y, out_x in itertools.product(range(count), range(out_height), range(out_width)):
        taps = []
        for i, j in itertools.product(range(window[0]), range(window[1])):
            y, x = out_y * stride[0] + i - padding[0], out_x * stride[1] + j - padding[1]
            if 0 <= y < height and 0 <= x < width:
                taps.append((i, j, y, x))
        yield (n, out_y, out_x), taps


def _collect(found: dict[tuple[int, ...], np.ndarray]) -> np.ndarray:
    shape = tuple(last + 1 for last in max(found))
    return np.array([found[key] for key in sorted(found)]).reshape(*shape, -1)


def conv2d(x, weight, stride, padding, groups=1) -> np.ndarray:
    """Filter o reads the channels c with c // (channels / groups) == o // (filters / groups)."""
    channels, filters = x.shape[3], weight.shape[3]
    full = np.zeros((*weight.shape[:2], channels, filters), np.int64)
    for c, o in itertools.product(range(channels), range(filters)):
        if c // (channels // groups) == o // (filters // groups):
            full[:, :, c, o] = weight[:, :, c % (channels // groups), o]
    x = x.astype(np.int64)
    found = {}
    for (n, *out), taps in windows(x.shape, full.shape, stride, padding):
        found[n, *out] = sum((x[n, y, c] @ full[i, j] for i, j, y, c in taps), np.zeros(filters, np.int64))
    return _collect(found)


def depthwise_conv2d(x, weight, stride, padding) -> np.ndarray:
    x, weight = x.astype(np.int64), weight.astype(np.int64)
    found = {}
    for (n, *out), taps in windows(x.shape, weight.shape, stride, padding):
        found[n, *out] = sum(
            (x[n, y, c] * weight[i, j] for i, j, y, c in taps), np.zeros(weight.shape[2], np.int64)
        )
    return _collect(found)


def max_pool(x, window, stride, padding=(0, 0)) -> np.ndarray:
    x = x.astype(np.int64)
    taken = windows(x.shape, window, stride, padding)
    return _collect(
        {(n, *out): np.max([x[n, y, c] for _, _, y, c in taps], axis=0) for (n, *out), taps in taken}
    )


def sum_pool(x, window, stride) -> np.ndarray:
    x = x.astype(np.int64)
    taken = windows(x.shape, window, stride, (0, 0))
    return _collect(
        {(n, *out): np.sum([x[n, y, c] for _, _, y, c in taps], axis=0) for (n, *out), taps in taken}
    )


def rescale(value: int, shift: int, signed: bool, highest: int = 255) -> int:
    """clamp((value + rounding) >> shift) in Python's unbounded integers."""
    rounded = (value + (1 << (shift - 1) if shift else 0)) >> shift
    return min(max(rounded, -128), 127) if signed else min(max(rounded, 0), highest)


def requantise(accumulators, bias, multiplier, shift, signed: bool, highest: int = 255) -> np.ndarray:
    result = np.empty(accumulators.shape, np.int64)
    for index in np.ndindex(accumulators.shape):
        c = index[-1]
        value = (int(accumulators[index]) + int(bias[c])) * int(multiplier[c])
        result[index] = rescale(value, int(shift[c]), signed, highest)
    return result


def add(left, right, multiplier, shift: int, signed: bool, highest: int = 255) -> np.ndarray:
    result = np.empty(left.shape, np.int64)
    for index in np.ndindex(left.shape):
        value = int(left[index]) * int(multiplier[0]) + int(right[index]) * int(multiplier[1])
        result[index] = rescale(value, shift, signed, highest)
    return result


def top_two(logits) -> tuple[int, int]:
    """(prediction, margin) of one image; the lowest class wins among equals."""
    order = sorted(range(len(logits)), key=lambda k: (-int(logits[k]), k))
    return order[0], int(logits[order[0]]) - int(logits[order[1]])


def layer_output(layer: Layer, weights: LayerWeights | None, inputs: list[np.ndarray]) -> np.ndarray:
    x, highest = inputs[0], getattr(layer.spec, "output_max", 255)
    if layer.op == "max_pool":
        return max_pool(x, layer.kernel, layer.stride, layer.padding)
    assert weights is not None
    if layer.op == "add":
        return add(x, inputs[1], weights.multiplier, int(weights.shift), layer.signed_output, highest)
    channels = layer.output_shape.channels
    bias = np.zeros(channels, np.int64)
    if layer.op == "conv2d":
        accumulators = conv2d(x, weights.weight, layer.stride, layer.padding, layer.groups)
        bias = weights.bias
    elif layer.op == "depthwise_conv2d":
        accumulators, bias = depthwise_conv2d(x, weights.weight, layer.stride, layer.padding), weights.bias
    elif layer.op == "linear":
        accumulators = (x.reshape(len(x), -1) @ weights.weight.astype(np.int64))[:, None, None, :]
        bias = weights.bias
    else:
        accumulators = sum_pool(x, layer.kernel, layer.stride)
    if layer.is_classifier:
        return accumulators + bias
    multiplier, shift = (np.broadcast_to(array, channels) for array in (weights.multiplier, weights.shift))
    return requantise(accumulators, bias, multiplier, shift, layer.signed_output, highest)


def forward(network: Network, weights: Weights, image: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of trunk and branches for one uint8 image (H, W, C); shapes (1, H, W, C)."""
    height, width, channels = image.shape
    encoded = np.empty((1, height, width, channels), np.int64)
    for y, x, c in np.ndindex(height, width, channels):
        encoded[0, y, x, c] = weights.input_table[c, image[y, x, c]]
    tensors = {IMAGE: encoded}
    for layer in network.all_layers():
        inputs = [tensors[name] for name in layer.inputs]
        tensors[layer.name] = layer_output(layer, weights.layers.get(layer.name), inputs)
    return tensors


@dataclass(frozen=True)
class Walk:
    """The way of one image: branches evaluated and skipped, the exit taken and what was predicted there."""

    exit_name: str
    prediction: int
    evaluated: tuple[str, ...]
    skipped: tuple[str, ...]


def walk(network: Network, tensors: dict[str, np.ndarray], policy: Policy) -> Walk:
    """Step from branch to branch as the accelerator does."""
    evaluated, skipped = [], []
    for index, branch in enumerate(network.branches if policy.exits_enabled else ()):
        total = sum(abs(int(value)) for value in tensors[branch.after].ravel())
        dbp = policy.dbp[index] if policy.dbp_enabled else None
        if dbp is not None and (total < dbp.min_sum or (dbp.max_sum is not None and total > dbp.max_sum)):
            skipped.append(branch.name)
            continue
        evaluated.append(branch.name)
        prediction, margin = top_two(tensors[branch.layers[-1].name].ravel())
        threshold = policy.thresholds[index]
        if threshold is not None and margin >= threshold:
            return Walk(branch.name, prediction, tuple(evaluated), tuple(skipped))
    prediction, _ = top_two(tensors[network.layers[-1].name].ravel())
    return Walk("final", prediction, tuple(evaluated), tuple(skipped))
