"""The page: one file that asks for nothing else, the same bytes for the same result."""

from __future__ import annotations

from pathlib import Path

from archsim import __version__
from archsim.errors import InvalidInput, Problem
from archsim.files import write_atomic
from archsim.report import style
from archsim.report.page.comparison import comparison_sections
from archsim.report.page.energy import energy_section, layers_section
from archsim.report.page.exits import exits_section, latency_section, taken_exits
from archsim.report.page.gallery import chosen, gallery_section
from archsim.report.page.markup import Html, el
from archsim.report.page.provenance import configuration_section, provenance_section
from archsim.report.page.section import Section
from archsim.report.page.sources import Asked, Subject, pictures, read_subject
from archsim.report.page.summary import lede, summary_section
from archsim.report.page.timeline import timeline_colours, timeline_section
from archsim.results.run_result import RunResult
from archsim.results.store import check_out_dir

_FOLDER = Path(__file__).resolve().parent
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content security policy: a browser then refuses any request of the page."""

_HATCH = el(
    "svg",
    el(
        "pattern",
        el("rect", width="6", height="6", class_="layer"),
        el("path", d="M0 6L6 0M-1 1L1 -1M5 7L7 5"),
        id="hatch",
        width="6",
        height="6",
        patternUnits="userSpaceOnUse",
    ),
    width="0",
    height="0",
    aria_hidden="true",
    class_="unseen",
)
"""Of branches, which all bars of the page refer to."""


def write_page(source: Path, out: Path, asked: Asked = Asked()) -> Path:  # noqa: B008 (frozen)
    """Read a result, write its page; returns the path.

    source: folder of ``archsim simulate --out`` or ``archsim compare --out``, or the JSON file in it.
    Raises InvalidInput with what is wrong; then nothing is written.
    """
    if out.is_dir():
        raise InvalidInput([Problem(str(out), "", "found a folder, expected a file to write")])
    check_out_dir(out.parent)
    write_atomic(out, page(read_subject(source, asked)).encode())
    return out


def page(subject: Subject) -> str:
    """The text of the file."""
    result = subject.result
    title = f"{result.workload} on {result.arch}"
    sections = page_sections(subject)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="generator", content=f"archsim {__version__}"),
        el("title", f"{title} - archsim report"),
        el("style", Html(_palette(result) + _read("page.css"))),
    )
    body = el(
        "body",
        _HATCH,
        el("a", "To the content", href="#summary", class_="skip"),
        el("header", _masthead(title), lede(result), _contents(sections)),
        el("main", *(section.markup() for section in sections)),
        el("footer", f"Written by archsim {__version__} from the result of archsim {result.version}."),
        el("script", Html(_read("page.js"))),
    )
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def page_sections(subject: Subject) -> list[Section]:
    """All sections in their order. A further one is a function that returns a Section, and a line here."""
    result = subject.result
    shown = chosen(result)
    found = pictures(subject, [image.index for image in shown])
    return [
        summary_section(result),
        *(comparison_sections(subject.comparison) if subject.comparison else []),
        exits_section(result),
        energy_section(result),
        latency_section(result),
        *([timeline_section(result.timeline)] if result.timeline else []),
        gallery_section(subject, shown, found),
        layers_section(result),
        configuration_section(subject),
        provenance_section(subject),
    ]


def _masthead(title: str) -> Html:
    toggle = el("button", "Dark", type="button", id="theme", aria_pressed="false", hidden=True)
    return el("div", el("h1", title), toggle, class_="masthead")


def _contents(sections: list[Section]) -> Html:
    links = [el("li", el("a", section.title, href=f"#{section.anchor}")) for section in sections]
    return el("nav", el("ul", *links), aria_label="Contents")


def _palette(result: RunResult) -> str:
    """Colours of data as variables and classes, those of the plots; exits are lighter on dark paper."""
    exits = len(taken_exits(result))
    on_light, on_dark = style.depth_colours(exits), style.depth_colours(exits, on_dark=True)
    variables = [f"--exit-{index}:light-dark({on_light[index]},{on_dark[index]})" for index in range(exits)]
    variables.append(f"--accent:light-dark({style.BLUE},{style.SKY_BLUE})")
    classes = [f".c-{name}{{fill:{colour}}}" for name, colour in style.COMPONENT_COLOURS.items()]
    classes += [f".x-{index}{{--exit:var(--exit-{index});fill:var(--exit)}}" for index in range(exits)]
    classes += [timeline_colours()] if result.timeline else []
    return f":root{{{';'.join(variables)}}}\n{''.join(classes)}\n"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
