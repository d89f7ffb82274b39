"""What every reader returns, and the checks that all of them share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsim.errors import InvalidInput, Problem

MAX_SIDE_PX = 4096
"""Larger images are refused: no supported network reads them, and a hostile header could ask for all memory."""

MAX_BATCH_BYTES = 1 << 28
"""Pixels of a batch; one of larger images has fewer of them."""


@dataclass(frozen=True)
class ImageBatch:
    """A run of consecutive images: ``images`` uint8 (N, H, W, C) with C 1 or 3, ``labels`` int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageSet(ImageBatch):
    """A data set held in memory.

    ``class_names`` is in label order, None where the source does not name its classes. ``source_hash`` is the
    SHA-256 of the source file; for a folder, of the sorted relative names and sizes of the files read.
    """

    class_names: tuple[str, ...] | None
    source_hash: str


def images_a_batch(wanted: int, image_bytes: int) -> int:
    """How many images of a size are in memory at a time: as many as wanted, of large ones fewer.

    >>> images_a_batch(200, 3 << 10), images_a_batch(200, 48 << 20)
    (200, 5)
    """
    return max(1, min(wanted, MAX_BATCH_BYTES // image_bytes))


def join(batches: Sequence[ImageBatch]) -> ImageBatch:
    """Batches of images of one size, one behind the other."""
    if len(batches) == 1:
        return batches[0]
    images: list[NDArray[np.uint8]] = [batch.images for batch in batches]
    return ImageBatch(np.concatenate(images), np.concatenate([batch.labels for batch in batches]))


def invalid(where: Path | str, message: str, hint: str = "", key: str = "") -> InvalidInput:
    """InvalidInput with a single problem."""
    return InvalidInput([Problem(str(where), key, message, hint)])


def check_batch(where: Path | str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> ImageBatch:
    """An ImageBatch of checked shapes, dtypes and labels.

    Raises InvalidInput on a shape other than (N, H, W, 1 or 3), on labels of another length or below 0.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        found = f"{images.dtype} {images.shape}"
        raise invalid(where, f"found images {found}, expected uint8 (N, height, width, 1 or 3)", key="images")
    if max(images.shape[1:3]) > MAX_SIDE_PX:
        raise invalid(
            where, f"found {images.shape[1:3]} px, expected at most {MAX_SIDE_PX} px a side", key="images"
        )
    if labels.shape != images.shape[:1]:
        message = f"found {labels.shape} labels for {len(images)} images, expected one label an image"
        raise invalid(where, message, key="labels")
    if len(labels) and labels.min() < 0:
        raise invalid(where, f"found label {labels.min()}, expected labels from 0", key="labels")
    return ImageBatch(images, labels)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def listing_sha256(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the relative names and sizes of ``files``: content hashing a large folder would take minutes."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()
