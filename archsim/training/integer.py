"""A trained float network to the integer arrays of a workload (keys of the weights file).

Scales flow from the image through the layers; what is written is integers only, exactly as the kernels use them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.network.graph import IMAGE, Layer, Network
from archsim.training import quantise
from archsim.training.spec import TrainSpec

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FloatLayer:
    """Weights float64 laid out as ``Layer.weight_shape``, bias float64 (channels out)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def integer_network(
    spec: TrainSpec, network: Network, floats: dict[str, FloatLayer], samples: dict[str, NDArray[np.float64]]
) -> Arrays:
    """All arrays of the weights file, by key.

    floats: folded weights by layer. samples: float values of every tensor on calibration images.
    """
    table, scale = input_table(spec.data.mean, spec.data.std)
    arrays: Arrays = {"input/table": table}
    scales = {IMAGE: scale}
    for layer in network.all_layers():
        found, scales[layer.name] = _layer_arrays(spec, layer, floats, samples, scales)
        arrays.update({f"{layer.name}/{key}": array for key, array in found.items()})
    return arrays


def input_table(mean: list[float], std: list[float]) -> tuple[NDArray[np.int8], float]:
    """(table int8 (channels, 256) from pixel to input integer, its scale): normalised pixels, none clipped."""
    pixels = np.arange(256) / 255
    values = (pixels - np.array(mean)[:, None]) / np.array(std)[:, None]
    scale = float(np.abs(values).max()) / 127
    return np.clip(np.rint(values / scale), -127, 127).astype(np.int8), scale


def _layer_arrays(
    spec: TrainSpec,
    layer: Layer,
    floats: dict[str, FloatLayer],
    samples: dict[str, NDArray[np.float64]],
    scales: dict[str, float],
) -> tuple[Arrays, float]:
    """(arrays by short key, scale of the output)."""
    scale_in = scales[layer.inputs[0]]
    if layer.op == "max_pool":
        return {}, scale_in
    if layer.is_classifier:
        return _classifier(spec, floats[layer.name], scale_in), 1.0
    sample = samples[layer.name]
    if layer.op in ("avg_pool", "global_avg_pool"):
        return _pool(layer, sample, scale_in)
    scale_out = quantise.activation_scale(sample, layer.signed_output)
    if layer.op == "add":
        factors = np.array([scales[name] for name in layer.inputs]) / scale_out
        multiplier, shift = quantise.add_fixed_point(factors)
        return {"multiplier": multiplier, "shift": shift}, scale_out
    return _compute(spec, floats[layer.name], scale_in, scale_out), scale_out


def _compute(spec: TrainSpec, weights: FloatLayer, scale_in: float, scale_out: float) -> Arrays:
    scales = quantise.weight_scales(weights.weight, weights.bias, scale_in, spec.quantise.weight_clip)
    multiplier, shift = quantise.fixed_point(np.maximum(scale_in * scales / scale_out, 2.0**-31))
    return {
        "weight": quantise.quantise_weight(weights.weight, scales),
        "bias": quantise.quantise_bias(weights.bias, scale_in * scales),
        "multiplier": multiplier,
        "shift": shift,
    }


def _classifier(spec: TrainSpec, weights: FloatLayer, scale_in: float) -> Arrays:
    """One scale for all logits, so that they can be compared as they are."""
    flat = weights.weight.reshape(-1, 1)
    largest_bias = np.abs(weights.bias).max(keepdims=True)
    scale = float(quantise.weight_scales(flat, largest_bias, scale_in, spec.quantise.weight_clip)[0])
    bias = quantise.quantise_bias(weights.bias, scale_in * scale)
    return {"weight": quantise.quantise_weight(weights.weight, scale), "bias": bias}


def _pool(layer: Layer, sample: NDArray[np.float64], scale_in: float) -> tuple[Arrays, float]:
    """The trunk's pools multiply and shift; a branch has an adder and a shifter only."""
    sum_scale = scale_in / math.prod(layer.kernel)
    if "." in layer.name:
        shift = quantise.pool_shift(sample, sum_scale, layer.signed_output)
        arrays = {"multiplier": np.array(1, np.int32), "shift": np.array(shift, np.int32)}
        return arrays, sum_scale * 2.0**shift
    scale_out = quantise.activation_scale(sample, layer.signed_output)
    multipliers, shifts = quantise.fixed_point(np.array([sum_scale / scale_out]))
    return {"multiplier": multipliers[0], "shift": shifts[0]}, scale_out
