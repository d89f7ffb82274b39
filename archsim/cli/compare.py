"""``archsim compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archsim.cli.options import json_option, run_options
from archsim.cli.output import note_files, note_shortfall, print_json
from archsim.cli.progress import COMPILES, Progress
from archsim.results.defaults import COMPARE_ENGINE

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD...")
@run_options(engine=COMPARE_ENGINE, seeds="arrivals, and of the zeros of a shape-only workload")
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    default=("dense-rs",),
    metavar="B",
    help="Accelerator to compare with: path or name (default: dense-rs); may be repeated.",
)
@click.option(
    "--baseline-workload",
    "baseline_workloads",
    multiple=True,
    metavar="W",
    help="What the baselines run (default: WORKLOAD): one for all of them, or one for each; may be repeated.",
)
@click.option(
    "--conventional",
    metavar="W",
    help="Workload with conventional branches, for a step of its own on the attribution ladder.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key of the architecture and of all baselines; exits, dbp, branch_unit and dbp_unit are those of "
    "--arch alone; may be repeated.",
)
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V1,V2",
    help="Compare again with each of these values, all else as it is: how far the result depends on one key.",
)
@click.option(
    "--out", metavar="DIR", help="Write comparison.json, CSV tables, plots and every run into this folder."
)
@json_option
def compare(
    workloads: Sequence[str],
    arch: str,
    baselines: Sequence[str],
    baseline_workloads: Sequence[str],
    conventional: str | None,
    energy_table: str | None,
    images: int | None,
    data: str | None,
    overrides: Sequence[str],
    vary: Sequence[str],
    engine: str,
    arrivals: str | None,
    seed: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Speed-up, energy saving and accuracy against baselines, and which step they come from.

    \b
    Example:
      archsim compare digits --baseline dense-rs --baseline skip-rs --images 32

    WORKLOAD is a path or a built-in name; further ones are compared with the same baselines. All run the same images,
    one at a time. Speed-up is a ratio of mean cycles, the range of a saving that of the uncertain energy table. The
    ladder changes one thing at a time on --arch: zeros, exits, branch structures, branch unit, DBP.
    """
    if len(baseline_workloads) > 1 and len(baseline_workloads) != len(baselines):
        raise click.UsageError(
            f"found {len(baseline_workloads)} --baseline-workload for {len(baselines)} --baseline, "
            "expected one for all or one for each"
        )
    from archsim.comparison.run import compare as run_comparison

    with Progress("comparing", "images", COMPILES) as progress:
        result = run_comparison(
            workloads,
            arch=arch,
            baselines=baselines,
            baseline_workloads=baseline_workloads,
            conventional=conventional,
            energy_table=energy_table,
            images=images,
            data=data,
            overrides=overrides,
            vary=vary,
            engine=engine,
            arrivals=arrivals,
            seed=seed,
            out_dir=Path(out) if out is not None else None,
            progress=lambda task, done, total: progress.stage(task, "images")(done, total),
        )
    note_shortfall(images, result.images)
    note_files(result.files)
    if out is not None:
        from archsim.report.comparison import write_plots

        note_files([str(path) for path in write_plots(result, Path(out))])
    if as_json:
        print_json(result.to_json())
    else:
        from archsim.cli.comparison_tables import print_comparison

        print_comparison(result)
