"""What the pictures over time share: the axis in microseconds, and a strip with the layers on the array."""

from __future__ import annotations

from matplotlib.axes import Axes

from archsim.errors import InvalidInput, Problem
from archsim.network.graph import FINAL
from archsim.report import style
from archsim.report.captions import joined
from archsim.results.run_result import RunResult
from archsim.results.timeline import Timeline

STRIP_INCHES = 0.35
_TITLE_CHARACTERS = 85
_IDLE = "#F4F4F4"


def timeline_of(result: RunResult) -> Timeline:
    """The timeline of a result. Raises InvalidInput where it was simulated without."""
    if result.timeline is None:
        message = f"found no timeline in the result of {result.workload} on {result.arch}"
        raise InvalidInput([Problem("RESULT", "timeline", message, "simulate with --timeline IMAGE")])
    return result.timeline


def time_title(what: str, timeline: Timeline) -> str:
    """``what``, and under it of which image."""
    way = "to the end" if timeline.exit == FINAL else f"left at {timeline.exit}"
    facts = [timeline.workload, timeline.arch, f"image {timeline.image}", way]
    if (timeline.from_cycle, timeline.until_cycle) != (0, timeline.cycles):
        facts.append(f"cycles {timeline.from_cycle:,} to {timeline.until_cycle:,} of {timeline.cycles:,}")
    else:
        facts.append(f"{timeline.cycles:,} cycles")
    return f"{what}\n{joined(facts, ' · ', _TITLE_CHARACTERS)}"


def to_us(cycle: float, timeline: Timeline) -> float:
    """Microseconds from the start of the image."""
    return cycle / timeline.core_mhz


def time_axis(axes: Axes, timeline: Timeline) -> None:
    """Limits and label of the axis of time."""
    axes.set_xlim(to_us(timeline.from_cycle, timeline), to_us(timeline.until_cycle, timeline))
    axes.set_xlabel(f"time (µs from the start of the image, {timeline.core_mhz} cycles each)")


def layer_strip(axes: Axes, timeline: Timeline, width_inches: float) -> None:
    """Which layer is on the array when, each in a colour of its own, with its name where there is room."""
    layers = timeline.of("pe_array", "layer")
    shown_us = to_us(timeline.until_cycle - timeline.from_cycle, timeline)
    axes.set_facecolor(_IDLE)
    for span, colour in zip(layers, style.depth_colours(len(layers)), strict=True):
        start_us, end_us = (
            to_us(min(max(cycle, timeline.from_cycle), timeline.until_cycle), timeline)
            for cycle in (span.start_cycle, span.end_cycle)
        )
        axes.axvspan(start_us, end_us, color=colour, linewidth=0)
        room_inches = width_inches * (end_us - start_us) / shown_us
        if style.text_width_inches([f"{span.subject} "]) < room_inches:
            axes.text(
                (start_us + end_us) / 2,
                0.5,
                span.subject,
                ha="center",
                va="center",
                fontsize=8,
                color=style.ink_on(colour),
                transform=axes.get_xaxis_transform(),
            )
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_title("Layer on the PE array")
    axes.tick_params(labelbottom=False)
