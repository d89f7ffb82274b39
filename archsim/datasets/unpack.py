"""Archives to folders. What an archive says about where its files go is not trusted."""

from __future__ import annotations

import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from archsim.datasets.image_set import invalid
from archsim.datasets.tar import MAX_UNPACKED_BYTES, members, open_tar

_READ_ERRORS = (
    *(tarfile.TarError, EOFError, zlib.error, ValueError, IndexError),
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error),
)
"""Of damaged archives; OSError is left to who knows whether it is the disk that is full."""


def unpack(archive: Path, into: Path, folder: str) -> None:
    """Write the files of a ``.zip`` or (compressed) tar below ``into/folder``, where all of them must lie.

    Folders come from the names of files; links and devices are refused, as are names that lead elsewhere.
    Raises InvalidInput on these, on damage, and on an archive without a file or of more than 4 GiB.
    """
    left_bytes = MAX_UNPACKED_BYTES
    try:
        for name, size_bytes, stream in _files(archive):
            left_bytes -= size_bytes
            if left_bytes < 0:
                raise invalid(archive, f"found more than {MAX_UNPACKED_BYTES >> 30} GiB of files")
            target = into / _checked(archive, name, folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as output:
                shutil.copyfileobj(stream, output)
    except FileExistsError as error:
        raise invalid(archive, f"found the file {error.filename} twice", "download it again") from None
    except _READ_ERRORS as error:
        raise invalid(archive, f"found no readable archive ({error})", "download it again") from None
    if left_bytes == MAX_UNPACKED_BYTES:
        raise invalid(archive, f"found no file, expected the folder {folder}", "download it again")


def _files(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size and content of every file."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    with opened.open(entry) as stream:
                        yield entry.filename, entry.file_size, stream
        return
    with open_tar(archive) as opened_tar:
        for member in members(opened_tar):
            if member.isdir():
                continue
            content = opened_tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise invalid(archive, f'found "{member.name[:80]}", which is no file', "download it again")
            yield member.name, member.size, content


def _checked(archive: Path, name: str, folder: str) -> PurePosixPath:
    """The name, which leads to a place below ``folder`` on any system."""
    path = PurePosixPath(name)
    parts = path.parts
    if (
        len(parts) < 2
        or parts[0] != folder
        or ".." in parts
        or any(set(part) & set("\\:\0") for part in parts)
    ):
        message = f'found the file "{name[:80]}", expected files in {folder} alone'
        raise invalid(archive, message, "download it again")
    return path
