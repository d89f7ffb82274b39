"""``--kind energy``: where the energy of an image goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from archsim.energy.uncertainty import ratio_range
from archsim.report import style
from archsim.report.captions import labels, merged_order, title
from archsim.results.run_result import RunResult

ENERGY_AXIS = "energy (µJ per image)"
_AROUND_INCHES = 1.3
"""Width of a figure beside its panels, labels and legends: margins, ticks, colours of the legend."""
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}
WHISKER: dict[str, Any] = {"fmt": "none", "ecolor": "#222222", "elinewidth": 1.2, "capsize": 3}
BRANCH_HATCH = "////"
SHARE_TOLD = 0.06
"""Parts of a bar at least so long, as a fraction of the axis, have their share written inside."""


def draw_energy(results: Sequence[RunResult], figure: Figure) -> None:
    """Two panels: by component above, by layer below."""
    names = labels(results)
    bars = len(layer_names(results)) * (1 + len(results))
    texts_inches = style.text_width_inches(names) + style.text_width_inches(
        [*names, *style.COMPONENT_COLOURS]
    )
    panel_inches = max(style.WIDTH_INCHES - texts_inches - _AROUND_INCHES, 4.2, 0.08 * bars)
    row_inches = max(0.5, 1.2 * max(style.text_height_inches([name]) for name in names))
    heights_inches = (
        max(1.6, 0.2 + row_inches * len(results)),
        max(2.6, style.text_height_inches(["branch", *names])),
    )
    figure.set_size_inches(panel_inches + texts_inches + _AROUND_INCHES, sum(heights_inches) + 2.0)
    above, below = figure.subplots(2, 1, height_ratios=heights_inches)
    plot_energy_by_component(results, above)
    plot_energy_by_layer(results, below, panel_inches)
    style.headline(figure, title("Energy per image", results))


def plot_energy_by_component(results: Sequence[RunResult], axes: Axes) -> None:
    """One bar a result, its parts the components in uJ per image; the first result is the baseline of the others.

    Whiskers are the 95 % ranges that the uncertainties of the table's rows make, where a result carries them.
    """
    totals_uj = [result.energy_uj_per_image.total for result in results]
    widths_uj = [found.total if (found := result.energy_uncertainty_uj) else 0.0 for result in results]
    highest_uj = max(map(sum, zip(totals_uj, widths_uj, strict=True)))
    longest_uj = highest_uj * (1.5 if len(results) > 1 else 1.25)
    left_uj = np.zeros(len(results))
    components = merged_order([list(result.energy_uj_per_image.by_component) for result in results])
    for component in components:
        energies_uj = np.array(
            [result.energy_uj_per_image.by_component.get(component, 0.0) for result in results]
        )
        colour = style.COMPONENT_COLOURS.get(component, "white")
        bars = axes.barh(
            range(len(results)),
            energies_uj,
            0.62,
            left_uj,
            color=colour,
            edgecolor="#444444",
            label=component,
        )
        shares = [
            f"{100 * energy / total:.0f} %" if energy > SHARE_TOLD * longest_uj else ""
            for energy, total in zip(energies_uj, totals_uj, strict=True)
        ]
        axes.bar_label(bars, shares, label_type="center", color=style.ink_on(colour), fontsize=8)
        left_uj += energies_uj
    if any(widths_uj):
        below_the_shares = [row + 0.2 for row in range(len(results))]
        axes.errorbar(totals_uj, below_the_shares, xerr=widths_uj, **WHISKER)
    _tell_totals(axes, results, widths_uj)
    axes.set_yticks(range(len(results)), labels(results))
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlim(0, longest_uj or 1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(ENERGY_AXIS)
    axes.set_title("By component")
    style.legend_right(axes)


def plot_energy_by_layer(results: Sequence[RunResult], axes: Axes, width_inches: float = 5.5) -> None:
    """One group a trunk layer or branch, in the order in which an image meets them; one bar a result.

    Branches are hatched. The colours are none of those that stand for components. width_inches: about how wide the
    axes are, to tell whether names fit side by side.
    """
    names = layer_names(results)
    bar_width = 0.8 / len(results)
    colours = style.depth_colours(len(results))
    branches = {branch for result in results for branch in result.branches}
    for index, result in enumerate(results):
        energies_uj = {layer.name: layer.energy_uj for layer in result.layers}
        centres = np.arange(len(names)) + (index - (len(results) - 1) / 2) * bar_width
        axes.bar(
            centres,
            [energies_uj.get(name, 0.0) for name in names],
            bar_width,
            color=colours[index],
            edgecolor="white",
            hatch=[BRANCH_HATCH if name in branches else "" for name in names],
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(ENERGY_AXIS)
    axes.set_title("By layer, mean over all images (also those that left before it)")
    style.name_categories(axes, names, width_inches)
    words = labels(results) if len(results) > 1 else ["trunk layer"]
    keys = [Patch(facecolor=colour, label=word) for colour, word in zip(colours, words, strict=True)]
    if branches & set(names):
        keys.append(Patch(facecolor=colours[0], edgecolor="white", hatch=BRANCH_HATCH, label="branch"))
    style.legend_right(axes, handles=keys)


def layer_names(results: Sequence[RunResult]) -> list[str]:
    """All layers and branches, in the order in which an image meets them."""
    return merged_order([[layer.name for layer in result.layers] for result in results])


def _tell_totals(axes: Axes, results: Sequence[RunResult], widths_uj: Sequence[float]) -> None:
    """Write behind each bar and its whisker the total and, of all but the first, its change against the first."""
    for row, (result, width_uj) in enumerate(zip(results, widths_uj, strict=True)):
        total_uj = result.energy_uj_per_image.total
        plus_minus = f" \N{PLUS-MINUS SIGN} {style.quantity(width_uj)}" if width_uj else ""
        difference = _difference(result, results[0]) if row else ""
        axes.annotate(
            f"{style.quantity(total_uj)}{plus_minus} µJ" + (f" ({difference})" if difference else ""),
            (total_uj + width_uj, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox=_PAPER,
        )


def _difference(result: RunResult, baseline: RunResult) -> str:
    """Change of the energy in percent, with its 95 % range where both results carry one."""
    total_uj, baseline_uj = (each.energy_uj_per_image.total for each in (result, baseline))
    if not (result.energy_terms and baseline.energy_terms and baseline_uj):
        return style.change(total_uj, baseline_uj)
    ratio = ratio_range(result.energy_terms, baseline.energy_terms)
    low, high = (style.change(bound * baseline_uj, baseline_uj) for bound in (ratio.low, ratio.high))
    text = style.change(total_uj, baseline_uj)
    return text if low == high else f"{text}, {low} to {high}"
