"""Runs ``archsim sweep`` in this process, and reads the table that it leaves."""

from __future__ import annotations

import csv
from pathlib import Path

from click.testing import CliRunner, Result

from archsim.cli.main import cli
from archsim.explore.task import flatten
from archsim.results.run_result import RunResult


def sweep(*words: object) -> Result:
    """The command with these words."""
    return CliRunner().invoke(cli, ["sweep", *(str(word) for word in words)])


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Cells by column."""
    with (folder / "points.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_row_is(row: dict[str, str], expected: RunResult) -> None:
    """A row holds every result of a simulation, digit by digit."""
    flat = flatten(expected)
    assert {key: row[key] for key in flat} == {key: str(value) for key, value in flat.items()}
