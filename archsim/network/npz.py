"""Reading ``.npz`` files nobody vouches for, and writing them so that equal arrays give equal bytes.

Nothing is unpickled. A member is only decompressed when its header and the archive's directory agree with the size that
the caller expects, so that a small file cannot ask for all memory.
"""

from __future__ import annotations

import difflib
import json
import math
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.files import replacing

_MOST_LISTED = 20
"""Unexpected arrays that are named one by one: a hostile archive could hold millions."""
Found = TypeVar("Found")
_MAX_JSON_BYTES = 1 << 20
_SUFFIX = ".npy"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_MEMBERS = 100_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What NumPy writes. The others need much memory to unpack, or raise errors of their own."""
READ_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, struct.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, MemoryError),
)
"""All that a damaged or hostile archive makes zipfile, zlib and NumPy raise."""
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpzReader:
    """An open ``.npz`` file; ``problems`` collects all that is wrong with its members.

    Raises InvalidInput at once when the file as a whole cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self.path = path
        try:
            self._archive = open_archive(path)
        except READ_ERRORS as error:
            raise InvalidInput([self._unreadable(error)]) from None
        names = Counter(self._archive.namelist())
        self.keys = [name.removesuffix(_SUFFIX) for name in names]
        wrong = [name for name, count in names.items() if count > 1 or not name.endswith(_SUFFIX)]
        if wrong:
            self._archive.close()
            message = f"found the members {', '.join(wrong[:5])}, expected .npy arrays, each of them once"
            raise InvalidInput([Problem(str(path), "", message)])

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def problem(self, key: str, message: str, hint: str = "") -> None:
        """Note one more thing that is wrong."""
        self.problems.append(Problem(str(self.path), key, message, hint))

    def refuse_others(self, expected: Collection[str]) -> None:
        """Note every array that nobody expects."""
        others = [key for key in self.keys if key not in expected]
        for key in others[:_MOST_LISTED]:
            # Not all of a network's keys when none is near: there are hundreds.
            near = difflib.get_close_matches(key, expected, n=1)
            self.problem(key, "found an array that nothing reads", did_you_mean(key, near))
        if len(others) > _MOST_LISTED:
            self.problem("", f"found {len(others) - _MOST_LISTED} more arrays that nothing reads")

    def length(self, key: str) -> int | None:
        """Elements of a one-dimensional array, from its header alone; None (and a problem) without one."""

        def read(stream: IO[bytes]) -> int | None:
            found = self._header(key, stream)
            if found is not None and len(found[1]) == 1 and found[1][0] >= 0:
                return found[1][0]
            if found is not None:
                self.problem(key, f"found shape {found[1]}, expected one dimension")
            return None

        return self._open(key, read)

    def array(self, key: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
        """A read-only array of just this dtype and shape; None (and a problem) when the file has none."""
        expected = np.dtype(dtype)
        size_bytes = math.prod(shape) * expected.itemsize

        def read(stream: IO[bytes]) -> npt.NDArray[Any] | None:
            found = self._header(key, stream)
            if found is None:
                return None
            if found != (expected, shape):
                self.problem(key, f"found {found[0]} {found[1]}, expected {expected} {shape}")
                return None
            stored_bytes = self._archive.getinfo(key + _SUFFIX).file_size - stream.tell()
            content = stream.read(size_bytes) if stored_bytes == size_bytes else b""
            # The read past the end makes zipfile compare its checksum.
            if len(content) != size_bytes or stream.read(1):
                self.problem(
                    key, f"found {stored_bytes} bytes, expected {size_bytes}", "the file may be damaged"
                )
                return None
            return np.frombuffer(content, expected).reshape(shape)

        return self._open(key, read)

    def json_object(self, key: str, hint: str = "") -> dict[str, Any]:
        """A JSON object written by :func:`json_array`; empty (and a problem) when the file has none."""
        size_bytes = self.length(key)
        if size_bytes is None or size_bytes > _MAX_JSON_BYTES:
            if size_bytes is not None:
                self.problem(key, f"found {size_bytes} bytes, expected at most {_MAX_JSON_BYTES}")
            return {}
        content = self.array(key, np.uint8, (size_bytes,))
        if content is None:
            return {}
        try:
            found = json.loads(content.tobytes())
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.problem(key, "found no JSON object", hint)
            return {}
        return found

    def _open(self, key: str, read: Callable[[IO[bytes]], Found | None]) -> Found | None:
        """What ``read`` makes of an array; None (and a problem) where it is missing or reading raises."""
        try:
            with self._archive.open(key + _SUFFIX) as stream:
                return read(stream)
        except KeyError:
            self.problem(key, "found no such array")
        except READ_ERRORS as error:
            self.problem(key, f"found an unreadable array ({error})", "the file may be damaged")
        return None

    def _header(self, key: str, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            self.problem(key, f"found .npy version {version}, expected (1, 0) or (2, 0)")
            return None
        try:
            shape, fortran_order, dtype = _HEADER_READERS[version](stream)
        except Exception as error:
            # NumPy tokenizes and evaluates the header as a Python literal: a hostile one may raise anything.
            raise ValueError(f"header: {error}") from None
        if dtype.hasobject or (fortran_order and len(shape) > 1):
            found = "pickled Python objects" if dtype.hasobject else "Fortran order"
            self.problem(key, f"found {found}, expected plain numbers in C order")
            return None
        return dtype, shape

    def _unreadable(self, error: Exception) -> Problem:
        missing = isinstance(error, FileNotFoundError)
        message = "found no such file" if missing else f"found no readable .npz file ({error})"
        return Problem(str(self.path), "", message, "" if missing else "the file may be truncated")


def open_archive(path: Path) -> zipfile.ZipFile:
    """A zip file as NumPy writes it. Raises one of :data:`READ_ERRORS` for anything else; so may reading from it."""
    archive = zipfile.ZipFile(path)
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS or any(member.compress_type not in _METHODS for member in members):
        archive.close()
        raise zipfile.BadZipFile(
            f"more than {_MAX_MEMBERS} members, or packed in a way that NumPy does not use"
        )
    return archive


def json_array(content: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """A JSON object as an array; equal objects give equal arrays."""
    return np.frombuffer(json.dumps(content, sort_keys=True).encode(), np.uint8)


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays compressed, sorted by key, with fixed time stamps; the file appears whole or not at all.

    Raises InvalidInput when the place cannot be written.
    """
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in sorted(arrays):
            member = zipfile.ZipInfo(key + _SUFFIX, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(arrays[key], order="C"), allow_pickle=False)
