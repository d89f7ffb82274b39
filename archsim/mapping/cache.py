"""What a search for mappings found, kept on disk: the same question in another process needs no search.

One file a question, named by a SHA-256 over everything that the answer depends on, the source text of this package
included: another version of archsim asks other questions. A file is used only if it is whole (it holds a digest of
itself); one that is not, or cannot be read, is as good as none and is written again. A folder that cannot be written
costs nothing but the search. ``ARCHSIM_CACHE_DIR`` names the folder; empty, it switches the cache off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from archsim.errors import InvalidInput
from archsim.files import write_atomic

Found = TypeVar("Found")
FOLDER = "ARCHSIM_CACHE_DIR"


def cached(
    question: object,
    search: Callable[[], Found],
    encode: Callable[[Found], Any],
    decode: Callable[[Any], Found],
) -> Found:
    """The answer to a question: from disk, else by ``search``, which is then kept.

    question: anything whose ``repr`` holds all that the answer depends on. encode, decode: to and from JSON data.
    """
    folder = cache_folder()
    if folder is None:
        return search()
    key = hashlib.sha256(f"{_package_digest()}\0{question!r}".encode()).hexdigest()
    path = folder / f"{key}.json"
    stored = _read(path)
    if stored is not None:
        try:
            return decode(stored)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            pass  # whole, but not what is written here
    found = search()
    _write(path, encode(found))
    return found


def cache_folder() -> Path | None:
    """``ARCHSIM_CACHE_DIR``, else ``archsim`` in the user's cache folder; None when there is none."""
    chosen = os.environ.get(FOLDER)
    if chosen is not None:
        return Path(chosen) / "mappings" if chosen else None
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "archsim" / "mappings"
    except RuntimeError:
        return None


@cache
def _package_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> Any:
    """The data of a file, None when it is not there or not whole."""
    try:
        digest, _, text = path.read_text(encoding="ascii").partition("\n")
        return json.loads(text) if digest == hashlib.sha256(text.encode()).hexdigest() else None
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: Path, data: Any) -> None:
    text = json.dumps(data, separators=(",", ":"))
    with suppress(InvalidInput):
        write_atomic(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}".encode("ascii"))
