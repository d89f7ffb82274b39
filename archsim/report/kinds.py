"""The kinds of plot. One line here registers a new one.

The functions are named by import string and loaded when asked for, so that the names are known without matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlotKind:
    """draw: ``module:function``, called with (results, figure); "" where it is none of runs. summary: for users.

    needs: fields of the results that are files of their own. only_one: it draws one result at a time. draw_sweep: the
    same of a sweep, called with (table, view, figure); "" where it is none of sweeps.
    """

    draw: str
    summary: str
    needs: tuple[str, ...] = ()
    only_one: bool = False
    draw_sweep: str = ""


KINDS: dict[str, PlotKind] = {
    "energy": PlotKind(
        "archsim.report.energy:draw_energy",
        "energy by component and by layer, of a sweep by point",
        draw_sweep="archsim.report.sweep_energy:draw_sweep_energy",
    ),
    "latency": PlotKind(
        "archsim.report.latency:draw_latency", "distribution of latency over the images", ("per_image",)
    ),
    "exits": PlotKind(
        "archsim.report.exits:draw_exits", "images leaving at each exit, and their accuracy", ("per_image",)
    ),
    "speedup": PlotKind(
        "archsim.report.speedup:draw_speedup", "speed-up and energy of results against the first"
    ),
    "utilisation": PlotKind(
        "archsim.report.utilisation:draw_utilisation", "cycles, stalls and utilisation by layer"
    ),
    "roofline": PlotKind(
        "archsim.report.roofline:draw_roofline",
        "what bounds each layer and the images of each exit",
        ("per_image",),
        only_one=True,
    ),
    "dbp": PlotKind(
        "archsim.report.dbp:draw_dbp",
        "magnitude of activations and margin of every image at every branch",
        ("per_branch",),
        only_one=True,
    ),
    "timeline": PlotKind(
        "archsim.report.timeline:draw_timeline",
        "what each unit does while an image runs (simulate --timeline)",
        ("timeline",),
        only_one=True,
    ),
    "buffer": PlotKind(
        "archsim.report.over_time:draw_buffer",
        "what the global buffer holds meanwhile",
        ("timeline",),
        only_one=True,
    ),
    "bandwidth": PlotKind(
        "archsim.report.over_time:draw_bandwidth",
        "what the DRAM moves meanwhile",
        ("timeline",),
        only_one=True,
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
