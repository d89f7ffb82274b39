"""``archsim data``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from archsim.cli.options import json_option
from archsim.cli.output import print_json
from archsim.cli.progress import Progress

_BYTES_PER_MB = 1_000_000


@click.command()
@click.argument("action", type=click.Choice(["fetch"]))
@click.argument("name", type=click.Choice(["cifar10", "tinyimagenet"]))
@click.option("--to", metavar="DIR", help="Folder for the data sets (default: $ARCHSIM_DATA, else data).")
@json_option
def data(action: str, name: str, to: str | None, as_json: bool) -> None:
    """Download an official data set, checksummed, for --data and for training.

    \b
    Example:
      archsim data fetch cifar10 --to data

    Prints the folder, which --data takes as it is; one that is there already is not downloaded again. Needs the extra
    "data".
    """
    from archsim.datasets.fetch import DATA_SETS, fetch

    folder = Path(to or os.environ.get("ARCHSIM_DATA") or "data")
    with Progress(f"downloading {name}", "MB") as progress:

        def report(done_bytes: int, total_bytes: int) -> None:
            progress.advance(done_bytes // _BYTES_PER_MB, total_bytes // _BYTES_PER_MB)

        path = fetch(name, folder, report)
    if as_json:
        found = DATA_SETS[name]
        print_json({"data_set": name, "url": found.url, "md5": found.md5, "files": [str(path)]})
    else:
        click.echo(path)
