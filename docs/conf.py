"""The site: ``python -m sphinx -b html -c docs . build/site`` in the root of a checkout.

The pages are the Markdown files of the repository as they are, which a forge shows too. The root of the repository is
therefore the source directory, and the side bar is made from the lists of ``docs/index.md``: a page that is linked
there is in it.
"""

from __future__ import annotations

import re
from posixpath import join, normpath

from sphinx.application import Sphinx

from archsim import __version__

project = "archsim"
author = "the archsim developers"
release = version = __version__

extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/**.md", "workloads/*.md", "energy_tables/*.md"]
root_doc = "docs/index"
templates_path = ["_templates"]
myst_heading_anchors = 4
highlight_language = "none"
smartquotes = False  # a quoted value is to be copied as it is

html_theme = "furo"
html_title = f"archsim {__version__}"
html_additional_pages = {"index": "to_docs.html"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)\.md\)")


def side_bar(index: str) -> str:
    """Hidden tables of contents of the pages that the index links, one a section."""
    first, *sections = _HEADING.split(index)
    parts = [("", first), *zip(sections[::2], sections[1::2], strict=True)]
    return "\n\n".join(_tree(caption, pages) for caption, body in parts if (pages := _pages(body)))


def _pages(body: str) -> list[str]:
    """Documents by their path from the root, each once."""
    return [f"/{normpath(join('docs', target))}" for target in dict.fromkeys(_LINK.findall(body))]


def _tree(caption: str, pages: list[str]) -> str:
    head = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *head, "", *pages, "```"])


def _add_side_bar(_: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += f"\n\n{side_bar(source[0])}\n"


def setup(app: Sphinx) -> None:
    """Hook of Sphinx."""
    app.connect("source-read", _add_side_bar)
