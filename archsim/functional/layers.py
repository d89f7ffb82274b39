"""One layer on a batch of images: which kernels, with which integers. The definition is in the kernels' docstrings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from archsim.kernels.arrays import Activations, Int32Array
from archsim.kernels.conv import conv2d, depthwise_conv2d, linear
from archsim.kernels.pool import max_pool, sum_pool
from archsim.kernels.requant import add, requantise
from archsim.network.graph import Layer
from archsim.network.weights import LayerWeights, Weights


def encode_images(images: npt.NDArray[np.uint8], weights: Weights) -> Activations:
    """uint8 pixels (N, H, W, C) to 8-bit activations by the table of each channel."""
    channels = np.arange(images.shape[3])
    encoded: Activations = weights.input_table[channels, images]
    return encoded


def run_layer(layer: Layer, weights: LayerWeights | None, inputs: Sequence[Activations]) -> Activations:
    """Output (N, H, W, C) of any layer but a classifier; int8 or uint8 as ``layer.signed_output``.

    inputs: two tensors for ``add``, else one. weights: None for ``max_pool`` only.
    """
    if weights is None:
        return max_pool(inputs[0], layer.kernel, layer.stride, layer.padding)
    assert weights.multiplier is not None and weights.shift is not None
    signed, highest = layer.signed_output, layer.output_limits[1]
    if layer.op == "add":
        left, right = (int(factor) for factor in weights.multiplier)
        factors, shift = (left, right), int(weights.shift)
        return add(inputs[0], inputs[1], factors, shift, signed=signed, highest=highest)
    if layer.is_compute:
        accumulators = _accumulate(layer, weights, inputs[0])
    else:
        accumulators = sum_pool(inputs[0], layer.kernel, layer.stride)
    channels = (layer.output_shape.channels,)
    bias = np.zeros(channels, np.int32) if weights.bias is None else weights.bias
    multiplier, shifts = (np.broadcast_to(array, channels) for array in (weights.multiplier, weights.shift))
    return requantise(accumulators, bias, multiplier, shifts, signed=signed, highest=highest)


def run_classifier(weights: LayerWeights, activations: Activations) -> Int32Array:
    """Logits int32 (N, classes) of a ``linear`` layer: accumulator + bias."""
    assert weights.weight is not None and weights.bias is not None
    return linear(activations, weights.weight).reshape(len(activations), -1) + weights.bias


def _accumulate(layer: Layer, weights: LayerWeights, activations: Activations) -> Int32Array:
    assert weights.weight is not None
    if layer.op == "linear":
        return linear(activations, weights.weight)
    if layer.op == "depthwise_conv2d":
        return depthwise_conv2d(activations, weights.weight, layer.stride, layer.padding)
    return conv2d(activations, weights.weight, layer.stride, layer.padding, layer.groups)
