"""``archsim train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archsim.cli.options import json_option
from archsim.cli.output import note, note_files, print_json
from archsim.cli.progress import Progress
from archsim.errors import MissingExtra

if TYPE_CHECKING:
    from archsim.training.run import TrainResult
    from archsim.training.spec import TrainSpec


@click.command()
@click.argument("spec")
@click.option(
    "--data",
    metavar="PATH",
    help="Folder with the data sets that the spec names, or the file itself (default: the folder of the spec, "
    "then $ARCHSIM_DATA).",
)
@click.option(
    "--resume", is_flag=True, help="Go on from the checkpoint in the output folder, if there is one."
)
@click.option("--out", metavar="DIR", help="Output folder (default: a folder with the name of the spec).")
@json_option
def train(spec: str, data: str | None, resume: bool, out: str | None, as_json: bool) -> None:
    """Train a trunk with its branches and export an int8 workload.

    \b
    Example:
      archsim train digits --out trained

    SPEC is a path or the name of a built-in training spec. Writes a checkpoint after every epoch, the log, and at
    the end the weights and the workload file, whose path archsim simulate takes. Needs the extra "train".
    """
    from archsim.config.extends import find_file
    from archsim.resources import Kind
    from archsim.results.store import check_out_dir
    from archsim.training.spec import load_train_spec

    path = find_file(Kind.TRAINING, spec)
    loaded = load_train_spec(path)
    out_dir = Path(loaded.name if out is None else out)
    check_out_dir(out_dir)
    folders = [Path(data)] if data is not None else []
    result = _run(loaded, [*folders, path.parent], out_dir, resume)
    files = [str(file) for file in (result.workload, result.weights, result.log)]
    note_files(files)
    if as_json:
        print_json({**_plain(result), "files": files})
        return
    click.echo(f"held-out: {_line(result.held_out)}")
    if result.test is not None:
        click.echo(f"test: {_line(result.test)}")


def _run(spec: TrainSpec, folders: list[Path], out_dir: Path, resume: bool) -> TrainResult:
    try:
        from archsim.training.run import train as run_training
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra("train", "training") from None
    joint, heads = spec.epochs("joint"), spec.epochs("heads")
    with Progress("training", "epochs") as progress:

        def report(record: dict[str, Any]) -> None:
            if "epoch" in record:
                before = joint if record["phase"] == "heads" else 0
                progress.advance(before + record["epoch"], joint + heads)
            note(_line(record))

        return run_training(spec, folders, out_dir, resume, report)


def _plain(result: TrainResult) -> dict[str, Any]:
    fields = dataclasses.asdict(result)
    return {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}


def _line(record: dict[str, Any]) -> str:
    """``key value`` pairs of a record of the log."""
    return ", ".join(f"{key} {_short(value)}" for key, value in record.items())


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
