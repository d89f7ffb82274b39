"""Layers fused on the write path: what a layer with weights writes passes pools and adds before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.errors import InvalidInput, Problem
from archsim.network.graph import Layer, Network, Shape

POOLS = ("max_pool", "avg_pool", "global_avg_pool")


@dataclass(frozen=True)
class FusedLayer:
    """One run of the PE array and all that happens to its outputs before they reach the buffer.

    layer: conv2d, depthwise_conv2d or linear; in a branch also a pool of the tensor that it reads. post: pools and at
    most one add, in order.
    """

    layer: Layer
    post: tuple[Layer, ...]

    @property
    def _last(self) -> Layer:
        return self.post[-1] if self.post else self.layer

    @property
    def output_tensor(self) -> str:
        """Name of the tensor that is written."""
        return self._last.name

    @property
    def stored_shape(self) -> Shape:
        """Its shape."""
        return self._last.output_shape

    @property
    def pool_values(self) -> int:
        """Values that enter pooling registers for one image (:data:`archsim.counters.ACTIONS` pe_array.pool)."""
        return sum(layer.input_shape.elements for layer in (self.layer, *self.post) if layer.op in POOLS)

    @property
    def summand(self) -> tuple[str, Shape] | None:
        """Name and shape of the tensor that the fused ``add`` reads besides the one passing by."""
        passing = self.layer.name
        for layer in self.post:
            if layer.op == "add":
                first, second = layer.inputs
                return (second if first == passing else first), layer.input_shape
            passing = layer.name
        return None


def fuse(network: Network) -> tuple[FusedLayer, ...]:
    """The trunk as runs of the PE array, in execution order.

    Raises InvalidInput, listing every layer that cannot be fused: one that does not read what the layer above it
    writes, a second ``add`` behind the same layer, a pool of the image, a tensor in the middle of a chain (and hence
    never stored) that another layer reads.
    """
    return _checked(*fuse_layers(network.layers))


def fuse_branch(layers: Sequence[Layer]) -> tuple[FusedLayer, ...]:
    """Layers of a branch as runs of the PE array; pools of the tensor that it reads begin with a run of their own.

    Raises InvalidInput as :func:`fuse`.
    """
    return _checked(*fuse_layers(layers, pool_first=True))


def _checked(fused: tuple[FusedLayer, ...], problems: list[Problem]) -> tuple[FusedLayer, ...]:
    fused_away = {layer.name for run in fused for layer in (run.layer, *run.post)}
    fused_away -= {run.output_tensor for run in fused}
    for run in fused:
        summand = [run.summand[0]] if run.summand else []
        problems += [
            _problem(
                run.layer,
                f'the tensor "{tensor}" is read here but fused with the layer behind it, never stored',
            )
            for tensor in (run.layer.inputs[0], *summand)
            if tensor in fused_away
        ]
    if problems:
        raise InvalidInput(problems)
    return fused


def fuse_layers(
    layers: Sequence[Layer], *, pool_first: bool = False
) -> tuple[tuple[FusedLayer, ...], list[Problem]]:
    """Runs of the PE array in a sequence of layers and what cannot be fused. pool_first: a pool may begin."""
    fused: list[FusedLayer] = []
    problems: list[Problem] = []
    for layer in layers:
        if layer.is_compute or (pool_first and not fused and layer.op in POOLS):
            fused.append(FusedLayer(layer, ()))
            continue
        if not fused:
            problems.append(_problem(layer, f"a {layer.op} needs a layer with weights before it, found none"))
            continue
        run = fused[-1]
        if run.output_tensor not in layer.inputs:
            read = " and ".join(f'"{tensor}"' for tensor in layer.inputs)
            problems.append(
                _problem(layer, f'reads {read}, expected "{run.output_tensor}", which is written last')
            )
        elif layer.op == "add" and run.summand is not None:
            problems.append(_problem(layer, f'is the second add behind "{run.layer.name}", expected one'))
        fused[-1] = FusedLayer(run.layer, (*run.post, layer))
    return tuple(fused), problems


def _problem(layer: Layer, message: str) -> Problem:
    hint = "pools and adds run on the write path of the layer with weights before them: move it behind that layer"
    return Problem("network", layer.name, message, hint)
