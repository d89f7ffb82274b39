"""What each ONNX operator becomes. The table of docs/reference/import.md is made from :data:`OPERATORS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from archsim.importing.draft import NO_PADS, WITH_WEIGHTS, Constant, Node, Tensor, Unsupported, is_image
from archsim.importing.quantised import dequantize, quantize
from archsim.importing.walk import HINTS, Value, Walk, per_channel
from archsim.importing.window import kernel_of, window_of

_FLOAT_TYPES = (1, 10, 11, 16)
"""TensorProto: FLOAT, FLOAT16, DOUBLE, BFLOAT16."""


@dataclass(frozen=True)
class Operator:
    """becomes: what of a workload stands for it. limits: what of it is supported, in words."""

    handler: Callable[[Walk, Node], Value]
    becomes: str
    limits: str


def conv(walk: Walk, node: Node) -> Tensor:
    """Conv: (filters, channels / groups, height, width)."""
    tensor, weight = walk.map(node), walk.constant(node, 1)
    if weight.array.ndim != 4 or not weight.array.size:
        found = "x".join(map(str, weight.array.shape))
        raise Unsupported(f"weights of {found}, expected four dimensions", "only images can be read")
    filters, per_group, *kernel = weight.array.shape
    groups, channels = int(node.attributes.get("group", 1)), tensor.shape.channels
    if groups < 1 or per_group * groups != channels:
        raise Unsupported(f"{groups} groups of {per_group} channels, expected {channels} channels in all")
    options = window_of(node, tensor, (kernel[0], kernel[1]), tensor.pads)
    parts = {"bias": _bias(walk, node, filters), "weight_scales": _channel_scales(weight, 0, filters)}
    if 1 < groups == filters == channels:
        parts["weight"] = weight.array[:, 0].transpose(1, 2, 0).astype(np.float64)
        return walk.add(node, "depthwise_conv2d", (tensor,), options, **parts)
    parts["weight"] = weight.array.transpose(2, 3, 1, 0).astype(np.float64)
    return walk.add(node, "conv2d", (tensor,), {**options, "filters": filters, "groups": groups}, **parts)


def gemm(walk: Walk, node: Node) -> Tensor:
    """Gemm: alpha * A B + beta * C."""
    if node.attributes.get("transA", 0):
        raise Unsupported("transA is set, expected a matrix of weights on the right", "swap the operands")
    weight = walk.constant(node, 1)
    transposed = bool(node.attributes.get("transB", 0))
    tensor = _linear(walk, node, weight, transposed)
    draft = walk.drafts[tensor.draft]
    units = tensor.shape.channels
    draft.scale_output(np.full(units, float(node.attributes.get("alpha", 1.0))), np.zeros(units))
    bias = walk.optional(node, 2)
    if bias is not None:
        draft.bias = per_channel(bias, tensor) * float(node.attributes.get("beta", 1.0))
    return tensor


def matmul(walk: Walk, node: Node) -> Tensor:
    """MatMul with constant weights on the right."""
    return _linear(walk, node, walk.constant(node, 1), False)


def _linear(walk: Walk, node: Node, weight: Constant, transposed: bool) -> Tensor:
    """weight: (inputs, units), or the reverse. Inputs come as channels, height, width and leave with channels last."""
    tensor = walk.tensor(node)
    if not tensor.flat:
        raise Unsupported("reads a map, expected a flattened tensor", "put a Flatten before it")
    matrix = weight.array
    if matrix.ndim != 2:
        raise Unsupported(f"weights of {matrix.ndim} dimensions, expected 2")
    scales = _channel_scales(weight, 0 if transposed else 1, matrix.shape[0 if transposed else 1])
    matrix = matrix.T if transposed else matrix
    shape = tensor.shape
    if matrix.shape[0] != shape.elements:
        raise Unsupported(f"weights for {matrix.shape[0]} inputs, found {shape.elements}")
    units = matrix.shape[1]
    by_map = matrix.reshape(shape.channels, shape.height, shape.width, units).transpose(1, 2, 0, 3)
    parts = {
        "weight": by_map.reshape(-1, units).astype(np.float64),
        "bias": np.zeros(units),
        "weight_scales": scales,
    }
    return walk.add(node, "linear", (tensor,), {"units": units}, **parts)


def _channel_scales(weight: Constant, axis: int, channels: int) -> Any:
    """Scales of quantised weights by output channel; None where they lie along another axis, or there are none."""
    if weight.scales is None or (weight.scales.size > 1 and weight.axis != axis):
        return None
    return np.broadcast_to(weight.scales.ravel(), (channels,)).copy()


def _bias(walk: Walk, node: Node, filters: int) -> Any:
    bias = walk.optional(node, 2)
    if bias is None:
        return np.zeros(filters)
    if bias.shape != (filters,):
        raise Unsupported(f"a bias of {bias.shape}, expected ({filters},)")
    return bias.astype(np.float64)


def add(walk: Walk, node: Node) -> Tensor:
    """Add: two tensors, or a bias."""
    if all(isinstance(walk.values[name], Tensor) for name in node.inputs):
        left, right = walk.tensor(node, 0), walk.tensor(node, 1)
        if left.shape != right.shape or left.flat != right.flat:
            raise Unsupported(
                f"{right.shape} cannot be added to {left.shape}", "broadcasting is not supported"
            )
        if is_image(left) or is_image(right):
            raise Unsupported("adds the image, expected the outputs of two layers")
        return replace(walk.add(node, "add", (left, right), {}), flat=left.flat)
    return _affine(walk, node)


def _affine(walk: Walk, node: Node) -> Tensor:
    """Add, Sub, Mul or Div with a constant: part of the layer before it, or of the normalisation of the image."""
    first = isinstance(walk.values[node.inputs[0]], Tensor)
    tensor, array = walk.tensor(node, 0 if first else 1), walk.constant(node, 1 if first else 0).array
    if not first and node.op in ("Sub", "Div"):
        raise Unsupported("the tensor is on the right, expected it on the left")
    factor = per_channel(array, tensor)
    if node.op == "Div" and not factor.all():
        raise Unsupported("divides by 0")
    gain = {"Mul": factor, "Div": 1 / factor if node.op == "Div" else factor}.get(
        node.op, np.ones_like(factor)
    )
    offset = {"Add": factor, "Sub": -factor}.get(node.op, np.zeros_like(factor))
    if is_image(tensor) and tensor.sole:
        walk.gain, walk.offset = walk.gain * gain, walk.offset * gain + offset
    else:
        walk.weighted(tensor, "belongs to").scale_output(gain, offset)
    return tensor


def batch_normalization(walk: Walk, node: Node) -> Tensor:
    """BatchNormalization at inference."""
    tensor = walk.tensor(node)
    scale, bias, mean, variance = (per_channel(walk.constant(node, index).array, replace(tensor, flat=True))
                                   for index in range(1, 5))  # fmt: skip
    spread = variance + float(node.attributes.get("epsilon", 1e-5))
    if not (spread > 0).all():
        raise Unsupported("a variance below 0, or one that is not a number")
    gain = scale / np.sqrt(spread)
    walk.weighted(tensor, "normalises").scale_output(gain, bias - mean * gain)
    return tensor


def relu(walk: Walk, node: Node) -> Tensor:
    """Relu."""
    return _clip_at_zero(walk, walk.tensor(node), None)


def clip(walk: Walk, node: Node) -> Tensor:
    """Clip from 0, with or without an upper bound."""
    bounds = []
    for index, key in ((1, "min"), (2, "max")):
        array = walk.optional(node, index)
        bounds.append(
            float(array.ravel()[0]) if array is not None and array.size else node.attributes.get(key)
        )
    low, high = bounds
    if low != 0 or (high is not None and not high > 0):
        raise Unsupported(
            f"clips to {low} .. {high}, expected 0 .. a positive bound", "use Relu or Clip(0, 6)"
        )
    return _clip_at_zero(walk, walk.tensor(node), high)


def _clip_at_zero(walk: Walk, tensor: Tensor, ceiling: float | None) -> Tensor:
    """Clips what a layer writes. A ReLU behind a max pool goes before it: the maximum does not mind."""
    draft, sole = walk.source(tensor), tensor.sole
    while draft is not None and draft.op == "max_pool" and sole:
        sole = draft.sole_input
        draft = walk.drafts.get(draft.inputs[0])
    if ceiling is None and walk.is_unsigned(tensor):
        return tensor
    if draft is None or draft.op not in (*WITH_WEIGHTS, "add") or not sole:
        found = "the image" if draft is None else draft.label
        why = (
            "which other nodes read without it"
            if draft is not None and not sole
            else "expected Conv, Gemm or Add"
        )
        raise Unsupported(f"clips {found}, {why}", "a ReLU belongs to the layer before it")
    draft.relu = True
    draft.ceiling = min(filter(None, (draft.ceiling, ceiling)), default=None)
    return tensor


def max_pool(walk: Walk, node: Node) -> Tensor:
    """MaxPool."""
    tensor = walk.map(node)
    options = window_of(node, tensor, kernel_of(node), NO_PADS)
    return walk.add(node, "max_pool", (tensor,), options, sole_input=tensor.sole)


def average_pool(walk: Walk, node: Node) -> Tensor:
    """AveragePool without padding."""
    tensor, kernel = walk.map(node), kernel_of(node)
    options = window_of(node, tensor, kernel, NO_PADS)
    if any(options.pop("padding")):
        raise Unsupported(
            "averages over padding, expected none", "pad before the pool, or use GlobalAveragePool"
        )
    if kernel == (1, 1) and options["stride"] == (1, 1):
        return tensor
    if kernel == (tensor.shape.height, tensor.shape.width):
        return walk.add(node, "global_avg_pool", (tensor,), {})
    return walk.add(node, "avg_pool", (tensor,), options)


def global_average_pool(walk: Walk, node: Node) -> Tensor:
    """GlobalAveragePool."""
    return walk.add(node, "global_avg_pool", (walk.map(node),), {})


def reduce_mean(walk: Walk, node: Node) -> Tensor:
    """ReduceMean over height and width."""
    axes = walk.optional(node, 1)
    found = sorted(
        int(axis) % 4 for axis in (node.attributes.get("axes", ()) if axes is None else axes.ravel())
    )
    if found != [2, 3]:
        raise Unsupported(f"averages over the axes {found}, expected 2 and 3 (height and width)")
    pooled = walk.add(node, "global_avg_pool", (walk.map(node),), {})
    return replace(pooled, flat=not node.attributes.get("keepdims", 1))


def flatten(walk: Walk, node: Node) -> Tensor:
    """Flatten from axis 1."""
    if node.attributes.get("axis", 1) not in (1, -3):
        raise Unsupported(f"flattens from axis {node.attributes['axis']}, expected 1")
    return replace(walk.tensor(node), flat=True)


def reshape(walk: Walk, node: Node) -> Value:
    """Reshape of a map to a row, of a constant to anything."""
    value = walk.values[node.inputs[0]]
    if isinstance(value, Constant):
        return fold(walk, node)
    tensor, shape = walk.tensor(node), walk.tensor(node).shape
    target = [int(length) for length in walk.constant(node, 1).array.ravel()]
    here = [1, shape.elements] if tensor.flat else [1, shape.channels, shape.height, shape.width]
    lengths = [
        here[index] if length == 0 and index < len(here) else length for index, length in enumerate(target)
    ]
    # What the batch is does not matter: a free length beside it, or in its place, is what is left over.
    if len(lengths) == 2 and lengths[1] in (-1, shape.elements):
        return replace(tensor, flat=True)
    if lengths[1:] == [shape.channels, shape.height, shape.width] and not (
        tensor.flat and shape.height * shape.width > 1
    ):
        return replace(tensor, flat=False)
    raise Unsupported(f"reshapes {shape} to {target}, expected a row (images, {shape.elements})")


def squeeze(walk: Walk, node: Node) -> Value:
    """Squeeze of a map of one pixel, or of a constant."""
    if isinstance(walk.values[node.inputs[0]], Constant):
        return fold(walk, node)
    tensor = walk.tensor(node)
    if tensor.shape.height * tensor.shape.width > 1:
        raise Unsupported(f"squeezes a map of {tensor.shape}, expected one pixel")
    return replace(tensor, flat=True)


def identity(walk: Walk, node: Node) -> Value:
    """Anything that leaves its input as it is at inference."""
    value = walk.values[node.inputs[0]]
    return value if isinstance(value, Constant) else walk.tensor(node)


def cast(walk: Walk, node: Node) -> Value:
    """Cast between floating-point types, or of a constant."""
    if isinstance(walk.values[node.inputs[0]], Tensor) and node.attributes.get("to") not in _FLOAT_TYPES:
        raise Unsupported("casts to a type that is not floating point", "keep activations in floating point")
    return identity(walk, node)


def constant(_: Walk, node: Node) -> Constant:
    """Constant."""
    given = [value for key, value in node.attributes.items() if key.startswith("value")]
    if len(given) != 1 or isinstance(given[0], bytes | str):
        raise Unsupported("holds no numbers")
    array = np.asarray(given[0])
    if array.dtype.kind not in "biuf":
        raise Unsupported("holds no numbers")
    return Constant(array)


def softmax(walk: Walk, node: Node) -> Tensor:
    """Softmax at an output: the order of the classes is that of the logits."""
    tensor = walk.tensor(node)
    if node.outputs[0] not in walk.outputs:
        raise Unsupported("is not at an output, expected it at the end", "archsim compares logits")
    walk.notes.append(f"{node.label} is left out: it does not change the order of the classes")
    return tensor


def pad(walk: Walk, node: Node) -> Tensor:
    """Pad with zeros before a Conv."""
    tensor, pads = walk.map(node), walk.optional(node, 1)
    found = [int(length) for length in (node.attributes.get("pads", ()) if pads is None else pads.ravel())]
    value = walk.optional(node, 2)
    mode = node.attributes.get("mode", b"constant")
    if mode != b"constant" or (value is not None and value.any()) or node.attributes.get("value", 0.0):
        raise Unsupported("pads with something else than zeros")
    if len(found) != 8 or any(found[index] for index in (0, 1, 4, 5)) or min(found) < 0:
        raise Unsupported(f"pads by {found}, expected height and width alone")
    top, left, bottom, right = (
        a + b for a, b in zip(tensor.pads, (found[2], found[3], found[6], found[7]), strict=True)
    )
    return replace(tensor, pads=(top, left, bottom, right))


def shape(walk: Walk, node: Node) -> Constant:
    """Shape of a tensor, for one image, or of a constant; from ``start`` to ``end`` where they are given."""
    value = walk.values[node.inputs[0]]
    if isinstance(value, Constant):
        lengths = list(value.array.shape)
    else:
        tensor = walk.tensor(node)
        here = tensor.shape
        lengths = [1, here.elements] if tensor.flat else [1, here.channels, here.height, here.width]
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(lengths))
    return Constant(np.array(lengths[start:end], np.int64))


def cast_like(walk: Walk, node: Node) -> Value:
    """CastLike of a constant: a parameter takes the type of the activations, which makes no difference here."""
    value = walk.values[node.inputs[0]]
    if not isinstance(value, Constant):
        raise Unsupported("casts a tensor that depends on the image, expected a constant")
    return value


def fold(walk: Walk, node: Node) -> Constant:
    """An operator on constants, computed now."""
    if any(isinstance(walk.values[name], Tensor) for name in node.inputs if name):
        raise Unsupported(
            "changes a tensor that depends on the image, expected constants alone", HINTS.get(node.op, "")
        )
    given = [walk.constant(node, index) for index, name in enumerate(node.inputs) if name]
    if node.op == "Transpose" and given[0].scales is not None:
        axes = tuple(node.attributes.get("perm", range(given[0].array.ndim)[::-1]))
        if sorted(axes) != list(range(given[0].array.ndim)):
            raise Unsupported(f"permutes by {list(axes)}")
        return Constant(given[0].array.transpose(axes), given[0].scales, axes.index(given[0].axis))
    return walk.fold(node, given)


OPERATORS: dict[str, Operator] = {
    "Add": Operator(add, "`add`, or a bias", "two tensors of one shape, or a constant per channel"),
    "AveragePool": Operator(average_pool, "`avg_pool`, `global_avg_pool`", "no padding, not rounded up"),
    "BatchNormalization": Operator(
        batch_normalization, "weights and bias", "directly behind a layer with weights"
    ),
    "Cast": Operator(cast, "nothing", "to a floating-point type"),
    "CastLike": Operator(cast_like, "nothing", "of constants"),
    "Clip": Operator(clip, "`relu`", "from 0; an upper bound (ReLU6) is where the 8-bit tensor saturates"),
    "Concat": Operator(fold, "a constant", "of constants: sizes of a Reshape"),
    "Constant": Operator(constant, "a constant", "numbers"),
    "Conv": Operator(conv, "`conv2d`, `depthwise_conv2d`", "two dimensions; groups; no dilation"),
    "DequantizeLinear": Operator(dequantize, "scales", "8 bits"),
    "Div": Operator(_affine, "weights and bias, or the coding of the image", "by a constant per channel"),
    "Dropout": Operator(identity, "nothing", "at inference"),
    "Expand": Operator(fold, "a constant", "of constants"),
    "Flatten": Operator(flatten, "nothing", "from axis 1"),
    "Gather": Operator(fold, "a constant", "of constants: sizes of a Reshape"),
    "Gemm": Operator(gemm, "`linear`", "constant weights on the right"),
    "GlobalAveragePool": Operator(global_average_pool, "`global_avg_pool`", "of a map"),
    "Identity": Operator(identity, "nothing", "of anything"),
    "LogSoftmax": Operator(softmax, "nothing", "at an output"),
    "MatMul": Operator(matmul, "`linear`", "constant weights on the right"),
    "MaxPool": Operator(max_pool, "`max_pool`", "two dimensions; no dilation"),
    "Mul": Operator(_affine, "weights and bias, or the coding of the image", "by a constant per channel"),
    "Pad": Operator(pad, "`padding`", "zeros, before a Conv"),
    "QuantizeLinear": Operator(quantize, "scales", "8 bits, one scale a tensor"),
    "ReduceMean": Operator(reduce_mean, "`global_avg_pool`", "over height and width"),
    "Relu": Operator(relu, "`relu`", "behind Conv, Gemm, Add, or a MaxPool of one of them"),
    "Reshape": Operator(reshape, "nothing", "to a row"),
    "Shape": Operator(shape, "a constant", "for one image, or of a constant"),
    "Slice": Operator(fold, "a constant", "of constants: sizes of a Reshape"),
    "Softmax": Operator(softmax, "nothing", "at an output"),
    "Squeeze": Operator(squeeze, "nothing", "of a map of one pixel"),
    "Sub": Operator(_affine, "weights and bias, or the coding of the image", "of a constant per channel"),
    "Transpose": Operator(fold, "a constant", "of weights"),
    "Unsqueeze": Operator(fold, "a constant", "of constants: sizes of a Reshape"),
}
"""Every ONNX operator that is read."""
