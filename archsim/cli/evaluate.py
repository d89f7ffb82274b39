"""``archsim evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archsim.cli.options import data_option, images_option, json_option, set_option
from archsim.cli.output import note_files, note_shortfall, percent, print_exits, print_json, print_title
from archsim.cli.progress import COMPILES, Progress

if TYPE_CHECKING:
    from archsim.results.run_result import EvaluateResult


@click.command()
@click.argument("workload")
@images_option
@data_option
@set_option
@click.option(
    "--save-trace", metavar="FILE", help="Write the functional trace (.npz), to simulate without images."
)
@json_option
def evaluate(
    workload: str,
    images: int | None,
    data: str | None,
    overrides: tuple[str, ...],
    save_trace: str | None,
    as_json: bool,
) -> None:
    """Accuracy, exits and parameters used: what is computed, not when.

    \b
    Example:
      archsim evaluate digits --set exits.enabled=false

    WORKLOAD is a path or a built-in name. Every image also runs to the end of the trunk, to compare the accuracy
    with that of the full network.
    """
    from archsim import api

    with Progress("evaluating", "images", COMPILES) as progress:
        result = api.evaluate(
            workload,
            images=images,
            data=data,
            overrides=overrides,
            save_trace=Path(save_trace) if save_trace is not None else None,
            progress=progress.advance,
        )
    note_shortfall(images, result.images)
    note_files(result.files)
    if as_json:
        print_json(result.to_json())
    else:
        _print_result(result)


def _print_result(result: EvaluateResult) -> None:
    print_title(f"{result.workload}, {result.images} images")
    click.echo(f"accuracy              {percent(result.accuracy)}")
    click.echo(f"full network          {percent(result.full_network_accuracy)}")
    if result.delta_pp is not None and result.delta_lower95_pp is not None and result.discordant is not None:
        click.echo(
            f"difference            {result.delta_pp:+.3f} pp (lower 95 % bound {result.delta_lower95_pp:+.3f} pp; "
            f"only the full network right: {result.discordant.b}, only the early-exit one: {result.discordant.c})"
        )
    click.echo(f"parameters used       {percent(result.params_used_fraction)}")
    click.echo(f"MACs used             {percent(result.macs_used_fraction)}\n")
    print_exits(result.images, result.exits, result.branches)
