"""Files that are there whole or not at all, and files that may be anything.

Every file that archsim writes is made beside its place and moved there when it is complete and on disk: who reads it
meanwhile, or after a kill or a full disk, finds the old one or the new one.
"""

from __future__ import annotations

import csv
import errno
import gzip
import io
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from archsim.errors import InvalidInput, Problem


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, which takes its place when the block ends without an exception.

    Folders that are missing are made. Raises InvalidInput when the disk is full or the place cannot be written to;
    nothing is left behind then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.unlink(missing_ok=True)  # of a process that was killed, or planted as a link to elsewhere
            yield partial
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        message = f"cannot be written ({error.strerror or error})"
        raise InvalidInput([Problem(str(path), "", message, "choose another path")]) from None


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises InvalidInput when it cannot be written."""
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextmanager
def replacing_together(last: Path) -> Iterator[Path]:
    """A folder for new files, which take their places beside ``last`` when the block ends without an exception.

    ``last`` names the others: what is in its place goes before anything moves, and it moves at the end. A kill in
    between leaves files that nothing names, never old ones beside new ones that they would be read with. Folders that
    are missing are made. Raises InvalidInput as :func:`replacing` does, and, before anything is touched, where a folder
    lies in the place of a file.
    """
    folder = last.parent / f".{last.name}.{os.getpid()}.drafts"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    try:
        folder.mkdir(parents=True)
        yield folder
        _move_together(sorted(folder.iterdir(), key=lambda draft: draft.name == last.name), last.parent)
    except InvalidInput as error:
        moved = [
            replace(each, where=each.where.replace(str(folder), str(last.parent))) for each in error.problems
        ]
        raise InvalidInput(moved) from None
    except OSError as error:
        message = f"cannot be written ({error.strerror or error})"
        raise InvalidInput([Problem(str(last), "", message, "choose another path")]) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_together(drafts: Sequence[Path], folder: Path) -> None:
    places = [folder / draft.name for draft in drafts]
    for place in places:
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
    if len(places) > 1:
        places[-1].unlink(missing_ok=True)
    for draft, place in zip(drafts, places, strict=True):
        draft.replace(place)


def is_file(path: Path) -> bool:
    """Whether a path that somebody wrote leads to a file; False, too, where no system could have such a path.

    >>> is_file(Path("a" * 5000)), is_file(Path("nul" + chr(0)))
    (False, False)
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Likewise, to a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_bounded(path: Path, most_bytes: int, hint: str = "") -> bytes:
    """The content of a file. Raises InvalidInput when it cannot be read or is larger than ``most_bytes``."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InvalidInput([Problem(str(path), "", f"cannot be read: {reason}", hint)]) from None
    if len(content) > most_bytes:
        message = f"the file is larger than {most_bytes >> 20} MiB"
        raise InvalidInput([Problem(str(path), "", message, hint)])
    return content


def csv_lines(path: Path, most_bytes: int, hint: str = "") -> list[tuple[int, list[str]]]:
    """(line, cells) of all lines of a CSV file that are not empty; a file ``.gz`` is unpacked.

    Raises InvalidInput when it cannot be read, holds more than ``most_bytes``, packed or not, or is no CSV.
    """
    content = read_bounded(path, most_bytes, hint)
    try:
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(most_bytes + 1)
        if len(content) > most_bytes:
            message = f"found more than {most_bytes >> 20} MiB of text"
            raise InvalidInput([Problem(str(path), "", message, hint)])
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        return [(reader.line_num, cells) for cells in reader if cells]
    except (csv.Error, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise InvalidInput([Problem(str(path), "", f"is no CSV file ({error})", hint)]) from None
