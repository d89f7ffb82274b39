"""The immutable network: layers in execution order, each with its shapes, and the branches that hang on them.

Tensors are NHWC; a shape is (height, width, channels). The image is the tensor called ``image``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from archsim.config.workload import AddSpec, DbpSpec, GlobalAvgPoolSpec, LayerSpec, LinearSpec

IMAGE = "image"
FINAL = "final"
"""Name of the last exit, the end of the trunk."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Height, width and channels of one tensor of one image."""

    height: int
    width: int
    channels: int

    @property
    def elements(self) -> int:
        """Number of values, which is also the number of bytes of an 8-bit tensor."""
        return self.height * self.width * self.channels

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator with everything about it that does not depend on weights.

    name: unique in the network; layers of a branch are called ``branch.layer``.
    inputs: names of the tensors read (two for ``add``). The output tensor has the layer's name.
    signed_input, signed_output: int8 when signed, uint8 when not (the output of a ReLU, and what pools keep so).
    is_classifier: the output is the int32 logits and not an 8-bit tensor.
    """

    name: str
    spec: LayerSpec
    inputs: tuple[str, ...]
    input_shape: Shape
    output_shape: Shape
    signed_input: bool
    signed_output: bool
    is_classifier: bool = False

    @property
    def op(self) -> str:
        """Name of the operator, as in the workload file."""
        return self.spec.op

    @property
    def is_compute(self) -> bool:
        """True for layers with weights, which run on the PE array or the branch unit."""
        return self.spec.op in ("conv2d", "depthwise_conv2d", "linear")

    @property
    def kernel(self) -> tuple[int, int]:
        """(height, width) of the window in pixels; (1, 1) for ``linear``, the whole map for ``global_avg_pool``."""
        if self.spec.op == "global_avg_pool":
            return (self.input_shape.height, self.input_shape.width)
        return (1, 1) if isinstance(self.spec, LinearSpec | AddSpec | GlobalAvgPoolSpec) else self.spec.kernel

    @property
    def stride(self) -> tuple[int, int]:
        """(vertical, horizontal) step of the window in pixels."""
        if self.spec.op in ("conv2d", "depthwise_conv2d"):
            return self.spec.stride
        if self.spec.op in ("max_pool", "avg_pool"):
            return self.spec.stride or self.spec.kernel
        return (1, 1)

    @property
    def padding(self) -> tuple[int, ...]:
        """(top and bottom, left and right) padding in pixels: zeros, or for ``max_pool`` the lowest value.

        Where the ends differ (top, left, bottom, right); the first two and the last two always are those of a corner.
        """
        return self.spec.padding if self.spec.op in ("conv2d", "depthwise_conv2d", "max_pool") else (0, 0)

    @property
    def groups(self) -> int:
        """Equal parts into which channels and filters of a ``conv2d`` are cut; 1 for every other operator."""
        return self.spec.groups if self.spec.op == "conv2d" else 1

    @property
    def relu(self) -> bool:
        """True when negative results are clamped to zero."""
        return bool(getattr(self.spec, "relu", False))

    @property
    def output_limits(self) -> tuple[int, int]:
        """Smallest and largest value of the 8-bit output."""
        return (-128, 127) if self.signed_output else (0, getattr(self.spec, "output_max", 255))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the int8 weights.

        conv2d (KH, KW, C / groups, filters), depthwise (KH, KW, C), linear (H*W*C, units).
        """
        if self.spec.op == "conv2d":
            return (*self.kernel, self.input_shape.channels // self.groups, self.output_shape.channels)
        if self.spec.op == "depthwise_conv2d":
            return (*self.kernel, self.input_shape.channels)
        if self.spec.op == "linear":
            return (self.input_shape.elements, self.output_shape.channels)
        return ()

    @property
    def weights(self) -> int:
        """Number of weights, which is also their bytes at 8 bits. Biases are not counted (shared definition of P)."""
        count = 1 if self.is_compute else 0
        for length in self.weight_shape:
            count *= length
        return count

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image, padding included."""
        return self.weights * self.output_shape.height * self.output_shape.width


@dataclass(frozen=True, slots=True)
class Branch:
    """An auxiliary classifier behind the trunk layer ``after``.

    threshold: the image exits iff margin >= threshold (int32 logit units); None never exits.
    dbp: the branch runs iff the sum of |a| over its input tensor is inside; None always runs.
    """

    name: str
    after: str
    layers: tuple[Layer, ...]
    threshold: int | None
    dbp: DbpSpec | None

    @property
    def weights(self) -> int:
        """Number of weights of the branch."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the branch for one image."""
        return sum(layer.macs for layer in self.layers)


@dataclass(frozen=True)
class Network:
    """Trunk layers in execution order and branches in the order in which an image meets them.

    signed_image: the coded image is int8, else uint8. own_inputs: name and shape of further tensors that lie in DRAM
    from the start, each read by one layer; of shape-only networks.
    """

    name: str
    input_shape: Shape
    class_count: int
    layers: tuple[Layer, ...]
    branches: tuple[Branch, ...] = ()
    signed_image: bool = True
    own_inputs: tuple[tuple[str, Shape], ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        """Every layer of trunk and branches by its name."""
        return {layer.name: layer for layer in self.all_layers()}

    def all_layers(self) -> Iterator[Layer]:
        """Trunk layers, then the layers of each branch."""
        yield from self.layers
        for branch in self.branches:
            yield from branch.layers

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor by name."""
        if tensor == IMAGE:
            return self.input_shape
        own = dict(self.own_inputs)
        return own[tensor] if tensor in own else self.by_name[tensor].output_shape

    @cached_property
    def results(self) -> frozenset[str]:
        """Tensors of the trunk, besides logits, that no layer reads: they are results and leave for DRAM."""
        read = {name for layer in self.all_layers() for name in layer.inputs}
        return frozenset(layer.name for layer in self.layers if not layer.is_classifier) - read

    def branches_after(self, layer: str) -> tuple[Branch, ...]:
        """Branches that read the output of one trunk layer."""
        return tuple(branch for branch in self.branches if branch.after == layer)

    @cached_property
    def exit_names(self) -> tuple[str, ...]:
        """Branch names in order, then ``final``."""
        return (*(branch.name for branch in self.branches), FINAL)

    @cached_property
    def zero_map_tensors(self) -> tuple[str, ...]:
        """Tensors of which a functional trace holds a zero map: all that weights and adds of the trunk meet."""
        return tuple(
            dict.fromkeys(
                name
                for layer in self.layers
                if layer.is_compute or layer.op == "add"
                for name in layer.inputs
            )
        )

    @cached_property
    def branch_map_tensors(self) -> tuple[str, ...]:
        """Further tensors with a zero map, where branches run on the PE array: all that their weights meet."""
        inputs = dict.fromkeys(
            tensor
            for branch in self.branches
            for tensor in (branch.after, *(layer.inputs[0] for layer in branch.layers if layer.is_compute))
        )
        return tuple(tensor for tensor in inputs if tensor not in self.zero_map_tensors)

    @cached_property
    def weights(self) -> int:
        """Weights of the full network without branches: the denominator of *parameters used*."""
        return sum(layer.weights for layer in self.layers)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the full network without branches for one image."""
        return sum(layer.macs for layer in self.layers)

    def trunk_until(self, branch: Branch) -> tuple[Layer, ...]:
        """Trunk layers that have run when the branch is met, its ``after`` layer included."""
        index = [layer.name for layer in self.layers].index(branch.after)
        return self.layers[: index + 1]
