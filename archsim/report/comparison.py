"""Pictures of a comparison: speed-up and energy against the first baseline, and the attribution ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from archsim.comparison.records import Comparison, Measured
from archsim.files import write_atomic
from archsim.report import style
from archsim.report.captions import joined
from archsim.report.figure import content

_LABEL_CHARACTERS = 34
_TITLE_CHARACTERS = 85
_ROW_INCHES = 0.5
_AROUND_INCHES = 1.3
_SHARE_TOLD = 0.05
"""Parts of a bar at least so long, as a fraction of the axis, have their share written inside."""
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}
_TRACK, _OURS, _CONTROL = style.GREY, style.BLUE, style.SKY_BLUE


def write_plots(found: Comparison, folder: Path) -> list[Path]:
    """Write ``speedup.png``, ``energy.png`` and ``ladder.png``; returns their paths."""
    drawings: dict[str, Callable[[Comparison, Figure], None]] = {
        "speedup.png": draw_speedup,
        "energy.png": draw_energy,
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
    """Speed of everything against the first baseline, as bars, controls below."""
    base_us = found.baselines[0].service_us_mean
    rows = [(_label(run, found), base_us / run.service_us_mean) for run in _runs(found)]
    controls = [(control.name.replace("_", " "), control.speedup) for control in found.controls]
    names = [name for name, _ in (*rows, *controls)]
    axes = _panel(figure, names)
    values = [value for _, value in (*rows, *controls)]
    colours = [_TRACK] * len(found.baselines) + [_OURS] * (len(rows) - len(found.baselines))
    colours += [_CONTROL] * len(controls)
    axes.barh(range(len(values)), values, 0.62, color=colours, edgecolor="#444444")
    for row, value in enumerate(values):
        _tell(axes, value, row, f"{value:.2f}x")
    _finish(axes, names, max(values), f"speed-up against {found.baselines[0].name} (ratio of mean times)")
    axes.axvline(1, color="#222222", linewidth=0.8, zorder=0.9)
    style.headline(figure, _title("Speed-up", found))


def draw_energy(found: Comparison, figure: Figure) -> None:
    """Energy of an image by component, normalised to the first baseline."""
    runs = _runs(found)
    _draw_energies(
        figure,
        [_label(run, found) for run in runs],
        runs,
        found.baselines[0].energy_uj_per_image,
        f"energy of an image / that of {found.baselines[0].name}",
    )
    style.headline(figure, _title("Energy per image", found))


def draw_ladder(found: Comparison, figure: Figure) -> None:
    """Energy of an image, rung by rung, normalised to the first."""
    names = [
        joined(rung.step.split(" "), " ", _LABEL_CHARACTERS)
        + (f"\n{rung.speedup:.2f}x as fast" if index else "")
        for index, rung in enumerate(found.ladder)
    ]
    first = found.ladder[0]
    _draw_energies(
        figure, names, found.ladder, first.energy_uj_per_image, f'energy of an image / that of "{first.step}"'
    )
    style.headline(figure, _title("Where the saving comes from", found))


def _draw_energies(
    figure: Figure, names: Sequence[str], runs: Sequence[Measured], base_uj: float, axis: str
) -> None:
    axes = _panel(figure, names, [*style.COMPONENT_COLOURS])
    left = np.zeros(len(runs))
    longest = max(run.energy_uj_per_image for run in runs) / base_uj
    for component, colour in style.COMPONENT_COLOURS.items():
        parts = np.array([run.energy_by_component_uj.get(component, 0.0) / base_uj for run in runs])
        bars = axes.barh(
            range(len(runs)), parts, 0.62, left, color=colour, edgecolor="#444444", label=component
        )
        told = [f"{100 * part:.0f}" if part > _SHARE_TOLD * longest else "" for part in parts]
        axes.bar_label(bars, told, label_type="center", color=style.ink_on(colour), fontsize=8)
        left += parts
    for row, run in enumerate(runs):
        _tell(axes, left[row], row, f"{100 * left[row]:.1f} % ({style.quantity(run.energy_uj_per_image)} µJ)")
    _finish(axes, names, longest, axis)
    style.legend_right(axes)


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
    beside_inches = style.text_width_inches(names) + style.text_width_inches(legend) + _AROUND_INCHES
    row_inches = max(_ROW_INCHES, 1.2 * max(style.text_height_inches([name]) for name in names))
    height_inches = max(row_inches * len(names), style.text_height_inches(legend)) + 1.4
    figure.set_size_inches(max(style.WIDTH_INCHES, beside_inches + 4.2), height_inches)
    return figure.subplots()


def _tell(axes: Axes, value: float, row: int, text: str) -> None:
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": _PAPER}
    axes.annotate(text, (value, row), (4, 0), **place)


def _finish(axes: Axes, names: Sequence[str], longest: float, axis: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.3 * longest)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis)
