"""What a notebook shows for a comparison: who is compared, how they do, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.energy.uncertainty import Range
from archsim.results.html_table import HtmlTable, page
from archsim.units import percent

if TYPE_CHECKING:
    from archsim.comparison.records import Baseline, Comparison, Measured, Rung


def comparison_html(found: Comparison) -> str:
    """Tables of the comparison, and behind them those of its further workloads."""
    return "".join(_one(each) for each in (found, *found.others))


def _one(found: Comparison) -> str:
    title = f"{found.workload} on {found.arch}, {found.images} images, energy table {found.energy_table}"
    runs = [_run_row(run) for run in (found.ours, *found.baselines)]
    return page(
        title,
        [
            HtmlTable("runs", ("", "workload", "cycles", "uJ/image", "accuracy"), runs),
            HtmlTable(
                "against",
                ("", "speed-up", "energy saving", "accuracy (pp)", "lower 95 %"),
                [_against_row(baseline) for baseline in found.baselines],
            ),
            HtmlTable(
                "step by step",
                ("", "cycles", "uJ/image", "speed-up", "energy saving"),
                [_rung_row(rung) for rung in found.ladder],
            ),
        ],
    )


def _run_row(run: Measured) -> tuple[str, ...]:
    energy = f"{run.energy_uj_per_image:.2f} +- {run.energy_uncertainty_uj:.2f}"
    return (run.name, run.workload, f"{run.cycles_mean:.0f}", energy, percent(run.accuracy))


def _against_row(baseline: Baseline) -> tuple[str, ...]:
    paired = baseline.paired
    accuracy = (f"{paired.delta_pp:+.2f}", f"{paired.delta_lower95_pp:+.2f}") if paired else ("", "")
    return (
        baseline.name,
        Range(baseline.speedup, *baseline.speedup_range).times(),
        Range(baseline.energy_saving, *baseline.energy_saving_range).percent(),
        *accuracy,
    )


def _rung_row(rung: Rung) -> tuple[str, ...]:
    energy = f"{rung.energy_uj_per_image:.2f}"
    return (
        rung.step,
        f"{rung.cycles_mean:.0f}",
        energy,
        f"{rung.speedup:.2f}x",
        percent(rung.energy_saving),
    )
