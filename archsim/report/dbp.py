"""``--kind dbp``: does the magnitude of the activations tell whether an image leaves? One panel a branch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from archsim.errors import InvalidInput, Problem
from archsim.report import style
from archsim.report.captions import title
from archsim.results.run_result import BranchImage, RunResult

_MOST_COLUMNS = 3
_TICKS = 5
"""On the axis of sums, whose numbers are long."""
_OUTCOMES = {
    "left": ("left here", style.BLUE, "o"),
    "passed": ("evaluated, went on", style.ORANGE, "^"),
    "skipped": ("skipped by DBP", style.PURPLE, "x"),
}
"""Label, colour and marker by outcome."""
_NOT_COMPUTED = "skipped, margin not computed"


def draw_dbp(results: Sequence[RunResult], figure: Figure) -> None:
    """All branches of which sums are known, in the order in which an image meets them."""
    (result,) = results
    rows = known_rows(result)
    columns = min(_MOST_COLUMNS, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure.set_size_inches(max(style.WIDTH_INCHES, 3.4 * columns), 2.8 * lines + 1.6)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (name, of_branch) in zip(panels, rows.items(), strict=False):
        plot_dbp(name, of_branch, axes)
    for axes in panels[len(rows) :]:
        axes.remove()
    style.legend_below(figure, handles=_legend(rows), ncols=3)
    style.headline(figure, title("Magnitude of activations and margin", results))


def known_rows(result: RunResult) -> dict[str, list[BranchImage]]:
    """Images at each branch of which the magnitude is known. Raises InvalidInput where there are none."""
    rows: dict[str, list[BranchImage]] = {}
    for row in result.per_branch:
        if row.magnitude_sum is not None:
            rows.setdefault(row.branch, []).append(row)
    if not rows:
        message = (
            f"found no branch whose magnitudes are known in the result of {result.workload} on {result.arch}"
        )
        hint = "DBP has to be enabled, and one branch at least to have a bound"
        raise InvalidInput([Problem("RESULT", "branches.csv", message, hint)])
    return rows


def plot_dbp(name: str, rows: Sequence[BranchImage], axes: Axes) -> None:
    """Margin over magnitude, each image a point; threshold and bounds as lines, what DBP skips shaded.

    Images that DBP skipped and of which nobody computed the margin stand as marks on the lower edge.
    """
    for outcome, (label, colour, marker) in _OUTCOMES.items():
        shown = [row for row in rows if row.outcome == outcome and row.margin is not None]
        axes.plot(
            _known(row.magnitude_sum for row in shown),
            _known(row.margin for row in shown),
            marker,
            color=colour,
            markersize=4,
            alpha=0.7,
            label=label,
            rasterized=True,
        )
    unknown = _known(row.magnitude_sum for row in rows if row.margin is None)
    axes.plot(
        unknown,
        [0.02] * len(unknown),
        "|",
        color=_OUTCOMES["skipped"][1],
        markersize=7,
        transform=axes.get_xaxis_transform(),
        label=_NOT_COMPUTED,
    )
    axes.margins(0.06)
    top = 1.1 * max([row.margin or 0 for row in rows] + [rows[0].threshold or 1])
    axes.set_ylim(-0.04 * top, top)
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
    first = rows[0]
    if first.threshold is not None:
        axes.axhline(first.threshold, color=style.BLACK, linewidth=1.2, linestyle="--")
    for bound, is_lower in ((first.min_sum, True), (first.max_sum, False)):
        if bound is not None:
            _draw_bound(bound, is_lower, axes)
    evaluated = [row for row in rows if row.outcome != "skipped"]
    left = sum(row.outcome == "left" for row in rows)
    axes.set_title(f"{name}: {left} of {len(evaluated)} leave, {len(rows) - len(evaluated)} skipped")
    axes.set_xlabel("sum of |activation| (int8 units)")
    axes.set_ylabel("margin (logit units)")


def _known(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _draw_bound(bound: int, is_lower: bool, axes: Axes) -> None:
    """A bound of DBP, and what is beyond it; the axis shows the bound even where no image is near."""
    low, high = axes.get_xlim()
    space = 0.04 * (high - low)
    low, high = min(low, bound - space), max(high, bound + space)
    axes.set_xlim(low, high)
    axes.axvline(bound, color=style.BLACK, linewidth=1.2, linestyle="-.")
    ends = (low, bound) if is_lower else (bound, high)
    axes.axvspan(*ends, color=style.GREY, alpha=0.18, linewidth=0)


def _legend(rows: dict[str, list[BranchImage]]) -> list[Line2D]:
    all_rows = [row for of_branch in rows.values() for row in of_branch]
    met = {row.outcome for row in all_rows if row.margin is not None}
    keys = [
        Line2D([], [], linestyle="", marker=marker, color=colour, label=label)
        for outcome, (label, colour, marker) in _OUTCOMES.items()
        if outcome in met
    ]
    if any(row.margin is None for row in all_rows):
        keys.append(Line2D([], [], linestyle="", marker="|", color=style.PURPLE, label=_NOT_COMPUTED))
    keys.append(Line2D([], [], color=style.BLACK, linestyle="--", label="threshold: leaves at or above"))
    if any(row.min_sum is not None or row.max_sum is not None for row in all_rows):
        keys.append(Line2D([], [], color=style.BLACK, linestyle="-.", label="bound of DBP: skips beyond"))
    return keys
