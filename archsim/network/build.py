"""From a workload (or train) file's layer list to a :class:`~archsim.network.graph.Network`: shape inference.

All problems of a file are collected; keys are dotted paths (``layers.3.input``) that the caller turns into
file:line:col.
"""

from __future__ import annotations

from collections.abc import Sequence

from archsim.config.workload import (
    AvgPoolSpec,
    BranchSpec,
    Conv2dSpec,
    DepthwiseConv2dSpec,
    InputSpec,
    LayerSpec,
    MaxPoolSpec,
)
from archsim.errors import did_you_mean
from archsim.network.graph import FINAL, IMAGE, Branch, Layer, Network, Shape

WindowSpec = Conv2dSpec | DepthwiseConv2dSpec | MaxPoolSpec | AvgPoolSpec
RESERVED_EXIT_NAMES = (FINAL, "enabled")
"""The end of the trunk, and the switch beside the branches in ``exits.enabled``."""


MAX_ELEMENTS, MAX_WEIGHTS, MAX_MACS = 1 << 28, 1 << 31, 1 << 48
"""Of one layer and image. No count that a tile has of them, in bits or bytes, comes near the end of 64 bits."""


class _Builder:
    def __init__(self, image: InputSpec, shape_only: bool) -> None:
        self.shape_only = shape_only
        self.shapes: dict[str, Shape] = {IMAGE: Shape(image.height, image.width, image.channels)}
        self.signed: dict[str, bool] = {IMAGE: image.signed}
        self.problems: list[tuple[str, str, str]] = []

    def problem(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append((key, message, hint))

    def add(
        self, spec: LayerSpec, key: str, previous: str, prefix: str, classifier: bool, visible: Sequence[str]
    ) -> Layer | None:
        """Infer one layer; None (and a problem) when it does not fit."""
        name = prefix + spec.name
        if name in self.shapes or (not prefix and spec.name in (IMAGE, FINAL)):
            self.problem(f"{key}.name", f'the name "{name}" is taken', "names of layers are unique")
            return None
        inputs = self._inputs(spec, key, previous, prefix, visible)
        if inputs is None:
            return None
        shape = self.shapes[inputs[0]]
        output = _bounded(output_shape(spec, shape), "output")
        if isinstance(output, str):
            self.problem(key, output)
            return None
        if spec.op == "add" and self.shapes[inputs[1]] != shape:
            self.problem(f"{key}.other", f"{self.shapes[inputs[1]]} cannot be added to {shape}")
            return None
        keeps_sign = spec.op in ("max_pool", "avg_pool", "global_avg_pool")
        signed_input = self.signed[inputs[0]]
        signed_output = signed_input if keeps_sign else not getattr(spec, "relu", False)
        if signed_output and getattr(spec, "output_max", 255) != 255:
            self.problem(f"{key}.output_max", "found for an output with negative values", "remove output_max")
            return None
        self.shapes[name], self.signed[name] = output, signed_output
        layer = Layer(name, spec, inputs, shape, output, signed_input, signed_output, classifier)
        for count, most, what in ((layer.weights, MAX_WEIGHTS, "weights"), (layer.macs, MAX_MACS, "MACs")):
            if count > most:
                self.problem(key, f"it has {count} {what}, expected at most {most}")
        return layer

    def _inputs(
        self, spec: LayerSpec, key: str, previous: str, prefix: str, visible: Sequence[str]
    ) -> tuple[str, ...] | None:
        own = getattr(spec, "input_shape", None)
        if own is not None:
            return self._own_input(spec, own, key, prefix)
        wanted = [("input", spec.input)] + ([("other", spec.other)] if spec.op == "add" else [])
        found: list[str] = []
        for field, tensor in wanted:
            if tensor is None:
                found.append(previous)
                continue
            full = prefix + tensor if prefix + tensor in self.shapes else tensor
            if full not in self.shapes or (full not in visible and not full.startswith(prefix or "\0")):
                self.problem(f"{key}.{field}", f'no tensor "{tensor}" above', did_you_mean(tensor, visible))
                return None
            found.append(full)
        return tuple(found) if all(tensor in self.shapes for tensor in found) else None

    def _own_input(
        self, spec: LayerSpec, shape: tuple[int, int, int], key: str, prefix: str
    ) -> tuple[str, ...] | None:
        if not self.shape_only or spec.input is not None or prefix:
            found = "beside input" if spec.input is not None else "in a network that is computed"
            hint = "a layer that is computed reads what another one writes: use input"
            self.problem(f"{key}.input_shape", f"found {found}", hint)
            return None
        own = _bounded(Shape(*shape), "input")
        if isinstance(own, str):
            self.problem(f"{key}.input_shape", own)
            return None
        name = f"{spec.name}:input"
        self.shapes[name], self.signed[name] = own, True
        return (name,)


def output_shape(spec: LayerSpec, shape: Shape) -> Shape | str:
    """Shape of what a layer makes of an input of this shape, or what is wrong."""
    if spec.op == "linear":
        return Shape(1, 1, spec.units)
    if spec.op == "global_avg_pool":
        return Shape(1, 1, shape.channels)
    if spec.op == "add":
        return shape
    pad = (0, 0) if spec.op == "avg_pool" else spec.padding
    problem = _window_problem(spec, shape, pad)
    if problem:
        return problem
    stride = spec.stride or spec.kernel
    height = (shape.height + pad[0] + pad[-2] - spec.kernel[0]) // stride[0] + 1
    width = (shape.width + pad[1] + pad[-1] - spec.kernel[1]) // stride[1] + 1
    return Shape(height, width, spec.filters if spec.op == "conv2d" else shape.channels)


def _window_problem(spec: WindowSpec, shape: Shape, pad: tuple[int, ...]) -> str:
    """What is wrong with a window on a tensor, "" when nothing is."""
    rows, cols = spec.kernel
    if shape.height + pad[0] + pad[-2] < rows or shape.width + pad[1] + pad[-1] < cols:
        return f"kernel {rows}x{cols} is larger than its padded input {shape}"
    if spec.op == "max_pool" and len(pad) == 4 and (max(pad[::2]) >= rows or max(pad[1::2]) >= cols):
        return f"padding {list(pad)} reaches as far as the kernel {rows}x{cols}"
    if spec.op == "max_pool" and len(pad) == 2 and (2 * pad[0] > rows or 2 * pad[1] > cols):
        return f"padding {pad[0]}x{pad[1]} is more than half of the kernel {rows}x{cols}"
    if spec.op == "conv2d" and (shape.channels % spec.groups or spec.filters % spec.groups):
        return f"{shape.channels} channels and {spec.filters} filters cannot be cut into {spec.groups} groups"
    return ""


def _bounded(shape: Shape | str, what: str) -> Shape | str:
    """The shape, or what is wrong: it is too large, or not even a shape."""
    if isinstance(shape, str) or shape.elements <= MAX_ELEMENTS:
        return shape
    return f"the {what} {shape} has more than {MAX_ELEMENTS} values"


def build_network(
    name: str,
    image: InputSpec,
    class_count: int,
    layers: Sequence[LayerSpec],
    branches: Sequence[BranchSpec],
    *,
    shape_only: bool = False,
) -> tuple[Network | None, list[tuple[str, str, str]]]:
    """Build the graph.

    shape_only: nothing will be computed; layers may read tensors of their own, and the last may be any with weights.
    Returns (network, problems): problems are (dotted key, message, hint); network is None when there are any.
    """
    builder = _Builder(image, shape_only)
    if isinstance(too_large := _bounded(builder.shapes[IMAGE], "image"), str):
        return None, [("input", too_large, "")]
    trunk: list[Layer] = []
    previous = IMAGE
    for index, spec in enumerate(layers):
        is_last = index == len(layers) - 1
        ends = is_last and (spec.op == "linear" or not shape_only)
        layer = builder.add(
            spec, f"layers.{index}", previous, "", ends, [IMAGE, *(done.name for done in trunk)]
        )
        if layer is None:
            return None, builder.problems
        if ends:
            _check_classifier(builder, layer, f"layers.{index}", class_count)
        trunk.append(layer)
        previous = spec.name
    order = {layer.name: index for index, layer in enumerate(trunk)}
    built = [_build_branch(builder, spec, index, order, class_count) for index, spec in enumerate(branches)]
    _check_exit_names(builder, branches, order)
    if builder.problems:
        return None, builder.problems
    complete = sorted(
        (branch for branch in built if branch is not None), key=lambda branch: order[branch.after]
    )
    own = tuple((tensor, shape) for tensor, shape in builder.shapes.items() if tensor.endswith(":input"))
    shape = builder.shapes[IMAGE]
    return Network(name, shape, class_count, tuple(trunk), tuple(complete), image.signed, own), []


def _check_exit_names(builder: _Builder, branches: Sequence[BranchSpec], order: dict[str, int]) -> None:
    names = [spec.name for spec in branches]
    for index, branch_name in enumerate(names):
        if branch_name in names[:index] or branch_name in RESERVED_EXIT_NAMES:
            builder.problem(f"branches.{index}.name", f'the exit name "{branch_name}" is taken')
        if branch_name in order:
            message = f'the name "{branch_name}" is that of a trunk layer'
            builder.problem(f"branches.{index}.name", message, "results list layers and branches by name")


def _build_branch(
    builder: _Builder, spec: BranchSpec, index: int, order: dict[str, int], class_count: int
) -> Branch | None:
    key = f"branches.{index}"
    if spec.after not in order or order[spec.after] == len(order) - 1:
        allowed = [name for name, position in order.items() if position < len(order) - 1]
        builder.problem(
            f"{key}.after",
            f'no trunk layer "{spec.after}" before the last',
            did_you_mean(spec.after, allowed),
        )
        return None
    previous, done = spec.after, []
    for position, layer_spec in enumerate(spec.layers):
        is_last = position == len(spec.layers) - 1
        layer_key = f"{key}.layers.{position}"
        layer = builder.add(layer_spec, layer_key, previous, f"{spec.name}.", is_last, [spec.after])
        if layer is None:
            return None
        if is_last:
            _check_classifier(builder, layer, layer_key, class_count)
        done.append(layer)
        previous = layer.name
    return Branch(spec.name, spec.after, tuple(done), spec.threshold, spec.dbp)


def _check_classifier(builder: _Builder, layer: Layer, key: str, class_count: int) -> None:
    if layer.op != "linear":
        builder.problem(f"{key}.op", f'the last layer is "{layer.op}", expected "linear"')
    elif layer.relu:
        builder.problem(f"{key}.relu", "logits have no ReLU", "remove relu")
    elif layer.output_shape.channels != class_count:
        builder.problem(f"{key}.units", f"{layer.output_shape.channels} units for {class_count} classes")
