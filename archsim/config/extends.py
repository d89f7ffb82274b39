"""``extends:`` and ``--set``: documents made of several files and of values from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archsim.config.document import Document, Mark, Position, forget, key_path, merge
from archsim.config.validation import show
from archsim.config.yaml_io import parse_value, read_document
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.files import is_file
from archsim.resources import Kind, builtin_names, builtin_path

MAX_EXTENDED = 32
"""Files between one that is asked for and the last that it extends."""
_OWN_KEYS = ("schema", "name", "description")
"""Not inherited: every file says what it is, and two accelerators of one name could not be told apart."""


def find_file(kind: Kind, ref: str | Path, where: str = "", key: str = "", folder: Path = Path()) -> Path:
    """File of a path or of a built-in name.

    where, key: what a problem points to; the reference itself when left out. folder: what a relative path refers to.
    Raises InvalidInput, with near misses, where there is no such file.
    """
    text = str(ref)
    path = folder / text
    is_path = isinstance(ref, Path) or "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))
    builtin = None if is_path else builtin_path(kind, text)
    if builtin is not None:
        return builtin
    if is_file(path):
        return path
    message = f"no such file: {path}" if is_path else f'no {kind.value} is called "{text}", and no file'
    hint = did_you_mean(path.stem if is_path else text, builtin_names(kind))
    if is_path and hint.startswith("allowed"):
        hint = ""  # a path is not a mistyped name
    raise InvalidInput([Problem(where or text, key, message, hint)])


def read_extended(kind: Kind, path: Path) -> Document:
    """A document with everything that it extends, the key ``extends`` removed.

    ``extends: base`` names a built-in or a file relative to this one; mappings merge, lists and scalars replace;
    ``name`` and ``description`` are not inherited.

    Raises InvalidInput: a base is missing, of another schema, or extends itself through others.
    """
    document = read_document(path)
    return _extend(kind, document, (path.resolve(),))


def _extend(kind: Kind, document: Document, chain: tuple[Path, ...]) -> Document:
    if "extends" not in document.data:
        return document
    ref = document.data["extends"]
    if not isinstance(ref, str):
        message = f"found {show(ref)}, expected the name of a built-in {kind.value} or a file"
        raise InvalidInput([document.problem("extends", message)])
    found = find_file(kind, ref, document.where("extends"), "extends", document.path.parent)
    if found.resolve() in chain:
        circle = " -> ".join([*(link.name for link in chain), found.name])
        raise InvalidInput([document.problem("extends", f"the files extend each other: {circle}")])
    if len(chain) > MAX_EXTENDED:
        raise InvalidInput([document.problem("extends", f"more than {MAX_EXTENDED} files extend each other")])
    base = _extend(kind, read_document(found), (*chain, found.resolve()))
    mine, theirs = document.data.get("schema"), base.data.get("schema")
    if mine is not None and mine != theirs:
        message = f'{found} is of schema "{theirs}", this file of "{mine}"'
        raise InvalidInput([document.problem("extends", message)])
    return merge(base.without(*_OWN_KEYS), document.without("extends"))


def override(document: Document, overrides: Sequence[str]) -> tuple[Document, list[Problem]]:
    """Apply ``key=value`` texts in order; values are YAML scalars or lists, a later one wins.

    Returns (document, problems of texts that cannot be applied). Keys that the model does not know are left for the
    validation, which points to ``--set key=value`` as their place.

    >>> from archsim.config.yaml_io import parse_document
    >>> read = parse_document("clock: {core_mhz: 200}", Path("a.yaml"))
    >>> changed, problems = override(read, ["clock.core_mhz=100", "pe_array.rows=8"])
    >>> changed.data, changed.where("pe_array.rows")
    ({'clock': {'core_mhz': 100}, 'pe_array': {'rows': 8}}, '--set pe_array.rows=8')
    """
    data, marks, problems = _copy(document.data), dict(document.marks), []
    for text in overrides:
        position = Position(f"--set {text}")
        key, equals, value_text = text.partition("=")
        path = key_path(key.strip())
        if not equals or not path or not all(path):
            problems.append(Problem(str(position), "", "expected KEY=VALUE", "--set pe_array.rows=16"))
            continue
        try:
            value = parse_value(value_text, position)
        except InvalidInput as error:
            problems += [Problem(found.where, key, found.message, found.hint) for found in error.problems]
            continue
        refused = _set(data, path, value)
        if refused:
            problems.append(Problem(str(position), key, refused))
            continue
        marks = forget(marks, {path})
        for length in range(1, len(path) + 1):
            marks.setdefault(path[:length], Mark(position, position))
    return Document(document.path, data, marks), problems


def _copy(value: Any) -> Any:
    """Mappings and lists anew, so that what was read stays as it was."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _set(data: dict[str, Any], path: Sequence[str], value: Any) -> str:
    """Set a value deep inside; returns what stands in the way, or nothing."""
    inside: Any = data
    for depth, part in enumerate(path):
        is_last = depth == len(path) - 1
        above = ".".join(path[:depth])
        if isinstance(inside, list):
            if not part.isdecimal() or len(part) > 9 or int(part) >= len(inside):
                return f'"{above}" has the entries 0 to {len(inside) - 1}, found "{part}"'
            index: int | str = int(part)
        elif isinstance(inside, dict):
            index = part
        else:
            return f'"{above}" is a single value, it has no key "{part}"'
        if is_last:
            inside[index] = value
        elif isinstance(inside, dict) and inside.get(part) is None:
            inside[part] = {}
        inside = inside[index]
    return ""
