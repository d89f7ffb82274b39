"""``archsim simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archsim.cli.options import json_option, run_options, set_option, worker_options
from archsim.cli.output import (
    note,
    note_files,
    note_shortfall,
    percent,
    print_exits,
    print_json,
    print_table,
    print_title,
)
from archsim.cli.progress import COMPILES, Progress
from archsim.results.defaults import ENGINES

if TYPE_CHECKING:
    from archsim.results.run_result import RunResult
    from archsim.results.timeline import TimelineRequest


@click.command()
@click.argument("workload")
@run_options(engine=ENGINES[0], seeds="arrivals, and of the zeros of a shape-only workload")
@set_option
@worker_options(without="this process")
@click.option(
    "--out",
    metavar="DIR",
    help="Write result.json, images.csv, layers.csv and branches.csv into this folder.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Count again, run both engines and compare, image by image; exit code 4 where anything disagrees. Slower.",
)
@click.option(
    "--timeline",
    type=click.IntRange(min=0),
    metavar="IMAGE",
    help="With --out: also write timeline.json, what every unit does while this image runs (from 0); it opens in "
    "Perfetto.",
)
@click.option(
    "--layers", metavar="NAME,...", help="Of the timeline: from the first to the last of these layers."
)
@click.option("--window", metavar="FROM:UNTIL", help="Of the timeline: these cycles of the image.")
@json_option
def simulate(
    workload: str,
    arch: str,
    energy_table: str | None,
    images: int | None,
    data: str | None,
    overrides: tuple[str, ...],
    engine: str,
    arrivals: str | None,
    seed: int,
    jobs: int | None,
    scheduler: str | None,
    out: str | None,
    check: bool,
    timeline: int | None,
    layers: str | None,
    window: str | None,
    as_json: bool,
) -> None:
    """Cycles, energy and accuracy of a network on an accelerator.

    \b
    Example:
      archsim simulate digits --images 64

    WORKLOAD is a path or a built-in name. Without --data it runs on its functional trace if it has one, else on
    the sample images that ship with it. A shape-only workload, which has no weights, is timed with zeros at random
    and has no accuracy; --images N repeats it with other zeros. --jobs and --scheduler spread the images over workers;
    the result is the same.
    """
    observed = _timeline_request(
        timeline, layers, window, out, spread=jobs is not None or scheduler is not None
    )
    with Progress("simulating", "images", COMPILES) as progress:
        options: dict[str, Any] = {
            "arch": arch,
            "energy_table": energy_table,
            "images": images,
            "data": data,
            "overrides": overrides,
            "engine": engine,
            "arrivals": arrivals,
            "seed": seed,
            "out_dir": Path(out) if out is not None else None,
            "progress": progress.stage("simulating", "images"),
        }
        if jobs is None and scheduler is None:
            from archsim.api import simulate as run

            stage = progress.stage("mapping", "layers")
            result = run(workload, mapping_progress=stage, check=check, timeline=observed, **options)
        elif check:
            raise click.UsageError("--check counts in this process: leave out --jobs and --scheduler.")
        else:
            from archsim.explore.spread import simulate_spread

            stage = progress.stage("computing the network", "images")
            result = simulate_spread(
                workload, jobs=jobs, scheduler=scheduler, trace_progress=stage, **options
            )
    note_shortfall(images, result.images)
    if result.engine != engine:
        note(f"the {engine} engine does not have this hardware, the {result.engine} engine ran instead")
    note_files(result.files)
    if result.timeline is not None and result.timeline.is_truncated:
        note(
            f"the timeline ends in cycle {result.timeline.until_cycle} of {result.timeline.cycles}, where it is full: "
            "choose a part with --layers or --window"
        )
    _note_rows(result)
    if as_json:
        print_json(result.to_json())
    else:
        _print_result(result)


def _timeline_request(
    image: int | None, layers: str | None, window: str | None, out: str | None, *, spread: bool
) -> TimelineRequest | None:
    from archsim.results.timeline import TimelineRequest

    if image is None:
        if layers is not None or window is not None:
            raise click.UsageError(
                "--layers and --window choose a part of a timeline: give --timeline IMAGE too."
            )
        return None
    if out is None:
        raise click.UsageError("--timeline writes a file: give --out DIR too.")
    if spread:
        raise click.UsageError("--timeline observes this process: leave out --jobs and --scheduler.")
    names = tuple(name.strip() for name in layers.split(",")) if layers else ()
    return TimelineRequest(image, names, None if window is None else _window(window))


def _window(text: str) -> tuple[int, int]:
    start, colon, end = text.partition(":")
    if not (colon and start.isdecimal() and end.isdecimal() and int(start) < int(end)):
        raise click.UsageError(f'Invalid value for --window: found "{text}", expected FROM:UNTIL, as 0:5000.')
    return int(start), int(end)


def _note_rows(result: RunResult) -> None:
    """Say on stderr which rows of the energy table were not used, and which beyond what they hold for."""
    table = f"energy table {result.energy_table}"
    if result.energy_rows_unused:
        note(f"{table}: rows that {result.arch} has no use for: {', '.join(result.energy_rows_unused)}")
    for row in result.energy_rows_extrapolated:
        note(f"{table}: beyond its range: {row}")


def _print_result(result: RunResult) -> None:
    print_title(
        f"{result.workload} on {result.arch}, {result.images} images, energy table {result.energy_table} "
        f"({result.energy_table_hash[:8]})"
    )
    # Of images that do not wait the tail is that of their exits: p99 and the worst tell it.
    columns = (
        ("mean", "p50", "p99", "max") if result.arrivals == "alone" else ("mean", "p50", "p95", "p99", "max")
    )
    print_table(
        ("", *columns),
        [
            ("cycles", *(f"{getattr(result.cycles, name):.0f}" for name in columns)),
            ("latency (us)", *(f"{getattr(result.latency_us, name):.1f}" for name in columns)),
        ],
    )
    dram = result.dram_bytes_per_image
    click.echo(
        f"accuracy {percent(result.accuracy)}, parameters used {percent(result.params_used_fraction)}, "
        f"MACs used {percent(result.macs_used_fraction)}\n"
        f"throughput {result.throughput_ips:.1f} images/s, energy {result.energy_uj_per_image.total:.3f} uJ/image"
        f"{_plus_minus(result)}\n"
        f"DRAM {dram.read:.0f} B read, {dram.write:.0f} B written, {dram.wasted:.0f} B wasted an image\n"
    )
    print_exits(result.images, result.exits, result.branches)
    click.echo()
    _print_energy(result)
    _print_layers(result)


def _plus_minus(result: RunResult) -> str:
    found = result.energy_uncertainty_uj
    return "" if found is None else f" +- {found.total:.3f}"


def _print_energy(result: RunResult) -> None:
    total = result.energy_uj_per_image.total
    widths = result.energy_uncertainty_uj.by_component if result.energy_uncertainty_uj else {}
    rows = [
        (name, f"{energy:.4f}", f"{widths.get(name, 0.0):.4f}", _share(energy, total))
        for name, energy in result.energy_uj_per_image.by_component.items()
    ]
    print_table(("component", "uJ/image", "+-", "share"), rows)
    click.echo()
    causes = [
        (cause, f"{energy:.4f}", _share(energy, total)) for cause, energy in result.energy_by_cause_uj.items()
    ]
    print_table(("spent on", "uJ/image", "share"), causes)
    click.echo()


def _share(part: float, whole: float) -> str:
    return percent(part / whole if whole else 0.0)


def _print_layers(result: RunResult) -> None:
    header = (
        "layer",
        "cycles",
        "stalled",
        "MACs",
        "skipped",
        "utilisation",
        "DRAM B",
        "uJ",
    )
    rows = [
        (
            layer.name,
            f"{layer.cycles:.0f}",
            f"{layer.stall_cycles:.0f}",
            f"{layer.macs:.0f}",
            f"{layer.skipped_macs:.0f}",
            percent(layer.utilisation),
            f"{layer.dram_read_bytes + layer.dram_write_bytes:.0f}",
            f"{layer.energy_uj:.4f}",
        )
        for layer in result.layers
    ]
    print_title("layers, mean over all images")
    print_table(header, rows)
