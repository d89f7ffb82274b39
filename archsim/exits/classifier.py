"""Another classifier at the end: a branch takes the place of the trunk behind the layer that it hangs on.

One training can so serve several networks: the same convolutions with a lean and a fat classifier, with a global pool
instead of it, or shortened at an early branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from archsim.config.workload import BranchSpec, LayerSpec, WorkloadSpec

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Ending:
    """A workload file and the arrays of its weights, by key."""

    spec: WorkloadSpec
    arrays: Arrays


def ended_by(ending: Ending, branch_name: str) -> Ending:
    """The network whose trunk ends in this branch; branches behind it are gone, others keep name and weights.

    Layers of the branch become layers of the trunk under their own names, prefixed by the branch's where a layer that
    stays has the name already. The branch must exist.
    """
    spec = ending.spec
    branch = next(branch for branch in spec.branches if branch.name == branch_name)
    order = {layer.name: index for index, layer in enumerate(spec.layers)}
    trunk = spec.layers[: order[branch.after] + 1]
    taken = {layer.name for layer in trunk}
    names = {
        layer.name: f"{branch.name}-{layer.name}" if layer.name in taken else layer.name
        for layer in branch.layers
    }
    moved = [_renamed(layer, names) for layer in branch.layers]
    others = [
        other
        for other in spec.branches
        if other.name != branch.name and order[other.after] <= order[branch.after]
    ]
    arrays = _arrays(ending.arrays, branch, names, {layer.name for layer in trunk}, others)
    return Ending(spec.model_copy(update={"layers": [*trunk, *moved], "branches": others}), arrays)


def _renamed(layer: LayerSpec, names: Mapping[str, str]) -> LayerSpec:
    inside = {
        key: names.get(getattr(layer, key), getattr(layer, key))
        for key in ("input", "other")
        if hasattr(layer, key)
    }
    return layer.model_copy(update={"name": names[layer.name], **inside})


def _arrays(
    arrays: Arrays, branch: BranchSpec, names: Mapping[str, str], trunk: set[str], others: list[BranchSpec]
) -> Arrays:
    """By the new keys; a layer of a branch is called ``branch.layer`` in the old ones."""
    moved = {f"{branch.name}.{old}": new for old, new in names.items()}
    kept = trunk | {f"{other.name}.{layer.name}" for other in others for layer in other.layers}
    found = {}
    for key, array in arrays.items():
        layer, _, part = key.rpartition("/")
        if layer in moved:
            found[f"{moved[layer]}/{part}"] = array
        elif layer in kept or layer == "input":
            found[key] = array
    return found
