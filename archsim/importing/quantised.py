"""QuantizeLinear and DequantizeLinear: which integers a model means, and whether tensors without zero point hold them.

Behind a ReLU every zero point will do: counted from it, values are 0 .. high, which is a uint8 tensor that saturates at
``high``. Without a ReLU, values must be -128 .. 127 counted from the zero point; any other tensor is put on the finest
symmetric scale that holds it, and its integers are no longer those of the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.importing.draft import POOLS, Constant, Draft, Floats, Grid, Node, Tensor, Unsupported
from archsim.importing.walk import Value, Walk
from archsim.network.graph import IMAGE

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def quantize(walk: Walk, node: Node) -> Value:
    """QuantizeLinear."""
    scale = _scale(walk, node)
    zero_point = walk.optional(node, 2)
    kind = "uint8" if zero_point is None else zero_point.dtype.name
    if kind not in _LIMITS:
        raise Unsupported(f"quantises to {kind}, expected int8 or uint8")
    low, high = _LIMITS[kind]
    value = walk.values[node.inputs[0]]
    if isinstance(value, Constant):
        axis = int(node.attributes.get("axis", 1))
        steps, zeros = (_along(part, value.array, axis) for part in (scale, _zeros(zero_point)))
        return Constant(np.clip(np.rint(value.array / steps) + zeros, low, high).astype(np.int64))
    if scale.size != 1:
        raise Unsupported(
            "one scale a channel, expected one for the tensor", "quantise activations per tensor"
        )
    tensor = walk.tensor(node)
    grid = Grid(float(scale.ravel()[0]), int(_zeros(zero_point).ravel()[0]), low, high)
    draft = walk.source(tensor)
    if draft is None:
        walk.image_grid = grid
        return tensor
    if draft.grid not in (None, grid):
        walk.notes.append(f"{node.label}: the tensor is quantised twice; the last time counts")
    draft.grid = grid
    return tensor


def dequantize(walk: Walk, node: Node) -> Value:
    """DequantizeLinear of a constant, or of what a QuantizeLinear before it wrote."""
    value = walk.values[node.inputs[0]]
    scale, zeros = _scale(walk, node), _zeros(walk.optional(node, 2))
    if isinstance(value, Constant):
        axis = int(node.attributes.get("axis", 1))
        integers = value.array.astype(np.int64) - _along(zeros, value.array, axis)
        fits = integers.size == 0 or (integers.min() >= -128 and integers.max() <= 127)
        return Constant(
            integers * _along(scale, value.array, axis),
            scale.ravel() if fits else None,
            axis % max(value.array.ndim, 1) if scale.size > 1 else 0,
        )
    tensor = walk.tensor(node)
    draft = walk.source(tensor)
    grid = walk.image_grid if draft is None else draft.grid
    if (
        grid is None
        or (scale.ravel()[0], zeros.ravel()[0]) != (grid.scale, grid.zero_point)
        or scale.size > 1
    ):
        raise Unsupported("has other parameters than a QuantizeLinear before it", "export in QDQ format")
    return tensor


def settle(walk: Walk, drafts: Iterable[Draft]) -> dict[str, float]:
    """Scale of every tensor that the model quantises, by name (``image`` too).

    ReLUs and saturation of the drafts follow from what they are quantised to. drafts: each behind those it reads.
    """
    scales: dict[str, float] = {}
    if walk.image_grid is not None:
        scales[IMAGE] = _scale_of(walk, "the image", walk.image_grid, walk.image_grid.limits[0] == 0)
    for draft in drafts:
        if draft.grid is not None and draft.op == "max_pool":
            source = walk.drafts.get(draft.inputs[0])
            if draft.grid != (walk.image_grid if source is None else source.grid):
                walk.notes.append(f"{draft.label}: keeps the scale of its input, not one of its own")
        elif draft.grid is not None and draft.op in POOLS:
            unsigned = walk.is_unsigned(Tensor(draft.name, draft.shape, True))
            if unsigned:
                _saturate(draft, draft.grid.limits[1])
            scales[draft.name] = _scale_of(walk, draft.label, draft.grid, unsigned)
        elif draft.grid is not None:
            low, high = draft.grid.limits
            draft.relu = draft.relu or low == 0
            if draft.relu:
                _saturate(draft, high)
            scales[draft.name] = _scale_of(walk, draft.label, draft.grid, draft.relu)
    return scales


def _saturate(draft: Draft, high: int) -> None:
    """Where the 8-bit output stops: at the end of its range, or at the clip that the model has."""
    assert draft.grid is not None
    if draft.ceiling is not None:
        high = min(high, round(draft.ceiling / draft.grid.scale))
    if high < 255:
        draft.options["output_max"] = max(high, 1)


def _scale_of(walk: Walk, label: str, grid: Grid, unsigned: bool) -> float:
    if unsigned or grid.is_centred:
        return grid.scale
    walk.notes.append(
        f"{label}: zero point {grid.zero_point} of a tensor with negative values; put on a symmetric scale, so that "
        "its integers are not those of the model"
    )
    return grid.symmetric_scale


def _scale(walk: Walk, node: Node) -> Floats:
    scale = walk.constant(node, 1).array.astype(np.float64)
    if not (scale.size and np.isfinite(scale).all() and (scale > 0).all()):
        raise Unsupported("a scale that is no positive number")
    return scale


def _zeros(zero_point: NDArray[Any] | None) -> NDArray[np.int64]:
    return np.zeros(1, np.int64) if zero_point is None else zero_point.astype(np.int64)


def _along(values: NDArray[Any], array: NDArray[Any], axis: int) -> NDArray[Any]:
    """One value, or one a slice along an axis, so that it broadcasts over ``array``."""
    if values.size == 1:
        return values.reshape(())
    if not -array.ndim <= axis < array.ndim or values.shape != (array.shape[axis],):
        raise Unsupported(
            f"{values.shape} scales for an array of {array.shape}", "one a tensor, or one a channel"
        )
    return values.reshape([-1 if index == axis % array.ndim else 1 for index in range(array.ndim)])
