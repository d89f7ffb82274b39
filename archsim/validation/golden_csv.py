"""Golden files: CSV with a header, columns found by name, every problem with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.files import csv_lines

MAX_CSV_BYTES = 64 << 20
Parse = Callable[[str], Any]
"""Makes a value of a cell; ValueError says what is expected instead."""


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """One row: its line in the file (the header is line 1), its parsed values and all cells as they are written."""

    line: int
    values: Mapping[str, Any]
    cells: Mapping[str, str]


def read_golden(path: Path, columns: Mapping[str, Parse]) -> list[GoldenRow]:
    """All rows of a golden file. columns: those that it must have; further ones are kept as text.

    Raises InvalidInput listing every missing column, every cell that cannot be parsed and every row that is too
    short or too long.
    """
    lines = csv_lines(path, MAX_CSV_BYTES)
    header = [name.strip() for name in lines[0][1]] if lines else []
    absent = [name for name in columns if name not in header]
    if absent:
        raise InvalidInput(
            Problem(f"{path}:1", name, "found no such column", did_you_mean(name, header)) for name in absent
        )
    problems: list[Problem] = []
    rows = [_row(path, header, line, cells, columns, problems) for line, cells in lines[1:]]
    if not rows:
        problems.append(Problem(str(path), "", "found a header only, expected at least one row"))
    if problems:
        raise InvalidInput(problems)
    return rows


def _row(
    path: Path,
    header: list[str],
    line: int,
    cells: list[str],
    columns: Mapping[str, Parse],
    problems: list[Problem],
) -> GoldenRow:
    if len(cells) != len(header):
        message = f"found {len(cells)} cells, expected {len(header)} as in the header"
        problems.append(Problem(f"{path}:{line}", "", message))
        return GoldenRow(line, {}, {})
    by_name = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    values = {}
    for name, parse in columns.items():
        try:
            values[name] = parse(by_name[name])
        except ValueError as error:
            problems.append(Problem(f"{path}:{line}", name, f'found "{by_name[name]}", expected {error}'))
    return GoldenRow(line, values, by_name)


def whole_number(low: int, high: int) -> Parse:
    """Parses integers in a range.

    >>> whole_number(1, 8)("7")
    7
    """

    def parse(cell: str) -> int:
        digits = cell.lstrip("0") or "0"
        if not cell.isdecimal() or len(digits) > len(str(high)) or not low <= int(digits) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(cell)

    return parse


def number(cell: str) -> float:
    """Parses numbers that are not negative.

    >>> number("0.25")
    0.25
    """
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise ValueError("a number from 0 up")
    return value


def one_of(*words: str) -> Parse:
    """Parses one of some words."""

    def parse(cell: str) -> str:
        if cell not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return cell

    return parse
