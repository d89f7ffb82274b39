"""Tar files that nobody vouches for: what they unpack to is bounded, byte by byte.

:mod:`tarfile` reads a header of whatever size the file claims into memory, keeps every member, and in some versions of
Python can be sent backwards for ever (CVE-2025-8194).
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

MAX_UNPACKED_BYTES = 4 << 30
"""The official data sets hold less than 1 GiB."""
MAX_MEMBERS = 1_000_000
_MAX_READ_BYTES = 64 << 20
"""At once: contents are read in pieces, headers are small."""
READ_ERRORS = (
    *(tarfile.TarError, OSError, EOFError, zlib.error),
    *(ValueError, IndexError, OverflowError, RecursionError),
)
"""All that a damaged or hostile tar makes tarfile and zlib raise."""


class _Bounded(io.RawIOBase):
    """A stream of bytes of which a bounded part can be read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            self._check(offset)
        return self._stream.seek(offset, whence)

    def _check(self, end: int) -> None:
        if not 0 <= end <= MAX_UNPACKED_BYTES + _MAX_READ_BYTES:
            raise tarfile.ReadError(f"more than {MAX_UNPACKED_BYTES >> 30} GiB in it")


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar, plain or of gzip, to read from. Raises one of :data:`READ_ERRORS`, as reading from it may."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip else file
        with tarfile.open(fileobj=cast("IO[bytes]", _Bounded(stream)), mode="r:") as archive:
            yield archive


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Members one by one, forgotten when the next is asked for. Raises tarfile.ReadError for what none has."""
    count, last_offset = 0, -1
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]
        count += 1
        if count > MAX_MEMBERS or member.size < 0 or member.offset <= last_offset:
            raise tarfile.ReadError(f"more than {MAX_MEMBERS} members, or one of an impossible size")
        last_offset = member.offset
        yield member
