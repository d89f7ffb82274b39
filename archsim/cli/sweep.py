"""``archsim sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archsim.cli.options import json_option, run_options, worker_options
from archsim.cli.output import note, note_files, print_json, print_table, print_title
from archsim.cli.progress import Progress
from archsim.results.defaults import ENGINES

if TYPE_CHECKING:
    from archsim.explore.spec import SweepSpec
    from archsim.explore.sweep import SweepSummary
    from archsim.explore.table import SweepTable

POINTS_FAILED = 6
"""Exit code of a sweep that is finished, but for points without a result."""
_SHOWN = ("energy", "latency", "accuracy")


@click.command()
@click.argument("source", required=False, metavar="[SPEC|WORKLOAD]")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUES",
    help="Vary one key: K=8,12,16 lists values, K=4..16:4 steps, K=27..216*2 doubles, K=0..1#5 takes five, K=1..9 is "
    "for --sample. Keys are those of the architecture, exits.NAME.threshold, dbp.NAME.min_sum, dbp.NAME.max_sum, and "
    "arch, energy_table, images, workload; may be repeated.",
)
@click.option(
    "--where",
    "constraints",
    multiple=True,
    metavar="CONDITION",
    help='Only points that satisfy it, as "pe_array.rows * pe_array.cols <= 256" or "area <= 8" (mm2); may be '
    "repeated.",
)
@click.option("--sample", metavar="METHOD:N", help="N points instead of the grid: lhs:50 or random:50.")
@run_options(engine=ENGINES[0], seeds="a sample and of arrivals", named=False)
@worker_options(without="one a core")
@click.option(
    "--part-images",
    type=click.IntRange(min=1),
    metavar="N",
    help="Cut points of more than N images into jobs of N, for one big simulation on many workers.",
)
@click.option("--resume", is_flag=True, help="Go on with the results in the output folder.")
@click.option(
    "--dry-run", is_flag=True, help="Only count the points, and estimate the time from one of them."
)
@click.option(
    "--best",
    metavar="NAME",
    help="Show the points with the best energy, latency, accuracy, ... or any result. Without SPEC or WORKLOAD, of the "
    "results that are there.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Points that --best shows."
)
@click.option("--out", required=True, metavar="DIR", help="Folder of the results.")
@json_option
def sweep(
    source: str | None,
    sets: tuple[str, ...],
    constraints: tuple[str, ...],
    sample: str | None,
    jobs: int | None,
    scheduler: str | None,
    part_images: int | None,
    resume: bool,
    dry_run: bool,
    best: str | None,
    top: int,
    out: str,
    as_json: bool,
    **changes: Any,
) -> int:
    """Many simulations: a grid, a sample or a search over architecture, thresholds and energy tables.

    \b
    Example:
      archsim sweep digits --set pe_array.rows=8,12 --set global_buffer.size_kib=54,108 --images 8 --out sweep
      archsim sweep --best energy --out sweep

    SPEC is a sweep file, WORKLOAD a path or a built-in name. Results are in DIR as they come (sweep.sqlite) and as
    points.csv in the end. Exit code 6: points failed; points.csv has the reason of each.
    """
    from archsim.explore.request import requested_spec
    from archsim.explore.sweep import run_sweep

    folder = Path(out)
    if source is None and not resume:
        if best is None:
            raise click.UsageError(
                "Give a SPEC or a WORKLOAD; or --resume, or --best, to use what is in --out."
            )
        _show(_table(folder, best), None, best, top, as_json)
        return 0
    spec = requested_spec(source, sets, constraints, sample, changes, folder)
    if dry_run:
        _print_estimate(spec, folder, jobs, as_json)
        return 0
    with Progress("sweeping", "points") as progress:
        summary = run_sweep(
            spec,
            folder,
            jobs=jobs,
            scheduler=scheduler,
            part_images=part_images,
            resume=resume,
            progress=progress.stage("sweeping", "points"),
            trace_progress=progress.stage("computing the network", "images"),
        )
    note_files(summary.files)
    _show(_table(folder, best or "energy"), summary, best or "energy", top, as_json)
    return POINTS_FAILED if summary.failed else 0


def _table(folder: Path, best: str) -> SweepTable:
    """The columns that are shown: there may be thousands of points with hundreds of results each."""
    from archsim.explore.table import column_of, read_table

    return read_table(folder, [column_of(name) for name in (best.removeprefix("-"), *_SHOWN)])


def _show(table: SweepTable, summary: SweepSummary | None, best: str, top: int, as_json: bool) -> None:
    failed = int((table["status"] != "ok").sum())
    found = None if failed == len(table) and summary is not None else table.best(best, top)
    if as_json:
        print_json(
            {
                "sweep": table.name,
                "points": len(table),
                "failed": failed,
                "best": [] if found is None else _records(found, best),
                "files": [] if summary is None else list(summary.files),
            }
        )
        return
    print_title(f"{table.name}, {len(table)} points" + (f", {failed} failed" if failed else ""))
    for reason in list(dict.fromkeys(table["error"][table["status"] != "ok"].tolist()))[:3]:
        note(f"failed: {reason}")
    if found is not None:
        columns = _columns(found, best)
        rows = [[_cell(record[name]) for name in columns] for record in _records(found, best)]
        print_table([name.removeprefix("param.") for name in columns], rows, left=())


def _columns(table: SweepTable, best: str) -> list[str]:
    """Parameters, then what is shown of the results, the best first."""
    from archsim.explore.table import column_of

    results = dict.fromkeys([table.find(best.removeprefix("-")), *map(column_of, _SHOWN)])
    return [*dict.fromkeys([*(f"param.{key}" for key in table.params), *results])]


def _records(table: SweepTable, best: str) -> list[dict[str, Any]]:
    columns = _columns(table, best)
    return [
        {name: _plain(table.columns[name][row]) for name in columns if name in table.columns}
        for row in range(len(table))
    ]


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, whole where it is."""
    number = value.item() if hasattr(value, "item") else value
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _print_estimate(spec: SweepSpec, folder: Path, jobs: int | None, as_json: bool) -> None:
    from archsim.explore.sweep import estimate
    from archsim.explore.workers import default_jobs

    found = estimate(spec, folder)
    workers = jobs or default_jobs()
    if as_json:
        print_json(
            {
                "points": found.points,
                "excluded": found.excluded,
                "seconds_a_point": found.outcome.wall_s,
                "seconds": found.seconds(workers),
                "jobs": workers,
            }
        )
        return
    click.echo(f"points               {found.points} ({found.excluded} more are excluded by constraints)")
    if found.outcome.error:
        click.echo(f"the middle one fails  {found.outcome.error}")
        return
    click.echo(f"the middle one takes {found.outcome.wall_s:.3f} s")
    click.echo(f"all of them take     about {found.seconds(workers):.0f} s with {workers} jobs")
