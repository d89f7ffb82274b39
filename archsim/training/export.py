"""The trained network as files: ``<name>.yaml`` to read and change, ``<name>.npz`` with the integers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from archsim.config.workload import BranchSpec, DbpSpec
from archsim.exits.thresholds import ExitPolicy
from archsim.network.graph import Network
from archsim.network.weights import expected_arrays
from archsim.training.integer import Arrays
from archsim.training.spec import TrainSpec


def chosen_branches(spec: TrainSpec, names: tuple[str, ...], policy: ExitPolicy) -> list[BranchSpec]:
    """The branches that ``policy`` keeps, in the order of ``names``, with their thresholds and DBP bounds."""
    by_name = {branch.name: branch for branch in spec.branches}
    kept: list[BranchSpec] = []
    for name, threshold, min_sum in zip(names, policy.thresholds, policy.min_sums, strict=True):
        if threshold is not None:
            dbp = DbpSpec(min_sum=min_sum) if min_sum else None
            kept.append(by_name[name].model_copy(update={"threshold": threshold, "dbp": dbp}))
    return kept


def without_branches(arrays: Arrays, network: Network) -> Arrays:
    """The arrays that ``network``, which may lack some branches, still reads."""
    expected = expected_arrays(network)
    return {key: array for key, array in arrays.items() if key in expected}


def write_workload(path: Path, spec: TrainSpec, branches: list[BranchSpec]) -> None:
    """The workload file of ``spec`` with ``branches``, one layer a line."""
    dump = spec.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    head = {"schema": "archsim.workload/1", "name": spec.name, "description": spec.description}
    files = {"weights": f"{spec.name}.npz"}
    if spec.data.images:
        files["images"] = Path(spec.data.images).name
    if spec.data.trace_images:
        files["trace"] = f"{spec.name}.trace.npz"
    lines = [
        *_blocks(head),
        *_blocks({"dataset": dump["dataset"]}),
        f"input: {_flow(dump['input'])}",
        *_blocks(files),
    ]
    lines += ["layers:", *(f"  - {_flow(_short(layer))}" for layer in dump["layers"])]
    lines += (
        ["branches:", *(line for branch in branches for line in _branch_lines(branch))] if branches else []
    )
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(partial, path)


def copy_images(source: Path, out_dir: Path) -> None:
    """The sample images beside the workload; nothing to do where they lie there already."""
    target = out_dir / source.name
    if not (target.exists() and target.samefile(source)):
        shutil.copyfile(source, target)


def _branch_lines(branch: BranchSpec) -> list[str]:
    dump = branch.model_dump(mode="json", exclude_defaults=True)
    layers = dump.pop("layers")
    rows = [line for key, value in dump.items() for line in [f"{key}: {_flow(value)}"]]
    rows += ["layers:", *(f"  - {_flow(_short(layer))}" for layer in layers)]
    return [f"  {'- ' if index == 0 else '  '}{row}" for index, row in enumerate(rows)]


def _short(layer: dict[str, Any]) -> dict[str, Any]:
    """Equal height and width written as one number."""
    return {
        key: value[0] if isinstance(value, list) and value[0] == value[1] else value
        for key, value in layer.items()
    }


def _blocks(data: dict[str, Any]) -> list[str]:
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return text.splitlines()


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, sort_keys=False, default_flow_style=True, allow_unicode=True, width=10_000
    )
    return text.removesuffix("\n...\n").strip()
