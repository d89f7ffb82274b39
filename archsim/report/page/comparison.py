"""A comparison: against the baselines, where it comes from step by step, and what a mean would hide."""

from __future__ import annotations

import re
from collections.abc import Sequence

from archsim.comparison.records import Against, Comparison, Measured, Pair
from archsim.energy.uncertainty import Range
from archsim.report.page.bars import Bar, Part, bars
from archsim.report.page.energy import component_legend, component_parts
from archsim.report.page.markup import Child, Html, el, join, table
from archsim.report.page.numbers import MINUS, TO, factor, fraction, number, plus_minus, signed, whole
from archsim.report.page.provenance import plain
from archsim.report.page.section import Section, details, says
from archsim.report.style import quantity

_FILE = "comparison/"
"""Before the keys of numbers that stand in ``comparison.json``; all others are of the run."""


def comparison_sections(found: Comparison) -> list[Section]:
    """Comparison and ladder of a workload and of all further ones."""
    sections = []
    for index, each in enumerate((found, *found.others)):
        key = f"{_FILE}others.{index - 1}." if index else _FILE
        of = f" of {each.workload}" if found.others else ""
        mark = f"-{index + 1}" if index else ""
        sections.append(Section(f"comparison{mark}", f"Comparison{of}", _comparison(each, key)))
        sections.append(Section(f"ladder{mark}", f"Attribution ladder{of}", _ladder(each, key)))
    return sections


def _comparison(found: Comparison, key: str) -> Html:
    names = _names(found)
    return join(
        *(
            _sentence(names[index], f"{key}baselines.{index}.", row)
            for index, row in enumerate(found.baselines)
        ),
        *_speed_bars(found),
        *_energy_bars(found),
        _runs_table(found, key),
        _against_table(found, key),
        says(
            "Speed-up is a ratio of mean times, its range 95 % because there are only so many images; that of a saving "
            "because the rows of the energy table are uncertain. Whiskers are such ranges. "
            "Equal area: the baseline with a buffer so much larger that it takes the area of ours."
        ),
        *_paired(found, key),
        _hard_table(found, key),
        *_limits(found, key),
        *_controls(found, key),
        *_variations(found, key),
        *_differences(found),
    )


def _sentence(name: str, key: str, row: Against) -> Html:
    parts: list[Child] = [
        f"Against {name}: ",
        factor(row.speedup, f"{key}speedup"),
        " as fast, energy saving ",
        fraction(row.energy_saving, f"{key}energy_saving", digits=1),
    ]
    if row.paired is not None:
        parts += [", accuracy ", signed(row.paired.delta_pp, f"{key}paired.delta_pp"), " percentage points"]
    return el("p", *parts, ".", class_="finding")


def _names(found: Comparison) -> list[str]:
    """Baselines by their accelerators, and by their workloads where there are several."""
    several = len({row.workload for row in found.baselines}) > 1
    return [f"{row.name}, {row.workload}" if several else row.name for row in found.baselines]


def _rows(found: Comparison) -> list[tuple[str, str, Measured]]:
    """(what it is called, key, run): ours, then the baselines."""
    named = zip(_names(found), found.baselines, strict=True)
    return [
        (found.ours.name, "ours.", found.ours),
        *((name, f"baselines.{index}.", row) for index, (name, row) in enumerate(named)),
    ]


def _speed_bars(found: Comparison) -> list[Html]:
    first = found.baselines[0]
    rows = []
    for (name, key, run), (whisker, _) in zip(_rows(found), found.ranges, strict=True):
        speed = first.service_us_mean / run.service_us_mean
        text = f"{speed:.2f}\N{MULTIPLICATION SIGN}"
        rows.append(Bar(name, [Part(name, speed, _colour(key), f"{name}: {text}")], text, whisker))
    caption = f"Speed, {_names(found)[0]} = 1"
    return [el("h3", caption), bars(caption, rows)]


def _colour(key: str) -> str:
    return "ours" if key == "ours." else "theirs"


def _energy_bars(found: Comparison) -> list[Html]:
    base_uj = found.baselines[0].energy_uj_per_image
    return _stacked(
        f"Energy of an image, {_names(found)[0]} = 100 %",
        [(name, run, "") for name, _, run in _rows(found)],
        base_uj,
        [energy for _, energy in found.ranges],
    )


def _stacked(
    caption: str, rows: Sequence[tuple[str, Measured, str]], base_uj: float, ranges: Sequence[Pair]
) -> list[Html]:
    """Bars by component. rows: (label, run, what else is said behind it). ranges: of the ratios to ``base_uj``."""
    names = dict.fromkeys(
        name for _, run, _ in rows for name, energy in run.energy_by_component_uj.items() if energy
    )
    drawn = [
        Bar(
            label,
            component_parts(run.energy_by_component_uj),
            f"{quantity(run.energy_uj_per_image)} µJ · {100 * run.energy_uj_per_image / base_uj:.1f} %{more}",
            (low * base_uj, high * base_uj),
        )
        for (label, run, more), (low, high) in zip(rows, ranges, strict=True)
    ]
    return [el("h3", caption), bars(caption, drawn), component_legend(names)]


def _runs_table(found: Comparison, key: str) -> Html:
    header = (
        "accelerator", "workload", "PEs", "mm²", "cycles", "µJ an image", "DRAM (B)", "parameters", "MACs", "accuracy",
    )  # fmt: skip
    rows: list[list[Child]] = []
    for name, inner, run in _rows(found):
        at = key + inner
        dram = run.dram_bytes_per_image
        rows.append(
            [
                name,
                run.workload,
                whole(run.pes, f"{at}pes"),
                number(run.area_mm2, f"{at}area_mm2"),
                number(run.cycles_mean, f"{at}cycles_mean"),
                plus_minus(
                    run.energy_uj_per_image,
                    run.energy_uncertainty_uj,
                    f"{at}energy_uj_per_image",
                    f"{at}energy_uncertainty_uj",
                ),
                number(dram.read + dram.write),
                fraction(run.params_used_fraction, f"{at}params_used_fraction"),
                fraction(run.macs_used_fraction, f"{at}macs_used_fraction"),
                fraction(run.accuracy, f"{at}accuracy"),
            ]
        )
    return table("Accelerators", header, rows, left=(0, 1))


def _against(found: Comparison, key: str) -> list[tuple[str, str, Against]]:
    """(what it is called, key, row) of all baselines, then of those of equal area."""
    named = list(zip(_names(found), found.baselines, strict=True))
    rows: list[tuple[str, str, Against]] = [
        (name, f"{key}baselines.{index}.", row) for index, (name, row) in enumerate(named)
    ]
    rows += [
        (f"{name} of equal area", f"{key}baselines.{index}.equal_area.", row.equal_area)
        for index, (name, row) in enumerate(named)
        if row.equal_area is not None
    ]
    return rows


def _against_table(found: Comparison, key: str) -> Html:
    header = (
        "against", "speed-up", "95 % range", "p50", "p99", "worst", "energy saving", "95 % range", "chip alone",
        "EDP saving",
    )  # fmt: skip
    return table("Against the baselines", header, [_against_row(*row) for row in _against(found, key)])


def _against_row(name: str, key: str, row: Against) -> list[Child]:
    return [
        name,
        factor(row.speedup, f"{key}speedup"),
        _times(row.speedup_range),
        *(
            factor(getattr(row, mark), f"{key}{mark}")
            for mark in ("speedup_p50", "speedup_p99", "speedup_max")
        ),
        fraction(row.energy_saving, f"{key}energy_saving", digits=1),
        _percent(row.energy_saving, row.energy_saving_range),
        fraction(row.energy_saving_without_dram, f"{key}energy_saving_without_dram", digits=1),
        fraction(row.edp_saving, f"{key}edp_saving", digits=1),
    ]


def _paired(found: Comparison, key: str) -> list[Html]:
    rows: list[list[Child]] = []
    for name, at, row in _against(found, key):
        if (paired := row.paired) is None:
            continue
        inner = f"{at}paired."
        rows.append(
            [
                name,
                signed(paired.delta_pp, f"{inner}delta_pp"),
                signed(paired.delta_lower95_pp, f"{inner}delta_lower95_pp"),
                whole(paired.discordant.b, f"{inner}discordant.b"),
                whole(paired.discordant.c, f"{inner}discordant.c"),
                number(paired.mcnemar_p, f"{inner}mcnemar_p", f"{paired.mcnemar_p:.3f}"),
            ]
        )
    header = (
        "against",
        "difference (pp)",
        "at least (95 %)",
        "only baseline right",
        "only ours right",
        "McNemar p",
    )
    caption = "Accuracy, image by image"
    return [el("h3", caption), table(caption, header, rows)] if rows else []


def _times(ends: Pair) -> str:
    return f"{ends[0]:.2f}{TO}{ends[1]:.2f}"


def _percent(value: float, ends: Pair) -> str:
    """Of a range what stands in brackets; a hyphen behind a digit means "to", before one "minus".

    >>> _percent(0.84, (0.82, 0.87)), _percent(-0.001, (-0.002, 0.001))
    ('82\u201387 %', '\u22120.2 to 0.1 %')
    """
    words = Range(value, *ends).percent().partition("(")[2].rstrip(")")
    return re.sub(r"(?<=\d)-", TO, words).replace("-", MINUS)


def _hard_table(found: Comparison, key: str) -> Html:
    rows: list[list[Child]] = []
    for name, at, row in _against(found, key):
        hard, inner = row.hard_images, f"{at}hard_images."
        rows.append(
            [
                name,
                fraction(hard.slower_fraction, f"{inner}slower_fraction", digits=1),
                factor(hard.worst_time_ratio, f"{inner}worst_time_ratio"),
                fraction(hard.costlier_fraction, f"{inner}costlier_fraction", digits=1),
                factor(hard.worst_energy_ratio, f"{inner}worst_energy_ratio"),
            ]
        )
    header = ("against", "take longer", "the worst takes", "need more energy", "the worst needs")
    return join(el("h3", "Images that fare worse"), table("Images that fare worse", header, rows))


def _limits(found: Comparison, key: str) -> list[Html]:
    rows: list[list[Child]] = []
    for index, (name, row) in enumerate(zip(_names(found), found.baselines, strict=True)):
        if (limit := row.batch_limit) is None:
            continue
        at = f"{key}baselines.{index}.batch_limit."
        rows.append(
            [
                name,
                number(limit.weight_bytes_per_image, f"{at}weight_bytes_per_image"),
                fraction(limit.weight_share, f"{at}weight_share", digits=1),
                factor(limit.speedup, f"{at}speedup"),
                fraction(limit.energy_saving, f"{at}energy_saving", digits=1),
            ]
        )
    header = ("against", "weights (B)", "of DRAM bytes", "speed-up", "energy saving")
    caption = "If weights cost the baseline nothing"
    remark = says("More than any batch could do for it; ours pays for all of its own.")
    return [el("h3", caption), remark, table(caption, header, rows)] if rows else []


def _controls(found: Comparison, key: str) -> list[Html]:
    rows: list[list[Child]] = [
        [
            control.name.replace("_", " "),
            fraction(control.accuracy, f"{key}controls.{index}.accuracy"),
            number(control.cycles_mean, f"{key}controls.{index}.cycles_mean"),
            number(control.energy_uj_per_image, f"{key}controls.{index}.energy_uj_per_image"),
            factor(control.speedup, f"{key}controls.{index}.speedup"),
            fraction(control.energy_saving, f"{key}controls.{index}.energy_saving", digits=1),
        ]
        for index, control in enumerate(found.controls)
    ]
    if not rows:
        return []
    header = ("control", "accuracy", "cycles", "µJ an image", "speed-up", "energy saving")
    remark = says(
        f"Against {_names(found)[0]}. Oracle exit: each image leaves at the first exit that is right. Ideal: the same "
        "if nothing ever waited for data. Without DBP: every branch evaluated that is met."
    )
    return [el("h3", "Controls"), remark, table("Controls", header, rows)]


def _variations(found: Comparison, key: str) -> list[Html]:
    names = _names(found)
    rows: list[list[Child]] = [
        [
            el("code", variation.setting),
            names[column],
            factor(row.speedup, f"{key}variations.{index}.baselines.{column}.speedup"),
            fraction(
                row.energy_saving, f"{key}variations.{index}.baselines.{column}.energy_saving", digits=1
            ),
        ]
        for index, variation in enumerate(found.variations)
        for column, row in enumerate(variation.baselines)
    ]
    if not rows:
        return []
    header = ("with", "against", "speed-up", "energy saving")
    return [el("h3", "With other values"), table("With other values", header, rows, left=(0, 1))]


def _differences(found: Comparison) -> list[Html]:
    """What a reader must know before quoting a ratio to a baseline on other hardware."""
    parts: list[Html] = []
    for name, row in zip(_names(found), found.baselines, strict=True):
        if not row.dram_energy_counted:
            parts.append(
                says(f"{name}: the energy inside its DRAM is not counted, ours is; see the chip alone.")
            )
        rows: list[list[Child]] = [
            [el("code", key), plain(ours), plain(theirs)] for key, (ours, theirs) in row.differs_in.items()
        ]
        if rows:
            title = f"{name} differs in {len(rows)} key{'s' if len(rows) > 1 else ''}"
            parts.append(details(title, table(title, ("key", "ours", name), rows, left=(0, 1, 2))))
    return parts


def _ladder(found: Comparison, key: str) -> Html:
    header = (
        "step", "workload", "cycles", "µJ an image", "speed-up", "saving", "of the step", "95 % range", "DRAM (B)",
        "accuracy",
    )  # fmt: skip
    rows: list[list[Child]] = []
    for index, rung in enumerate(found.ladder):
        at = f"{key}ladder.{index}."
        dram = rung.dram_bytes_per_image
        rows.append(
            [
                rung.step,
                rung.workload,
                number(rung.cycles_mean, f"{at}cycles_mean"),
                number(rung.energy_uj_per_image, f"{at}energy_uj_per_image"),
                factor(rung.speedup, f"{at}speedup"),
                fraction(rung.energy_saving, f"{at}energy_saving", digits=1),
                fraction(rung.step_energy_saving, f"{at}step_energy_saving"),
                _percent(rung.step_energy_saving, rung.step_energy_saving_range),
                number(dram.read + dram.write),
                fraction(rung.accuracy, f"{at}accuracy"),
            ]
        )
    first = found.ladder[0]
    drawn = [(rung.step, rung, f" · {rung.speedup:.2f}\N{MULTIPLICATION SIGN}") for rung in found.ladder]
    return join(
        says(
            "One change at a time on the same accelerator, from dense to ours; each row holds all above it."
        ),
        *_stacked(
            f"Energy of an image, {first.step} = 100 %",
            drawn,
            first.energy_uj_per_image,
            [rung.energy_range for rung in found.ladder],
        ),
        table("Attribution ladder", header, rows, left=(0, 1)),
        *(says(f"{rung.step}: {rung.note}.") for rung in found.ladder if rung.note),
    )
