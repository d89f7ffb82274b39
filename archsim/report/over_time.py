"""``--kind buffer`` and ``--kind bandwidth``: what the global buffer holds, and what the DRAM moves, over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archsim.report import style
from archsim.report.time_axis import (
    STRIP_INCHES,
    layer_strip,
    time_axis,
    time_title,
    timeline_of,
    to_us,
)
from archsim.results.chrome_trace import bin_edges
from archsim.results.run_result import RunResult
from archsim.results.timeline import Timeline

_PANEL_INCHES = 3.0
_BESIDE_INCHES = 3.0
_BINS = 200
_STREAMS = {
    "load": ("loads", style.BLUE),
    "store": ("stores", style.PURPLE),
    "branch": ("weights of branches", style.YELLOW),
}
_PARTS = (
    ("filters (their part)", style.GREY),
    ("feature maps kept", style.BLUE),
    ("sums in flight, input", style.ORANGE),
)


def draw_buffer(results: Sequence[RunResult], figure: Figure) -> None:
    """The layers as a strip, below it what the buffer holds."""
    timeline = timeline_of(results[0])
    plot_buffer(timeline, _panel(timeline, figure))
    style.headline(figure, time_title("What the global buffer holds", timeline))


def draw_bandwidth(results: Sequence[RunResult], figure: Figure) -> None:
    """The layers as a strip, below it what the DRAM channel moves."""
    timeline = timeline_of(results[0])
    plot_bandwidth(timeline, _panel(timeline, figure))
    style.headline(figure, time_title("DRAM bandwidth", timeline))


def _panel(timeline: Timeline, figure: Figure) -> Axes:
    width_inches = 1.3 * style.WIDTH_INCHES
    figure.set_size_inches(width_inches, STRIP_INCHES + _PANEL_INCHES + 1.9)
    strip, axes = figure.subplots(2, 1, sharex=True, height_ratios=(STRIP_INCHES, _PANEL_INCHES))
    layer_strip(strip, timeline, width_inches - _BESIDE_INCHES)
    panel: Axes = axes
    return panel


def plot_buffer(timeline: Timeline, axes: Axes) -> None:
    """KiB that the mapping takes while a layer is on the array, stacked; the line is the size of the buffer.

    The array's layer decides: what is fetched ahead for the next one takes its place when it starts.
    """
    edges_us, columns_kib = buffer_steps(timeline)
    below = np.zeros(len(edges_us))
    for (label, colour), column_kib in zip(_PARTS, columns_kib, strict=True):
        axes.fill_between(edges_us, below, below + column_kib, color=colour, linewidth=0, label=label)
        below = below + column_kib
    size_kib = timeline.buffer_bytes / 1024
    axes.axhline(size_kib, color=style.BLACK, linewidth=1.2, linestyle="--", label=f"size: {size_kib:g} KiB")
    axes.set_ylim(0, 1.06 * size_kib)
    axes.set_ylabel("held in the global buffer (KiB)")
    axes.set_title("Reserved by the mapping, layer by layer")
    time_axis(axes, timeline)
    style.legend_right(axes, reverse=True)


def buffer_steps(timeline: Timeline) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]:
    """Time (us) of the corners of the steps, and KiB of filters, maps and working space there; float64 (corners,)."""
    corners, filters, maps, working = [], [], [], []
    for use, following in zip(timeline.buffer, [*timeline.buffer[1:], None], strict=True):
        # Between two layers, while a decision is open, what is held stays.
        until_cycle = use.end_cycle if following is None else following.start_cycle
        corners += [to_us(use.start_cycle, timeline), to_us(until_cycle, timeline)]
        filters += [timeline.filter_bytes / 1024] * 2
        maps += [use.maps_bytes / 1024] * 2
        working += [use.working_bytes / 1024] * 2
    return np.array(corners), [np.array(column) for column in (filters, maps, working)]


def plot_bandwidth(timeline: Timeline, axes: Axes) -> None:
    """GB/s (10^9) in equal parts of the window, stacked by stream; the line is what the channel can do at most."""
    edges = bin_edges(timeline, _BINS)
    edges_us = np.array([to_us(edge, timeline) for edge in edges.tolist()])
    below = np.zeros(len(edges) - 1)
    moved = timeline.dram_bytes(edges)
    seconds = np.diff(edges) / (1e6 * timeline.core_mhz)
    for stream, (label, colour) in _STREAMS.items():
        if moved[stream].any():
            gb_per_s = moved[stream] / seconds / 1e9
            axes.stairs(
                below + gb_per_s, edges_us, baseline=below, fill=True, color=colour, linewidth=0, label=label
            )
            below = below + gb_per_s
    most_gb_per_s = timeline.dram_bytes_per_cycle * timeline.core_mhz / 1e3
    axes.axhline(
        most_gb_per_s, color=style.BLACK, linewidth=1.2, linestyle="--", label=f"peak: {most_gb_per_s:g} GB/s"
    )
    mean = float(below @ seconds / seconds.sum())
    axes.axhline(mean, color=style.VERMILLION, linewidth=1.2, label=f"mean: {style.quantity(mean)} GB/s")
    axes.set_ylim(0, 1.08 * max(most_gb_per_s, float(below.max())))
    axes.set_ylabel("DRAM bandwidth (GB/s)")
    axes.set_title(f"Mean over {edges_us[1] - edges_us[0]:.3g} µs each")
    time_axis(axes, timeline)
    style.legend_right(axes)
