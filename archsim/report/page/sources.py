"""What a report is about, and what of it is found on this machine: accelerator, workload, images.

A result holds names and hashes. What is found by name is taken only where it has the hash that the result holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsim.api import load
from archsim.comparison.read import is_comparison, read_compared_run, read_comparison
from archsim.comparison.records import Comparison
from archsim.config.arch import ArchSpec
from archsim.config.load import config_hash, load_arch
from archsim.datasets import iter_images
from archsim.errors import InvalidInput, Problem
from archsim.explore.store import DATABASE
from archsim.resources import Kind, builtin_path
from archsim.results.read import has_timeline, read_run
from archsim.results.run_result import RunResult
from archsim.results.source import Workload

_BATCH_IMAGES = 500


@dataclass(frozen=True)
class Asked:
    """Options of the report. workload, arch: files or names where the result does not name built-ins. data: images."""

    workload: str | None = None
    arch: str | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Pictures:
    """Images of the run by their index, uint8 (height, width, 1 or 3). missing: why there are none, else ""."""

    by_index: dict[int, NDArray[np.uint8]]
    missing: str = ""


@dataclass(frozen=True)
class Subject:
    """A run, the comparison that it belongs to if any, and the accelerator and workload of the same hashes if found."""

    asked: Asked
    result: RunResult
    comparison: Comparison | None
    arch: ArchSpec | None
    workload: Workload | None


def read_subject(source: Path, asked: Asked) -> Subject:
    """Read a folder of ``archsim simulate --out`` or ``archsim compare --out``, or the JSON file in it.

    Raises InvalidInput where it is neither, and for files given in ``asked`` that are not those of the result.
    """
    comparison = None
    if (source / DATABASE).is_file():
        hint = "archsim plot draws sweeps; archsim simulate --out makes a run of one point"
        raise InvalidInput([Problem(str(source), "", "found a sweep, expected a run or a comparison", hint)])
    if is_comparison(source):
        comparison = read_comparison(source)
        result = read_compared_run(source, comparison)
    else:
        result = read_run(source, timeline=has_timeline(source))
    return Subject(
        asked, result, comparison, _find_arch(result, asked.arch), _find_workload(result, asked.workload)
    )


def _find_arch(result: RunResult, ref: str | None) -> ArchSpec | None:
    if ref is None and builtin_path(Kind.ARCH, result.arch) is None:
        return None
    try:
        spec = load_arch(ref or result.arch, result.overrides)
    except InvalidInput:
        if ref is None:  # an override that this version no longer knows
            return None
        raise
    found = config_hash(spec)
    return spec if _same("--arch", ref, found, result.config_hash) else None


def _find_workload(result: RunResult, ref: str | None) -> Workload | None:
    if ref is None and builtin_path(Kind.WORKLOAD, result.workload) is None:
        return None
    found = load(ref or result.workload)
    return found if _same("--workload", ref, found.network_hash, result.network_hash) else None


def _same(option: str, ref: str | None, found: str, wanted: str) -> bool:
    """Whether two hashes agree. Raises InvalidInput where they do not and the user has given the file."""
    if found != wanted and ref is not None:
        message = f"found a file of the hash {found[:12]}, expected that of the result, {wanted[:12]}"
        raise InvalidInput(
            [Problem(f"{option} {ref}", "", message, "give the file that the run was made with")]
        )
    return found == wanted


def pictures(subject: Subject, wanted: list[int]) -> Pictures:
    """Images of the run at some ascending indices, if there are any and they are those of the run.

    They are if every label agrees. Raises InvalidInput where ``--data`` cannot be read or has other labels.
    """
    result, data = subject.result, subject.asked.data
    if any(image.label is None for image in result.per_image):
        return Pictures({}, "The network has no weights and was timed without images.")
    source = data or (subject.workload.loaded.images_path if subject.workload else None)
    if source is None:
        return Pictures({}, _why_none(subject))
    found, labels = _read(source, result.images, set(wanted))
    if labels == [image.label for image in result.per_image]:
        return Pictures(found)
    if data is None:
        return Pictures(
            {},
            "The images that ship with the workload are not those of this run. Give them with --data to see them.",
        )
    message = f"found {len(labels)} images whose labels are not those of the run of {result.images} images"
    raise InvalidInput([Problem(f"--data {data}", "", message, "give the images that the run was made with")])


def _why_none(subject: Subject) -> str:
    name = subject.result.workload
    if subject.workload is None:
        return (
            f"The workload {name} of this run was not found. Give its file with --workload, or the images with --data, "
            "to see them."
        )
    return f"The workload {name} ships no images. Give those of the run with --data to see them."


def _read(source: Path, limit: int, wanted: set[int]) -> tuple[dict[int, NDArray[np.uint8]], list[int]]:
    """The wanted images and the labels of all; a data set is read batch by batch and not kept."""
    found: dict[int, NDArray[np.uint8]] = {}
    labels: list[int] = []
    for batch in iter_images(source, _BATCH_IMAGES, limit=limit):
        first = len(labels)
        labels += batch.labels.tolist()
        found |= {
            index: batch.images[index - first] for index in range(first, len(labels)) if index in wanted
        }
    return found, labels
