"""``archsim import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archsim.cli.options import json_option
from archsim.cli.output import note, note_files, percent, print_json, print_table, print_title
from archsim.cli.progress import Progress
from archsim.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from archsim.importing.result import ImportResult

_KINDS = (".onnx", ".csv", ".cfg")


@click.command(name="import")
@click.argument("source")
@click.option("-o", "--out", "target", required=True, metavar="FILE.yaml", help="The file to write.")
@click.option(
    "--data",
    metavar="PATH",
    help="Images that set the scales of a float model: Parquet, .npz, a CIFAR-10 folder or tar, or a folder per class.",
)
@click.option(
    "--calibrate",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    metavar="N",
    help="How many of them, drawn at random.",
)
@click.option(
    "--mean", default="0", show_default=True, metavar="M[,M,M]", help="The model reads (pixel / 255 - M) / S."
)
@click.option(
    "--std",
    default="1",
    show_default=True,
    metavar="S[,S,S]",
    help="See --mean; one number, or one a channel.",
)
@json_option
def import_network(
    source: str, target: str, data: str | None, calibrate: int, mean: str, std: str, as_json: bool
) -> None:
    """Make a workload of an ONNX model or a SCALE-Sim topology.

    \b
    Example:
      archsim import model.onnx --data images.npz -o model.yaml

    SOURCE is an ONNX model, in floating point or quantised (QDQ); its last output is the end of the trunk, the others
    become branches. Or it is a topology (.csv) of SCALE-Sim, which becomes a shape-only workload, or its configuration
    (.cfg), which becomes an architecture. Everything that cannot be imported is listed. ONNX needs the extra "onnx".
    """
    path, out = Path(source), Path(target)
    kind = path.suffix.lower()
    if kind not in _KINDS:
        message = f"found a file of the kind {kind or 'unknown'}, expected {', '.join(_KINDS)}"
        raise InvalidInput([Problem(source, "", message)])
    if out.suffix.lower() not in (".yaml", ".yml"):
        raise InvalidInput([Problem("--out", "", f'found "{target}", expected a name that ends in .yaml')])
    if kind != ".onnx" and data is not None:
        raise click.UsageError("--data sets the scales of an ONNX model; SCALE-Sim files have none.")
    if kind == ".csv":
        from archsim.importing.scalesim import import_topology

        _show(import_topology(path, out), as_json)
    elif kind == ".cfg":
        from archsim.importing.scalesim_config import import_config

        _show(import_config(path, out), as_json)
    else:
        from archsim.importing.onnx_model import Calibrating, import_onnx

        images = Path(data) if data is not None else None
        calibrating = Calibrating(images, calibrate, _numbers("--mean", mean), _numbers("--std", std))
        with Progress("calibrating", "images") as progress:
            result = import_onnx(path, out, calibrating, progress.advance)
        _show(result, as_json)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(
            [Problem(option, "", f'found "{text}", expected numbers with commas between')]
        ) from None


def _show(result: ImportResult, as_json: bool) -> None:
    for line in result.notes:
        note(line)
    note_files(result.files)
    if as_json:
        print_json(result.to_json())
        return
    if not result.layers:
        print_title(f"{result.workload}: an architecture")
        return
    print_title(f"{result.workload}: {result.input}, {result.classes} classes")
    click.echo(f"layers                {result.layers}")
    click.echo(f"parameters            {result.parameters}")
    click.echo(f"MACs                  {result.macs}")
    if result.shape_only:
        click.echo("shape-only            no weights: timed, not computed")
        return
    click.echo(f"calibration images    {result.calibration_images}\n")
    rows = [(name, percent(result.top1_agreement.get(name))) for name in result.exits]
    print_table(("exit", "same answer as the model"), rows)
