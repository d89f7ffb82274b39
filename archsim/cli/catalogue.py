"""Names and one-line descriptions of everything built in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from archsim.config.load import load_arch, load_dram_preset, load_energy_table, load_workload
from archsim.errors import InvalidInput, Problem
from archsim.registry import DATAFLOWS, get_dataflow
from archsim.resources import Kind, builtin_names

_READERS: tuple[tuple[str, Kind, Callable[[str], Any]], ...] = (
    ("workloads", Kind.WORKLOAD, lambda name: load_workload(name).spec),
    ("architectures", Kind.ARCH, load_arch),
    ("dram_presets", Kind.DRAM, load_dram_preset),
    ("energy_tables", Kind.ENERGY_TABLE, load_energy_table),
)


def catalogue() -> list[tuple[str, list[tuple[str, str]]]]:
    """(section, [(name, description)]) of all kinds; a built-in that cannot be read says so."""
    sections = [
        (section, [(name, _description(name, read)) for name in builtin_names(kind)])
        for section, kind, read in _READERS
    ]
    sections.append(("dataflows", [(name, _first_line(get_dataflow(name))) for name in sorted(DATAFLOWS)]))
    return sections


def unreadable() -> list[Problem]:
    """Problems of all built-in files; none in an installation that is in order."""
    problems: list[Problem] = []
    for _, kind, read in _READERS:
        for name in builtin_names(kind):
            try:
                read(name)
            except InvalidInput as error:
                problems += error.problems
    return problems


def _description(name: str, read: Callable[[str], Any]) -> str:
    try:
        return " ".join(str(read(name).description).split())
    except InvalidInput as error:
        return f"(cannot be read: {error.problems[0]})"


def _first_line(component: object) -> str:
    """First line of a class's docstring, cross references as plain words."""
    line = (type(component).__doc__ or "").strip().partition("\n")[0]
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", line)
