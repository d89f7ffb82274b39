"""What networks compute, once for all points: functional traces as files that every worker reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from archsim import api
from archsim.datasets.image_set import file_sha256
from archsim.explore.axis import axis_of
from archsim.explore.spec import SweepSpec
from archsim.files import is_file
from archsim.progress import Progress
from archsim.results.source import Source, Workload

_FOLDER = "traces"


@dataclass(frozen=True)
class Traces:
    """By workload: the files of its functional trace, none where it has no weights, and the SHA-256 of all of them."""

    paths: Mapping[str, tuple[Path, ...]]
    hashes: Mapping[str, str]


def prepare_traces(
    spec: SweepSpec, workloads: Mapping[str, Workload], folder: Path, progress: Progress | None
) -> Traces:
    """The traces of all workloads of a sweep: those that ship, else computed into ``folder/traces`` and kept there.

    Every image runs to the end of the trunk and through all branches, so that a trace serves any thresholds. Raises
    InvalidInput where there are no images.
    """
    paths = {ref: _trace(spec, workload, folder, progress) for ref, workload in workloads.items()}
    return Traces(paths, {ref: " ".join(map(file_sha256, files)) for ref, files in paths.items()})


def _trace(spec: SweepSpec, workload: Workload, folder: Path, progress: Progress | None) -> tuple[Path, ...]:
    source = Source.of(workload, spec.data, _most_images(spec))
    if workload.spec.is_shape_only:
        return ()
    if source.is_trace:
        return tuple(path.absolute() for path in workload.loaded.trace_paths)
    path = folder.absolute() / _FOLDER / f"{workload.spec.name}-{_identity(source)}.npz"
    if not path.exists():
        api.evaluate(workload, images=source.limit, data=source.path, save_trace=path, progress=progress)
    return (path,)


def _most_images(spec: SweepSpec) -> int | None:
    """The greatest number of images of a point, None for all."""
    counts = axis_of("images", spec.space.get("images", spec.images)).values
    return None if None in counts else max(int(count) for count in counts if count is not None)


def _identity(source: Source) -> str:
    """Changes with the network, the place of the images, their number, and what is there."""
    parts = (
        source.workload.network_hash,
        str(source.path.absolute()),
        str(source.limit),
        _content(source.path),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _content(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the names, sizes and times of all files in it."""
    if is_file(path):
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(inner for inner in path.rglob("*") if inner.is_file()):
        stat = file.stat()
        digest.update(f"{file.relative_to(path).as_posix()}\0{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
