"""``--kind exits``: where images leave, and how often they are right there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from archsim.report import style
from archsim.report.captions import labels, merged_order, title
from archsim.results.run_result import RunResult

_TWO_SIDED_95 = 1.959963984540054
"""Standard normal quantile of 97.5 %."""
_ROOM_PERCENT = 12
"""Height of a line of text on the axis of accuracy."""


def draw_exits(results: Sequence[RunResult], figure: Figure) -> None:
    """Two panels over the same exits: the share of images above, their accuracy below."""
    exits = len(_exit_names(results))
    words = [*labels(results), *(str(line.get_label()) for line in _accuracy_legend(results))]
    around_inches = 1.5 + style.text_width_inches(words)
    panel_inches = max(style.WIDTH_INCHES - around_inches, 4.2, 0.16 * exits * (1 + len(results)))
    height_inches = max(2.2, style.text_height_inches(labels(results)))
    figure.set_size_inches(panel_inches + around_inches, 2 * height_inches + 1.6)
    above, below = figure.subplots(2, 1, sharex=True)
    plot_exit_shares(results, above)
    plot_exit_accuracy(results, below, panel_inches)
    style.headline(figure, title("Where images leave", results))


def plot_exit_shares(results: Sequence[RunResult], axes: Axes) -> None:
    """Share of images (%) leaving at each exit, along depth; one bar a result."""
    names = _exit_names(results)
    for index, result in enumerate(results):
        present = [row for row, name in enumerate(names) if name in result.exits]
        counts = [result.exits[names[row]] for row in present]
        shares = [100 * count / result.images for count in counts]
        bars = axes.bar(
            _centres(present, index, results), shares, _width(results), color=style.RESULT_COLOURS[index]
        )
        texts = [f"{share:.1f} %\n({count})" for share, count in zip(shares, counts, strict=True)]
        if len(results) == 1:
            axes.bar_label(bars, texts, padding=2, fontsize=8)
    axes.set_ylim(0, 122 if len(results) == 1 else 104)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("images leaving (%)")
    axes.set_title("Share of images" + (" (and their number)" if len(results) == 1 else ""))
    if len(results) > 1:
        words = enumerate(labels(results))
        style.legend_right(
            axes, handles=[Patch(facecolor=style.RESULT_COLOURS[index], label=word) for index, word in words]
        )


def plot_exit_accuracy(results: Sequence[RunResult], axes: Axes, width_inches: float = 5.5) -> None:
    """Accuracy (%) of the images that left at each exit, with its 95 % interval; dashed, that of all images.

    An exit that no image takes has no accuracy, and a network without weights has none at all. width_inches: as in
    ``plot_energy_by_layer``.
    """
    names = _exit_names(results)
    for index, result in enumerate(results):
        colour = style.RESULT_COLOURS[index]
        rows, accuracy, below, above = _accuracy_columns(result, names)
        centres = _centres(rows, index, results)
        axes.errorbar(
            centres, accuracy, (below, above), color=colour, fmt="o", markersize=5, capsize=2, elinewidth=1
        )
        if result.accuracy is not None:
            axes.axhline(100 * result.accuracy, color=colour, linestyle="--", linewidth=1, zorder=1)
        if len(results) == 1:
            _tell_accuracy(axes, centres, accuracy, below, above)
    axes.set_ylim(0, 104)
    axes.set_ylabel("accuracy (%)")
    axes.set_xlabel("exit, in the order in which an image meets them")
    axes.set_title("Accuracy of the images that left there, with 95 % interval")
    style.name_categories(axes, names, width_inches)
    style.legend_right(axes, handles=_accuracy_legend(results))


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Two-sided 95 % interval of a fraction (Wilson, J. Am. Stat. Assoc. 22, 1927); total >= 1.

    (p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n), z = 1.96.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    z2 = _TWO_SIDED_95**2
    p = right / total
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = _TWO_SIDED_95 * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def right_at_exits(result: RunResult) -> dict[str, tuple[int, int]]:
    """(right, all) images by the exit at which they left; exits that no image took are absent.

    So are images of which nothing is known but their time.
    """
    counts: dict[str, tuple[int, int]] = {}
    for image in result.per_image:
        if image.label is None:
            continue
        right, total = counts.get(image.exit, (0, 0))
        counts[image.exit] = (right + (image.prediction == image.label), total + 1)
    return counts


def _accuracy_columns(
    result: RunResult, names: Sequence[str]
) -> tuple[list[int], list[float], list[float], list[float]]:
    """(row of the exit, accuracy, distance to the lower and to the upper end of its interval), the last three in %."""
    counts = right_at_exits(result)
    rows = [row for row, name in enumerate(names) if name in counts]
    pairs = [counts[names[row]] for row in rows]
    accuracy = [100 * right / total for right, total in pairs]
    ends = [wilson_interval(right, total) for right, total in pairs]
    # An interval that ends at its estimate may miss it by a rounding error; a distance is never negative.
    below = [max(0.0, value - 100 * low) for value, (low, _) in zip(accuracy, ends, strict=True)]
    above = [max(0.0, 100 * high - value) for value, (_, high) in zip(accuracy, ends, strict=True)]
    return rows, accuracy, below, above


def _tell_accuracy(
    axes: Axes, centres: list[float], accuracy: list[float], below: list[float], above: list[float]
) -> None:
    """Write each accuracy under its interval, or over it where there is no room under it."""
    for x, value, down, up in zip(centres, accuracy, below, above, strict=True):
        under = value - down > _ROOM_PERCENT
        end, offset_points = (value - down, -3) if under else (value + up, 3)
        axes.annotate(
            f"{value:.1f} %",
            (x, end),
            (0, offset_points),
            textcoords="offset points",
            ha="center",
            va="top" if under else "bottom",
            fontsize=8,
        )


def _accuracy_legend(results: Sequence[RunResult]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=style.RESULT_COLOURS[index],
            linestyle="--",
            linewidth=1,
            label="all images: unknown"
            if result.accuracy is None
            else f"all images: {100 * result.accuracy:.2f} %",
        )
        for index, result in enumerate(results)
    ]


def _exit_names(results: Sequence[RunResult]) -> list[str]:
    return merged_order([list(result.exits) for result in results])


def _width(results: Sequence[RunResult]) -> float:
    return 0.8 / len(results) if len(results) > 1 else 0.55


def _centres(rows: Sequence[int], index: int, results: Sequence[RunResult]) -> list[float]:
    offset = (index - (len(results) - 1) / 2) * _width(results)
    return list(np.array(rows, float) + offset)
