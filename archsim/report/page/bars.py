"""Horizontal bars as inline SVG. Lengths are in percent of the width that there is, so that no text is ever scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.report.page.markup import Html, el, join

_HEIGHT_PX = 22
_TICK_PX = 5


@dataclass(frozen=True)
class Part:
    """One piece of a bar: its name, its length, the class that gives it a colour, what is said about it."""

    name: str
    length: float
    colour: str
    text: str


@dataclass(frozen=True)
class Bar:
    """A bar of consecutive parts. note: shown behind its label. whisker: from, to; None for none."""

    label: Html | str
    parts: Sequence[Part]
    note: Html | str
    whisker: tuple[float, float] | None = None

    @property
    def length(self) -> float:
        """That of all parts."""
        return sum(part.length for part in self.parts)

    @property
    def reach(self) -> float:
        """Where it ends, its whisker included."""
        return max(self.length, self.whisker[1] if self.whisker else 0.0)


def bars(caption: str, rows: Sequence[Bar]) -> Html:
    """Bars on one scale, each under its label and note. The longest, whisker included, fills the width."""
    longest = max((row.reach for row in rows), default=0.0) or 1.0
    items = [
        el(
            "li",
            el("span", row.label, class_="label"),
            _drawing(row, longest),
            el("span", row.note, class_="note"),
        )
        for row in rows
    ]
    return el("ul", *items, class_="bars", aria_label=caption)


def _drawing(row: Bar, longest: float) -> Html:
    pieces: list[Html] = []
    start = 0.0
    for part in row.parts:
        if part.length > 0:
            pieces.append(_piece(part, percent(start, longest), percent(part.length, longest)))
        start += part.length
    if row.whisker and row.whisker[1] > row.whisker[0]:
        pieces.append(_whisker(row.whisker, longest))
    words = "; ".join(part.text for part in row.parts if part.length > 0) or "nothing"
    return el("svg", el("title", words), *pieces, role="img", width="100%", height=str(_HEIGHT_PX))


def _piece(part: Part, start: str, width: str) -> Html:
    return el(
        "rect",
        el("title", part.text),
        x=start,
        y="0",
        width=width,
        height=str(_HEIGHT_PX),
        class_=part.colour,
    )


def _whisker(ends: tuple[float, float], longest: float) -> Html:
    low, high = (percent(max(0.0, end), longest) for end in ends)
    middle = _HEIGHT_PX / 2

    def line(x1: str, x2: str, y1: float, y2: float) -> Html:
        return el("line", x1=x1, x2=x2, y1=f"{y1:g}", y2=f"{y2:g}")

    strokes = [
        line(low, high, middle, middle),
        *(line(x, x, middle - _TICK_PX, middle + _TICK_PX) for x in (low, high)),
    ]
    return el("g", *strokes, class_="whisker")


def percent(part: float, whole: float) -> str:
    """Enough digits for a wide screen, few enough for a small page."""
    return f"{100 * part / whole:.3f}".rstrip("0").rstrip(".") + "%"


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """(name, class of its colour) side by side."""
    keys = [
        el(
            "li",
            el(
                "svg",
                el("rect", width="12", height="12", class_=colour),
                width="12",
                height="12",
                aria_hidden="true",
            ),
            join(name),
        )
        for name, colour in entries
    ]
    return el("ul", *keys, class_="legend")
