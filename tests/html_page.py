"""Reading a page of ``archsim report``: elements with their attributes and texts, and whatever is not well formed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"img", "input", "meta"}


@dataclass
class Element:
    """text: all of it, that of inner elements included."""

    name: str
    attributes: dict[str, str]
    parent: Element | None
    text: str = ""

    def inside(self, anchor: str) -> bool:
        """Whether it stands in the element of this id."""
        return self.attributes.get("id") == anchor or (self.parent is not None and self.parent.inside(anchor))


@dataclass
class Page(HTMLParser):
    """``Page.of(text)``; errors: what is wrong with the nesting, attributes and references."""

    elements: list[Element] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    open_: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, text: str) -> Page:
        page = cls()
        page.feed(text)
        page.close()
        page.errors += [f"<{element.name}> is not closed" for element in page.open_]
        page._check_references()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.errors.append(f"<{tag}> has an attribute twice: {names}")
        parent = self.open_[-1] if self.open_ else None
        element = Element(tag, {name: value or "" for name, value in attrs}, parent)
        self.elements.append(element)
        if tag not in VOID:
            self.open_.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open_.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open_ or self.open_[-1].name != tag:
            self.errors.append(f"</{tag}> closes {[element.name for element in self.open_[-3:]]}")
        else:
            self.open_.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open_:
            element.text += data

    def all(self, name: str) -> list[Element]:
        """Elements of one name, in their order."""
        return [element for element in self.elements if element.name == name]

    def one(self, name: str) -> Element:
        """The only element of its name."""
        (found,) = self.all(name)
        return found

    def _check_references(self) -> None:
        ids = [element.attributes["id"] for element in self.elements if "id" in element.attributes]
        self.errors += [f"the id {name} is there twice" for name in set(ids) if ids.count(name) > 1]
        for element in self.elements:
            for key, value in element.attributes.items():
                targets = re.findall(r"url\(#([^)]+)\)", value)
                targets += [value[1:]] if key in ("href", "xlink:href") and value.startswith("#") else []
                targets += value.split() if key == "aria-labelledby" else []
                self.errors += [
                    f"{key} of <{element.name}> leads to no id {name}" for name in targets if name not in ids
                ]
