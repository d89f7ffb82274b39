"""``--kind timeline``: what each unit does while one image runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from archsim.report import style
from archsim.report.time_axis import (
    STRIP_INCHES,
    layer_strip,
    time_axis,
    time_title,
    timeline_of,
    to_us,
)
from archsim.results.run_result import RunResult
from archsim.results.timeline import Timeline
from archsim.sim.observe import Span

_ROW_INCHES = 0.3
_BESIDE_INCHES = 3.6
_LEGIBLE_BARS = 3000
"""More bars of one colour in a row become pixels in a PDF or SVG, which would be slow to open."""

ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("DRAM channel", "dram", ()),
    ("buffer port, loads", "global_buffer", ("load",)),
    ("buffer port, array", "global_buffer", ("array",)),
    ("buffer port, stores", "global_buffer", ("store",)),
    ("DMA, loads", "dma.load", ("fetch",)),
    ("PE array", "pe_array", ("dispatch", "fill", "compute", "drain", "wait")),
    ("DBP unit", "dbp_unit", ("judge",)),
    ("branch unit", "branch_unit", ("evaluate", "wait")),
    ("controller", "controller", ("decision", "result")),
)
"""Label, unit and what of it is drawn, from top to bottom."""

COLOURS = {
    "load": style.BLUE,
    "store": style.PURPLE,
    "branch": style.YELLOW,
    "array": style.SKY_BLUE,
    "fetch": style.BLUE,
    "dispatch": style.BLACK,
    "fill": style.SKY_BLUE,
    "compute": style.GREEN,
    "drain": style.PURPLE,
    "wait": style.VERMILLION,
    "judge": style.ORANGE,
    "evaluate": style.ORANGE,
    "decision": style.BLACK,
    "result": style.GREY,
}
_WORDS = {
    "load": "load",
    "fetch": "load",
    "store": "store",
    "branch": "weights of a branch",
    "array": "array's transfer",
    "dispatch": "dispatch",
    "fill": "fill",
    "compute": "compute",
    "drain": "drain",
    "wait": "waits",
    "judge": "DBP sums",
    "evaluate": "branch evaluated",
    "decision": "decision handled",
    "result": "result written",
}
_MARKS = {"run": "o", "skip": "X", "go on": "o", "exit": "X", "cancel": "v", "abort": "v"}
_MARK_WORDS = {"o": "runs, goes on", "X": "skips, exits", "v": "cancelled, aborted"}
_MARK_ROWS = {"dma": "dma.load"}


def draw_timeline(results: Sequence[RunResult], figure: Figure) -> None:
    """The layers as a strip, below it a row a unit and port."""
    timeline = timeline_of(results[0])
    width_inches = 1.6 * style.WIDTH_INCHES
    height_inches = _ROW_INCHES * len(ROWS) + 0.4
    figure.set_size_inches(width_inches, STRIP_INCHES + height_inches + 1.9)
    strip, axes = figure.subplots(2, 1, sharex=True, height_ratios=(STRIP_INCHES, height_inches))
    layer_strip(strip, timeline, width_inches - _BESIDE_INCHES)
    plot_timeline(timeline, axes)
    style.headline(figure, time_title("Timeline", timeline))


def plot_timeline(timeline: Timeline, axes: Axes) -> None:
    """Bars of what units do, over time in us; marks where something is decided, cancelled or aborted.

    A unit that does nothing has no row.
    """
    drawn: set[str] = set()
    shown: list[str] = []
    units: dict[str, int] = {}
    for label, unit, whats in ROWS:
        spans = [span for span in timeline.of(unit) if not whats or span.what in whats]
        for what in dict.fromkeys(span.what for span in spans):
            axes.add_collection(_bars([span for span in spans if span.what == what], len(shown), timeline))
            drawn.add(what)
        if spans:
            units[unit] = len(shown)
            shown.append(label)
    marked: set[str] = set()
    for mark in timeline.marks:
        row = units.get(_MARK_ROWS.get(mark.unit, mark.unit), -1)
        if mark.event in _MARKS and row >= 0:
            marker = _MARKS[mark.event]
            axes.plot(to_us(mark.cycle, timeline), row, marker, color="black", markersize=5, clip_on=False)
            marked.add(marker)
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_title("What each unit does")
    time_axis(axes, timeline)
    keys: list[Patch | Line2D] = [
        Patch(facecolor=colour, label=", ".join(words)) for colour, words in legend_words(drawn).items()
    ]
    keys += [
        Line2D([], [], linestyle="", marker=marker, color="black", label=_MARK_WORDS[marker])
        for marker in _MARK_WORDS
        if marker in marked
    ]
    style.legend_right(axes, handles=keys)


def legend_words(drawn: Collection[str]) -> dict[str, list[str]]:
    """Words by colour: what is done alike has the same one in every row."""
    found: dict[str, list[str]] = {}
    for what, word in _WORDS.items():
        words = found.setdefault(COLOURS[what], []) if what in drawn else [word]
        if word not in words:
            words.append(word)
    return found


def _bars(spans: Sequence[Span], row: int, timeline: Timeline) -> PolyCollection:
    """One bar a span; waits are lower than the rest, so that they are told apart without colour too."""
    what = spans[0].what
    half = 0.2 if what == "wait" else 0.36
    starts_us = np.array([to_us(span.start_cycle, timeline) for span in spans])
    ends_us = np.array([to_us(span.end_cycle, timeline) for span in spans])
    corners = [
        [(start, row - half), (start, row + half), (end, row + half), (end, row - half)]
        for start, end in zip(starts_us.tolist(), ends_us.tolist(), strict=True)
    ]
    return PolyCollection(
        corners,
        facecolor=COLOURS[what],
        edgecolor=COLOURS[what] if what == "decision" else "none",
        linewidth=1.0 if what == "decision" else 0,
        rasterized=len(spans) > _LEGIBLE_BARS,
    )
