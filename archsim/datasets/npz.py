"""``.npz`` with ``images`` uint8 (N, H, W, C) and ``labels`` (N,), read row by row without pickles.

Optional arrays: ``class_names`` (strings) and, per split, ``split_<name>``: the row numbers that belong to it.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.image_set import ImageBatch, check_batch, images_a_batch, invalid
from archsim.network.npz import READ_ERRORS, open_archive

_SPLIT_PREFIX = "split_"
_MAX_WHOLE_BYTES = 1 << 28
"""Of an array that is read at once: 32 million labels."""
_HINT = "write it with numpy.savez_compressed(path, images=..., labels=...)"


def npz_splits(path: Path) -> tuple[str, ...]:
    """Names of the splits that the file defines, () where it has none."""
    with _archive(path) as archive:
        names = [Path(name).stem for name in archive.namelist()]
    return tuple(name.removeprefix(_SPLIT_PREFIX) for name in names if name.startswith(_SPLIT_PREFIX))


def npz_class_names(path: Path) -> tuple[str, ...] | None:
    """The array ``class_names``, None without one."""
    with _archive(path) as archive:
        if "class_names.npy" not in archive.namelist():
            return None
        names = _whole(path, archive, "class_names")
    if names.dtype.kind != "U" or names.ndim != 1:
        raise invalid(
            path, f"found {names.dtype} {names.shape}, expected a list of strings", key="class_names"
        )
    return tuple(names.tolist())


def iter_npz(path: Path, split: str, batch_images: int, limit: int | None) -> Iterator[ImageBatch]:
    """Batches of at most ``batch_images`` images in file order, ``limit`` in all; memory does not grow with the file.

    A file without splits is one split whatever it is called. Raises InvalidInput on damaged files, other dtypes
    and shapes, and on a split that the file lacks.
    """
    splits = npz_splits(path)
    if splits and split not in splits:
        raise invalid(
            path, f"found the splits {', '.join(splits)}, expected {split}", key=_SPLIT_PREFIX + split
        )
    with _archive(path) as archive:
        labels = _whole(path, archive, "labels")
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            message = f"found {labels.dtype} {labels.shape}, expected whole numbers (N,)"
            raise invalid(path, message, _HINT, "labels")
        rows = _whole(path, archive, _SPLIT_PREFIX + split) if splits else np.arange(len(labels))
        wanted = _wanted(path, split, rows, len(labels), limit)
        with _member(path, archive, "images") as stream:
            yield from _stream_rows(path, stream, labels.astype(np.int64), wanted, batch_images)


def _wanted(path: Path, split: str, rows: NDArray[Any], count: int, limit: int | None) -> NDArray[np.int64]:
    if (
        rows.dtype.kind not in "iu"
        or rows.ndim != 1
        or (len(rows) and not 0 <= rows.min() <= rows.max() < count)
    ):
        message = f"found {rows.dtype} {rows.shape}, expected row numbers from 0 to {count - 1}"
        raise invalid(path, message, key=_SPLIT_PREFIX + split)
    return np.unique(rows)[:limit].astype(np.int64)


def _stream_rows(
    path: Path, stream: IO[bytes], labels: NDArray[np.int64], wanted: NDArray[np.int64], batch_images: int
) -> Iterator[ImageBatch]:
    dtype, shape = _header(path, stream, "images")
    if dtype != np.uint8 or len(shape) != 4 or shape[0] != len(labels):
        message = f"found {dtype} {shape}, expected uint8 ({len(labels)}, height, width, 1 or 3)"
        raise invalid(path, message, _HINT, "images")
    check_batch(path, np.empty((0, *shape[1:]), np.uint8), labels[:0])
    row_bytes = math.prod(shape[1:])
    batch_images = images_a_batch(batch_images, row_bytes)
    next_row = 0
    for start in range(0, len(wanted), batch_images):
        rows = wanted[start : start + batch_images]
        images = np.empty((len(rows), *shape[1:]), np.uint8)
        for slot, row in enumerate(rows):
            while next_row < row:
                _exactly(path, stream, row_bytes)
                next_row += 1
            images[slot] = np.frombuffer(_exactly(path, stream, row_bytes), np.uint8).reshape(shape[1:])
            next_row += 1
        yield check_batch(path, images, labels[rows])


def _exactly(path: Path, stream: IO[bytes], size_bytes: int) -> bytes:
    content = stream.read(size_bytes)
    if len(content) != size_bytes:
        raise invalid(path, "found fewer pixels than its shape says", "the file may be truncated", "images")
    return content


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The opened file; whatever zip or zlib raise while it is read becomes InvalidInput."""
    try:
        with open_archive(path) as archive:
            yield archive
    except READ_ERRORS as error:
        raise invalid(path, f"found no readable .npz file ({error})", _HINT) from None


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    if f"{name}.npy" not in archive.namelist():
        found = ", ".join(Path(member).stem for member in archive.namelist()[:20])
        raise invalid(path, f"found the arrays {found or 'none'}, expected {name}", _HINT, name)
    with archive.open(f"{name}.npy") as stream:
        yield stream


def _header(path: Path, stream: IO[bytes], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """dtype and shape of a ``.npy`` member; the stream then stands at the first element."""
    try:
        version = np.lib.format.read_magic(stream)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran_order, dtype = readers[version](stream)
    except Exception as error:  # NumPy tokenizes and evaluates the header: a hostile one may raise anything
        raise invalid(path, f"found no plain array ({error})", _HINT, name) from None
    if dtype.hasobject or (fortran_order and len(shape) > 1):
        found = "Python objects" if dtype.hasobject else "Fortran order"
        raise invalid(path, f"found {found}, expected plain numbers in C order", _HINT, name)
    return dtype, shape


def _whole(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """A small member. Its shape must agree with the bytes that are there, so that no header can ask for more."""
    with _member(path, archive, name) as stream:
        dtype, shape = _header(path, stream, name)
        size_bytes = math.prod(shape) * dtype.itemsize
        if min((dtype.itemsize, *shape), default=0) < 0 or not 0 <= size_bytes <= _MAX_WHOLE_BYTES:
            message = f"found {dtype} {shape}, expected at most {_MAX_WHOLE_BYTES >> 20} MiB"
            raise invalid(path, message, _HINT, name)
        content = stream.read(size_bytes + 1)  # the byte more makes zipfile compare its checksum
    if len(content) != size_bytes:
        found = f"{len(content)} bytes or more" if len(content) > size_bytes else f"{len(content)} bytes"
        raise invalid(path, f"found {found}, expected {dtype} {shape}", "the file may be damaged", name)
    return np.frombuffer(content, dtype).reshape(shape) if size_bytes else np.empty(shape, dtype)
