"""What ``archsim compare`` prints: who is compared, how they do against each other, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable

import click

from archsim.cli.output import note, percent, print_table, print_title
from archsim.comparison.records import Against, Baseline, Comparison, Measured, Pair, Rung
from archsim.energy.uncertainty import Range
from archsim.results.paired import PairedAccuracy

_DIFFERENCES_SHOWN = 4
_PAIRED = ("accuracy (pp)", "lower 95 %", "b", "c")
"""Columns of a paired difference: images that only the one compared with has right, and that only the other has."""


def print_comparison(found: Comparison) -> None:
    """The tables of a comparison and of its further workloads."""
    for index, each in enumerate((found, *found.others)):
        if index:
            click.echo()
        print_title(
            f"{each.workload} on {each.arch}, {each.images} images, batch {each.batch}, "
            f"energy table {each.energy_table}"
            + ("" if each.arrivals == "alone" else f", arrivals {each.arrivals}")
        )
        _print_runs(each)
        _print_against(each)
        _print_queue(each)
        _print_limits(each)
        _print_ladder(each)
        _print_controls(each)
        _print_variations(each)
        for line in remarks(each):
            click.echo(line)
    if found.arrivals != "alone":
        note("with arrivals there is no oracle and no limit of batches: neither has a queue")


def remarks(found: Comparison) -> list[str]:
    """Sentences that a table of means would hide."""
    names = _names(found)
    pairs = list(zip(names, found.baselines, strict=True))
    lines = [_hard(name, baseline) for name, baseline in pairs]
    lines += [line for name, baseline in pairs if (line := _different(name, baseline))]
    lines += [
        f"{name}: the energy inside its DRAM is not counted, ours is; see the chip alone"
        for name, baseline in pairs
        if not baseline.dram_energy_counted
    ]
    lines += [f'"{rung.step}": {rung.note}' for rung in found.ladder if rung.note]
    dbp = next((rung for rung in found.ladder if rung.step == "+ DBP"), None)
    if dbp is not None:
        word = "saves" if dbp.step_energy_saving > 0 else "costs" if dbp.step_energy_saving < 0 else "changes"
        lines.append(
            f"DBP {word} {abs(100 * dbp.step_energy_saving):.3f} % of the energy of the step before it"
        )
    return lines


def _names(found: Comparison) -> list[str]:
    """Baselines by their accelerators, and by their workloads where there are several."""
    several = len({baseline.workload for baseline in found.baselines}) > 1
    return [
        f"{baseline.name}, {baseline.workload}" if several else baseline.name for baseline in found.baselines
    ]


def _hard(name: str, baseline: Baseline) -> str:
    hard = baseline.hard_images
    return (
        f"against {name}: {percent(hard.slower_fraction)} of the images take longer, the worst "
        f"{hard.worst_time_ratio:.3f} times as long; {percent(hard.costlier_fraction)} need more energy, the worst "
        f"{hard.worst_energy_ratio:.3f} times as much"
    )


def _different(name: str, baseline: Baseline) -> str:
    """What a reader must know before quoting a ratio to a baseline on other hardware."""
    keys = [key for key in baseline.differs_in if not key.startswith(("exits.", "dbp."))]
    if not keys:
        return ""
    shown = ", ".join(
        f"{key} {baseline.differs_in[key][1]} (ours {baseline.differs_in[key][0]})"
        for key in keys[:_DIFFERENCES_SHOWN]
    )
    more = len(keys) - _DIFFERENCES_SHOWN
    return f"{name} differs in {shown}" + (f" and {more} more keys" if more > 0 else "")


def _print_runs(found: Comparison) -> None:
    rows = [
        (
            run.name,
            run.workload,
            str(run.pes),
            f"{run.area_mm2:.2f}",
            f"{run.cycles_mean:.0f}",
            f"{run.energy_uj_per_image:.2f} +- {run.energy_uncertainty_uj:.2f}",
            f"{run.dram_bytes_per_image.read + run.dram_bytes_per_image.write:.0f}",
            percent(run.params_used_fraction),
            percent(run.macs_used_fraction),
            percent(run.accuracy),
        )
        for run in (found.ours, *found.baselines)
    ]
    header = ("accelerator", "workload", "PEs", "mm2", "cycles", "uJ/image", "DRAM B")
    print_table((*header, "parameters", "MACs", "accuracy"), rows, left=(0, 1))
    click.echo()


def _print_against(found: Comparison) -> None:
    pairs = list(zip(_names(found), found.baselines, strict=True))
    rows = [_against_row(name, baseline) for name, baseline in pairs]
    rows += [
        _against_row(f"{name} of equal area", baseline.equal_area)
        for name, baseline in pairs
        if baseline.equal_area is not None
    ]
    header = ("against", "speed-up", "p50", "p99", "worst", "energy saving", "chip alone", "EDP saving")
    print_table((*header, *_PAIRED), rows)
    click.echo()


def _against_row(name: str, row: Against) -> tuple[str, ...]:
    return (
        name,
        _range(row.speedup, row.speedup_range).times(),
        *(f"{value:.2f}x" for value in (row.speedup_p50, row.speedup_p99, row.speedup_max)),
        _range(row.energy_saving, row.energy_saving_range).percent(),
        percent(row.energy_saving_without_dram),
        percent(row.edp_saving),
        *_paired_cells(row.paired),
    )


def _paired_cells(paired: PairedAccuracy | None) -> tuple[str, ...]:
    """Under :data:`_PAIRED`."""
    if paired is None:
        return ("-",) * len(_PAIRED)
    delta, lower = paired.delta_pp, paired.delta_lower95_pp
    return f"{delta:+.2f}", f"{lower:+.2f}", str(paired.discordant.b), str(paired.discordant.c)


def _print_queue(found: Comparison) -> None:
    if found.arrivals == "alone":
        return
    rows = [
        (run.name, *(f"{value:.1f}" for value in _latencies(run))) for run in (found.ours, *found.baselines)
    ]
    print_table(("latency (us)", "mean", "p50", "p95", "p99", "max"), rows)
    click.echo()


def _latencies(run: Measured) -> Iterable[float]:
    latency = run.latency_us
    return latency.mean, latency.p50, latency.p95, latency.p99, latency.max


def _print_limits(found: Comparison) -> None:
    rows = [
        (
            name,
            f"{limit.weight_bytes_per_image:.0f}",
            percent(limit.weight_share),
            f"{limit.speedup:.2f}x",
            percent(limit.energy_saving),
        )
        for name, baseline in zip(_names(found), found.baselines, strict=True)
        if (limit := baseline.batch_limit) is not None
    ]
    if rows:
        header = (
            "if weights cost the baseline nothing",
            "weights B",
            "of DRAM B",
            "speed-up",
            "energy saving",
        )
        print_table(header, rows)
        click.echo()


def _print_ladder(found: Comparison) -> None:
    header = (
        "step",
        "workload",
        "cycles",
        "uJ/image",
        "speed-up",
        "saving",
        "of the step",
        "DRAM B",
        "accuracy",
        *_PAIRED,
    )
    print_table(header, [_rung_row(rung) for rung in found.ladder], left=(0, 1))
    click.echo()


def _rung_row(rung: Rung) -> tuple[str, ...]:
    return (
        rung.step,
        rung.workload,
        f"{rung.cycles_mean:.0f}",
        f"{rung.energy_uj_per_image:.2f}",
        f"{rung.speedup:.2f}x",
        percent(rung.energy_saving),
        _range(rung.step_energy_saving, rung.step_energy_saving_range).percent(),
        f"{rung.dram_bytes_per_image.read + rung.dram_bytes_per_image.write:.0f}",
        percent(rung.accuracy),
        *_paired_cells(rung.paired),
    )


def _print_controls(found: Comparison) -> None:
    rows = [
        (
            control.name.replace("_", " "),
            f"{control.cycles_mean:.0f}",
            f"{control.energy_uj_per_image:.2f}",
            f"{control.speedup:.2f}x",
            percent(control.energy_saving),
            percent(control.accuracy),
        )
        for control in found.controls
    ]
    if rows:
        against = found.baselines[0].name
        print_table(
            (f"control, against {against}", "cycles", "uJ/image", "speed-up", "saving", "accuracy"), rows
        )
        click.echo()


def _print_variations(found: Comparison) -> None:
    if not found.variations:
        return
    rows = [
        (
            variation.setting,
            name,
            f"{variation.ours.cycles_mean:.0f}",
            f"{baseline.cycles_mean:.0f}",
            _range(baseline.speedup, baseline.speedup_range).times(),
            _range(baseline.energy_saving, baseline.energy_saving_range).percent(),
            percent(baseline.energy_saving_without_dram),
        )
        for variation in found.variations
        for name, baseline in zip(_names(found), variation.baselines, strict=True)
    ]
    header = ("with", "against", "cycles", "its cycles", "speed-up", "energy saving", "chip alone")
    print_table(header, rows, left=(0, 1))
    click.echo()


def _range(value: float, ends: Pair) -> Range:
    return Range(value, *ends)
