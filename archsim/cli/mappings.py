"""Mappings of a workload on an accelerator: what the search chose, as rows to show and as a file to give it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from archsim.api import load
from archsim.config.checks import check_exits, check_mappings
from archsim.config.document import Position
from archsim.config.load import load_dram_preset, read_arch
from archsim.config.yaml_io import parse_value
from archsim.mapping.given import entry_of
from archsim.resources import Kind, builtin_path
from archsim.schedule.program import compile_program


@dataclass(frozen=True)
class Mappings:
    """entries: of ``mappings`` in an architecture file. rows: the same with what follows, for a table."""

    workload: str
    arch: str
    entries: tuple[dict[str, Any], ...]
    rows: list[dict[str, Any]]

    def file_text(self, arch_ref: str, overrides: Sequence[str]) -> str:
        """An architecture file that gives every layer the mapping it has; ``--set`` becomes part of it."""
        base = arch_ref if builtin_path(Kind.ARCH, arch_ref) else str(Path(arch_ref).resolve())
        head: dict[str, Any] = {"schema": "archsim.arch/1", "name": self.arch, "extends": base}
        for text in overrides:
            _set(head, text)
        lines = [f"# Mappings of {self.workload} on {self.arch}, as archsim describe wrote them."]
        lines += yaml.safe_dump(head, sort_keys=False).splitlines()
        lines += ["mappings:", *(f"  - {_flow(entry)}" for entry in self.entries)]
        return "\n".join(lines) + "\n"


def mappings_of(
    workload: str, arch_ref: str, overrides: Sequence[str], progress: Callable[[int, int], None]
) -> Mappings:
    """Search, or take those that the architecture gives.

    Raises InvalidInput when anything cannot be read, and naming the limits that a layer breaks.
    """
    network, arch = load(workload).network, read_arch(arch_ref, overrides)
    check_exits(arch.spec, network, arch.document)
    check_mappings(arch.spec, network, arch.document)
    program = compile_program(network, arch.spec, load_dram_preset(arch.spec.dram.preset), progress)
    entries, rows = [], []
    for step in program.steps:
        if not step.layer.is_compute:
            continue
        entries.append(entry_of(step.layer.name, program.dataflow.name, step.plan.mapping))
        shown = {key: value for key, value in entries[-1].items() if key != "dataflow"}
        on_chip = {
            "input": "buffer" if step.placement.ifmap_on_chip else "DRAM",
            "output": "buffer" if step.placement.ofmap_on_chip else "DRAM",
        }
        rows.append(shown | {"tiles": step.plan.tiles, "active PEs": step.plan.active_pes} | on_chip)
    return Mappings(network.name, arch.spec.name, tuple(entries), rows)


def _set(data: dict[str, Any], text: str) -> None:
    """Write ``a.b=value`` into nested mappings."""
    key, _, value = text.partition("=")
    *sections, last = key.strip().split(".")
    for section in sections:
        data = data.setdefault(section, {})
    data[last] = parse_value(value, Position(f"--set {text}"))


def _flow(entry: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(entry, sort_keys=False, default_flow_style=True, width=10_000)
    return text.strip()
