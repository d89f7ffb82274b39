"""From the nodes of a graph, one after the other, to drafts of layers; what cannot become one is collected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.errors import Problem, did_you_mean
from archsim.importing.draft import WITH_WEIGHTS, Constant, Draft, Floats, Grid, Node, Tensor, Unsupported
from archsim.network.build import RESERVED_EXIT_NAMES, output_shape
from archsim.network.graph import IMAGE, Shape

Value = Tensor | Constant
Handler = Callable[["Walk", Node], Value]
Folder = Callable[[Node, list[Constant]], Constant]
"""Computes an operator on constants. Raises Unsupported."""
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a node whose attributes and inputs are of other kinds than ONNX says makes of a handler."""
_MAX_ELEMENTS = 1 << 28
"""Of one tensor: more than any supported network has, and less than a hostile file could ask for."""
MAX_REPEATS = 16
"""Times that weights are read; quantised ones become integers, then numbers, then those of a layer."""
_MAX_SMALL_VALUES = 1 << 20
"""Sizes and the like, which nodes make of nothing."""


class Walk:
    """State of the way through a graph.

    values: of every name so far; None for those behind a problem. gain, offset: per channel, what the graph itself does
    to the image first. image_grid: how it quantises it. notes: what was read otherwise than it stands there.
    left_values: numbers that nodes may still make of those that the file stores.
    """

    def __init__(
        self, path: str, outputs: Sequence[str], uses: Counter[str], fold: Folder, stored_values: int
    ) -> None:
        self.path, self.outputs, self.uses, self.fold = path, tuple(outputs), uses, fold
        self.left_values = MAX_REPEATS * stored_values + _MAX_SMALL_VALUES
        self.names = Names(IMAGE, *RESERVED_EXIT_NAMES)
        self.values: dict[str, Value | None] = {}
        self.drafts: dict[str, Draft] = {}
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.image_grid: Grid | None = None
        self.gain: Floats = np.ones(1)
        self.offset: Floats = np.zeros(1)

    def run(self, nodes: Sequence[Node], handlers: Mapping[str, Handler]) -> None:
        """All nodes in order; problems name every node that cannot be used."""
        for node in nodes:
            value: Value | None = None
            try:
                with np.errstate(divide="raise", invalid="raise", over="raise"):
                    value = self._value_of(node, handlers)
            except Unsupported as error:
                self.problem(node.label, str(error), error.hint)
            except _MALFORMED as error:
                self.problem(
                    node.label, f"malformed ({type(error).__name__}: {error})", "the file may be damaged"
                )
            for name in node.outputs:
                self.values[name] = None
            if node.outputs:
                self.values[node.outputs[0]] = value

    def problem(self, key: str, message: str, hint: str = "") -> None:
        """Note something that cannot be imported."""
        self.problems.append(Problem(self.path, key, message, hint))

    def _value_of(self, node: Node, handlers: Mapping[str, Handler]) -> Value | None:
        if node.op not in handlers:
            near = did_you_mean(node.op, handlers)
            hint = (
                near
                if near.startswith("did")
                else "archsim import reads the operators of docs/reference/import.md"
            )
            raise Unsupported("this operator cannot be imported", HINTS.get(node.op, hint))
        given = [name for name in node.inputs if name]
        unknown = [name for name in given if name not in self.values]
        if unknown:
            raise Unsupported(f'reads "{unknown[0]}", which no node before it writes', "sort the graph")
        if any(self.values[name] is None for name in given):
            return None
        if any(uses and index for index, uses in enumerate(self.uses[name] for name in node.outputs)):
            raise Unsupported("its second output is used, expected the first alone")
        value = handlers[node.op](self, node)
        if isinstance(value, Constant):
            self._count(value.array.size)
        return value

    def _count(self, values: int) -> None:
        """Numbers that a node has made; thousands of nodes may read one constant."""
        self.left_values -= values
        if self.left_values < 0:
            message = (
                f"with the nodes before it repeats the constants of the file more than {MAX_REPEATS} times"
            )
            raise Unsupported(message, "let the exporter fold constants")

    # --- inputs of nodes --------------------------------------------------------------------------------------------

    def tensor(self, node: Node, index: int = 0) -> Tensor:
        """An input that depends on the image. Raises Unsupported for a constant and for pads that nobody took."""
        value = self.values[node.inputs[index]]
        if not isinstance(value, Tensor):
            raise Unsupported(f"input {index} is a constant, expected a tensor that depends on the image")
        if any(value.pads) and node.op not in ("Conv", "Pad"):
            raise Unsupported("reads a padded tensor, expected a Conv behind a Pad")
        return replace(value, sole=value.sole and self.uses[node.inputs[index]] == 1)

    def map(self, node: Node, index: int = 0) -> Tensor:
        """As :meth:`tensor`, not flattened."""
        tensor = self.tensor(node, index)
        if tensor.flat and tensor.shape.height * tensor.shape.width > 1:
            raise Unsupported("reads a flattened tensor, expected a map (images, channels, height, width)")
        return tensor

    def optional(self, node: Node, index: int) -> NDArray[Any] | None:
        """An input that does not depend on the image, as numbers; None where the node has none."""
        if len(node.inputs) <= index or not node.inputs[index]:
            return None
        return self.constant(node, index).array

    def constant(self, node: Node, index: int) -> Constant:
        """An input that must not depend on the image."""
        value = self.values[node.inputs[index]] if len(node.inputs) > index and node.inputs[index] else None
        if not isinstance(value, Constant):
            raise Unsupported(f"input {index} is not a constant", "store weights and parameters in the file")
        return value

    # --- drafts -----------------------------------------------------------------------------------------------------

    def add(
        self, node: Node, op: str, inputs: tuple[Tensor, ...], options: dict[str, Any], **parts: Any
    ) -> Tensor:
        """A new draft; its output. Raises Unsupported where the layer does not fit its input."""
        first = inputs[0]
        draft = Draft(self.names.free(safe_name(node.name)), node.label, op, tuple(tensor.draft for tensor in inputs),
                      first.shape, first.shape, options, **parts)  # fmt: skip
        entry = draft.spec({"other": draft.inputs[1]} if op == "add" else {})
        shape = output_shape(entry, first.shape)
        if isinstance(shape, str):
            raise Unsupported(shape)
        if shape.elements > _MAX_ELEMENTS:
            raise Unsupported(f"its output has {shape.elements} elements, expected at most {_MAX_ELEMENTS}")
        if draft.weight is not None:
            self._count(draft.weight.size)
        draft.shape = shape
        self.drafts[draft.name] = draft
        return Tensor(draft.name, shape, True, flat=op == "linear")

    def source(self, tensor: Tensor) -> Draft | None:
        """The draft that writes a tensor; None for the image."""
        return self.drafts.get(tensor.draft)

    def weighted(self, tensor: Tensor, what: str) -> Draft:
        """The layer with weights into which something can be folded. Raises Unsupported where there is none."""
        draft = self.source(tensor)
        if draft is None or draft.op not in WITH_WEIGHTS or draft.relu or draft.grid or not tensor.sole:
            found = "the image" if draft is None else f"{draft.label}{' and its ReLU' if draft.relu else ''}"
            others = ", which other nodes read too" if draft is not None and not tensor.sole else ""
            hint = "fold it into a neighbouring layer before exporting"
            raise Unsupported(f"{what} {found}{others}, expected a Conv or Gemm of its own before it", hint)
        return draft

    def is_unsigned(self, tensor: Tensor) -> bool:
        """No value of the tensor is negative."""
        draft = self.source(tensor)
        while draft is not None and draft.op in ("max_pool", "avg_pool", "global_avg_pool"):
            draft = self.drafts.get(draft.inputs[0])
        return draft is not None and draft.relu


class Names:
    """Names that are taken; each is given once.

    >>> names = Names("image")
    >>> names.free("conv"), names.free("conv"), names.free("image"), names.free("conv")
    ('conv', 'conv_2', 'image_2', 'conv_3')
    """

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)
        self._next: Counter[str] = Counter()
        """By name, how many numbers it has been tried with: thousands of layers may have one name."""

    def free(self, name: str) -> str:
        """The name, or the name with the first number that is free."""
        candidate, base = name, name[:56]
        while candidate in self._taken:
            self._next[base] += 1
            candidate = f"{base}_{self._next[base] + 1}"
        self._taken.add(candidate)
        return candidate


def safe_name(text: str) -> str:
    """A name as workload files have them.

    >>> safe_name("/features/features.0/Conv"), safe_name("305")
    ('features_features_0_Conv', 'n305')
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-") or "layer"
    return (name if name[0].isalpha() else f"n{name}")[-64:].lstrip("_-0123456789") or "layer"


def per_channel(array: NDArray[Any], tensor: Tensor) -> Floats:
    """A constant that is added to or multiplied with a tensor, as (channels,). Raises Unsupported for anything else."""
    channels, maps = tensor.shape.channels, not tensor.flat
    shape = array.shape
    fits = array.size == 1 or (
        array.size == channels and (shape[-3:] == (channels, 1, 1) if maps else shape[-1:] == (channels,))
    )
    if not fits:
        found = "x".join(str(length) for length in shape)
        raise Unsupported(f"a constant of {found}, expected one value or one a channel ({channels})")
    return np.broadcast_to(array.astype(np.float64).ravel(), (channels,))


HINTS = {
    "Concat": "networks with concatenations (Inception, DenseNet, SqueezeNet) cannot be simulated",
    "GatherND": "an adaptive pool that enlarges a map: export at the size of images that the network was made for",
    "HardSwish": "train with Relu or Clip(0, 6)",
    "LeakyRelu": "train with Relu",
    "LRN": "export without it, or train with BatchNormalization",
    "PRelu": "train with Relu",
    "QLinearConv": "export the quantised model in QDQ format",
    "QLinearMatMul": "export the quantised model in QDQ format",
    "ConvInteger": "export the quantised model in QDQ format",
    "Sigmoid": "train with Relu",
    "Upsample": "only classifiers can be simulated",
    "Resize": "only classifiers can be simulated; resize images beforehand",
    "ConvTranspose": "only classifiers can be simulated",
}
"""What to try instead of operators that people often have."""


def shape_of(dims: Sequence[int]) -> Shape:
    """Shape from (channels, height, width)."""
    return Shape(dims[1], dims[2], dims[0])
