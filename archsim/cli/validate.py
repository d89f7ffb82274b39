"""``archsim validate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from archsim.cli.options import json_option
from archsim.cli.output import note, note_files, print_json, print_table, print_title

if TYPE_CHECKING:
    from archsim.validation.report import RowComparison, Validate, ValidationReport

TARGETS: dict[str, tuple[str, str]] = {
    "eyeriss": (
        "archsim.validation.eyeriss:validate_eyeriss",
        "time, traffic and power of convolutions, measured on the Eyeriss chip",
    ),
    "isca16": (
        "archsim.validation.isca16:validate_isca16",
        "relative energy of AlexNet on the row-stationary array, published with the dataflow",
    ),
    "systolic": (
        "archsim.validation.systolic:validate_systolic",
        "cycles of systolic arrays, counted by SCALE-Sim",
    ),
    "dram": (
        "archsim.validation.dram:validate_dram",
        "cycles and commands of DRAM controllers, counted by Ramulator 2.1 and DRAMsim3",
    ),
}
"""Name of each target: the :class:`~archsim.validation.report.Validate` that runs it, and what it is compared with."""


@click.command()
@click.argument("target", type=click.Choice(list(TARGETS)))
@click.option("--golden", metavar="FILE", help="CSV with golden values (default: the one that ships).")
@click.option(
    "--calibrate",
    is_flag=True,
    help="eyeriss only: fit the free rows of the energy table 65nm to the AlexNet layers and show errors and values.",
)
@click.option("--out", metavar="FILE", help="With --calibrate: write the fitted table to this file.")
@json_option
def validate(target: str, golden: str | None, calibrate: bool, out: str | None, as_json: bool) -> None:
    """Errors of the simulation against ground truth.

    \b
    Example:
      archsim validate systolic

    Every row of the golden file is simulated and compared; the errors are in percent of the golden values.
    """
    path = None if golden is None else Path(golden)
    if calibrate:
        if target != "eyeriss":
            raise click.UsageError("--calibrate is for eyeriss: no other target has measured energies.")
        _calibrate(path, None if out is None else Path(out), as_json)
        return
    if out is not None:
        raise click.UsageError("--out needs --calibrate.")
    module, _, attribute = TARGETS[target][0].partition(":")
    run = cast("Validate", getattr(import_module(module), attribute))
    report = run(path)
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)


def _calibrate(golden: Path | None, out: Path | None, as_json: bool) -> None:
    from archsim.files import write_atomic
    from archsim.validation.calibration import calibrate

    found = calibrate(golden)
    if out is not None:
        write_atomic(out, found.table.encode())
        note_files([str(out)])
    if as_json:
        print_json(found.to_json())
        return
    _print_report(found.report)
    click.echo()
    rows = [
        (fit.row, f"{fit.before:.4g}", f"{fit.value:.4g}", f"{fit.lowest:.4g} to {fit.highest:.4g}")
        for fit in found.values
    ]
    print_table(("row of 65nm", "was", "fitted", "one layer left out"), rows)


ROWS_SHOWN = 20
"""Reports of so many rows at most show each of them."""


def _errors(row: RowComparison, metrics: Iterable[str]) -> tuple[str, ...]:
    """Name and signed errors of one row; blank where it lacks a metric."""
    cells = (f"{row.error_pct(metric):+.1f}" if metric in row.golden else "" for metric in metrics)
    return (row.name, *cells)


def _print_report(report: ValidationReport) -> None:
    found = report.to_json()
    worst = found["worst"]
    print_title(f"{report.target}, {found['rows']} rows against {TARGETS[report.target][1]}")
    rows = [
        (metric, f"{errors.mape_pct:.3f}", f"{errors.max_pct:.3f}")
        for metric, errors in report.by_metric.items()
    ]
    print_table(("metric", "mean error (%)", "max error (%)"), rows)
    if len(report.by_metric) > 1 and len(report.rows) <= ROWS_SHOWN:
        shown = [*report.rows, *filter(None, [report.totals])]
        print_table(("error (%)", *report.by_metric), [_errors(row, report.by_metric) for row in shown])
    click.echo(
        f"worst: {worst['metric']} of {worst['row']}, golden {worst['golden']:.6g}, "
        f"predicted {worst['predicted']:.6g}, {worst['error_pct']:+.3f} %"
    )
    for reason, rows_skipped in Counter(row.reason for row in report.skipped or ()).items():
        note(f"rows skipped: {rows_skipped} ({reason})")
