"""Results back from the files that :mod:`archsim.results.store` writes."""

from __future__ import annotations

import csv
import dataclasses
import io
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
from archsim.files import is_file, is_folder, read_bounded
from archsim.results.run_result import ImageResult, RunResult
from archsim.results.store import RESULT_FILES

RESULT_FILE, IMAGES_FILE, _ = RESULT_FILES

Record = TypeVar("Record")
_RUN = TypeAdapter(RunResult)
_IMAGES = TypeAdapter(list[ImageResult])
_COLUMNS = tuple(item.name for item in dataclasses.fields(ImageResult))
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
_SIMULATE_AGAIN = "simulate again with --out"
_MAX_IMAGES_BYTES = 256 << 20
"""Two million images."""


def read_run(path: Path, *, per_image: bool = True) -> RunResult:
    """The result of ``archsim simulate --out``, from its folder or from its ``result.json``.

    per_image: also read ``images.csv`` beside it; False leaves ``per_image`` empty. Keys and columns that this
    version does not know are ignored.
    Raises InvalidInput listing every missing or unfit value (file:line:col), and for an ``images.csv`` of another run.
    """
    file = path / RESULT_FILE if is_folder(path) else path
    if not is_file(file):
        hint = "give a folder written by archsim simulate --out, or its result.json"
        raise InvalidInput([Problem(str(file), "", "found no such file, expected the result of a run", hint)])
    result = _read_result(file)
    if not per_image:
        return result
    images_file = file.with_name(IMAGES_FILE)
    complete = dataclasses.replace(result, per_image=_read_images(images_file))
    _check_same_run(complete, images_file)
    return complete


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


def _read_images(file: Path) -> tuple[ImageResult, ...]:
    content = read_bounded(file, _MAX_IMAGES_BYTES, _SIMULATE_AGAIN)
    try:
        text = content.decode("utf-8")
        header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except UnicodeDecodeError:
        message = "cannot be read: it is no UTF-8 text"
        raise InvalidInput([Problem(str(file), "", message, _SIMULATE_AGAIN)]) from None
    except csv.Error as error:
        raise InvalidInput([Problem(str(file), "", f"is no CSV ({error})", _SIMULATE_AGAIN)]) from None
    if missing := [name for name in _COLUMNS if name not in header]:
        message = f"found no column {', '.join(missing)}"
        raise InvalidInput([Problem(f"{file}:1:1", "", message, _SIMULATE_AGAIN)])
    rows = [_image_cells(dict(zip(header, line, strict=False))) for line in lines]
    try:
        images = tuple(_IMAGES.validate_python(rows))
    except ValidationError as error:
        raise InvalidInput(
            Problem(
                f"{file}:{int(details['loc'][0]) + 2}",
                _dotted(details["loc"][1:]),
                _message(details["type"], details["msg"], details["input"]),
            )
            for details in error.errors(include_url=False)
        ) from None
    wrong = [
        Problem(f"{file}:{line}", name, f"found {value}, expected a number from 0 to {_MOST:g}")
        for line, image in enumerate(images, 2)
        for name in _MEASURED
        if not 0 <= (value := getattr(image, name)) < _MOST
    ]
    if wrong:
        raise InvalidInput(wrong)
    return images


def _image_cells(row: dict[str, str]) -> dict[str, Any]:
    cells: dict[str, Any] = {name: row[name] for name in _COLUMNS if name in row}
    if "branches_skipped" in cells:
        cells["branches_skipped"] = tuple(name for name in row["branches_skipped"].split(";") if name)
    for name in ("label", "prediction"):
        # An empty cell: not known, because the network had no weights.
        cells[name] = cells.get(name) or None
    return cells


def _check_same_run(result: RunResult, images_file: Path) -> None:
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
