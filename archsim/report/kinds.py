"""The kinds of plot. One line here registers a new one.

The functions are named by import string and loaded when asked for, so that the names are known without matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlotKind:
    """draw: ``module:function``, called with (results, figure); "" where it is none of runs. summary: for users.

    per_image: whether it needs the images of the results (``images.csv``). draw_sweep: the same of a sweep, called with
    (table, view, figure); "" where it is none of sweeps.
    """

    draw: str
    summary: str
    per_image: bool = False
    draw_sweep: str = ""


KINDS: dict[str, PlotKind] = {
    "energy": PlotKind(
        "archsim.report.energy:draw_energy",
        "energy by component and by layer, of a sweep by point",
        draw_sweep="archsim.report.sweep_energy:draw_sweep_energy",
    ),
    "latency": PlotKind(
        "archsim.report.latency:draw_latency", "distribution of latency over the images", True
    ),
    "exits": PlotKind(
        "archsim.report.exits:draw_exits", "images leaving at each exit, and their accuracy", True
    ),
    "pareto": PlotKind(
        "", "points of a sweep that no other point beats", draw_sweep="archsim.report.pareto:draw_pareto"
    ),
    "parallel": PlotKind(
        "",
        "every point of a sweep as a line over parameters and results",
        draw_sweep="archsim.report.parallel:draw_parallel",
    ),
    "heatmap": PlotKind(
        "", "a result over two parameters of a sweep", draw_sweep="archsim.report.heat_map:draw_heat_map"
    ),
    "sensitivity": PlotKind(
        "",
        "what each parameter of a swept grid changes",
        draw_sweep="archsim.report.sensitivity:draw_sensitivity",
    ),
}
"""Plots by the name that ``--kind`` takes."""
