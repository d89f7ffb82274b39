"""``archsim plot``."""

from __future__ import annotations

from pathlib import Path

import click

from archsim.cli.output import note_files
from archsim.report.kinds import KINDS


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    required=True,
    help="; ".join(f"{name}: {kind.summary}" for name, kind in KINDS.items()) + ".",
)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="File to write, .png, .pdf or .svg (default: KIND.png in the current folder).",
)
def plot(results: tuple[str, ...], kind: str, out: str | None) -> None:
    """Plots of results: energy, latency, exits.

    \b
    Example:
      archsim simulate digits --out runs/digits
      archsim plot runs/digits --kind energy -o energy.png

    RESULT is a folder written by archsim simulate --out, or its result.json. Several are drawn side by side, as
    changes against the first.
    """
    from archsim.report.figure import plot_files

    path = plot_files(kind, [Path(result) for result in results], Path(out or f"{kind}.png"))
    note_files([str(path)])
