"""The way of the images as a river: its width is the share of images that are still under way (after Sankey, 1898).

It runs downwards, so that a network of many exits is long and not crowded, and is drawn in pixels of the page, so that
its words are as large on a phone as on a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.report.page.markup import Html, el
from archsim.report.page.numbers import labelled

_LEFT_PX, _TOP_PX = 6, 40
_FULL_PX = 84
"""Width of the river before anybody leaves."""
_MOUTH_PX = 150
"""Where the arms end and the words begin."""
_HALF_TEXT_PX = 34
_BEND_PX = 16
_LINE_PX = 19
_NAME_CHARACTERS = 22


@dataclass(frozen=True)
class Leaving:
    """Images that leave at one exit. colour: a class. notes: further lines below their number."""

    name: str
    count: int
    colour: str
    notes: Sequence[str]


def exit_flow(images: int, exits: Sequence[Leaving]) -> Html:
    """Where so many images leave; the counts of the exits add up to them, the last of them is the end of the trunk."""
    arms: list[Html] = []
    words: list[Html] = []
    trunk: list[tuple[float, float]] = [(_LEFT_PX + _FULL_PX, 22.0)]
    y = float(_TOP_PX)
    remaining = images
    for leaving in exits:
        width = _FULL_PX * leaving.count / images
        right = _LEFT_PX + _FULL_PX * remaining / images
        mouth = y + max(_BEND_PX, _HALF_TEXT_PX - width / 2)
        if leaving.count:
            arms.append(_arm(leaving, right, width, y, mouth))
        words += _words(leaving, mouth + width / 2, images)
        remaining -= leaving.count
        trunk += [(right, y), (_LEFT_PX + _FULL_PX * remaining / images, y)]
        y = mouth + width / 2 + max(width / 2, _HALF_TEXT_PX) + 8
    return el(
        "svg",
        el("title", _title(images, exits)),
        el("path", d=_trunk(trunk), class_="trunk"),
        *arms,
        el("text", labelled(images, "images", f"{images:,} images"), x=str(_LEFT_PX), y="14", class_="name"),
        *words,
        role="img",
        width="100%",
        height=f"{y:.0f}",
        class_="flow",
    )


def _title(images: int, exits: Sequence[Leaving]) -> str:
    told = ", ".join(f"{each.count} at {each.name}" for each in exits)
    return f"Of {images} images leave {told}"


def _trunk(right_edge: Sequence[tuple[float, float]]) -> str:
    """From its right edge, top to bottom; the left one is straight."""
    top, bottom = right_edge[0][1], right_edge[-1][1]
    points = [*right_edge, (float(_LEFT_PX), bottom), (float(_LEFT_PX), top)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"


def _arm(leaving: Leaving, right: float, width: float, start: float, mouth: float) -> Html:
    """What turns to the right: so much of the river, from its right edge on, which is as broad at its mouth."""
    left = right - width
    d = (
        f"M{left:.1f} {start:.1f}H{right:.1f}Q{right:.1f} {mouth:.1f} {_MOUTH_PX} {mouth:.1f}V{mouth + width:.1f}"
        f"Q{left:.1f} {mouth + width:.1f} {left:.1f} {start:.1f}Z"
    )
    return el(
        "path", el("title", f"{leaving.name}: {leaving.count} images"), d=d, class_=f"arm {leaving.colour}"
    )


def _words(leaving: Leaving, middle: float, images: int) -> list[Html]:
    name = leaving.name
    short = name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"
    share = f"{leaving.count:,} · {100 * leaving.count / images:.1f} %"
    lines: list[tuple[Html | str, str]] = [
        (short, "name"),
        (labelled(leaving.count, f"exits.{name}", share), "count"),
        *((note, "note") for note in leaving.notes),
    ]
    first = middle - _LINE_PX * (len(lines) - 1) / 2 + 5
    return [
        el("text", line, x=str(_MOUTH_PX + 12), y=f"{first + index * _LINE_PX:.1f}", class_=kind)
        for index, (line, kind) in enumerate(lines)
    ]
