"""``archsim report``."""

from __future__ import annotations

from pathlib import Path

import click

from archsim.cli.output import note_files


@click.command()
@click.argument("result", metavar="RESULT")
@click.option("-o", "--out", default="report.html", show_default=True, metavar="FILE", help="Page to write.")
@click.option(
    "--data",
    metavar="PATH",
    help="Images of the run, for the gallery, where they do not ship with the workload: as --data of simulate.",
)
@click.option(
    "--workload", metavar="W", help="File of the workload, where it is not built in: class names, its images."
)
@click.option(
    "--arch",
    metavar="A",
    help="File of the accelerator, where it is not built in: all keys of its configuration.",
)
def report(result: str, out: str, data: str | None, workload: str | None, arch: str | None) -> None:
    """One self-contained HTML page of a result: numbers, pictures, images, configuration, how to run it again.

    \b
    Example:
      archsim simulate digits --images 64 --out runs/digits
      archsim report runs/digits -o report.html

    RESULT is a folder written by archsim simulate --out or archsim compare --out, or the JSON file in it. With a
    timeline (archsim simulate --timeline) it shows an excerpt of that. The page needs no other file and no network.
    Files given with options must be those of the run: hashes and labels are checked.
    """
    from archsim.report.page.assemble import write_page
    from archsim.report.page.sources import Asked

    asked = Asked(workload, arch, Path(data) if data is not None else None)
    note_files([str(write_page(Path(result), Path(out), asked))])
