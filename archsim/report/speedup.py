"""``--kind speedup``: results against the first one, in time and in energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsim.energy.uncertainty import Range, ratio_range
from archsim.errors import InvalidInput, Problem
from archsim.report import style
from archsim.report.captions import labels, merged_order, title
from archsim.report.energy import SHARE_TOLD, WHISKER
from archsim.results.run_result import RunResult, roofs_of

_AROUND_INCHES = 1.5
_ROW_INCHES = 0.5


def draw_speedup(results: Sequence[RunResult], figure: Figure) -> None:
    """Two panels over the same results: speed-up above, energy relative to the first below."""
    names = labels(results)
    row_inches = max(_ROW_INCHES, 1.2 * max(style.text_height_inches([name]) for name in names))
    legend_inches = style.text_height_inches(list(style.COMPONENT_COLOURS))
    heights_inches = (
        max(1.7, 0.2 + row_inches * len(results)),
        max(legend_inches, 0.2 + row_inches * len(results)),
    )
    beside_inches = style.text_width_inches(names) + style.text_width_inches([*style.COMPONENT_COLOURS])
    figure.set_size_inches(
        max(style.WIDTH_INCHES, beside_inches + _AROUND_INCHES + 4.3), sum(heights_inches) + 2.2
    )
    above, below = figure.subplots(2, 1, height_ratios=heights_inches)
    plot_speedup(results, above)
    plot_relative_energy(results, below)
    style.headline(figure, title("Against the first result", results))


def service_us(result: RunResult) -> float:
    """Mean microseconds of an image without waiting. Raises InvalidInput where the clock is not known."""
    return result.cycles.mean / roofs_of(result).core_mhz


def plot_speedup(results: Sequence[RunResult], axes: Axes) -> None:
    """Mean time of an image of the first result divided by that of each; the first is on top."""
    first_us = service_us(results[0])
    values = [first_us / service_us(result) for result in results]
    colours = [style.GREY] + [style.BLUE] * (len(results) - 1)
    axes.barh(range(len(values)), values, 0.62, color=colours, edgecolor="#444444")
    for row, (value, result) in enumerate(zip(values, results, strict=True)):
        _tell(axes, value, row, f"{value:.2f}x ({style.quantity(service_us(result))} µs)")
    axes.axvline(1, color="#222222", linewidth=0.8, zorder=0.9)
    _finish(axes, results, 1.35 * max(values))
    axes.set_xlabel("speed-up (ratio of mean times of an image)")
    axes.set_title("Speed-up")


def plot_relative_energy(results: Sequence[RunResult], axes: Axes) -> None:
    """Energy of an image in % of the first result, its parts the components.

    Whiskers are the 95 % ranges of the ratio, where results carry the terms of their energy: what both do not know
    about the same row cancels, so that they are narrower than those of the energies.
    """
    base_uj = results[0].energy_uj_per_image.total
    if base_uj <= 0:
        message = "found no energy, expected some: nothing can be drawn relative to it"
        raise InvalidInput([Problem(results[0].arch, "energy_uj_per_image.total", message)])
    left: npt.NDArray[np.float64] = np.zeros(len(results))
    ranges = [relative_energy(result, results[0]) for result in results]
    longest = 100 * max(each.high for each in ranges)
    for component in merged_order([list(result.energy_uj_per_image.by_component) for result in results]):
        parts = np.array(
            [
                100 * result.energy_uj_per_image.by_component.get(component, 0.0) / base_uj
                for result in results
            ]
        )
        colour = style.COMPONENT_COLOURS.get(component, "white")
        bars = axes.barh(
            range(len(results)), parts, 0.62, left, color=colour, edgecolor="#444444", label=component
        )
        told = [f"{part:.0f}" if part > SHARE_TOLD * longest else "" for part in parts]
        axes.bar_label(bars, told, label_type="center", color=style.ink_on(colour), fontsize=8)
        left += parts
    wide = [row for row, each in enumerate(ranges) if each.high > each.low]
    if wide:
        centres = [100 * ranges[row].value for row in wide]
        below = [100 * (ranges[row].value - ranges[row].low) for row in wide]
        above = [100 * (ranges[row].high - ranges[row].value) for row in wide]
        axes.errorbar(centres, [row + 0.2 for row in wide], xerr=(below, above), **WHISKER)
    for row, each in enumerate(ranges):
        text = each.percent() if row in wide else f"{100 * each.value:.1f} %"
        _tell(axes, 100 * each.high, row, text)
    _finish(axes, results, 1.35 * longest)
    axes.set_xlabel("energy of an image (% of the first)")
    axes.set_title("Energy, with the 95 % range of the ratio")
    style.legend_right(axes)


def relative_energy(result: RunResult, base: RunResult) -> Range:
    """Energy divided by that of the base, with its 95 % range; without one where they carry no terms."""
    ratio = result.energy_uj_per_image.total / base.energy_uj_per_image.total
    if result is base or not (result.energy_terms and base.energy_terms):
        return Range(ratio, ratio, ratio)
    return ratio_range(result.energy_terms, base.energy_terms)


def _tell(axes: Axes, value: float, row: int, text: str) -> None:
    axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8)


def _finish(axes: Axes, results: Sequence[RunResult], longest: float) -> None:
    axes.set_yticks(range(len(results)), labels(results))
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlim(0, longest)
    axes.grid(visible=False, axis="y")
