"""A comparison back from the files that :mod:`archsim.comparison.store` writes."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from archsim.comparison.records import Comparison
from archsim.comparison.store import COMPARISON_FILE, RUNS_FOLDER
from archsim.errors import InvalidInput, Problem
from archsim.results.read import RESULT_FILE, read_record, read_run
from archsim.results.run_result import RunResult

_COMPARISON = TypeAdapter(Comparison)
_COMPARE_AGAIN = "compare again with --out"


def is_comparison(source: Path) -> bool:
    """Whether this is a folder of ``archsim compare --out``, or the JSON file in it."""
    return source.name == COMPARISON_FILE or (source / COMPARISON_FILE).is_file()


def read_comparison(source: Path) -> Comparison:
    """A comparison from its folder or from its ``comparison.json``.

    Raises InvalidInput listing every missing or unfit value (file:line:col).
    """
    file = source / COMPARISON_FILE if source.is_dir() else source
    if not file.is_file():
        hint = "give a folder written by archsim compare --out"
        raise InvalidInput([Problem(str(file), "", "found no such file, expected a comparison", hint)])
    return read_record(file, _COMPARISON, _COMPARE_AGAIN)[0]


def read_compared_run(source: Path, found: Comparison) -> RunResult:
    """The run of a comparison that is compared with the others, with its images.

    Raises InvalidInput where it is not among the runs beside ``comparison.json``.
    """
    folder = (source if source.is_dir() else source.parent) / RUNS_FOLDER
    wanted = (found.ours.workload, found.ours.name, found.ours.overrides)
    for file in sorted(folder.glob(f"*/{RESULT_FILE}")):
        run = read_run(file, per_image=False)
        if (run.workload, run.arch, run.overrides) == wanted:
            return read_run(file)
    message = f"found no run of {found.ours.workload} on {found.ours.name} as it is compared"
    raise InvalidInput([Problem(str(folder), "", message, _COMPARE_AGAIN)])
