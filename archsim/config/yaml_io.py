"""YAML files (and ``--set`` values) to documents with positions. Nothing is constructed but plain data.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2, section 10.3.2): ``1e-3`` is a number,
``on``, ``no`` and ``12:30`` are text. Of what YAML allows, tags, merge keys, keys that are not text, NaN and infinities
are refused, and size, depth and aliases are bounded, so that no file can make the reader run away.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from archsim.config.document import Document, KeyPath, Mark, Position
from archsim.errors import InvalidInput, Problem
from archsim.files import read_bounded

MAX_FILE_BYTES = 16 << 20
MAX_DEPTH = 32
MAX_NODES = 400_000
"""Keys and values; 10,000 layers have a quarter of that. More would take minutes to read."""
MAX_ALIAS_VALUES = 10_000
"""Values that all aliases of a file together may stand for."""
_MAX_DIGITS = 64
_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + kind: kind for kind in ("str", "int", "float", "bool", "null", "seq", "map")}


class _Refused(yaml.MarkedYAMLError):
    """The file is not composed any further."""


class _CoreResolver(BaseResolver):
    """Implicit types of the YAML 1.2 core schema."""


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _CoreResolver.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), list(_first))


class _Loader(Reader, Scanner, Parser, Composer, _CoreResolver):
    """Composes nodes, counting them; refuses depth before it can exhaust the stack."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _CoreResolver.__init__(self)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self.depth += 1
        self.nodes += 1
        if self.nodes > MAX_NODES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _Refused(None, None, f"more than {MAX_NODES} values in one file", mark)
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _Refused(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


@dataclass
class _Reading:
    """Nodes to data, collecting marks and problems."""

    source: str
    position: Position | None
    """One position for everything, where the text is not a file."""
    budget: int
    """Values that may still be made; aliases make more values than there are nodes."""
    problems: list[Problem] = field(default_factory=list)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)

    def at(self, mark: yaml.Mark) -> Position:
        return self.position or Position(self.source, mark.line + 1, mark.column + 1)

    def problem(self, mark: yaml.Mark, path: KeyPath, message: str, hint: str = "") -> None:
        self.problems.append(Problem(str(self.at(mark)), ".".join(path), message, hint))

    def value(self, node: Node, path: KeyPath, key: Position | None, open_nodes: frozenset[int]) -> Any:
        position = self.at(node.start_mark)
        self.marks[path] = Mark(key or position, position)
        self.budget -= 1
        if id(node) in open_nodes:
            raise _Refused(None, None, "the alias stands for a value that contains it", node.start_mark)
        if self.budget < 0 or len(path) >= MAX_DEPTH:
            message = f"aliases stand for more than {MAX_ALIAS_VALUES} values or {MAX_DEPTH} levels"
            raise _Refused(None, None, message, node.start_mark)
        if node.tag not in _TAGS:
            self.problem(
                node.start_mark, path, f'found the tag "{node.tag}", expected plain data', "remove it"
            )
            return None
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        open_nodes = open_nodes | {id(node)}
        if isinstance(node, SequenceNode):
            return [
                self.value(entry, (*path, str(index)), None, open_nodes)
                for index, entry in enumerate(node.value)
            ]
        assert isinstance(node, MappingNode)
        return self.mapping(node, path, open_nodes)

    def mapping(self, node: MappingNode, path: KeyPath, open_nodes: frozenset[int]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            if not isinstance(key_node, ScalarNode) or key_node.tag != _TAG + "str":
                shown = f'"{key_node.value}"' if isinstance(key_node, ScalarNode) else "a list or a mapping"
                self.problem(mark, path, f"found {shown} as a key, expected text", "put it in quotes")
                continue
            key = self.text(key_node, path)
            if key == "<<":
                self.problem(
                    mark, path, "merge keys are not supported", 'use "extends", or write the keys out'
                )
                continue
            if key in data:
                first = self.marks[(*path, key)].key
                message = f"the key is there twice, first in line {first.line}"
                self.problem(mark, (*path, key), message, "remove one")
                continue
            data[key] = self.value(value_node, (*path, key), self.at(mark), open_nodes)
        return data

    def scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        kind, text = _TAGS[node.tag], node.value
        try:
            if kind == "float":
                number = float(text.replace(".inf", "inf").replace(".nan", "nan").lower())
                if math.isfinite(number):
                    return number
                self.problem(node.start_mark, path, f"found {text}, expected a finite number")
                return None
            if kind == "int":
                return _integer(text)
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
        except (ValueError, KeyError):
            self.problem(node.start_mark, path, f'"{text[:_MAX_DIGITS]}" cannot be read as {kind}')
            return None
        return None if kind == "null" else self.text(node, path)

    def text(self, node: ScalarNode, path: KeyPath) -> str:
        """Text that any file can hold: escapes may write characters that UTF-8 cannot, or the end of a C string."""
        # JSON writes what lies beyond U+FFFF as two escapes.
        joined = str(node.value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "\0" in joined or ("\ufffd" in joined and "\ufffd" not in node.value):
            self.problem(node.start_mark, path, "found an escape that stands for no character")
        return joined.replace("\0", "\ufffd")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(text)
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    return int(text, base)


def _compose(text: str, source: str, position: Position | None) -> tuple[Any, _Reading]:
    """Parse text. Returns (data, reading); what cannot be parsed at all raises InvalidInput."""
    reading = _Reading(source, position, 0)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        reading.budget = loader.nodes + MAX_ALIAS_VALUES
        data = None if node is None else reading.value(node, (), None, frozenset())
    except ReaderError as error:
        line, column = _line_column(text[: error.position])
        where = position or Position(source, line, column)
        message = f"found the character U+{ord(text[error.position]):04X}, which YAML does not allow"
        raise InvalidInput([Problem(str(where), "", message)]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = position or (reading.at(mark) if mark else Position(source))
        message = ", ".join(part for part in (error.context, error.problem) if part)
        hint = "indent with spaces" if r"'\t'" in message else ""
        raise InvalidInput([*reading.problems, Problem(str(where), "", message, hint)]) from None
    return data, reading


def _line_column(before: str) -> tuple[int, int]:
    """Line and column, from 1, of the character that follows."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@lru_cache(maxsize=32)
def parse_document(text: str, path: Path) -> Document:
    """A document from text. ``path`` is where it comes from, as messages show it.

    The last documents are kept: a sweep reads the same few files for every point. Callers do not change it.
    Raises InvalidInput with every problem at its file:line:col.
    """
    data, reading = _compose(text, str(path), None)
    start = str(Position(str(path), 1, 1))
    if data is None and not reading.problems:
        raise InvalidInput([Problem(start, "", "the file is empty", 'it begins with "schema: archsim.…/1"')])
    if reading.problems:
        raise InvalidInput(reading.problems)
    if not isinstance(data, dict):
        found = "a list" if isinstance(data, list) else f'"{str(data)[:40]}"'
        raise InvalidInput([Problem(start, "", f"found {found}, expected a mapping of keys to values")])
    return Document(path, data, reading.marks)


def read_document(path: Path) -> Document:
    """A document from a file of at most 16 MiB of UTF-8 text.

    Raises InvalidInput: the file cannot be read, is too large, no text, no YAML, or breaks a rule of this module.
    """
    content = read_bounded(
        path, MAX_FILE_BYTES, "configuration is text; weights and images belong in .npz files"
    )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_column(content[: error.start].decode("utf-8", "replace"))
        where = str(Position(str(path), line, column))
        message = f"found the byte 0x{content[error.start]:02x}, expected UTF-8 text"
        raise InvalidInput([Problem(where, "", message)]) from None
    return parse_document(text, path)


def parse_value(text: str, position: Position) -> Any:
    """The scalar or list that ``text`` writes in YAML, as in ``--set key=text``; empty text is null.

    Raises InvalidInput at ``position`` for anything else.

    >>> parse_value("[8, 12]", Position("--set"))
    [8, 12]
    >>> parse_value("1e-3", Position("--set"))
    0.001
    """
    data, reading = _compose(text, position.source, position)
    if isinstance(data, dict):
        reading.problem(yaml.Mark("", 0, 0, 0, None, 0), (), "found a mapping, expected a value or a list")
    if reading.problems:
        raise InvalidInput(reading.problems)
    return data
