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
@click.option("--x", metavar="NAME", help="Of a sweep: what to show to the right.")
@click.option("--y", metavar="NAME", help="Of a sweep: what to show upwards.")
@click.option(
    "--value", metavar="NAME", help="Of a sweep: what to show as colour, or what parameters change."
)
def plot(
    results: tuple[str, ...], kind: str, out: str | None, x: str | None, y: str | None, value: str | None
) -> None:
    """Plots of results: energy, roofline, timeline and others; of sweeps: Pareto front, heat map and others.

    \b
    Example:
      archsim simulate digits --out runs/digits
      archsim plot runs/digits --kind energy -o energy.png

    RESULT is a folder written by archsim simulate --out, or its result.json; several are drawn side by side, as
    changes against the first. Or it is one folder written by archsim sweep --out; NAME then is energy, latency,
    cycles, accuracy, any other result, or a parameter.
    """
    from archsim.report.figure import plot_files
    from archsim.report.sweep_view import View

    view = View(x, y, value)
    path = plot_files(kind, [Path(result) for result in results], Path(out or f"{kind}.png"), view)
    note_files([str(path)])
