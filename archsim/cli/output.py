"""What commands print: results on stdout, notes on stderr, tables with rich on a terminal and plain elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from archsim import units

if TYPE_CHECKING:
    from archsim.functional.statistics import BranchStatistics

Rows = Sequence[Sequence[str]]
percent = units.percent


def print_json(content: Any) -> None:
    """Exactly one JSON object on stdout."""
    from archsim.results.store import to_json_text

    click.echo(to_json_text(content))


def note(message: str) -> None:
    """A line on stderr."""
    click.echo(message, err=True)


def note_files(files: Sequence[str]) -> None:
    """Say on stderr what was written."""
    for file in files:
        note(f"wrote {file}")


def note_shortfall(wanted_images: int | None, images: int) -> None:
    """Say on stderr that the data set ended before ``--images`` was reached."""
    if wanted_images is not None and images < wanted_images:
        note(f"only {images} images are available, {wanted_images} were asked for")


def print_title(text: str) -> None:
    """Name of what follows."""
    click.echo(click.style(text, bold=True))


def print_table(header: Sequence[str], rows: Rows, left: Collection[int] = (0,)) -> None:
    """Columns under a header; those with an index in ``left`` hold text, the others numbers, aligned to the right."""
    if sys.stdout.isatty():
        _print_rich(header, rows, left)
        return
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    for line in (header, *rows):
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _print_rich(header: Sequence[str], rows: Rows, left: Collection[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_exits(images: int, exits: Mapping[str, int], branches: Mapping[str, BranchStatistics]) -> None:
    """Where the images left, and what became of each branch."""
    rows = []
    for name, count in exits.items():
        branch = branches.get(name)
        evaluated, skipped = (str(branch.evaluated), str(branch.skipped_by_dbp)) if branch else ("", "")
        rows.append((name, str(count), percent(count / images), evaluated, skipped))
    print_table(("exit", "images", "share", "evaluated", "skipped by DBP"), rows)
