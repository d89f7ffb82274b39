"""``--kind roofline``: what bounds each layer, and the images of each exit: the DRAM or the array.

Source: Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009. Performance cannot be above the number of PEs, nor
above bytes a cycle of the DRAM x MACs for each of them. A layer may be above the second: what it needs was fetched
while the one before was on the array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archsim.errors import InvalidInput, Problem
from archsim.report import style
from archsim.report.captions import title
from archsim.results.run_result import RunResult, roofs_of

_MARKERS = {"trunk layer": "o", "branch": "s", "images of an exit": "*"}
_LINE_INCHES = 0.16
_LEADER = {
    "arrowstyle": "-",
    "color": "#BBBBBB",
    "linewidth": 0.6,
    "shrinkA": 0,
    "shrinkB": 3,
    "relpos": (0, 0.5),
}


@dataclass(frozen=True)
class Point:
    """intensity: MACs for each byte over the DRAM channel, infinite where none moves. performance: MACs a cycle."""

    name: str
    kind: str
    intensity: float
    performance: float


def points(result: RunResult) -> list[Point]:
    """Layers and branches that execute MACs, then the images of each exit that any took."""
    found = [
        Point(
            layer.name,
            "branch" if layer.name in result.branches else "trunk layer",
            _ratio(layer.macs, layer.dram_read_bytes + layer.dram_write_bytes),
            layer.macs / layer.cycles,
        )
        for layer in result.layers
        if layer.macs and layer.cycles
    ]
    for name in result.exits:
        images = [image for image in result.per_image if image.exit == name]
        macs = sum(image.macs for image in images)
        moved_bytes = sum(image.dram_read_bytes + image.dram_write_bytes for image in images)
        if macs:
            cycles = sum(image.cycles for image in images)
            words = f"images leaving at {name}" if name in result.branches else "images to the end"
            found.append(Point(words, "images of an exit", _ratio(macs, moved_bytes), macs / cycles))
    return found


def draw_roofline(results: Sequence[RunResult], figure: Figure) -> None:
    """One panel, the names beside it."""
    (result,) = results
    found = points(result)
    names_inches = style.text_width_inches([point.name for point in found])
    height_inches = max(4.4, 1.2 + _LINE_INCHES * len(found))
    figure.set_size_inches(style.WIDTH_INCHES + names_inches, height_inches + 1.0)
    plot_roofline(result, figure.subplots())
    style.headline(figure, title("Roofline", results))


def plot_roofline(result: RunResult, axes: Axes) -> None:
    """Performance (MAC/cycle) over operational intensity (MAC a byte of DRAM), both logarithmic."""
    found, roofs = points(result), roofs_of(result)
    if not found:
        message = f"found no MACs in the result of {result.workload} on {result.arch}"
        raise InvalidInput([Problem("RESULT", "layers", message)])
    finite = [point.intensity for point in found if math.isfinite(point.intensity)]
    peak, rate = roofs.pe_array_macs_per_cycle, roofs.dram_bytes_per_cycle
    ridge = peak / rate
    left, right = min([*finite, ridge]) / 3, max([*finite, ridge]) * 6
    reach = np.geomspace(left, right, 200)
    axes.plot(reach, np.minimum(peak, rate * reach), color=style.BLACK, linewidth=1.6)
    axes.axvline(ridge, color=style.GREY, linewidth=0.8, linestyle=":")
    if result.branches and roofs.branch_unit_macs_per_cycle:
        axes.axhline(roofs.branch_unit_macs_per_cycle, color=style.GREY, linewidth=1.0, linestyle="--")
    for kind, colour in zip(_MARKERS, (style.BLUE, style.VERMILLION, style.GREEN), strict=True):
        shown = [point for point in found if point.kind == kind]
        axes.plot(
            [min(point.intensity, right / 1.3) for point in shown],
            [point.performance for point in shown],
            _MARKERS[kind],
            color=colour,
            markeredgecolor="white",
            markersize=11 if kind == "images of an exit" else 7,
            zorder=3,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(left, right)
    lowest = min(*(point.performance for point in found), rate * left)
    axes.set_ylim(lowest / 2, 2.5 * peak)
    axes.set_xlabel("operational intensity (MACs for each byte over the DRAM channel)")
    axes.set_ylabel("performance (MACs per cycle)")
    _name_points(found, right, axes)
    axes.set_title(f"{peak} PEs, DRAM {rate} bytes/cycle at most (they meet at {ridge:.3g} MACs a byte)")
    _legend(result, roofs.branch_unit_macs_per_cycle, axes)


def _ratio(macs: float, moved_bytes: float) -> float:
    return macs / moved_bytes if moved_bytes else math.inf


def _name_points(found: Sequence[Point], right: float, axes: Axes) -> None:
    """Names in a column to the right, in the order of performance, each led to its point."""
    descending = sorted(found, key=lambda point: -point.performance)
    heights = np.linspace(0.98, 0.02, len(descending)) if len(descending) > 1 else [0.5]
    for point, height in zip(descending, heights, strict=True):
        beyond = "" if math.isfinite(point.intensity) else " (no DRAM traffic)"
        axes.annotate(
            point.name + beyond,
            (min(point.intensity, right / 1.3), point.performance),
            (1.03, float(height)),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            arrowprops=_LEADER,
        )


def _legend(result: RunResult, lanes: int, axes: Axes) -> None:
    colours = style.BLUE, style.VERMILLION, style.GREEN
    keys = [
        Line2D([], [], linestyle="", marker=marker, color=colour, label=kind)
        for (kind, marker), colour in zip(_MARKERS.items(), colours, strict=True)
        if kind != "branch" or result.branches
    ]
    if result.branches and lanes:
        keys.append(
            Line2D([], [], color=style.GREY, linestyle="--", label=f"{lanes} lanes of the branch unit")
        )
    axes.legend(
        handles=keys, loc="upper left", bbox_to_anchor=(0, -0.13), ncols=2, borderaxespad=0, alignment="left"
    )
