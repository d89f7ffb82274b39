"""Candidate branches by the name of their structure, at every position of a trunk where they fit.

Structures (early-exit design, section 3.1): ``g1`` pools the whole map, ``g2`` and ``g4`` average it to 2x2 and 4x4;
a linear layer follows. ``g8`` does so with 8x8, which early positions gain from: there it is where something is in the
image that tells classes apart. ``bottleneck`` puts a 1x1 convolution to 16 channels before a 4x4 pool, ``depthwise`` a
3x3 depthwise and a 1x1 convolution to 64 channels before a global pool. Conventional, as baselines: ``conv32``, a 3x3
convolution to 32 channels and a 2x2 max pool (BranchyNet, Teerapittayanon et al., ICPR 2016); ``g4`` is the internal
classifier of SDN (Kaya et al., ICML 2019) with its mixed pooling replaced by the average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from archsim.config.workload import BranchSpec
from archsim.network.graph import Network, Shape

Structure = Literal["g1", "g2", "g4", "g8", "bottleneck", "depthwise", "conv32"]
Operators = list[dict[str, Any]]
_BOTTLENECK_CHANNELS = 16
_DEPTHWISE_CHANNELS = 64
_CONV_CHANNELS = 32


def candidate_branches(
    network: Network, structures: Sequence[Structure], after: Sequence[str]
) -> list[BranchSpec]:
    """A branch ``structure-layer`` for every structure and trunk layer of ``after`` that fit each other."""
    found = []
    for layer in after:
        for structure in structures:
            operators = _STRUCTURES[structure](network.shape(layer))
            if operators is None:
                continue
            classifier = {"name": "fc", "op": "linear", "units": network.class_count}
            branch = {"name": f"{structure}-{layer}", "after": layer, "layers": [*operators, classifier]}
            found.append(BranchSpec.model_validate(branch))
    return found


def positions(network: Network) -> list[str]:
    """Trunk layers behind which a candidate makes sense: every convolution, after the pool that follows it."""
    layers = network.layers[:-1]
    followers = [layer.op for layer in layers[1:]] + [network.layers[-1].op]
    return [
        layer.name
        for layer, follower in zip(layers, followers, strict=True)
        if layer.op in ("conv2d", "depthwise_conv2d", "add", "max_pool")
        and follower not in ("max_pool", "avg_pool", "global_avg_pool", "add")
    ]


def _grid(shape: Shape, side: int) -> Operators | None:
    """Average pooling to ``side`` x ``side``; nothing for a map that has this size, None where it does not divide."""
    if shape.height != shape.width or shape.height % side:
        return None
    if shape.height == side:
        return []
    return [{"name": "pool", "op": "avg_pool", "kernel": shape.height // side}]


def _global(shape: Shape) -> Operators | None:
    return [] if shape.height == shape.width == 1 else [{"name": "gap", "op": "global_avg_pool"}]


def _bottleneck(shape: Shape) -> Operators | None:
    pool = _grid(shape, min(4, shape.height))
    conv = {"name": "reduce", "op": "conv2d", "filters": _BOTTLENECK_CHANNELS, "kernel": 1, "relu": True}
    return None if pool is None or shape.height == 1 else [conv, *pool]


def _depthwise(shape: Shape) -> Operators | None:
    if shape.height == 1:
        return None
    spatial = {"name": "spatial", "op": "depthwise_conv2d", "kernel": 3, "padding": 1, "relu": True}
    mix = {"name": "mix", "op": "conv2d", "filters": _DEPTHWISE_CHANNELS, "kernel": 1, "relu": True}
    return [spatial, mix, {"name": "gap", "op": "global_avg_pool"}]


def _conv32(shape: Shape) -> Operators | None:
    if min(shape.height, shape.width) < 2:
        return None
    conv = {
        "name": "conv",
        "op": "conv2d",
        "filters": _CONV_CHANNELS,
        "kernel": 3,
        "padding": 1,
        "relu": True,
    }
    return [conv, {"name": "pool", "op": "max_pool", "kernel": 2}]


_STRUCTURES: dict[str, Callable[[Shape], Operators | None]] = {
    "g1": _global,
    "g2": lambda shape: _grid(shape, 2),
    "g4": lambda shape: _grid(shape, 4),
    "g8": lambda shape: _grid(shape, 8),
    "bottleneck": _bottleneck,
    "depthwise": _depthwise,
    "conv32": _conv32,
}
