"""What a QDQ model means, node by node, in float64 on dequantised values: nothing of it is shared with the package.

Rounding is half up, as the accelerator rounds; ONNX rounds halves to even, which differs only where a value lies
exactly between two integers.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from onnx import helper, numpy_helper


def conv(x, weight, bias, attributes) -> np.ndarray:
    groups, (sy, sx) = attributes.get("group", 1), attributes.get("strides", (1, 1))
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    filters, per_group, kh, kw = weight.shape
    height, width = (x.shape[2] - kh) // sy + 1, (x.shape[3] - kw) // sx + 1
    out = np.zeros((len(x), filters, height, width))
    for n, f, y, c in itertools.product(range(len(x)), range(filters), range(height), range(width)):
        first = f // (filters // groups) * per_group
        seen = x[n, first : first + per_group, y * sy : y * sy + kh, c * sx : c * sx + kw]
        out[n, f, y, c] = (seen * weight[f]).sum() + bias[f]
    return out


def max_pool(x, attributes) -> np.ndarray:
    (kh, kw), (sy, sx) = attributes["kernel_shape"], attributes["strides"]
    height, width = (x.shape[2] - kh) // sy + 1, (x.shape[3] - kw) // sx + 1
    return np.array(
        [[x[:, :, y * sy : y * sy + kh, c * sx : c * sx + kw].max(axis=(2, 3)) for c in range(width)]
         for y in range(height)]
    ).transpose(2, 3, 0, 1)  # fmt: skip


def run(model: Any, image: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """For one normalised image (1, C, H, W): integers minus zero point by QuantizeLinear node, and the last output."""
    values: dict[str, np.ndarray] = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    values["x"] = image.astype(np.float64)
    integers = {}
    for node in model.graph.node:
        given = [values[name] for name in node.input]
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "QuantizeLinear":
            low, high = (-128, 127) if given[2].dtype == np.int8 else (0, 255)
            result = np.clip(np.floor(given[0] / np.float64(given[1]) + 0.5) + int(given[2]), low, high)
            integers[node.name] = (result - int(given[2])).astype(np.int64)
        elif node.op_type == "DequantizeLinear":
            scale, zero = given[1].astype(np.float64), given[2].astype(np.int64)
            if scale.ndim:
                along = [-1 if axis == attributes.get("axis", 1) else 1 for axis in range(given[0].ndim)]
                scale, zero = scale.reshape(along), zero.reshape(along)
            result = (given[0].astype(np.int64) - zero) * scale
        elif node.op_type == "Conv":
            result = conv(given[0], given[1], given[2], attributes)
        elif node.op_type == "Gemm":
            result = given[0] @ given[1].T + given[2]
        elif node.op_type == "Relu":
            result = np.maximum(given[0], 0)
        elif node.op_type == "Add":
            result = given[0] + given[1]
        elif node.op_type == "MaxPool":
            result = max_pool(given[0], attributes)
        elif node.op_type == "GlobalAveragePool":
            result = given[0].mean(axis=(2, 3), keepdims=True)
        elif node.op_type == "Flatten":
            result = given[0].reshape(len(given[0]), -1)
        else:
            raise NotImplementedError(node.op_type)
        values[node.output[0]] = result
    return integers, values[model.graph.output[0].name]
