"""Results back from the files that :mod:`archsim.results.store` writes."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from archsim.config.document import Document
from archsim.config.validation import show
from archsim.config.yaml_io import read_document
from archsim.errors import InvalidInput, Problem
from archsim.files import csv_lines, is_file, is_folder
from archsim.results.chrome_trace import read_chrome_trace
from archsim.results.run_result import BranchImage, ImageResult, RunResult
from archsim.results.store import RESULT_FILES, TIMELINE_FILE

RESULT_FILE, IMAGES_FILE, _, BRANCHES_FILE = RESULT_FILES

Record = TypeVar("Record")
Row = TypeVar("Row", ImageResult, BranchImage)
_RUN = TypeAdapter(RunResult)
_MEASURED = (
    "index",
    "cycles",
    "waiting_cycles",
    "energy_uj",
    "dram_read_bytes",
    "dram_write_bytes",
    "wasted_bytes",
)
_MOST = 1e18
"""No count, time or energy of a run is larger; what is has been made up, and what is drawn from it would fail."""
_EMPTY_IS_NONE = ("label", "prediction", "magnitude_sum", "min_sum", "max_sum", "margin", "threshold")
_SIMULATE_AGAIN = "simulate again with --out"
_MAX_IMAGES_BYTES = 256 << 20
"""Two million images."""


def read_run(
    path: Path, *, per_image: bool = True, per_branch: bool = False, timeline: bool = False
) -> RunResult:
    """The result of ``archsim simulate --out``, from its folder or from its ``result.json``.

    per_image, per_branch, timeline: also read ``images.csv``, ``branches.csv`` and ``timeline.json`` beside it; False
    leaves the fields empty. Keys and columns that this version does not know are ignored.
    Raises InvalidInput listing every missing or unfit value (file:line:col), and for a file of another run.
    """
    file = path / RESULT_FILE if is_folder(path) else path
    if not is_file(file):
        hint = "give a folder written by archsim simulate --out, or its result.json"
        raise InvalidInput([Problem(str(file), "", "found no such file, expected the result of a run", hint)])
    result = _read_result(file)
    if per_image:
        images_file = file.with_name(IMAGES_FILE)
        result = dataclasses.replace(result, per_image=_read_rows(images_file, ImageResult))
        _check_images(result, images_file)
    if per_branch:
        branches_file = file.with_name(BRANCHES_FILE)
        result = dataclasses.replace(result, per_branch=_read_rows(branches_file, BranchImage))
        _check_branches(result, branches_file)
    if timeline:
        timeline_file = file.with_name(TIMELINE_FILE)
        result = dataclasses.replace(result, timeline=read_chrome_trace(timeline_file))
        _check_timeline(result, timeline_file)
    return result


def has_timeline(path: Path) -> bool:
    """Whether there is a timeline beside the result of a folder or a ``result.json``."""
    return is_file((path if is_folder(path) else path.parent) / TIMELINE_FILE)


def read_record(file: Path, adapter: TypeAdapter[Record], hint: str) -> tuple[Record, Document]:
    """A record from a JSON file of its keys, and where each value is written. hint: what to do where one is missing.

    Raises InvalidInput listing every missing or unfit value (file:line:col).
    """
    # JSON is read as YAML, of which it is a part, because that reader knows where each value is written.
    document = read_document(file)
    try:
        return adapter.validate_json(json.dumps(document.data), strict=True), document
    except ValidationError as error:
        problems = []
        for details in error.errors(include_url=False):
            message = _message(details["type"], details["msg"], details["input"])
            advice = hint if details["type"] == "missing" else ""
            problems.append(
                dataclasses.replace(document.problem(_dotted(details["loc"]), message), hint=advice)
            )
        raise InvalidInput(problems) from None


def _read_result(file: Path) -> RunResult:
    result, document = read_record(file, _RUN, _SIMULATE_AGAIN)
    positive = {
        "images": result.images,
        "latency_us.max": result.latency_us.max,
        "cycles.max": result.cycles.max,
    }
    wrong = [(key, value, "above 0") for key, value in positive.items() if value <= 0]
    wrong += [
        (key, value, f"from 0 to {_MOST:g}")
        for key, value in _numbers(result.to_json(), "")
        if not 0 <= value < _MOST
    ]
    if wrong:
        raise InvalidInput(
            document.problem(key, f"found {show(value)}, expected a number {bound}")
            for key, value, bound in wrong
        )
    return result


def _numbers(value: Any, key: str) -> Iterator[tuple[str, int | float]]:
    """Every number inside a result, with its dotted key."""
    if isinstance(value, int | float):
        yield key, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, entry in inner:
        yield from _numbers(entry, f"{key}.{part}" if key else str(part))


def _read_rows(file: Path, record: type[Row]) -> tuple[Row, ...]:
    (_, header), *lines = csv_lines(file, _MAX_IMAGES_BYTES, _SIMULATE_AGAIN) or [(1, [])]
    columns = [item.name for item in dataclasses.fields(record)]
    if missing := [name for name in columns if name not in header]:
        message = f"found no column {', '.join(missing)}"
        raise InvalidInput([Problem(f"{file}:1:1", "", message, _SIMULATE_AGAIN)])
    rows = [_cells(dict(zip(header, line, strict=False)), columns) for _, line in lines]
    try:
        found = tuple(TypeAdapter(list[record]).validate_python(rows))  # type: ignore[valid-type]
    except ValidationError as error:
        raise InvalidInput(
            Problem(
                f"{file}:{lines[int(details['loc'][0])][0]}",
                _dotted(details["loc"][1:]),
                _message(details["type"], details["msg"], details["input"]),
            )
            for details in error.errors(include_url=False)
        ) from None
    wrong = [
        Problem(f"{file}:{line}", name, f"found {value}, expected a number from 0 to {_MOST:g}")
        for (line, _), row in zip(lines, found, strict=True)
        for name in _MEASURED
        if name in columns and not 0 <= (value := getattr(row, name)) < _MOST
    ]
    if wrong:
        raise InvalidInput(wrong)
    return found


def _cells(row: dict[str, str], columns: Sequence[str]) -> dict[str, Any]:
    cells: dict[str, Any] = {name: row[name] for name in columns if name in row}
    if "branches_skipped" in cells:
        cells["branches_skipped"] = tuple(name for name in row["branches_skipped"].split(";") if name)
    for name in _EMPTY_IS_NONE:
        if name in columns:
            # An empty cell: not known, for example because the network had no weights.
            cells[name] = cells.get(name) or None
    return cells


def _check_images(result: RunResult, images_file: Path) -> None:
    """Two files of one folder can be of two runs when somebody copied one of them."""
    found = Counter(image.exit for image in result.per_image)
    expected = Counter(result.exits)
    cycles = sum(image.cycles for image in result.per_image)
    if +found != +expected or cycles != result.cycles.total or found.total() != result.images:
        message = (
            f"found {found.total()} images of {cycles} cycles that left at {dict(found)}, expected as in {RESULT_FILE} "
            f"{result.images} images of {result.cycles.total} cycles that left at {result.exits}"
        )
        raise InvalidInput([Problem(str(images_file), "", message, "the two files must be of the same run")])


def _check_branches(result: RunResult, branches_file: Path) -> None:
    found = Counter((row.branch, row.outcome) for row in result.per_branch)
    left = {name: found[name, "left"] for name in result.branches}
    skipped = {name: found[name, "skipped"] for name in result.branches}
    expected = {name: branch.exited for name, branch in result.branches.items()}
    pruned = {name: branch.skipped_by_dbp for name, branch in result.branches.items()}
    is_shape_only = result.accuracy is None and not found
    if (left, skipped) != (expected, pruned) and not is_shape_only:
        message = (
            f"found images that left at {left} and were skipped at {skipped}, expected as in {RESULT_FILE} "
            f"{expected} and {pruned}"
        )
        raise InvalidInput(
            [Problem(str(branches_file), "", message, "the two files must be of the same run")]
        )


def _check_timeline(result: RunResult, timeline_file: Path) -> None:
    timeline = result.timeline
    assert timeline is not None
    found = (timeline.workload, timeline.arch, timeline.exit, timeline.cycles)
    images = [image for image in result.per_image if image.index == timeline.image]
    expected = [(result.workload, result.arch, image.exit, image.cycles) for image in images]
    known = expected if result.per_image else [(result.workload, result.arch, *found[2:])]
    if found not in known:
        message = (
            f"found image {timeline.image} of {found[0]} on {found[1]}, which left at {found[2]} after {found[3]} "
            f"cycles, which is no image of {RESULT_FILE}"
        )
        raise InvalidInput([Problem(str(timeline_file), "", message, "the files must be of the same run")])


def _message(kind: str, text: str, value: Any) -> str:
    """Words of pydantic in those of archsim.

    >>> _message("int_type", "Input should be a valid integer", "x")
    'found "x", expected a valid integer'
    """
    if kind == "missing":
        return "missing"
    return f"found {show(value)}, {text.replace('Input should be', 'expected', 1)}"


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location)
