"""Writing a workload file as people write one: a layer a line, nothing that is a default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from archsim.config.workload import BranchSpec, WorkloadSpec
from archsim.files import write_atomic


def write_workload(path: Path, spec: WorkloadSpec) -> None:
    """Write a workload file; it appears whole or not at all. Equal workloads give equal bytes."""
    dump = spec.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    head = {"schema": spec.schema_, "name": spec.name, "description": spec.description}
    files: dict[str, Any] = {key: dump[key] for key in ("weights", "images", "trace") if key in dump}
    lines = [
        *_blocks(head),
        *_blocks({"dataset": dump["dataset"]}),
        f"input: {_flow(dump['input'])}",
        *(_blocks(files) if files else ()),
    ]
    lines += ["layers:", *(f"  - {_flow(_short(layer))}" for layer in dump["layers"])]
    if spec.branches:
        lines += ["branches:", *(line for branch in spec.branches for line in _branch_lines(branch))]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def _branch_lines(branch: BranchSpec) -> list[str]:
    dump = branch.model_dump(mode="json", exclude_defaults=True)
    layers = dump.pop("layers")
    rows = [f"{key}: {_flow(value)}" for key, value in dump.items()]
    rows += ["layers:", *(f"  - {_flow(_short(layer))}" for layer in layers)]
    return [f"  {'- ' if index == 0 else '  '}{row}" for index, row in enumerate(rows)]


def _short(layer: dict[str, Any]) -> dict[str, Any]:
    """Equal height and width written as one number."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 2 and value[0] == value[1] else value
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
