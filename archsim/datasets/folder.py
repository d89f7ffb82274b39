"""A folder per class of image files, and the official Tiny-ImageNet folder, which is nearly that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.decode import MAX_ENCODED_BYTES, decode_rgb
from archsim.datasets.image_set import ImageBatch, check_batch, images_a_batch, invalid
from archsim.files import read_bounded

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp"}
_ANNOTATIONS = "val_annotations.txt"
_MAX_ANNOTATION_BYTES = 64 << 20
LabelledFiles = list[tuple[Path, int]]


def is_tiny_imagenet(source: Path) -> bool:
    """True for the official folder: its ``val`` lists classes in a file instead of having a folder for each."""
    return (source / "val" / _ANNOTATIONS).is_file()


def list_folder(source: Path, split: str) -> tuple[LabelledFiles, tuple[str, ...]]:
    """Image files with their labels, and the class names: the sorted names of the class folders.

    A subfolder called like the split is taken instead of ``source``; in Tiny-ImageNet ``test`` is another name of the
    split ``val``, for its own test images have no labels. Classes take turns, so that any first part of the list
    holds all of them.
    Raises InvalidInput where there is no image.
    """
    if split in ("val", "test") and is_tiny_imagenet(source):
        return _annotated(source / "val" / _ANNOTATIONS)
    root = source / split if (source / split).is_dir() else source
    classes = sorted(path for path in root.iterdir() if path.is_dir())
    files = [sorted(path for path in folder.rglob("*") if _is_image(path)) for folder in classes]
    empty = [folder.name for folder, found in zip(classes, files, strict=True) if not found]
    if empty or not classes:
        found = f"no image in {', '.join(empty[:5])}" if empty else "no class folders"
        raise invalid(
            root, f"found {found}, expected a folder of images ({', '.join(sorted(_SUFFIXES))}) per class"
        )
    turns = zip_longest(*([(path, label) for path in paths] for label, paths in enumerate(files)))
    return [pair for pair in chain.from_iterable(turns) if pair is not None], tuple(c.name for c in classes)


def iter_folder(
    source: Path, files: LabelledFiles, batch_images: int, limit: int | None
) -> Iterator[ImageBatch]:
    """Batches of at most ``batch_images`` images uint8 (N, H, W, 3), ``limit`` in all.

    Raises InvalidInput where a file is no image or the sizes differ.
    """
    wanted = files[:limit]
    shape: tuple[int, ...] | None = None
    done = 0
    while done < len(wanted):
        images: list[NDArray[np.uint8]] = []
        for path, _ in wanted[done : done + batch_images]:
            if images and len(images) >= images_a_batch(batch_images, images[0].nbytes):
                break
            image = decode_rgb(read_bounded(path, MAX_ENCODED_BYTES), path)
            shape = shape or image.shape
            if image.shape != shape:
                message = f"found {image.shape[:2]} px, expected {shape[:2]} px as the images before"
                raise invalid(path, message, "all images of a set must have one size")
            images.append(image)
        labels = [label for _, label in wanted[done : done + len(images)]]
        yield check_batch(source, np.stack(images), np.array(labels, dtype=np.int64))
        done += len(images)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def _annotated(annotations: Path) -> tuple[LabelledFiles, tuple[str, ...]]:
    """``val_annotations.txt``: file name, wnid, box, separated by tabs. Labels index the sorted wnids."""
    text = read_bounded(annotations, _MAX_ANNOTATION_BYTES).decode("utf-8", "replace")
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    bad = next((number for number, row in enumerate(rows, 1) if len(row) < 2), None)
    if bad is not None or not rows:
        raise invalid(
            f"{annotations}:{bad or 1}", "found no file name and class, expected them separated by a tab"
        )
    names = tuple(sorted({row[1] for row in rows}))
    labels = {name: label for label, name in enumerate(names)}
    return [(annotations.parent / "images" / Path(row[0]).name, labels[row[1]]) for row in rows], names
