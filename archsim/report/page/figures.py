"""Figures of matplotlib as part of a page: texts stay texts, and colours follow the theme of the page."""

from __future__ import annotations

import io
import re

import matplotlib
from matplotlib.figure import Figure

from archsim.report.page.markup import Html, el
from archsim.report.style import house_style

_INKS = {"#222222": "ink", "#444444": "axis", "#dddddd": "grid", "#ffffff": "paper"}
"""Colours of the house style that are not those of data, by the variable of the page that takes their place."""


def inline_figure(figure: Figure, name: str, title: str, colours: dict[str, str]) -> Html:
    """A figure that scrolls inside itself where the page is narrower.

    name: unlike that of any other figure of the page. title: what a screen reader says. colours: further colours that
    the page has variables for.
    """
    stream = io.StringIO()
    with house_style(), matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = re.sub(r"<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.DOTALL)
    body = drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")]
    # Identifiers are those of the whole page.
    body = re.sub(r'((?: id="|"#|url\(#))', rf"\g<1>{name}-", body)
    for colour, variable in {**_INKS, **colours}.items():
        body = re.sub(colour, f"var(--{variable})", body, flags=re.IGNORECASE)
    width_points, height_points = (inches * 72 for inches in figure.get_size_inches())
    picture = el(
        "svg",
        el("title", title),
        Html(" ".join(body.split())),
        role="img",
        viewBox=f"0 0 {width_points:g} {height_points:g}",
        class_="plot",
    )
    return el("div", picture, class_="scroll", role="region", aria_label=title, tabindex="0")
