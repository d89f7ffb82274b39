"""A section of the page, and how it is set."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.report.page.markup import Child, Html, el


@dataclass(frozen=True)
class Section:
    """anchor: its identifier on the page. title: its heading and its entry in the contents."""

    anchor: str
    title: str
    body: Html

    def markup(self) -> Html:
        """As a region that its heading names."""
        heading = f"{self.anchor}-heading"
        return el(
            "section",
            el("h2", self.title, id=heading),
            self.body,
            id=self.anchor,
            aria_labelledby=heading,
        )


def details(summary: str, *children: Child) -> Html:
    """Something that is folded up until it is asked for, and printed unfolded."""
    return el("details", el("summary", summary), *children)


def says(text: str) -> Html:
    """A remark below a heading."""
    return el("p", text, class_="says")
