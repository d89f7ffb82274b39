"""``--kind parallel``: every point of a sweep as a line over its parameters and results."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from archsim.explore.pareto import pareto_front
from archsim.explore.table import SweepTable
from archsim.report import style
from archsim.report.sweep_view import FloatArray, Levels, Quantity, View, short_key, sweep_title

_MOST_LINES = 2000
_MOST_PARAMETERS = 8
_RESULTS = ("latency", "energy", "accuracy")


def draw_parallel(table: SweepTable, view: View, figure: Figure) -> None:
    """One panel; the colour of a line is ``view.value``, the front in latency, energy and accuracy is drawn boldly."""
    ok = table.ok()
    keys = ok.varied[:_MOST_PARAMETERS]
    figure.set_size_inches(max(style.WIDTH_INCHES, 1.15 * (len(keys) + len(_RESULTS)) + 1.5), 4.6)
    axes = figure.subplots()
    plot_parallel(ok, keys, Quantity.of(ok, view.value or "energy"), axes)
    style.headline(figure, sweep_title("Parameters and results of every point", table))


def plot_parallel(table: SweepTable, keys: list[str], value: Quantity, axes: Axes) -> None:
    """Upright axes side by side: levels of parameters at equal distances, results from least to greatest."""
    results = [result for result in (Quantity.of(table, name) for name in _RESULTS) if result.is_known]
    levels = [Levels.of(table, key) for key in keys]
    heights = [steps.rows / max(1, len(steps.values) - 1) for steps in levels]
    heights += [_scaled(result.values) for result in results]
    lines = np.column_stack(heights)
    front = pareto_front(np.column_stack([result.costs for result in results]))
    norm = Normalize(float(np.min(value.values)), float(np.max(value.values)))
    colours = matplotlib.colormaps["cividis"]
    order = np.concatenate([np.flatnonzero(~front)[:_MOST_LINES], np.flatnonzero(front)])
    for row in order:
        line: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.35}
        if front[row]:
            line = {"linewidth": 1.8, "zorder": 3}
        axes.plot(lines[row], color=colours(norm(value.values[row])), **line)
    for place, steps in enumerate(levels):
        for level, text in enumerate(steps.texts):
            if len(steps.texts) <= 12 or level in (0, len(steps.texts) - 1):
                _tell(axes, place, level / max(1, len(steps.values) - 1), text)
    for place, result in enumerate(results, len(levels)):
        ends = {0.0: np.min, 1.0: np.max} if result.varies else {0.5: np.min}
        for height, end in ends.items():
            _tell(axes, place, height, style.quantity(float(end(result.values))))
    _frame(axes, [short_key(key) for key in keys] + [result.label.replace(" (", "\n(") for result in results])
    axes.figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=value.label)
    axes.set_title("Bold: no other point is better in latency, energy and accuracy together")


def _scaled(values: FloatArray) -> FloatArray:
    low, high = float(np.min(values)), float(np.max(values))
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)


def _tell(axes: Axes, place: int, height: float, text: str) -> None:
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
    axes.text(place, height, text, fontsize=7, ha="center", va="center", bbox=paper, zorder=4)


def _frame(axes: Axes, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([])
    axes.set_xlim(-0.4, len(names) - 0.6)
    axes.set_ylim(-0.06, 1.06)
    axes.grid(visible=True, axis="x", color="#888888")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
