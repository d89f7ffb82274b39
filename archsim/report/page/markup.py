"""HTML made of nested calls. All text is escaped; only what these functions return is taken for markup."""

from __future__ import annotations

import html
from collections.abc import Sequence

_VOID = ("img", "input", "meta")


class Html(str):
    """Markup. A plain ``str`` among the children of an element is text and is escaped."""

    __slots__ = ()


Child = Html | str | None
"""None stands for nothing."""


def el(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """One element. Of the names of attributes a trailing ``_`` is dropped and ``_`` becomes ``-``.

    True is an attribute without a value; False and None leave it out.

    >>> el("p", "a < b ", el("b", "c"), class_="x", data_key='"')
    '<p class="x" data-key="&quot;">a &lt; b <b>c</b></p>'
    >>> el("input", type="radio", checked=True, disabled=False)
    '<input type="radio" checked>'
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        words.append(attribute if value is True else f'{attribute}="{html.escape(value)}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Children one behind the other.

    >>> join("<script>", None, Html("<br>"))
    '&lt;script&gt;<br>'
    """
    return Html("".join(_markup(child) for child in children if child is not None))


def _markup(child: Html | str) -> str:
    return child if isinstance(child, Html) else html.escape(child, quote=False)


def table(
    caption: str,
    header: Sequence[Child],
    rows: Sequence[Sequence[Child]],
    left: Sequence[int] = (0,),
    *,
    footer: Sequence[Child] = (),
) -> Html:
    """A table that scrolls inside itself where it is wider than the page.

    The first cell of a row is its header. Columns with an index in ``left`` hold text, the others numbers.
    """

    def line(cells: Sequence[Child], heads: bool) -> Html:
        return el("tr", *(cell(index, content, heads) for index, content in enumerate(cells)))

    def cell(index: int, content: Child, heads: bool) -> Html:
        kind = (None if index == 0 else "words") if index in left else "num"
        if heads or index == 0:
            return el("th", content, scope="col" if heads else "row", class_=kind)
        return el("td", content, class_=kind)

    grid = el(
        "table",
        el("caption", caption, class_="unseen"),
        el("thead", line(header, True)),
        el("tbody", *(line(row, False) for row in rows)),
        el("tfoot", line(footer, False)) if footer else None,
    )
    return el("div", grid, class_="scroll", role="region", aria_label=caption, tabindex="0")
