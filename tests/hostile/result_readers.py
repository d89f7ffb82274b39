"""Readers of what archsim itself has written, and somebody may have changed: results, comparisons, sweeps."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from archsim.comparison.read import read_comparison
from archsim.comparison.run import compare
from archsim.explore.space import Point
from archsim.explore.spec import SweepSpec
from archsim.explore.store import SweepStore
from archsim.explore.table import read_table
from archsim.explore.task import Outcome
from archsim.results.chrome_trace import read_chrome_trace, to_chrome_trace
from archsim.results.read import read_run
from archsim.results.store import write_run
from tests.builders import write_workload
from tests.hostile.reader import Read, Reader
from tests.run_results import observed_run


@cache
def _run_files() -> dict[str, bytes]:
    """The files of a small run by name."""
    with tempfile.TemporaryDirectory() as place:
        write_run(observed_run(), Path(place))
        return {path.name: path.read_bytes() for path in Path(place).iterdir()}


def _run_seed(name: str) -> Callable[[Path], list[bytes]]:
    return lambda _: [_run_files()[name]]


def _read_within_run(path: Path) -> object:
    """A CSV file of a run whose other files are whole."""
    for name, content in _run_files().items():
        if name != path.name:
            path.with_name(name).write_bytes(content)
    return read_run(path.parent, per_branch=path.name == "branches.csv")


def _read_timeline(path: Path) -> object:
    """What is read can be written again."""
    return to_chrome_trace(read_chrome_trace(path))


@cache
def _comparison() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        compare([str(write_workload(folder / "tiny"))], images=2, out_dir=folder / "out")
        found = json.loads((folder / "out" / "comparison.json").read_bytes())
    # One entry of a kind: a file of them all takes ten times as long to read.
    return json.dumps(
        {key: value[:1] if isinstance(value, list) else value for key, value in found.items()}
    ).encode()


def _store_seed(folder: Path) -> list[bytes]:
    spec = SweepSpec.model_validate(
        {"schema": "archsim.sweep/1", "name": "s", "workload": "digits", "space": {"pe_array.rows": [8, 12]}}
    )
    with SweepStore.create(folder / "store", resume=True) as store:
        store.begin(spec)
        for number, rows in enumerate((8, 12)):
            store.add_point(Point(number, {"pe_array.rows": rows}), f"hash{rows}")
            store.add_outcome(f"hash{rows}", Outcome("ok", "", {"cycles.mean": 1.5 * rows, "engine": "tile"}))
        store.add_part("hash16", 0, json.dumps({"images": 1}))
        store._connection.execute("pragma journal_mode = delete")
    return [(folder / "store" / "sweep.sqlite").read_bytes()]


def _resume(path: Path) -> object:
    with SweepStore.create(path.parent, resume=True) as store:
        return store.spec, store.outcome("hash8"), store.parts("hash16"), store.counts(), store.export()


def _result(path: Path) -> object:
    return read_run(path, per_image=False)


_WITHIN: Read = _read_within_run
RESULTS: dict[str, Reader] = {
    "result.json": Reader("result.json", "yaml", _run_seed("result.json"), _result, True),
    "images.csv": Reader("images.csv", "bytes", _run_seed("images.csv"), _WITHIN),
    "branches.csv": Reader("branches.csv", "bytes", _run_seed("branches.csv"), _WITHIN),
    "timeline.json": Reader("timeline.json", "yaml", _run_seed("timeline.json"), _read_timeline, True),
    "comparison.json": Reader("comparison.json", "yaml", lambda _: [_comparison()], read_comparison, True),
    "sweep.sqlite": Reader("sweep.sqlite", "sqlite", _store_seed, lambda path: read_table(path.parent)),
    "sweep.sqlite, resumed": Reader("sweep.sqlite", "sqlite", _store_seed, _resume),
}
