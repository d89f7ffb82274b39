"""A parsed YAML file: its data, and where every key and value was written.

Positions survive merging (``extends:``) and overriding (``--set``), so that a problem always points to the text
that caused it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsim.errors import Problem

KeyPath = tuple[str, ...]
"""Keys and list indexes from the root, all as text."""


def key_path(key: str | Iterable[str | int]) -> KeyPath:
    """Path of a dotted key.

    >>> key_path("layers.3.input")
    ('layers', '3', 'input')
    """
    if isinstance(key, str):
        return tuple(key.split(".")) if key else ()
    return tuple(str(part) for part in key)


@dataclass(frozen=True, slots=True)
class Position:
    """Where something was written: ``source`` is a file, with line and column from 1, or ``--set key=value``."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Mark:
    """Positions of one key and of its value; both are the same for an entry of a list."""

    key: Position
    value: Position


@dataclass(frozen=True)
class Document:
    """One configuration file, possibly merged from several.

    path: the file that was asked for. data: plain dicts, lists and scalars. marks: a position for every path in data.
    """

    path: Path
    data: dict[str, Any]
    marks: dict[KeyPath, Mark]

    def mark(self, key: str | Iterable[str | int]) -> Mark:
        """Mark of a key, or of the nearest enclosing one where it is not written (defaults, missing keys)."""
        path = key_path(key)
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path) or Mark(Position(str(self.path)), Position(str(self.path)))

    def where(self, key: str | Iterable[str | int]) -> str:
        """``file:line:col`` of a value by dotted key."""
        return str(self.mark(key).value)

    def where_key(self, key: str | Iterable[str | int]) -> str:
        """``file:line:col`` of the key itself by dotted key."""
        return str(self.mark(key).key)

    def folder(self, key: str | Iterable[str | int]) -> Path:
        """Folder of the file in which a value was written: what relative paths in it refer to."""
        position = self.mark(key).value
        return Path(position.source).parent if position.line else self.path.parent

    def is_override(self, key: str | Iterable[str | int]) -> bool:
        """True when a value was given on the command line, by ``--set``."""
        return self.mark(key).value.source.startswith("--set ")

    def problem(self, key: str, message: str, hint: str = "") -> Problem:
        """A problem with the value of a dotted key."""
        return Problem(self.where(key), key, message, hint)

    def without(self, *keys: str) -> Document:
        """The same document less some keys of its root."""
        data = {key: value for key, value in self.data.items() if key not in keys}
        marks = {path: mark for path, mark in self.marks.items() if not path or path[0] not in keys}
        return replace(self, data=data, marks=marks)


def merge(base: Document, top: Document) -> Document:
    """``top`` over ``base``: mappings merge, key by key; lists and scalars replace."""
    replaced: set[KeyPath] = set()
    data = _merge_mapping(base.data, top.data, (), replaced)
    marks = forget(base.marks, replaced) | top.marks
    return Document(top.path, data, marks)


def _merge_mapping(
    base: dict[str, Any], top: dict[str, Any], path: KeyPath, replaced: set[KeyPath]
) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        inner = (*path, key)
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merge_mapping(base[key], value, inner, replaced)
            continue
        merged[key] = value
        replaced.add(inner)
    return merged


def forget(marks: Mapping[KeyPath, Mark], replaced: Collection[KeyPath]) -> dict[KeyPath, Mark]:
    """The marks without those of values that are replaced, and of all that is inside them."""
    lengths = {len(path) for path in replaced}
    return {
        path: mark for path, mark in marks.items() if not any(path[:length] in replaced for length in lengths)
    }
