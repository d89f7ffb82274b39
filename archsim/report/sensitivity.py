"""``--kind sensitivity``: what each parameter of a grid does to one quantity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsim.errors import InvalidInput, Problem
from archsim.explore.sensitivity import Sensitivity, full_grid, sensitivities
from archsim.explore.table import SweepTable
from archsim.report import style
from archsim.report.sweep_view import Levels, Quantity, View, point_names, sweep_title

_TOO_NEAR = 0.06
"""Part of the width below which two levels cannot be written side by side."""


def draw_sensitivity(table: SweepTable, view: View, figure: Figure) -> None:
    """Two panels: one parameter at a time from the best point on the left, Sobol indices over the grid on the right.

    Raises InvalidInput where the points that were simulated are no complete grid.
    """
    ok = table.ok()
    value = Quantity.of(ok, view.value or "energy")
    levels = [Levels.of(ok, key) for key in ok.varied]
    grid = full_grid([found.rows for found in levels], value.values) if levels else None
    if grid is None:
        message = "found no complete grid: points are missing, failed or sampled"
        hint = "sweep a grid without impossible points, or draw pareto or parallel"
        raise InvalidInput([Problem(str(table.folder), "", message, hint)])
    best = int(np.argmin(value.costs))
    found = sensitivities([level.key for level in levels], grid, [int(level.rows[best]) for level in levels])
    found, levels = _by_weight(found, levels)
    figure.set_size_inches(style.WIDTH_INCHES + 1.5, max(3.0, 1.9 + 0.55 * len(found)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    plot_alone(found, levels, float(value.values[best]), value, left)
    plot_indices(found, right)
    more = [f"best point: {point_names(ok)[best]}"]
    style.headline(figure, sweep_title(f"What changes {value.label}", table, more))


def plot_alone(
    found: Sequence[Sensitivity], levels: Sequence[Levels], best: float, value: Quantity, axes: Axes
) -> None:
    """A line a parameter, from the least to the greatest value it causes; each level is a dot with its name."""
    width = max(float(np.ptp(sensitivity.alone)) for sensitivity in found) or 1.0
    for row, (sensitivity, level) in enumerate(zip(found, levels, strict=True)):
        axes.plot(
            [sensitivity.alone.min(), sensitivity.alone.max()], [row, row], color=style.SKY_BLUE, linewidth=4
        )
        axes.plot(sensitivity.alone, [row] * len(sensitivity.alone), "o", color=style.BLUE, markersize=5)
        for place, text in _told(sensitivity, level, _TOO_NEAR * width):
            axes.annotate(
                text, (place, row), (0, 6), textcoords="offset points", fontsize=7, ha="center", rotation=0
            )
    axes.axvline(best, color=style.GREY, linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(range(len(found)), [sensitivity.key for sensitivity in found])
    axes.set_ylim(len(found) - 0.4, -0.7)
    axes.margins(x=0.1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(value.label)
    axes.set_title("One at a time, from the best point (dashed)")


def plot_indices(found: Sequence[Sensitivity], axes: Axes) -> None:
    """Part of the variance: what a parameter explains alone, and with its interplay with the others."""
    rows = np.arange(len(found))
    total = [100 * sensitivity.total for sensitivity in found]
    first = [100 * sensitivity.first_order for sensitivity in found]
    axes.barh(rows, total, 0.56, color=style.ORANGE, label="with interplay")
    axes.barh(rows, first, 0.28, color=style.BLUE, label="alone")
    axes.set_xlim(0, 105)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("part of the variance (%)")
    axes.set_title("Over the whole grid (Sobol)")
    axes.legend(loc="lower right")


def _by_weight(found: list[Sensitivity], levels: list[Levels]) -> tuple[list[Sensitivity], list[Levels]]:
    """The most important parameter first."""
    order = sorted(range(len(found)), key=lambda index: -found[index].total)
    return [found[index] for index in order], [levels[index] for index in order]


def _told(sensitivity: Sensitivity, level: Levels, near: float) -> list[tuple[float, str]]:
    """Places of dots with the levels there; those that are too near to be read apart share one text."""
    told: list[tuple[float, list[str]]] = []
    for place, text in sorted(zip(sensitivity.alone.tolist(), level.texts, strict=True)):
        if told and place - told[-1][0] < near:
            told[-1][1].append(text)
        else:
            told.append((place, [text]))
    return [
        (place, ", ".join(texts) if len(texts) <= 3 else f"{texts[0]} … {texts[-1]}") for place, texts in told
    ]
