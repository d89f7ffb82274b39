"""Where images leave, how often they are right there, and how long they take."""

from __future__ import annotations

import math

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from archsim.report.exits import right_at_exits, wilson_interval
from archsim.report.latency import plot_latency, plot_latency_by_exit
from archsim.report.page.figures import inline_figure
from archsim.report.page.flow import Leaving, exit_flow
from archsim.report.page.markup import Child, Html, el, join, table
from archsim.report.page.numbers import TO, fraction, number, whole
from archsim.report.page.section import Section, says
from archsim.report.style import BLUE, depth_colours, house_style
from archsim.results.run_result import RunResult

_LATENCY_INCHES = (5.0, 4.2)
"""Of the figure: its texts must be read on a phone."""


def taken_exits(result: RunResult) -> list[str]:
    """Exits at which an image left, in the order in which it meets them; each has a colour of that order."""
    return [name for name, count in result.exits.items() if count]


def exit_colour(result: RunResult, name: str) -> str:
    """Class of the colour of an exit, that of the plots."""
    taken = taken_exits(result)
    return f"x-{taken.index(name)}" if name in taken else "x-none"


def exits_section(result: RunResult) -> Section:
    """The flow of the images, and the exits as a table."""
    flow = exit_flow(result.images, [_leaving(result, name) for name in result.exits])
    body = el("div", el("figure", flow), el("div", _table(result)), class_="beside")
    return Section("exits", "Where images leave", join(says(_remark(result)), body))


def latency_section(result: RunResult) -> Section:
    """The distribution over the images, as ``archsim plot --kind latency`` draws it."""
    colours = {
        colour: f"exit-{index}" for index, colour in enumerate(depth_colours(len(taken_exits(result))))
    }
    latency = result.latency_us
    title = (
        f"Distribution of latency: mean {latency.mean:.4g} µs, p50 {latency.p50:.4g} µs, p99 {latency.p99:.4g} µs, "
        f"at most {latency.max:.4g} µs"
    )
    with house_style():
        figure = Figure(figsize=_LATENCY_INCHES)
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, sharex=True)
        plot_latency_by_exit(result, above)
        plot_latency([result], below)
    picture = inline_figure(figure, "latency", title, {BLUE: "accent", **colours})
    return Section("latency", "Latency", el("figure", picture))


def _leaving(result: RunResult, name: str) -> Leaving:
    right, total = right_at_exits(result).get(name, (0, 0))
    notes = [f"{100 * right / total:.1f} % right"] if total else []
    if (branch := result.branches.get(name)) is not None and branch.skipped_by_dbp:
        notes.append(f"{branch.skipped_by_dbp:,} skipped it (DBP)")
    return Leaving(name, result.exits[name], exit_colour(result, name), notes)


def _remark(result: RunResult) -> str:
    if not result.branches:
        return "The network has no branches: every image runs to its end."
    return (
        "An image leaves at the first branch that is sure enough. A branch that DBP skips for an image is not "
        "computed for it. Accuracy is that of the images which left there."
    )


def _table(result: RunResult) -> Html:
    header = (
        "exit", "images", "share", "accuracy", "95 % interval", "evaluated", "skipped by DBP", "cycles", "µJ",
    )  # fmt: skip
    return table("Exits", header, [_row(result, name) for name in result.exits])


def _row(result: RunResult, name: str) -> list[Child]:
    count = result.exits[name]
    branch = result.branches.get(name)
    images = [image for image in result.per_image if image.exit == name]
    row: list[Child] = [name, whole(count, f"exits.{name}"), fraction(count / result.images, digits=1)]
    right, total = right_at_exits(result).get(name, (0, 0))
    if total:
        low, high = wilson_interval(right, total)
        row += [fraction(right / total), f"{100 * low:.1f}{TO}{100 * high:.1f} %"]
    else:
        row += ["", ""]
    if branch is None:
        row += ["", ""]
    else:
        row += [
            whole(branch.evaluated, f"branches.{name}.evaluated"),
            whole(branch.skipped_by_dbp, f"branches.{name}.skipped_by_dbp"),
        ]
    if not images:
        return [*row, "", ""]
    cycles = sum(image.cycles for image in images) / len(images)
    return [*row, number(cycles), number(math.fsum(image.energy_uj for image in images) / len(images))]
