"""``archsim exits``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archsim.cli.options import json_option
from archsim.cli.output import note, note_files, percent, print_json, print_table, print_title
from archsim.cli.progress import COMPILES, Progress

if TYPE_CHECKING:
    from archsim.exits.report import ExitsReport, Measured, OutOfFold
    from archsim.results.paired import PairedAccuracy


@click.command()
@click.argument("action", type=click.Choice(["build"]))
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option(
    "--data",
    metavar="PATH",
    help="Folder with the data set that the spec names, or the file itself (default: the folder of the spec, then "
    "$ARCHSIM_DATA).",
)
@click.option(
    "--workload",
    metavar="WORKLOAD",
    help="Workload with the candidates, by path or built-in name, instead of the one that the spec names.",
)
@click.option("--out", metavar="DIR", help="Output folder (default: a folder with the name of each spec).")
@json_option
def exits(
    action: str,
    specs: tuple[str, ...],
    data: str | None,
    workload: str | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Choose branches, thresholds and DBP bounds of a workload for least cost at a bounded loss of accuracy.

    \b
    Example:
      archsim exits build digits --out digits-cheap

    SPEC is a path or the name of a built-in exits spec. Writes a workload with the branches that pay, whose path
    archsim simulate takes, the report, and the table of candidates. Several are made one after the other; images that
    they share are run once.
    """
    from archsim.config.extends import find_file
    from archsim.exits.build import build, runs_for
    from archsim.exits.spec import load_exits_spec
    from archsim.resources import Kind

    loaded = [load_exits_spec(find_file(Kind.EXITS, spec)) for spec in specs]
    candidates = None if workload is None else find_file(Kind.WORKLOAD, workload)
    folders = [Path(data)] if data is not None else []
    runs, reports = runs_for(loaded), []
    for each in loaded:
        out_dir = Path(each.spec.name if out is None else out)
        with Progress("choosing exits", "steps", COMPILES) as progress:
            reports.append(build(each, folders, out_dir, note, progress.stage, candidates, runs))
        note_files(reports[-1].files)
        if not as_json:
            _print_report(reports[-1])
    if as_json:
        plain = [report.to_json() for report in reports]
        print_json(plain[0] if len(plain) == 1 else {"reports": plain})


def _print_report(report: ExitsReport) -> None:
    print_title(f"{report.name} from {report.workload}, least {report.objective}")
    shown = "that chose nothing" if report.certified else "that chose it"
    click.echo(f"measured on           {report.images_measured} images {shown}")
    click.echo(f"accuracy              {percent(report.accuracy)}")
    click.echo(f"full network          {percent(report.full_network_accuracy)}")
    found = report.paired.discordant
    details = f"only the full network right: {found.b}, only the early-exit one: {found.c}"
    click.echo(f"difference            {_difference(report.paired, details)}")
    if report.p_value is not None:
        click.echo(f"loss of {percent(report.max_loss)} or more  p = {report.p_value:.4f}")
    click.echo(f"parameters used       {percent(report.params_used_fraction)}")
    click.echo(f"MACs used             {percent(report.macs_used_fraction)}")
    if report.objective in ("energy", "cycles"):
        click.echo(f"{report.objective + ' used':21s} {percent(report.cost_fraction)}")
    if report.cross_fit is not None:
        for fit in (report.cross_fit, *report.dearer):
            _print_out_of_fold(report, fit)
    if report.test is not None:
        _print_test(report.test)
    if report.cuts:
        click.echo("")
        _print_cuts(report)
    if report.branches:
        click.echo("")
        _print_branches(report)
    click.echo("")
    rows = [
        (name, percent(control.cost_fraction), percent(control.accuracy))
        for name, control in report.controls.items()
    ]
    print_table(("control", f"{report.objective} used", "accuracy"), rows)
    if report.rejected:
        click.echo("")
        rows = [(branch.name, branch.after, branch.reason) for branch in report.rejected]
        print_table(("rejected", "after", "why"), rows, left=(0, 1, 2))


def _print_out_of_fold(report: ExitsReport, fit: OutOfFold) -> None:
    found = fit.paired.discordant
    limit = f", at most {fit.max_branches} branches" if report.dearer else ""
    click.echo(
        f"out of fold           {_difference(fit.paired, f'b {found.b}, c {found.c}')}, "
        f"{report.objective} used {percent(fit.cost_fraction)}{limit}"
    )


def _print_test(test: Measured) -> None:
    found = test.paired.discordant
    click.echo(f"\non {test.images} test images, which chose nothing")
    click.echo(f"accuracy              {percent(test.accuracy)}")
    click.echo(f"full network          {percent(test.full_network_accuracy)}")
    details = f"b {found.b}, c {found.c}, McNemar p = {test.paired.mcnemar_p:.3f}"
    click.echo(f"difference            {_difference(test.paired, details)}")
    click.echo(f"parameters used       {percent(test.params_used_fraction)}")
    click.echo(f"MACs used             {percent(test.macs_used_fraction)}")


def _difference(paired: PairedAccuracy, details: str) -> str:
    return f"{paired.delta_pp:+.3f} pp (lower 95 % bound {paired.delta_lower95_pp:+.3f} pp; {details})"


def _print_cuts(report: ExitsReport) -> None:
    rows = [
        (
            cut.name,
            cut.after,
            percent(cut.cost_fraction),
            percent(cut.accuracy),
            f"{cut.paired.delta_pp:+.3f}",
            f"{cut.paired.delta_lower95_pp:+.3f}",
            "yes" if cut.met else "no",
        )
        for cut in report.cuts
    ]
    header = ("cut", "after", f"{report.objective} used", "accuracy", "accuracy (pp)", "lower 95 %", "meets")
    print_table(header, rows, left=(0, 1))


def _print_branches(report: ExitsReport) -> None:
    rows = [
        (
            branch.name,
            branch.after,
            str(branch.threshold),
            "-" if branch.dbp is None else str(branch.dbp.min_sum),
            "-" if branch.dbp is None or branch.dbp.max_sum is None else str(branch.dbp.max_sum),
            str(branch.evaluated),
            str(branch.skipped_by_dbp),
            str(branch.exited),
            *("-" if math.isnan(part) else f"{part:.2f}" for part in (branch.auc, branch.margin_auc)),
        )
        for branch in report.branches
    ]
    header = (
        "branch",
        "after",
        "threshold",
        "DBP min",
        "DBP max",
        "evaluated",
        "skipped",
        "exited",
        "AUC of sum",
        "of margin before",
    )
    print_table(header, rows, left=(0, 1))
