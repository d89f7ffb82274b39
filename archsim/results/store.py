"""Results as files: JSON and CSV, each written beside its place and moved there whole."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from archsim.errors import InvalidInput, Problem
from archsim.files import write_atomic
from archsim.results.chrome_trace import to_chrome_trace
from archsim.results.run_result import BranchImage, ImageResult, LayerResult, RunResult

TIMELINE_FILE = "timeline.json"
RESULT_FILES = ("result.json", "images.csv", "layers.csv", "branches.csv")


def to_json_text(content: Any, indent: int | None = 2) -> str:
    """JSON text; the keys stay in the order of ``content``. ValueError on NaN and infinity, which JSON lacks."""
    return json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False)


def json_bytes(content: Any) -> bytes:
    """The same as the content of a file; what no text can hold, as a path of other bytes than UTF-8, is a "?"."""
    return f"{to_json_text(content)}\n".encode(errors="replace")


def check_out_dir(out_dir: Path) -> None:
    """Raise InvalidInput when results could not be written into the folder, before the work is done."""
    nearest = out_dir
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        message = f'found that "{nearest}" is a file, expected a folder'
    elif not os.access(nearest, os.W_OK | os.X_OK):
        message = f'found that "{nearest}" cannot be written to'
    else:
        return
    raise InvalidInput([Problem(str(out_dir), "", message, "choose another folder")])


def write_run(result: RunResult, out_dir: Path) -> RunResult:
    """Write :data:`RESULT_FILES` and, where there is one, the timeline; that of an earlier run is removed.

    Returns the result with the paths in ``files``.
    """
    names = RESULT_FILES if result.timeline is None else (*RESULT_FILES, TIMELINE_FILE)
    paths = [out_dir / name for name in names]
    stored = dataclasses.replace(result, files=tuple(str(path) for path in paths))
    contents = [
        json_bytes(stored.to_json()),
        _csv_text(ImageResult, stored.per_image).encode(),
        _csv_text(LayerResult, stored.layers).encode(),
        _csv_text(BranchImage, stored.per_branch).encode(),
    ]
    for path, content in zip(paths, contents, strict=False):
        write_atomic(path, content)
    if stored.timeline is not None:
        write_atomic(out_dir / TIMELINE_FILE, to_chrome_trace(stored.timeline))
    else:
        (out_dir / TIMELINE_FILE).unlink(missing_ok=True)
    return stored


def _csv_text(record: type, rows: Iterable[Any]) -> str:
    """One line a record under a line of field names; a tuple becomes its entries joined by ``;``."""
    names = [item.name for item in dataclasses.fields(record)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return ";".join(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
