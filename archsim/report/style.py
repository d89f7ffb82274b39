"""House style of all plots: colours, fonts and sizes are chosen here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"
"""Okabe and Ito, Color Universal Design (2008): told apart with any common colour blindness. GREY is added."""

COMPONENT_COLOURS = {
    "dram": BLUE,
    "global_buffer": SKY_BLUE,
    "noc": GREEN,
    "pe_array": ORANGE,
    "branch_unit": VERMILLION,
    "dbp_unit": PURPLE,
    "controller": YELLOW,
    "leakage": GREY,
}
"""A component has the same colour in every plot."""

RESULT_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
"""Colours of results side by side, as many as can be told apart; a yellow line would be lost on white paper."""

WIDTH_INCHES = 7.5
_SMALL_POINTS = 8
_TITLE_POINTS = 10
_LINE_EMS = 1.2
_LEGEND_GAP_EMS = 0.6
_MARGIN_INCHES = 0.1
_LETTER_EMS = 0.6
_MINUS = "\N{MINUS SIGN}"

RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.8,
    "legend.fontsize": _SMALL_POINTS,
    "legend.frameon": False,
    "legend.title_fontsize": _SMALL_POINTS,
    "lines.solid_capstyle": "butt",
    "patch.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType, as publishers ask for; the default, Type 3, is refused by many
    "savefig.dpi": 200,
    "svg.hashsalt": "archsim",  # identifiers of an SVG are random without it
    "text.parse_math": False,  # a "$" in the name of a workload is a character, not a formula
    "xtick.labelsize": _SMALL_POINTS,
    "ytick.labelsize": _SMALL_POINTS,
}
"""Settings over matplotlib's own defaults. A user's matplotlibrc has no say: everybody gets the same picture."""


def house_style() -> Any:
    """Context manager in which figures are made and written.

    ``matplotlib.rcParamsDefault`` names the back end to choose for windows; nothing here opens one.
    """
    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **RC}
    del settings["backend"]
    return matplotlib.rc_context(settings)


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour (relative luminance of WCAG 2.1 against 0.3).

    >>> ink_on(YELLOW), ink_on(BLUE)
    ('black', 'white')
    """
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "black" if luminance > 0.3 else "white"


def depth_colours(count: int, *, on_dark: bool = False) -> list[str]:
    """Colours of things that follow each other in depth: cividis, made for colour blindness, dark to light.

    on_dark: for dark paper, on which the darkest are not seen.
    """
    ramp = matplotlib.colormaps["cividis"]
    first, last = (0.35, 1.0) if on_dark else (0.0, 0.9)
    return [
        matplotlib.colors.to_hex(ramp(first + (last - first) * index / max(1, count - 1)))
        for index in range(count)
    ]


def quantity(value: float) -> str:
    """A number with at least four digits, those before the point in groups.

    >>> quantity(0.01234), quantity(12.3456), quantity(0), quantity(1234567.8)
    ('0.01234', '12.35', '0', '1,234,568')
    """
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def change(value: float, baseline: float) -> str:
    """How much more or less than a baseline; empty where the baseline is 0.

    >>> change(38.0, 100.0), change(110.0, 100.0), change(100.01, 100.0), change(1235.0, 100.0), change(1.0, 0.0)
    ('\u221262.0 %', '+10.0 %', '±0.0 %', '12.3 times', '')
    """
    if baseline == 0:
        return ""
    if value >= 10 * baseline:
        return f"{value / baseline:,.1f} times"
    percent = round(100 * (value - baseline) / baseline, 1)
    sign = "±" if percent == 0 else "+" if percent > 0 else _MINUS
    return f"{sign}{abs(percent):.1f} %"


def line_widths(count: int) -> list[float]:
    """Points; each line is thinner than those before it, so that none is hidden under an equal one.

    >>> line_widths(3)
    [2.8, 2.0, 1.2]
    """
    return [round(2.8 - 1.6 * index / (count - 1), 2) for index in range(count)] if count > 1 else [2.0]


def headline(figure: Figure, text: str) -> None:
    """Title over all panels: the first line, in bold, says what is shown, the others of what.

    The figure must have its size: the panels are laid out below the title.
    """
    first, _, rest = text.partition("\n")
    lines = 2 + rest.count("\n")
    height_inches = figure.get_figheight()
    top = 1 - _MARGIN_INCHES / height_inches
    place: dict[str, Any] = {
        "x": _MARGIN_INCHES / figure.get_figwidth(),
        "y": top,
        "va": "top",
        "fontsize": _TITLE_POINTS,
    }
    figure.text(s=first, weight="bold", **place)
    figure.text(s=f"\n{rest}", **place)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, top - lines * _TITLE_POINTS * _LINE_EMS / 72 / height_inches))


def name_categories(axes: Axes, names: Sequence[str], width_inches: float) -> None:
    """Names under positions 0, 1, 2, …; upright where they would run into each other."""
    upright = len(names) * text_width_inches([f"{name}  " for name in names]) > width_inches
    axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")


def legend_right(axes: Axes, title: str = "", **content: Any) -> None:
    """Legend outside, to the right."""
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.02), title=title or None, alignment="left", **content
    )


def text_height_inches(texts: Sequence[str]) -> float:
    """Height of texts of one or more lines under each other, as a legend sets them."""
    lines = sum(1 + text.count("\n") for text in texts)
    return (lines * _LINE_EMS + len(texts) * _LEGEND_GAP_EMS) * _SMALL_POINTS / 72


def text_width_inches(texts: Sequence[str]) -> float:
    """About how wide the longest line of texts is in the size of legends and ticks."""
    letters = max((len(line) for text in texts for line in text.splitlines()), default=0)
    return letters * _SMALL_POINTS * _LETTER_EMS / 72


def legend_below(figure: Figure, **content: Any) -> None:
    """Legend of the whole figure, one entry a line, under the axes."""
    figure.legend(loc="outside lower left", alignment="left", **content)
