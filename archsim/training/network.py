"""A torch module built from a :class:`~archsim.network.graph.Network`, so that any trunk and branches can be trained.

Tensors are NCHW inside torch (channels last in memory); a linear layer flattens (H, W, C) as the int8 network does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsim.network.graph import FINAL, IMAGE, Layer, Network

Tensors = dict[str, Tensor]


class ExitNetwork(nn.Module):
    """Trunk and branches; ``forward`` gives the logits of every classifier.

    Every convolution is followed by batch normalisation, which export folds into it; linear layers have a bias only.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.trunk_blocks = _blocks(network.layers)
        self.branch_blocks = _blocks(layer for branch in network.branches for layer in branch.layers)

    def forward(self, images: Tensor, branches: Collection[str] | None = None) -> Tensors:
        """Logits (N, classes) under each branch's name and ``final``, from normalised images (N, C, H, W).

        branches: names of those to evaluate; all when left out.
        """
        tensors = self.trunk_tensors(images)
        return {FINAL: tensors[self.network.layers[-1].name], **self.branch_logits(tensors, branches)}

    def trunk_tensors(self, images: Tensor) -> Tensors:
        """Every tensor of the trunk by name."""
        return self._run(self.network.layers, {IMAGE: images})

    def branch_logits(self, tensors: Tensors, names: Collection[str] | None = None) -> Tensors:
        """Logits of the branches of these names (default: of all) from the trunk's tensors."""
        return {
            branch.name: self._run(branch.layers, {branch.after: tensors[branch.after]})[
                branch.layers[-1].name
            ]
            for branch in self.network.branches
            if names is None or branch.name in names
        }

    def all_tensors(self, images: Tensor) -> Tensors:
        """Every tensor of trunk and branches by name."""
        return self._run(self.network.all_layers(), {IMAGE: images})

    def block(self, layer: Layer) -> nn.Module:
        """The module with the weights of a layer: Sequential(conv, norm) or Linear."""
        key = _key(layer)
        return self.trunk_blocks[key] if key in self.trunk_blocks else self.branch_blocks[key]

    def _run(self, layers: Iterable[Layer], tensors: Tensors) -> Tensors:
        for layer in layers:
            tensors[layer.name] = self._output(layer, [tensors[name] for name in layer.inputs])
        return tensors

    def _output(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        x = inputs[0]
        if len(layer.padding) == 4:
            x = _padded(layer, x)
        if layer.op == "linear":
            x = self.block(layer)(_flat(layer, x) if x.ndim == 4 else x)
        elif layer.is_compute:
            x = self.block(layer)(x)
        elif layer.op == "max_pool":
            # What a crop smaller than the image leaves at the edges is kept.
            x = F.max_pool2d(x, layer.kernel, layer.stride, _same(layer), ceil_mode=_is_crop(layer, x))
        elif layer.op == "avg_pool":
            x = F.avg_pool2d(x, layer.kernel, layer.stride, ceil_mode=_is_crop(layer, x))
        elif layer.op == "global_avg_pool":
            x = x.mean(dim=(2, 3), keepdim=True)
        else:
            x = x + inputs[1]
        return F.relu(x) if layer.relu else x


def _padded(layer: Layer, x: Tensor) -> Tensor:
    """A map with the padding that torch has no word for: ends that differ."""
    top, left, bottom, right = layer.padding
    return F.pad(x, (left, right, top, bottom), value=-torch.inf if layer.op == "max_pool" else 0.0)


def _same(layer: Layer) -> tuple[int, ...]:
    """The padding that is alike at both ends, which torch does itself."""
    return layer.padding if len(layer.padding) == 2 else (0, 0)


def _flat(layer: Layer, x: Tensor) -> Tensor:
    """A map as the linear layer reads it, (H, W, C); that of a crop is first brought to the size of the image's."""
    if _is_crop(layer, x):
        x = F.adaptive_avg_pool2d(x, (layer.input_shape.height, layer.input_shape.width))
    return x.permute(0, 2, 3, 1).flatten(1)


def _is_crop(layer: Layer, x: Tensor) -> bool:
    """Whether a map comes from a crop smaller than the image: pools then keep what is left at its edges."""
    return x.shape[2] != layer.input_shape.height


def _blocks(layers: Iterable[Layer]) -> nn.ModuleDict:
    return nn.ModuleDict({_key(layer): _block(layer) for layer in layers if layer.is_compute})


def _key(layer: Layer) -> str:
    """Module names must not hold dots nor shadow a method of ModuleDict."""
    return "layer/" + layer.name.replace(".", "/")


def _block(layer: Layer) -> nn.Module:
    channels, filters = layer.input_shape.channels, layer.output_shape.channels
    if layer.op == "linear":
        return nn.Linear(layer.input_shape.elements, filters)
    groups = layer.groups if layer.op == "conv2d" else channels
    conv = nn.Conv2d(channels, filters, layer.kernel, layer.stride, _same(layer), groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(filters))
