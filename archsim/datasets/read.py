"""Any supported data set by its path: which reader takes it is told by its suffix or by what the folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from archsim.datasets.cifar import cifar_class_names, cifar_files, is_cifar_folder, iter_cifar
from archsim.datasets.folder import is_tiny_imagenet, iter_folder, list_folder
from archsim.datasets.image_set import ImageBatch, ImageSet, file_sha256, invalid, listing_sha256
from archsim.datasets.npz import iter_npz, npz_class_names, npz_splits
from archsim.datasets.parquet import iter_parquet, parquet_class_names

_FORMATS = ".parquet, .npz, the CIFAR-10 folder or .tar.gz, or a folder of images per class"
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_LOAD_BATCH_IMAGES = 1000


def load_images(source: Path, *, limit: int | None = None, split: str = "test") -> ImageSet:
    """The first ``limit`` images (all by default) of one split, in memory; see :func:`iter_images`.

    Returns images uint8 (N, H, W, 3 or 1) and labels int64 (N,).
    """
    batches = list(iter_images(source, _LOAD_BATCH_IMAGES, limit=limit, split=split))
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    return ImageSet(images, labels, _class_names(source, split), _source_hash(source, split))


def iter_images(
    source: Path, batch_images: int, *, limit: int | None = None, split: str = "test"
) -> Iterator[ImageBatch]:
    """Batches of at most ``batch_images`` images; nothing beyond ``limit`` images is decoded.

    split: ``train``, ``test`` or a name the source defines; a source of one split (a Parquet file, an .npz
    without ``split_...`` arrays, a bare folder) is read whole whatever is asked for.
    Raises InvalidInput on anything unreadable, truncated, empty or of another kind; MissingExtra("data").
    """
    if batch_images < 1 or (limit is not None and limit < 1):
        raise invalid(source, f"found a limit of {limit} and batches of {batch_images}, expected 1 or more")
    empty = True
    for batch in _batches(source, _kind(source), batch_images, limit, split):
        empty = False
        yield batch
    if empty:
        raise invalid(source, f"found no image of the split {split}", "use a data set that is not empty")


def available_splits(source: Path) -> tuple[str, ...]:
    """Splits that the source itself tells apart, () where it is all one."""
    kind = _kind(source)
    if kind == "npz":
        return npz_splits(source)
    if kind == "cifar":
        return ("train", "test")
    if is_tiny_imagenet(source):
        return ("train", "val")
    return tuple(name for name in ("train", "held_out", "val", "test") if (source / name).is_dir())


def find_pack(name: str) -> Path | None:
    """A data file by name in ``$ARCHSIM_DATA`` or in ``../shared/data`` beside the checkout; None if in neither."""
    environment = os.environ.get("ARCHSIM_DATA")
    folders = [Path(environment)] if environment else []
    folders.append(Path(__file__).resolve().parents[2].parent / "shared" / "data")
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def _kind(source: Path) -> str:
    try:
        if source.is_dir():
            return "cifar" if is_cifar_folder(source) else "folder"
        if source.exists() and not source.is_file():
            raise invalid(source, f"found a pipe or a device, expected {_FORMATS}")
        with source.open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise invalid(source, f"found no readable file ({reason}), expected {_FORMATS}") from None
    if source.name.lower().endswith(_TAR_SUFFIXES):
        return "cifar"
    kind = {".parquet": "parquet", ".npz": "npz"}.get(source.suffix.lower())
    if kind is None:
        raise invalid(source, f"found a file of the kind {source.suffix or 'unknown'}, expected {_FORMATS}")
    return kind


def _batches(
    source: Path, kind: str, batch_images: int, limit: int | None, split: str
) -> Iterator[ImageBatch]:
    try:
        if kind == "cifar":
            yield from iter_cifar(source, split, batch_images, limit)
        elif kind == "npz":
            yield from iter_npz(source, split, batch_images, limit)
        elif kind == "parquet":
            yield from iter_parquet(source, batch_images, limit)
        else:
            yield from iter_folder(source, list_folder(source, split)[0], batch_images, limit)
    except OSError as error:  # a folder inside that may not be listed, a disk that fails
        place, reason = error.filename or source, error.strerror or error
        raise invalid(place, f"cannot be read: {reason}") from None


def _class_names(source: Path, split: str) -> tuple[str, ...] | None:
    readers = {"cifar": cifar_class_names, "npz": npz_class_names, "parquet": parquet_class_names}
    kind = _kind(source)
    return readers[kind](source) if kind in readers else list_folder(source, split)[1]


def _source_hash(source: Path, split: str) -> str:
    if source.is_file():
        return file_sha256(source)
    if is_cifar_folder(source):
        return listing_sha256(source, cifar_files(source))
    return listing_sha256(source, (path for path, _ in list_folder(source, split)[0]))
