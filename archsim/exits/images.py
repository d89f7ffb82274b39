"""The labelled images of a choice of exits: those that choose, and those that are looked at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

from archsim.datasets import ImageBatch, available_splits, join, load_images
from archsim.datasets.sources import find_source, held_out_rows
from archsim.errors import InvalidInput, did_you_mean
from archsim.exits.spec import LoadedExitsSpec
from archsim.results.source import Workload


def choosing_images(loaded: LoadedExitsSpec, workload: Workload, folders: Sequence[Path]) -> ImageBatch:
    """The images of ``data.source``. Raises InvalidInput at the key that does not fit."""
    data, document = loaded.spec.data, loaded.document
    batch = join([_read(loaded, source) for source in _sources(loaded, workload, folders)])
    if data.held_out is None:
        return batch
    if data.held_out > len(batch):
        message = f"found {data.held_out}, expected at most the {len(batch)} images of the source"
        raise InvalidInput([document.problem("data.held_out", message)])
    rows, _ = held_out_rows(len(batch), data.held_out, data.seed)
    return ImageBatch(batch.images[rows], batch.labels[rows])


def choosing_key(loaded: LoadedExitsSpec) -> Hashable:
    """Equal for choices on the same images."""
    data = loaded.spec.data
    source = tuple(data.source) if isinstance(data.source, list) else data.source
    return source, data.split, data.held_out, data.seed


def test_images(loaded: LoadedExitsSpec, folders: Sequence[Path]) -> ImageBatch | None:
    """The images of ``data.test``, None without. Raises InvalidInput where a trace is asked for without them."""
    data, document = loaded.spec.data, loaded.document
    if data.test is None:
        if data.trace_images:
            raise InvalidInput(
                [document.problem("data.trace_images", "found no data.test to take them from")]
            )
        return None
    source = find_source(data.test, [*folders, document.folder("data.test")])
    batch: ImageBatch = load_images(source, split="test")
    return batch


def _sources(loaded: LoadedExitsSpec, workload: Workload, folders: Sequence[Path]) -> list[Path]:
    data, document = loaded.spec.data, loaded.document
    if data.source is not None:
        names = data.source if isinstance(data.source, list) else [data.source]
        return [find_source(name, [*folders, document.folder("data.source")]) for name in names]
    if workload.loaded.images_path is None:
        message = f"found no images with {workload.spec.name}, expected the name of a data set"
        raise InvalidInput([document.problem("data.source", message)])
    return [workload.loaded.images_path]


def _read(loaded: LoadedExitsSpec, source: Path) -> ImageBatch:
    split, splits = loaded.spec.data.split, available_splits(source)
    if splits and split not in splits:
        message = f'{source} has no split "{split}"'
        raise InvalidInput([loaded.document.problem("data.split", message, did_you_mean(split, splits))])
    batch: ImageBatch = load_images(source, split=split)
    return batch
