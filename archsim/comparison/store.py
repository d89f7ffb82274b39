"""A comparison as files: one JSON object, its tables as CSV, and every run as ``archsim simulate --out`` writes it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsim.comparison.records import Comparison
from archsim.files import write_atomic
from archsim.results.run_result import RunResult
from archsim.results.store import json_bytes, write_run

COMPARISON_FILE, BASELINES_FILE, LADDER_FILE, RUNS_FOLDER = (
    "comparison.json",
    "baselines.csv",
    "ladder.csv",
    "runs",
)
_NO_COLUMNS = ("exits", "energy_by_layer_uj")
"""Keys of a run whose inner keys differ from workload to workload."""
_UNSAFE = re.compile(r"[^\w.-]+")


def write_comparison(found: Comparison, runs: Iterable[RunResult], out_dir: Path) -> Comparison:
    """Write everything; returns the comparison with the paths in ``files``."""
    written = [path for run in _named(runs, out_dir / RUNS_FOLDER) for path in run.files]
    tables = {
        BASELINES_FILE: [_flat(row) for each in (found, *found.others) for row in _baseline_rows(each)],
        LADDER_FILE: [_flat(row) for each in (found, *found.others) for row in _ladder_rows(each)],
    }
    paths = [str(out_dir / name) for name in (COMPARISON_FILE, *tables)]
    stored = replace(found, files=(*paths, *written))
    write_atomic(out_dir / COMPARISON_FILE, json_bytes(stored.to_json()))
    for name, rows in tables.items():
        write_atomic(out_dir / name, _csv_text(rows).encode())
    return stored


def _named(runs: Iterable[RunResult], folder: Path) -> list[RunResult]:
    """Each run in a folder called by its workload, accelerator and, if it has overrides, a number."""
    counts: dict[str, int] = {}
    written = []
    for run in runs:
        name = _UNSAFE.sub("-", f"{run.workload}-on-{run.arch}")
        if run.overrides:
            counts[name] = counts.get(name, 0) + 1
            name = f"{name}-{counts[name]}"
        written.append(write_run(run, folder / name))
    return written


def _baseline_rows(found: Comparison) -> list[dict[str, Any]]:
    plain = found.to_json()
    dropped = ("equal_area", "batch_limit", "differs_in", *_NO_COLUMNS)
    rows = []
    for baseline in plain["baselines"]:
        same_pes = {key: value for key, value in baseline.items() if key not in dropped}
        rows.append({"compared": found.workload, "at": "equal PEs"} | same_pes)
        if baseline["equal_area"] is not None:
            larger = {key: value for key, value in baseline["equal_area"].items() if key not in dropped}
            rows.append({"compared": found.workload, "at": "equal area"} | larger)
    return rows


def _ladder_rows(found: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = found.to_json()["ladder"]
    return [
        {"compared": found.workload} | {key: value for key, value in row.items() if key not in _NO_COLUMNS}
        for row in rows
    ]


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys of inner objects dotted; lists joined by ``;``."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            cells |= _flat(value, f"{prefix}{key}.")
        else:
            cells[prefix + key] = ";".join(map(str, value)) if isinstance(value, list | tuple) else value
    return cells


def _csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Columns in the order in which they are first met."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
