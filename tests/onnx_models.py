"""ONNX models of known shapes with random weights, made here: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


class OnnxBuilder:
    """Nodes and weights of a graph, one after the other; every method returns the name of its output."""

    def __init__(self, channels: int = 3, side: int = 16, seed: int = 0, opset: int = 17) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.opset = opset
        self.image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, side, side])

    def node(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def constant(self, array: np.ndarray | float, dtype: Any = np.float32) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def conv(
        self, x: str, inputs: int, filters: int, kernel: int, *, bias: bool = True, **attributes: Any
    ) -> str:
        shape = (filters, inputs // attributes.get("group", 1), kernel, kernel)
        weight = self.rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        given = [self.constant(weight), *([self.constant(self.rng.normal(0, 0.05, filters))] if bias else [])]
        return self.node("Conv", x, *given, **attributes)

    def normalise(self, x: str, channels: int) -> str:
        rng = self.rng
        parts = (rng.uniform(0.6, 1.4, channels), rng.normal(0, 0.1, channels), rng.normal(0, 0.1, channels),
                 rng.uniform(0.5, 1.5, channels))  # fmt: skip
        return self.node("BatchNormalization", x, *(self.constant(part) for part in parts), epsilon=1e-3)

    def unit(
        self, x: str, inputs: int, filters: int, kernel: int, act: str | None = "Relu", **attributes: Any
    ) -> str:
        """Conv without bias, BatchNormalization, activation."""
        pads = [kernel // 2] * 4
        x = self.normalise(
            self.conv(x, inputs, filters, kernel, bias=False, pads=pads, **attributes), filters
        )
        if act == "Clip":
            return self.node("Clip", x, self.constant(0.0), self.constant(6.0))
        return self.node(act, x) if act else x

    def gemm(self, x: str, inputs: int, units: int, name: str = "") -> str:
        weight = self.constant(self.rng.normal(0, np.sqrt(2 / inputs), (units, inputs)))
        return self.node(
            "Gemm", x, weight, self.constant(self.rng.normal(0, 0.05, units)), transB=1, name=name
        )

    def model(self, *outputs: str) -> Any:
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", [self.image], ends, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def vgg(side: int = 16, stages: tuple[tuple[int, int], ...] = ((8, 2), (16, 2)), hidden: tuple[int, ...] = (24,),
        classes: int = 10) -> Any:  # fmt: skip
    """Convolutions and a pool by stage (filters, layers); Flatten of a map, which weights must follow; Softmax."""
    b = OnnxBuilder(side=side)
    x, channels = "x", 3
    for width, layers in stages:
        for _ in range(layers):
            x, channels = b.node("Relu", b.conv(x, channels, width, 3, pads=[1, 1, 1, 1])), width
        x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        side //= 2
    x, inputs = b.node("Flatten", x), channels * side * side
    for units in hidden:
        x, inputs = b.node("Dropout", b.node("Relu", b.gemm(x, inputs, units))), units
    return b.model(b.node("Softmax", b.gemm(x, inputs, classes), axis=1))


def resnet(
    side: int = 16, widths: tuple[int, ...] = (8, 12), blocks: int = 2, classes: int = 10, stem: int = 3
) -> Any:
    """ResNet-18 in small: a padded pool, identity shortcuts, shortcuts of a convolution, ReduceMean."""
    b = OnnxBuilder(side=side)
    x = b.unit("x", 3, widths[0], stem, strides=[2, 2] if stem > 3 else [1, 1])
    x = b.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = b.unit(x, channels, width, 3, strides=[stride, stride])
            y = b.unit(y, width, width, 3, None)
            short = x if channels == width else b.unit(x, channels, width, 1, None, strides=[stride, stride])
            x, channels = b.node("Relu", b.node("Add", y, short)), width
    x = b.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    return b.model(b.gemm(x, channels, classes))


def mobilenet(side: int = 16, plan: tuple[tuple[int, int, int], ...] = ((1, 8, 1), (4, 12, 2), (4, 12, 1)),
              classes: int = 10, first: int = 8, last: int = 32) -> Any:  # fmt: skip
    """MobileNetV2 in small. plan: (expansion, channels, stride) of each inverted residual."""
    b = OnnxBuilder(side=side)
    x, channels = b.unit("x", 3, first, 3, "Clip", strides=[2, 2]), first
    for expansion, width, stride in plan:
        hidden = channels * expansion
        y = b.unit(x, channels, hidden, 1, "Clip") if expansion > 1 else x
        y = b.unit(y, hidden, hidden, 3, "Clip", group=hidden, strides=[stride, stride])
        y = b.unit(y, hidden, width, 1, None)
        x, channels = b.node("Add", x, y) if stride == 1 and channels == width else y, width
    x = b.node("GlobalAveragePool", b.unit(x, channels, last, 1, "Clip"))
    # As PyTorch writes x.view(x.size(0), -1).
    size = b.node("Gather", b.node("Shape", x), b.constant(0, np.int64), axis=0)
    sizes = [b.node("Unsqueeze", size, b.constant([0], np.int64)), b.constant([-1], np.int64)]
    x = b.node("Reshape", x, b.node("Concat", *sizes, axis=0))
    return b.model(b.gemm(x, last, classes))


def alexnet(
    side: int = 35, widths: tuple[int, ...] = (8, 16, 12), hidden: int = 20, classes: int = 10
) -> Any:
    """AlexNet in small: large windows and strides, groups, overlapping pools, a pool of one pixel, MatMul + Add."""
    b = OnnxBuilder(side=side)
    x = b.node("Relu", b.conv("x", 3, widths[0], 11, strides=[4, 4], pads=[2, 2, 2, 2]))
    x = b.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    x = b.node("Relu", b.conv(x, widths[0], widths[1], 5, pads=[2, 2, 2, 2], group=2))
    x = b.node("Relu", b.conv(x, widths[1], widths[2], 3, pads=[1, 1, 1, 1], group=2))
    x = b.node("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    x = b.node("AveragePool", x, kernel_shape=[1, 1])
    map_side = ((side + 4 - 11) // 4 + 1 - 3) // 2 + 1
    elements = widths[2] * map_side * map_side
    x = b.node("Reshape", x, b.constant([0, -1], np.int64))
    weight = b.constant(b.rng.normal(0, np.sqrt(2 / elements), (elements, hidden)))
    x = b.node("Relu", b.node("Add", b.node("MatMul", x, weight), b.constant(b.rng.normal(0, 0.05, hidden))))
    return b.model(b.gemm(x, hidden, classes))


def keras() -> Any:
    """Strides and paddings as TensorFlow has them: more behind the map than before it, by SAME_UPPER and by a Pad."""
    b = OnnxBuilder()
    x = b.node("Relu", b.conv("x", 3, 8, 3, strides=[2, 2], auto_pad="SAME_UPPER"))
    x = b.node("Pad", x, b.constant([0, 0, 0, 1, 0, 0, 1, 2], np.int64))
    x = b.node("Relu", b.normalise(b.conv(x, 8, 8, 3, bias=False, group=8), 8))
    x = b.node("Relu", b.conv(x, 8, 12, 1))
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    x = b.node("GlobalAveragePool", b.unit(x, 12, 16, 3))
    x = b.node("Squeeze", x, b.constant([2, 3], np.int64))
    return b.model(b.gemm(x, 16, 10))


def two_exits() -> Any:
    """A trunk, an exit of pools and one Gemm, and one with a convolution of its own; normalisation in the graph."""
    b = OnnxBuilder()
    x = b.node("Div", b.node("Sub", "x", b.constant(np.full((1, 3, 1, 1), 0.5))), b.constant(0.25))
    x = b.node("MaxPool", b.unit(x, 3, 8, 3), kernel_shape=[2, 2], strides=[2, 2])
    early = b.node("Flatten", b.node("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4]))
    early = b.gemm(early, 8 * 4, 10, "early")
    x = b.node("Relu", b.node("MaxPool", b.unit(x, 8, 16, 3, None), kernel_shape=[2, 2], strides=[2, 2]))
    late = b.node("Flatten", b.node("GlobalAveragePool", b.unit(x, 16, 12, 3)))
    late = b.gemm(late, 12, 10, "late")
    x = b.node("Flatten", b.node("GlobalAveragePool", b.unit(x, 16, 24, 3)))
    return b.model(early, late, b.gemm(x, 24, 10, "logits"))


def unoptimised(side: int = 16, width: int = 8, classes: int = 10) -> Any:
    """As PyTorch's exporter writes a network before its optimiser: a bias of zeros computed for every convolution,
    batch normalisation as it is, axes and sizes that are computed, bounds of a Clip behind Identity."""
    b = OnnxBuilder(side=side, opset=18)
    zero, one = (b.node("Constant", value=numpy_helper.from_array(np.float32(value))) for value in (0.0, 6.0))

    def unit(x: str, inputs: int, filters: int, **attributes: Any) -> str:
        y = b.conv(x, inputs, filters, 3, bias=False, pads=[1, 1, 1, 1], **attributes)
        conv = b.nodes[-1]
        length = b.node("Shape", conv.input[1], start=0, end=1)
        length = b.node("Expand", length, b.node("Constant", value_ints=[1]))
        conv.input.append(b.node("Expand", b.node("CastLike", zero, x), length))
        b.nodes.append(b.nodes.pop(b.nodes.index(conv)))  # behind what it reads
        return b.normalise(y, filters)

    x = b.node("Clip", unit("x", 3, width, strides=[2, 2]), zero, b.node("Identity", one))
    y = b.node("Relu", unit(x, width, width))
    x = b.node("Relu", b.node("Add", unit(y, width, width), x))
    axes = b.node("Reshape", b.constant([-1, -2], np.int64), b.node("Constant", value_ints=[-1]))
    x = b.node("ReduceMean", x, axes, keepdims=1)
    batch = b.node("Shape", x, start=0, end=1)
    sizes = b.node("Concat", batch, b.node("Constant", value_ints=[width]), axis=0)
    return b.model(b.gemm(b.node("Reshape", x, sizes, allowzero=1), width, classes))


class QdqBuilder(OnnxBuilder):
    """Adds the quantisation of every tensor, as quantisers write it."""

    def quantised(self, x: str, scale: float, zero: int, dtype: Any, name: str) -> str:
        """QuantizeLinear NAME and DequantizeLinear of an activation."""
        given = (self.constant(scale), self.constant(zero, dtype))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *given, name=name), *given)

    def weights(self, shape: tuple[int, ...], input_scale: float, *, per_channel: bool) -> list[str]:
        """int8 weights and int32 bias behind a DequantizeLinear each; -128 is among the weights."""
        channels = shape[0]
        integers = self.rng.integers(-127, 128, shape)
        integers.flat[0] = -128
        fan_in = np.prod(shape[1:])
        scales = np.float32(
            self.rng.uniform(0.6, 1.4, channels if per_channel else ()) * np.sqrt(2 / fan_in) / 73
        )
        bias = self.rng.integers(-2000, 2000, channels)
        axis = {"axis": 0} if per_channel else {}
        zeros = np.zeros(np.shape(scales))
        return [
            self.node("DequantizeLinear", self.constant(integers, np.int8), self.constant(scales),
                      self.constant(zeros, np.int8), **axis),
            self.node("DequantizeLinear", self.constant(bias, np.int32),
                      self.constant(scales * np.float32(input_scale)), self.constant(zeros, np.int32), **axis),
        ]  # fmt: skip


def qdq(image: tuple[float, int, Any], after_relu: tuple[int, Any], side: int = 10) -> Any:
    """A residual network of quantised layers. image: scale, zero point, type; after_relu: zero point, type.

    The QuantizeLinear nodes have the names of the layers whose outputs they round.
    """
    b = QdqBuilder(side=side, seed=3, opset=21)
    scale, zero, dtype = image
    x = b.quantised("x", scale, zero, dtype, "image")
    x = b.node("Conv", x, *b.weights((6, 3, 3, 3), scale, per_channel=True), name="stem", pads=[1, 1, 1, 1])
    x = b.quantised(b.node("Relu", x), 0.021, *after_relu, "stem_q")
    x = b.quantised(
        b.node("MaxPool", x, name="pool", kernel_shape=[2, 2], strides=[2, 2]), 0.021, *after_relu, "pool_q"
    )
    y = b.node(
        "Conv", x, *b.weights((6, 1, 3, 3), 0.021, per_channel=True), name="wise", group=6, pads=[1] * 4
    )
    y = b.quantised(y, 0.034, 0, np.int8, "wise_q")
    y = b.quantised(b.node("Add", y, x, name="sum"), 0.037, 0, np.int8, "sum_q")
    weights = b.weights((8, 3, 2, 2), 0.037, per_channel=False)
    y = b.node("Conv", y, *weights, name="grouped", group=2, strides=[2, 2])
    y = b.quantised(b.node("Relu", y), 0.029, *after_relu, "grouped_q")
    y = b.quantised(b.node("GlobalAveragePool", y, name="gap"), 0.017, *after_relu, "gap_q")
    y = b.node("Flatten", y)
    return b.model(b.node("Gemm", y, *b.weights((5, 8), 0.017, per_channel=False), name="fc", transB=1))


def save(model: Any, path: Path) -> Path:
    onnx.save(model, path)
    return path


def answers(model: Any, images: np.ndarray, mean: float = 0.0, std: float = 1.0) -> list[np.ndarray]:
    """What ONNX's own evaluator makes of uint8 images (N, H, W, C): (N, classes) by output."""
    evaluator = ReferenceEvaluator(model)
    pixels = ((images / 255 - mean) / std).astype(np.float32).transpose(0, 3, 1, 2)
    found = [evaluator.run(None, {"x": pixels[index : index + 1]}) for index in range(len(pixels))]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def pictures(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Smooth random images, so that their classes differ: uint8 (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 4, 4, 3))
    index = np.arange(side) * 4 // side
    noise = rng.normal(0, 12, (count, side, side, 3))
    return np.clip(coarse[:, index][:, :, index] + noise, 0, 255).astype(np.uint8)
