"""The kinds of plot. One line here registers a new one.

The functions are named by import string and loaded when asked for, so that the names are known without matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlotKind:
    """draw: ``module:function``, called with (results, figure). summary: one line for users.

    per_image: whether it needs the images of the results (``images.csv``).
    """

    draw: str
    summary: str
    per_image: bool


KINDS: dict[str, PlotKind] = {
    "energy": PlotKind("archsim.report.energy:draw_energy", "energy by component and by layer", False),
    "latency": PlotKind(
        "archsim.report.latency:draw_latency", "distribution of latency over the images", True
    ),
    "exits": PlotKind(
        "archsim.report.exits:draw_exits", "images leaving at each exit, and their accuracy", True
    ),
}
"""Plots by the name that ``--kind`` takes."""
