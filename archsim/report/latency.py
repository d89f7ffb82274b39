"""``--kind latency``: how long images take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archsim.report import style
from archsim.report.captions import joined, labels, title
from archsim.results.run_result import RunResult

FloatArray = npt.NDArray[np.float64]
LATENCY_AXIS = "latency (µs)"
_BINS = 60
_LEGEND_CHARACTERS = 95
_MARKS = (("mean", "D"), ("p50", "o"), ("p99", "^"))


def draw_latency(results: Sequence[RunResult], figure: Figure) -> None:
    """The cumulative distribution of every result; of a single one also the histogram, above, by exit."""
    single = len(results) == 1
    legend = _legend(results)
    legend_inches = style.text_height_inches([str(line.get_label()) for line in legend])
    figure.set_size_inches(style.WIDTH_INCHES, legend_inches + (5.8 if single else 4.2))
    if single:
        above, below = figure.subplots(2, 1, sharex=True)
        plot_latency_by_exit(results[0], above)
    else:
        below = figure.subplots()
    plot_latency(results, below)
    style.legend_below(figure, handles=legend)
    style.headline(figure, title("Latency of an image", results))


def plot_latency(results: Sequence[RunResult], axes: Axes) -> None:
    """Share of images (%) that are done within a latency (us), with mean, p50 and p99 marked."""
    widths = style.line_widths(len(results))
    for index, result in enumerate(results):
        ascending_us = np.sort(latencies_us(result))
        steps_us, counts = np.unique(ascending_us, return_counts=True)
        done_percent = 100 * np.cumsum(counts) / len(ascending_us)
        colour = style.RESULT_COLOURS[index]
        axes.step(
            [steps_us[0], *steps_us],
            [0.0, *done_percent],
            where="post",
            color=colour,
            linewidth=widths[index],
        )
        for name, marker in _MARKS:
            mark_us = getattr(result.latency_us, name)
            # A percentile is one of the latencies, but for the last digit of cycles made microseconds in two ways.
            done = 100 * np.mean(ascending_us <= mark_us * (1 + 1e-9))
            axes.plot(
                mark_us,
                done,
                marker,
                color=colour,
                markeredgecolor="white",
                markersize=7,
                zorder=3,
                clip_on=False,
            )
    axes.set_xlim(left=0)
    axes.set_ylim(0, 103)
    axes.set_xlabel(LATENCY_AXIS)
    axes.set_ylabel("images done (%)")
    axes.set_title("Cumulative share of images")
    marks = [
        Line2D([], [], color=style.GREY, marker=marker, linestyle="", label=name) for name, marker in _MARKS
    ]
    style.legend_right(axes, handles=marks)


def plot_latency_by_exit(result: RunResult, axes: Axes) -> None:
    """Histogram: share of images (%) by latency (us), stacked by the exit at which they left."""
    values_us = latencies_us(result)
    taken = np.array([image.exit for image in result.per_image])
    exits = [name for name, count in result.exits.items() if count]
    edges_us = np.linspace(0, values_us.max() * (1 + 1e-9), _BINS + 1).tolist()
    axes.hist(
        [values_us[taken == name] for name in exits],
        edges_us,
        weights=[np.full(np.count_nonzero(taken == name), 100 / len(taken)) for name in exits],
        stacked=True,
        color=style.depth_colours(len(exits)),
        label=exits,
    )
    axes.set_ylabel("images (%)")
    axes.set_title("Histogram by exit")
    style.legend_right(axes, title="left at")


def latencies_us(result: RunResult) -> FloatArray:
    """Microseconds from arrival to result, float64 (images,).

    Images are recorded in cycles; the clock follows from the greatest latency, which is recorded in both units.
    """
    cycles = np.array([image.cycles + image.waiting_cycles for image in result.per_image], np.int64)
    return np.asarray(cycles * (result.latency_us.max / int(cycles.max())), np.float64)


def _legend(results: Sequence[RunResult]) -> list[Line2D]:
    """One line a result, with its numbers."""
    keys = []
    widths = style.line_widths(len(results))
    for index, (result, label) in enumerate(zip(results, labels(results), strict=True)):
        latency = result.latency_us
        difference = style.change(latency.mean, results[0].latency_us.mean) if index else ""
        numbers = (
            f"mean {style.quantity(latency.mean)} µs{f' ({difference})' if difference else ''}, "
            f"p50 {style.quantity(latency.p50)} µs, p99 {style.quantity(latency.p99)} µs"
        )
        text = joined([*f"{label}:".splitlines(), numbers], " ", _LEGEND_CHARACTERS)
        keys.append(Line2D([], [], color=style.RESULT_COLOURS[index], linewidth=widths[index], label=text))
    return keys
