"""A torch module built from the ``layers`` and ``branches`` of a workload or training file.

Tensors are NCHW inside torch (channels last in memory); a linear layer flattens (H, W, C) as the int8 export does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsim.config.workload import BranchSpec, InputSpec
from archsim.datasets.image_set import invalid

FINAL = "final"
"""Key of the last classifier among the logits."""
Shape = tuple[int, ...]
"""(channels, height, width) of a map, (units,) of a vector."""


class ExitNetwork(nn.Module):
    """Trunk and branches; ``forward`` gives the logits of every classifier.

    Every convolution is followed by batch normalisation, folded into it at export; linear layers have a bias only.
    """

    def __init__(self, image: InputSpec, layers: Sequence[Any], branches: Sequence[BranchSpec]) -> None:
        """Raises InvalidInput where shapes do not fit or a tensor is read before it exists."""
        super().__init__()
        self.trunk = LayerStack(layers, {"image": (image.channels, image.height, image.width)}, "image", "layers")
        self.branches = nn.ModuleDict()
        self.taps = {branch.name: branch.after for branch in branches}
        for branch in branches:
            if branch.after not in self.trunk.shapes:
                raise invalid("branches", f"found no trunk layer {branch.after}", key=f"{branch.name}.after")
            shapes = {branch.after: self.trunk.shapes[branch.after]}
            where = f"branches.{branch.name}"
            self.branches[f"branch_{branch.name}"] = LayerStack(branch.layers, shapes, branch.after, where)

    def branch(self, name: str) -> LayerStack:
        stack = self.branches[f"branch_{name}"]
        assert isinstance(stack, LayerStack)
        return stack

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits (N, classes) under ``final`` and each branch's name, from normalised images (N, C, H, W)."""
        tensors = self.trunk.run({"image": images})
        logits = {name: self.branch_logits(name, tensors) for name in self.taps}
        return {FINAL: tensors[self.trunk.last], **logits}

    def branch_logits(self, name: str, tensors: dict[str, Tensor]) -> Tensor:
        """Logits of one branch from the trunk's tensors."""
        stack = self.branch(name)
        return stack.run({self.taps[name]: tensors[self.taps[name]]})[stack.last]


class LayerStack(nn.Module):
    """Layers in file order, each reading named tensors: the trunk, or one branch."""

    def __init__(self, specs: Sequence[Any], shapes: dict[str, Shape], source: str, where: str) -> None:
        super().__init__()
        self.specs = list(specs)
        self.shapes = dict(shapes)
        self.sources: dict[str, str] = {}
        self.blocks = nn.ModuleDict()
        previous = source
        for spec in self.specs:
            self.sources[spec.name] = spec.input or previous
            for tensor in (self.sources[spec.name], getattr(spec, "other", None)):
                if tensor is not None and tensor not in self.shapes:
                    raise invalid(where, f"found no tensor {tensor} before it", key=f"{spec.name}.input")
            shape_in = self.shapes[self.sources[spec.name]]
            if spec.op in ("conv2d", "depthwise_conv2d", "linear"):
                self.blocks[f"layer_{spec.name}"] = _block(spec, shape_in)
            self.shapes[spec.name] = _shape_out(spec, shape_in, f"{where}.{spec.name}")
            previous = spec.name
        self.last = previous

    def block(self, name: str) -> nn.Module:
        """The module with the weights of a layer: Sequential(conv, norm) or Linear."""
        return self.blocks[f"layer_{name}"]

    def run(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """``tensors`` with the output of every layer added under its name."""
        tensors = dict(tensors)
        for spec in self.specs:
            tensors[spec.name] = self._apply(spec, tensors)
        return tensors

    def _apply(self, spec: Any, tensors: dict[str, Tensor]) -> Tensor:
        x = tensors[self.sources[spec.name]]
        if spec.op in ("conv2d", "depthwise_conv2d"):
            x = self.block(spec.name)(x)
        elif spec.op == "linear":
            x = self.block(spec.name)(x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x)
        elif spec.op == "max_pool":
            x = F.max_pool2d(x, spec.kernel, spec.stride or spec.kernel)
        elif spec.op == "avg_pool":
            x = F.avg_pool2d(x, spec.kernel, spec.stride or spec.kernel)
        elif spec.op == "global_avg_pool":
            x = x.mean(dim=(2, 3))
        else:
            x = x + tensors[spec.other]
        return F.relu(x) if getattr(spec, "relu", False) else x


def _block(spec: Any, shape_in: Shape) -> nn.Module:
    if spec.op == "linear":
        units_in = int(torch.Size(shape_in).numel())
        return nn.Linear(units_in, spec.units)
    channels = shape_in[0]
    filters, groups = (spec.filters, 1) if spec.op == "conv2d" else (channels, channels)
    conv = nn.Conv2d(channels, filters, spec.kernel, spec.stride, spec.padding, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(filters))


def _shape_out(spec: Any, shape_in: Shape, where: str) -> Shape:
    if spec.op == "linear":
        return (spec.units,)
    if spec.op == "add":
        return shape_in
    if len(shape_in) != 3:
        raise invalid(where, f"found {spec.op} of a vector of {shape_in[0]}, expected a map")
    channels, height, width = shape_in
    if spec.op == "global_avg_pool":
        return (channels,)
    padding = getattr(spec, "padding", (0, 0))
    stride = spec.stride or spec.kernel
    sides = zip((height, width), spec.kernel, stride, padding, strict=True)
    out = [(side + 2 * pad - kernel) // step + 1 for side, kernel, step, pad in sides]
    if min(out) < 1:
        raise invalid(where, f"found a kernel of {spec.kernel} px on a map of {(height, width)} px", "use a smaller one")
    return (spec.filters if spec.op == "conv2d" else channels, *out)
