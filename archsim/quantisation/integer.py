"""A float network to the integer arrays of a workload (keys of the weights file).

Scales flow from the image through the layers; what is written is integers only, exactly as the kernels use them.
Tensors and weights that are quantised already keep the scales that they have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from archsim.network.graph import IMAGE, Layer, Network
from archsim.quantisation import arithmetic

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FloatLayer:
    """Weights float64 laid out as ``Layer.weight_shape``, bias float64 (channels out,).

    scales: float64 (channels out,) where the weights are integers times these scales already, else None.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    scales: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Recipe:
    """What is free in the quantisation of a network.

    mean, std: per channel; the network was trained on (pixel / 255 - mean) / std. weight_clip: scale of a weight
    channel by its largest weight, or by the least squared error.
    """

    mean: Sequence[float]
    std: Sequence[float]
    weight_clip: Literal["max", "mse"] = "mse"


def integer_network(
    network: Network,
    floats: Mapping[str, FloatLayer],
    samples: Mapping[str, NDArray[np.float64]],
    recipe: Recipe,
    given: Mapping[str, float] | None = None,
) -> Arrays:
    """All arrays of the weights file, by key.

    floats: folded weights by layer. samples: float values of every tensor on calibration images. given: scales of
    tensors that have one already, by name (``image`` too); these need no samples.
    Raises ValueError where a scale is beyond what requantisation can do.
    """
    scales = dict(given or {})
    signed = network.signed_image
    table, scales[IMAGE] = input_table(recipe.mean, recipe.std, signed, scales.get(IMAGE))
    arrays: Arrays = {"input/table": table}
    for layer in network.all_layers():
        found, scales[layer.name] = _layer_arrays(recipe, layer, floats, samples, scales)
        arrays.update({f"{layer.name}/{key}": array for key, array in found.items()})
    return arrays


def input_table(
    mean: Sequence[float], std: Sequence[float], signed: bool = True, scale: float | None = None
) -> tuple[NDArray[Any], float]:
    """(table (channels, 256) from pixel to input integer, its scale); int8 where signed, else uint8.

    scale: None for the finest at which no normalised pixel is clipped.

    >>> table, scale = input_table([0.0], [1.0], signed=False)
    >>> int(table[0, 200]), round(scale * 255, 6)
    (200, 1.0)
    """
    pixels = np.arange(256) / 255
    values = (pixels - np.array(mean)[:, None]) / np.array(std)[:, None]
    low, high = arithmetic.activation_limits(signed)
    if scale is None:
        scale, low = float(np.abs(values).max()) / high, max(low, -high)
    return np.clip(np.rint(values / scale), low, high).astype(np.int8 if signed else np.uint8), scale


def _layer_arrays(
    recipe: Recipe,
    layer: Layer,
    floats: Mapping[str, FloatLayer],
    samples: Mapping[str, NDArray[np.float64]],
    scales: Mapping[str, float],
) -> tuple[Arrays, float]:
    """(arrays by short key, scale of the output)."""
    scale_in, scale_out = scales[layer.inputs[0]], scales.get(layer.name)
    if layer.op == "max_pool":
        return {}, scale_in
    if layer.is_classifier:
        return _classifier(recipe, floats[layer.name], scale_in), 1.0
    if layer.op in ("avg_pool", "global_avg_pool"):
        return _pool(layer, samples.get(layer.name), scale_in, scale_out)
    if scale_out is None:
        scale_out = arithmetic.activation_scale(samples[layer.name], layer.signed_output)
    if layer.op == "add":
        factors = np.array([scales[name] for name in layer.inputs]) / scale_out
        multiplier, shift = arithmetic.add_fixed_point(factors)
        return {"multiplier": multiplier, "shift": shift}, scale_out
    return _compute(recipe, floats[layer.name], scale_in, scale_out), scale_out


def _compute(recipe: Recipe, weights: FloatLayer, scale_in: float, scale_out: float) -> Arrays:
    scales = weights.scales
    if scales is None:
        scales = arithmetic.weight_scales(weights.weight, weights.bias, scale_in, recipe.weight_clip)
        weight = arithmetic.quantise_weight(weights.weight, scales)
    else:
        weight = np.rint(weights.weight / scales).astype(np.int8)
    multiplier, shift = arithmetic.fixed_point(np.maximum(scale_in * scales / scale_out, 2.0**-31))
    return {
        "weight": weight,
        "bias": arithmetic.quantise_bias(weights.bias, scale_in * scales),
        "multiplier": multiplier,
        "shift": shift,
    }


def _classifier(recipe: Recipe, weights: FloatLayer, scale_in: float) -> Arrays:
    """One scale for all logits, so that they can be compared as they are."""
    if weights.scales is not None and np.ptp(weights.scales) == 0:
        scale = float(weights.scales[0])
        weight = np.rint(weights.weight / scale).astype(np.int8)
    else:
        flat = weights.weight.reshape(-1, 1)
        largest_bias = np.abs(weights.bias).max(keepdims=True)
        scale = float(arithmetic.weight_scales(flat, largest_bias, scale_in, recipe.weight_clip)[0])
        weight = arithmetic.quantise_weight(weights.weight, scale)
    return {"weight": weight, "bias": arithmetic.quantise_bias(weights.bias, scale_in * scale)}


def _pool(
    layer: Layer, sample: NDArray[np.float64] | None, scale_in: float, scale_out: float | None
) -> tuple[Arrays, float]:
    """The trunk's pools multiply and shift; a branch has an adder and a shifter only."""
    sum_scale = scale_in / math.prod(layer.kernel)
    if "." in layer.name:
        if scale_out is not None:
            shift = max(round(math.log2(scale_out / sum_scale)), 0)
        else:
            assert sample is not None
            shift = arithmetic.pool_shift(sample, sum_scale, layer.signed_output)
        arrays = {"multiplier": np.array(1, np.int32), "shift": np.array(shift, np.int32)}
        return arrays, sum_scale * 2.0**shift
    if scale_out is None:
        assert sample is not None
        scale_out = arithmetic.activation_scale(sample, layer.signed_output)
    multipliers, shifts = arithmetic.fixed_point(np.array([sum_scale / scale_out]))
    return {"multiplier": multipliers[0], "shift": shifts[0]}, scale_out
