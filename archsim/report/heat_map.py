"""``--kind heatmap``: one quantity over two parameters of a sweep."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from archsim.errors import InvalidInput, Problem
from archsim.explore.table import SweepTable
from archsim.report import style
from archsim.report.sweep_view import FloatArray, Levels, Quantity, View, sweep_title

_CROSS = "\N{MULTIPLICATION SIGN}"
_TOLD_CELLS = 200
"""Maps of so many cells at most have their numbers written inside."""


def draw_heat_map(table: SweepTable, view: View, figure: Figure) -> None:
    """One panel. Where further parameters vary, a cell shows the best of its points."""
    ok = table.ok()
    keys = [key for key in table.varied if key not in (view.x, view.y)]
    x = view.x or (keys.pop(0) if keys else None)
    y = view.y or (keys.pop(0) if keys else None)
    if x is None or y is None:
        message = f"found {len(table.varied)} parameters that vary, expected two at least"
        raise InvalidInput([Problem(str(table.folder), "", message, "draw another kind of plot")])
    columns, rows, value = Levels.of(table, x), Levels.of(table, y), Quantity.of(ok, view.value or "energy")
    figure.set_size_inches(
        max(style.WIDTH_INCHES, 2.5 + 0.75 * len(columns.values)), max(3.6, 2.2 + 0.4 * len(rows.values))
    )
    axes = figure.subplots()
    plot_heat_map(columns, rows, cell_values(columns, rows, table, value), value, axes)
    others = [key for key in table.varied if key not in (x, y)]
    more = [f"each cell the best over {', '.join(others)}"] if others else []
    style.headline(figure, sweep_title(f"{value.label} over {x} and {y}", table, more))


def cell_values(columns: Levels, rows: Levels, table: SweepTable, value: Quantity) -> FloatArray:
    """The best value in each cell, float64 (rows, columns); NaN where no point was simulated."""
    cells = np.full((len(rows.values), len(columns.values)), np.inf)
    ok = np.flatnonzero(table.columns["status"] == "ok")
    np.minimum.at(cells, (rows.rows[ok], columns.rows[ok]), value.costs)
    cells[np.isinf(cells)] = np.nan
    return -cells if value.more_is_better else cells


def plot_heat_map(columns: Levels, rows: Levels, cells: FloatArray, value: Quantity, axes: Axes) -> None:
    """Cells in colours, their values inside where there is room; crossed where there is none."""
    drawn = axes.imshow(cells, cmap="cividis", aspect="auto", origin="lower")
    axes.figure.colorbar(drawn, ax=axes, label=value.label)
    axes.set_xticks(range(len(columns.values)), columns.texts)
    axes.set_yticks(range(len(rows.values)), rows.texts)
    axes.set_xlabel(columns.key)
    axes.set_ylabel(rows.key)
    axes.grid(visible=False)
    best = np.nanargmax(cells) if value.more_is_better else np.nanargmin(cells)
    told = cells.size <= _TOLD_CELLS
    for (row, column), cell in np.ndenumerate(cells):
        if np.isnan(cell):
            axes.text(column, row, _CROSS, ha="center", va="center", color=style.GREY)
        elif told:
            colour = to_hex(
                matplotlib.colormaps["cividis"](float(np.asarray(drawn.norm(np.array(cell)), np.float64)))
            )
            weight = "bold" if row * cells.shape[1] + column == best else "normal"
            axes.text(
                column,
                row,
                style.quantity(cell),
                ha="center",
                va="center",
                fontsize=8,
                weight=weight,
                color=style.ink_on(colour),
            )
    gaps = f"; {_CROSS} where no point was simulated" if np.isnan(cells).any() else ""
    axes.set_title(f"The best in bold{gaps}")
