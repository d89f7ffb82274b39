"""The official CIFAR-10 distributions: python (pickled) or binary batches, as a folder or as the tar of it.

The pickles are read without executing anything: an unpickler that knows numpy's array and dtype by stand-ins only.
Source of both layouts: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.image_set import ImageBatch, check_batch, invalid
from archsim.datasets.tar import READ_ERRORS, members, open_tar
from archsim.files import read_bounded

_SIDE_PX = 32
_PIXEL_BYTES = 3 * _SIDE_PX * _SIDE_PX
_MAX_MEMBER_BYTES = 64 << 20
"""A batch is 31 MB; anything much larger in its place is not one."""
_BATCH = {"train": re.compile(r"data_batch_\d(\.bin)?"), "test": re.compile(r"test_batch(\.bin)?")}
_NAMES = re.compile(r"batches\.meta(\.txt)?")


def is_cifar_folder(folder: Path) -> bool:
    """True when ``folder``, or a ``cifar-10-batches-*`` in it, holds CIFAR-10 batches."""
    return any(pattern.fullmatch(path.name) for path in _files(folder) for pattern in _BATCH.values())


def iter_cifar(source: Path, split: str, batch_images: int, limit: int | None) -> Iterator[ImageBatch]:
    """Batches of at most ``batch_images`` images uint8 (N, 32, 32, 3), ``limit`` in all, from folder or tar.

    Raises InvalidInput on damaged files, on pickles that hold anything but arrays, and on an unknown split.
    """
    if split not in _BATCH:
        raise invalid(source, f"found no split {split}, expected train or test")
    left = limit
    found = False
    for name, content in _members(source, _BATCH[split]):
        found = True
        where = f"{source}/{name}"
        images, labels = (_binary if name.endswith(".bin") else _pickled)(where, content)
        for start in range(0, len(labels) if left is None else min(left, len(labels)), batch_images):
            stop = start + (batch_images if left is None else min(batch_images, left))
            batch = check_batch(where, images[start:stop], labels[start:stop])
            left = None if left is None else left - len(batch)
            yield batch
        if left == 0:
            return
    if not found:
        raise invalid(
            source, f"found no CIFAR-10 batches of the split {split}", "expected data_batch_1 and so on"
        )


def cifar_class_names(source: Path) -> tuple[str, ...] | None:
    """The names in ``batches.meta`` or ``batches.meta.txt``, None without such a file."""
    for name, content in _members(source, _NAMES):
        if name.endswith(".txt"):
            return tuple(content.decode("utf-8", "replace").split())
        names = _unpickle(f"{source}/{name}", content).get(b"label_names", [])
        if not isinstance(names, list) or not all(isinstance(label, bytes) for label in names):
            raise invalid(f"{source}/{name}", "found no list of names", key="label_names")
        return tuple(label.decode("utf-8", "replace") for label in names)
    return None


def cifar_files(folder: Path) -> list[Path]:
    """The files of a CIFAR folder that readers look at."""
    return [
        path for path in _files(folder) if any(p.fullmatch(path.name) for p in (*_BATCH.values(), _NAMES))
    ]


def _files(folder: Path) -> list[Path]:
    folders = [folder, *sorted(folder.glob("cifar-10-batches-*"))]
    return [path for inner in folders if inner.is_dir() for path in sorted(inner.iterdir()) if path.is_file()]


def _members(source: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files that match, sorted by name."""
    if source.is_dir():
        for path in _files(source):
            if pattern.fullmatch(path.name):
                _check_size(path, path.stat().st_size)
                yield path.name, read_bounded(path, _MAX_MEMBER_BYTES)
        return
    try:
        with open_tar(source) as archive:
            infos = {
                name: info
                for info in members(archive)
                if info.isfile() and pattern.fullmatch(name := Path(info.name).name)
            }
            for name in sorted(infos):
                _check_size(f"{source}/{name}", infos[name].size)
                stream = archive.extractfile(infos[name])
                yield name, stream.read() if stream else b""
    except READ_ERRORS as error:
        raise invalid(source, f"found no readable tar file ({error})", "download it again") from None


def _check_size(where: Path | str, size_bytes: int) -> None:
    if size_bytes > _MAX_MEMBER_BYTES:
        raise invalid(where, f"found {size_bytes} bytes, expected a CIFAR-10 batch of about 31 MB")


def _binary(where: str, content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if not content or len(content) % (1 + _PIXEL_BYTES):
        message = (
            f"found {len(content)} bytes, expected a multiple of {1 + _PIXEL_BYTES} (label, then pixels)"
        )
        raise invalid(where, message, "the file may be truncated; download it again")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXEL_BYTES)
    return _as_nhwc(records[:, 1:]), records[:, 0].astype(np.int64)


def _pickled(where: str, content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    table = _unpickle(where, content)
    data: Any = table.get(b"data")
    labels: Any = table.get(b"labels")
    if not _is_batch(data, labels):
        expected = f"data, uint8 (N, {_PIXEL_BYTES}), and labels, a list of N numbers"
        raise invalid(where, f"found no CIFAR-10 batch, expected {expected}", "download it again")
    try:
        return _as_nhwc(np.frombuffer(data.content, np.uint8)), np.array(labels, dtype=np.int64)
    except OverflowError:
        raise invalid(where, "found a label of more than 64 bits", key="labels") from None


def _is_batch(data: Any, labels: Any) -> bool:
    if not isinstance(data, _Array) or not isinstance(labels, list) or not labels:
        return False
    if data.dtype_code != "u1" or data.fortran or data.shape != (len(labels), _PIXEL_BYTES):
        return False
    return len(data.content or b"") == len(labels) * _PIXEL_BYTES and all(
        type(label) is int for label in labels
    )


def _as_nhwc(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(planes.reshape(-1, 3, _SIDE_PX, _SIDE_PX).transpose(0, 2, 3, 1))


def _unpickle(where: str, content: bytes) -> dict[Any, Any]:
    try:
        _check_opcodes(content)
        table = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a hostile pickle can raise anything; none of it may reach the user
        message = f"found no plain CIFAR-10 pickle ({type(error).__name__}: {error})"
        raise invalid(where, message, "download it again") from None
    if not isinstance(table, dict):
        raise invalid(where, f"found a pickled {type(table).__name__}, expected a dict", "download it again")
    return table


def _check_opcodes(content: bytes) -> None:
    """Refuse what would crash the unpickler of CPython before it could refuse: in C, not even an exception helps.

    A memo index of 2^31 makes it take 32 GiB, and a tuple a million deep, as a key, overflows the stack.
    """
    tuples = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content), 1):
        tuples += opcode.name in _TUPLES
        is_put = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if opcode.name not in _OPCODES or tuples > _MAX_TUPLES or (is_put and int(argument or 0) > count):
            raise pickle.UnpicklingError(f"{opcode.name} has no place there")


class _DType:
    """Stands for numpy.dtype: keeps the code, such as ``u1``."""

    def __init__(self, code: bytes | str, *_: object) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else str(code)

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: of no meaning for bytes."""


class _Array:
    """Stands for numpy.ndarray: keeps shape, dtype and bytes, unchecked."""

    shape: tuple[int, ...] = ()
    dtype_code = ""
    fortran = False
    content = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, dtype, self.fortran, self.content = state
        self.dtype_code = dtype.code
        if not isinstance(self.content, bytes):
            raise pickle.UnpicklingError("array content is not bytes")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for _codecs.encode, by which Python 3 writes bytes in old protocols."""
    return text.encode("latin1")


_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_MAX_TUPLES = 20_000
"""Python 3 needs one for every file name of a batch of 10,000 images in an old protocol."""
_OPCODES = frozenset(
    word
    for line in (
        "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4",
        "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE",
        "EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3",
        "GLOBAL STACK_GLOBAL REDUCE BUILD NEWOBJ PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET",
    )
    for word in line.split()
)
"""Plain data and the two objects that an array consists of."""
_ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}") from None
