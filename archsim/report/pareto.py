"""``--kind pareto``: points of a sweep in two quantities, and those that no other point beats."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsim.explore.pareto import pareto_front
from archsim.explore.table import SweepTable
from archsim.report import style
from archsim.report.sweep_view import Quantity, View, point_names, sweep_title

_NAMED = 8
"""Points of the front that are called by their parameters; more would lie on top of each other."""


def draw_pareto(table: SweepTable, view: View, figure: Figure) -> None:
    """One panel; the colour of a point is a third quantity where it varies."""
    figure.set_size_inches(style.WIDTH_INCHES, 5.4)
    x, y, value = view.x or "latency", view.y or "energy", view.value or "accuracy"
    axes = figure.subplots()
    ok = table.ok()
    plot_pareto(ok, Quantity.of(ok, x), Quantity.of(ok, y), Quantity.of(ok, value), axes)
    style.headline(figure, sweep_title("Points that no other point beats", table))


def plot_pareto(table: SweepTable, x: Quantity, y: Quantity, value: Quantity, axes: Axes) -> None:
    """All points, those of the front (in x and y) larger, joined by steps, and numbered from the left."""
    front = np.flatnonzero(pareto_front(np.column_stack([x.costs, y.costs])))
    front = front[np.lexsort((y.costs[front], x.values[front]))]
    # A step goes through what both of its ends dominate: nothing is promised between them.
    where: Literal["pre", "post"] = "pre" if x.more_is_better else "post"
    axes.step(x.values[front], y.values[front], where=where, color=style.GREY, linewidth=1.2, zorder=1)
    colour: dict[str, Any] = {"c": value.values, "cmap": "cividis"} if value.varies else {"color": style.BLUE}
    sizes = np.full(len(table), 18.0)
    sizes[front] = 60.0
    edges = np.array(["none"] * len(table), dtype="<U7")
    edges[front] = style.BLACK
    drawn = axes.scatter(
        x.values, y.values, sizes, edgecolors=edges.tolist(), linewidths=1.2, zorder=2, **colour
    )
    if value.varies:
        axes.figure.colorbar(drawn, ax=axes, label=value.label)
    axes.set_xlabel(_directed(x))
    axes.set_ylabel(_directed(y))
    axes.margins(0.08)
    _name_front(table, x, y, front.tolist(), axes)


def _name_front(table: SweepTable, x: Quantity, y: Quantity, front: list[int], axes: Axes) -> None:
    """Numbers at the points of the front, and below the axes what each of them is."""
    names = point_names(table)
    shown = (
        front if len(front) <= _NAMED else [front[round(i)] for i in np.linspace(0, len(front) - 1, _NAMED)]
    )
    told: dict[tuple[float, float], list[str]] = {}
    for row in shown:
        told.setdefault((float(x.values[row]), float(y.values[row])), []).append(names[row])
    lines = []
    for number, (place, words) in enumerate(told.items(), 1):
        axes.annotate(str(number), place, (5, 5), textcoords="offset points", fontsize=8, weight="bold")
        more = f" and {len(words) - 1} more alike" if len(words) > 1 else ""
        lines.append(f"{number}  {words[0]}{more}")
    few = f" ({len(shown)} of {len(front)} are named)" if len(shown) < len(front) else ""
    axes.set_title(f"{len(front)} points on the front{few}")
    axes.text(0, -0.16, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8, linespacing=1.4)


def _directed(quantity: Quantity) -> str:
    return f"{quantity.label}, {'more' if quantity.more_is_better else 'less'} is better"
