"""Pictures of a comparison: speed-up and energy against the first baseline, and the attribution ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from archsim.comparison.records import Comparison, Measured, Pair
from archsim.files import write_atomic
from archsim.network.graph import FINAL
from archsim.report import style
from archsim.report.captions import joined, merged_order
from archsim.report.energy import BRANCH_HATCH, WHISKER
from archsim.report.figure import content

_LABEL_CHARACTERS = 34
_TITLE_CHARACTERS = 85
_ROW_INCHES = 0.5
_AROUND_INCHES = 1.3
_SHARE_TOLD = 0.05
"""Parts of a bar at least so long, as a fraction of the axis, have their share written inside."""
_RANGE = "whiskers: 95 % range"
_AXES_INCHES = 4.2
_ROOM = 1.3
"""How long the axis is, in longest bars."""
_LEGEND_ROWS, _KEY_INCHES = 14, 0.5
_DOWN = 0.25
"""How far below the middle of its bar a whisker is drawn, in rows: beside what is written there."""
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}
_TRACK, _OURS, _CONTROL = style.GREY, style.BLUE, style.SKY_BLUE


def write_plots(found: Comparison, folder: Path) -> list[Path]:
    """Write ``speedup.png``, ``energy.png``, ``layers.png`` and ``ladder.png``; returns their paths."""
    drawings: dict[str, Callable[[Comparison, Figure], None]] = {
        "speedup.png": draw_speedup,
        "energy.png": draw_energy,
        "layers.png": draw_layers,
        "ladder.png": draw_ladder,
    }
    paths = []
    for name, drawing in drawings.items():
        words = _title(f"archsim: compare, {name}", found)
        write_atomic(folder / name, content(draw(drawing, found), words, ".png"))
        paths.append(folder / name)
    return paths


def draw(drawing: Callable[[Comparison, Figure], None], found: Comparison) -> Figure:
    """One picture as a figure that no window shows."""
    with style.house_style():
        figure = Figure()
        FigureCanvasAgg(figure)
        drawing(found, figure)
    return figure


def draw_speedup(found: Comparison, figure: Figure) -> None:
    """Speed of everything against the first baseline, as bars, controls below; whiskers from the number of images."""
    base_us = found.baselines[0].service_us_mean
    rows = [(_label(run, found), base_us / run.service_us_mean) for run in _runs(found)]
    controls = [(control.name.replace("_", " "), control.speedup) for control in found.controls]
    names = [name for name, _ in (*rows, *controls)]
    axes = _panel(figure, names)
    values = [value for _, value in (*rows, *controls)]
    colours = [_TRACK] * len(found.baselines) + [_OURS] * (len(rows) - len(found.baselines))
    colours += [_CONTROL] * len(controls)
    axes.barh(range(len(values)), values, 0.62, color=colours, edgecolor="#444444")
    ends = _whiskers(axes, [speed for speed, _ in _ranges(found)] + [None] * len(controls), values)
    for row, value in enumerate(values):
        _tell(axes, ends[row], row, f"{value:.2f}x")
    _finish(
        axes, names, max(ends), f"speed-up against {found.baselines[0].name} (ratio of mean times; {_RANGE})"
    )
    axes.axvline(1, color="#222222", linewidth=0.8, zorder=0.9)
    style.headline(figure, _title("Speed-up", found))


def draw_energy(found: Comparison, figure: Figure) -> None:
    """Energy of an image by component, normalised to the first baseline."""
    _draw_energies(figure, found, _by_component(_runs(found)))
    style.headline(figure, _title("Energy per image", found))


def draw_layers(found: Comparison, figure: Figure) -> None:
    """Energy of an image by layer, normalised to the first baseline; branches are hatched."""
    _draw_energies(figure, found, _by_layer(_runs(found)))
    style.headline(figure, _title("Energy per image by layer, branches hatched", found))


def draw_ladder(found: Comparison, figure: Figure) -> None:
    """Energy of an image, rung by rung, normalised to the first."""
    names = [
        joined(rung.step.split(" "), " ", _LABEL_CHARACTERS)
        + (f"\n{rung.speedup:.2f}x as fast" if index else "")
        for index, rung in enumerate(found.ladder)
    ]
    first = found.ladder[0]
    ranges = [rung.energy_range for rung in found.ladder]
    axis = f'energy of an image / that of "{first.step}" ({_RANGE})'
    _draw_bars(figure, names, found.ladder, _by_component(found.ladder), ranges, axis)
    style.headline(figure, _title("Where the saving comes from", found))


@dataclass(frozen=True)
class _Part:
    """One piece of every bar. energies_uj: by bar. is_told: its name is written inside, where there is room."""

    name: str
    colour: str
    energies_uj: Sequence[float]
    hatch: str = ""
    is_told: bool = False


def _by_component(runs: Sequence[Measured]) -> list[_Part]:
    return [
        _Part(name, colour, [run.energy_by_component_uj.get(name, 0.0) for run in runs])
        for name, colour in style.COMPONENT_COLOURS.items()
    ]


def _by_layer(runs: Sequence[Measured]) -> list[_Part]:
    names = merged_order([list(run.energy_by_layer_uj) for run in runs])
    branches = {name for run in runs for name in run.exits} - {FINAL}
    return [
        _Part(
            name,
            colour,
            [run.energy_by_layer_uj.get(name, 0.0) for run in runs],
            BRANCH_HATCH if name in branches else "",
            is_told=True,
        )
        for name, colour in zip(names, style.depth_colours(len(names)), strict=True)
    ]


def _draw_energies(figure: Figure, found: Comparison, parts: Sequence[_Part]) -> None:
    """Baselines and ours against the first baseline."""
    runs = _runs(found)
    names = [_label(run, found) for run in runs]
    axis = f"energy of an image / that of {found.baselines[0].name} ({_RANGE})"
    _draw_bars(figure, names, runs, parts, [energy for _, energy in _ranges(found)], axis)


def _draw_bars(
    figure: Figure,
    names: Sequence[str],
    runs: Sequence[Measured],
    parts: Sequence[_Part],
    ranges: Sequence[Pair | None],
    axis: str,
) -> None:
    """One bar a run, its parts as fractions of the first run's energy. ranges: of the ratio, where it is known."""
    axes = _panel(figure, names, [part.name for part in parts])
    base_uj = runs[0].energy_uj_per_image
    left = np.zeros(len(runs))
    longest = max(run.energy_uj_per_image for run in runs) / base_uj
    for part in parts:
        widths = np.array(part.energies_uj) / base_uj
        look: dict[str, Any] = {
            "color": part.colour,
            "edgecolor": "white" if part.is_told else "#444444",
            "hatch": part.hatch,
        }
        bars = axes.barh(range(len(runs)), widths, 0.62, left, label=part.name, **look)
        told = [_inside(part, width, longest) for width in widths.tolist()]
        axes.bar_label(bars, told, label_type="center", color=style.ink_on(part.colour), fontsize=8)
        left += widths
    ends = _whiskers(axes, ranges, left.tolist())
    for row, run in enumerate(runs):
        text = f"{100 * left[row]:.1f} % ({style.quantity(run.energy_uj_per_image)} µJ)"
        _tell(axes, ends[row], row, text)
    _finish(axes, names, max(ends), axis)
    style.legend_right(axes, ncols=_columns(parts))


def _inside(part: _Part, width: float, longest: float) -> str:
    """Its share, under its name where there is room for one."""
    if width <= _SHARE_TOLD * longest:
        return ""
    share = f"{100 * width:.0f}"
    fits = style.text_width_inches([part.name]) < _AXES_INCHES * width / (_ROOM * longest)
    return f"{part.name}\n{share}" if part.is_told and fits else share


def _ranges(found: Comparison) -> list[tuple[Pair, Pair] | tuple[None, None]]:
    """Of each of :func:`_runs`, the ranges of its speed and energy against the first baseline, where they are known.

    Those of a further workload are against its own baseline, which is the first one only where both ran one network.
    """
    first = found.baselines[0]
    ranges: list[tuple[Pair, Pair] | tuple[None, None]] = [*found.ranges[1:]]
    for each in (found, *found.others):
        base = each.baselines[0]
        is_same = (base.workload, base.name, base.overrides) == (first.workload, first.name, first.overrides)
        ranges.append(each.ranges[0] if is_same else (None, None))
    return ranges


def _whiskers(axes: Axes, ranges: Sequence[Pair | None], values: Sequence[float]) -> list[float]:
    """Draw the ranges below the middle of their bars; returns where each bar, its whisker included, ends."""
    wide = [(row, found) for row, found in enumerate(ranges) if found is not None and found[1] > found[0]]
    if wide:
        centres = [values[row] for row, _ in wide]
        below = [max(0.0, values[row] - low) for row, (low, _) in wide]
        above = [max(0.0, high - values[row]) for row, (_, high) in wide]
        axes.errorbar(centres, [row + _DOWN for row, _ in wide], xerr=(below, above), **WHISKER)
    highest = {row: high for row, (_, high) in wide}
    return [max(value, highest.get(row, value)) for row, value in enumerate(values)]


def _runs(found: Comparison) -> list[Measured]:
    """Baselines, then ours and the further workloads."""
    return [*found.baselines, found.ours, *(other.ours for other in found.others)]


def _label(run: Measured, found: Comparison) -> str:
    workloads = {each.workload for each in _runs(found)}
    words = [run.name, run.workload] if len(workloads) > 1 else [run.name]
    return joined(words, ", ", _LABEL_CHARACTERS)


def _title(what: str, found: Comparison) -> str:
    words = [found.workload] if not found.others else []
    words += [f"{found.images} images", f"batch {found.batch}", f"energy table {found.energy_table}"]
    words += list(found.overrides)
    return f"{what}\n{joined(words, ' · ', _TITLE_CHARACTERS)}"


def _panel(figure: Figure, names: Sequence[str], legend: Sequence[str] = ()) -> Axes:
    """Axes with a row a name, the figure as large as names and legend need."""
    columns = _columns(legend)
    legend_inches = style.text_width_inches(legend) * columns + _KEY_INCHES * max(0, columns - 1)
    beside_inches = style.text_width_inches(names) + legend_inches + _AROUND_INCHES
    row_inches = max(_ROW_INCHES, 1.2 * max(style.text_height_inches([name]) for name in names))
    legend_inches = style.text_height_inches(legend[:_LEGEND_ROWS])
    height_inches = max(row_inches * len(names), legend_inches) + 1.4
    figure.set_size_inches(max(style.WIDTH_INCHES, beside_inches + _AXES_INCHES), height_inches)
    return figure.subplots()


def _columns(legend: Sequence[object]) -> int:
    return 1 + max(0, len(legend) - 1) // _LEGEND_ROWS


def _tell(axes: Axes, value: float, row: int, text: str) -> None:
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": _PAPER}
    axes.annotate(text, (value, row), (4, 0), **place)


def _finish(axes: Axes, names: Sequence[str], longest: float, axis: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, _ROOM * longest)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis)
