"""The excerpt of a timeline on the page: what is drawn is what was recorded, and it stays small."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from archsim.report.page.numbers import TO
from archsim.report.page.timeline import MOST_SPANS, excerpt_of, timeline_section
from archsim.report.timeline import ROWS
from archsim.results.timeline import Timeline
from archsim.sim.observe import LoggedEvent, Span
from tests.html_page import Element, Page
from tests.machine import Machine
from tests.run_results import observed_run

HAND_MADE = observed_run().timeline
assert HAND_MADE is not None


def page_of(timeline: Timeline) -> Page:
    page = Page.of(timeline_section(timeline).markup())
    assert page.errors == []
    return page


def label_of(element: Element) -> str:
    """Of the track that it stands in."""
    parent = element.parent
    assert parent is not None
    return parent.text if parent.name == "li" else label_of(parent)


def percent(element: Element, key: str) -> float:
    return float(element.attributes[key].removesuffix("%"))


def bars_of(page: Page, label: str) -> list[tuple[str, float, float]]:
    """Class, place and width of the bars of a track."""
    rects = [each for each in page.all("rect") if "y" in each.attributes and label_of(each).startswith(label)]
    return [(each.attributes["class"], percent(each, "x"), percent(each, "width")) for each in rects]


def test_the_excerpt_surrounds_the_decision_that_lets_the_image_leave() -> None:
    """The branch unit works from 120 on, the decision is at 160: 80 cycles before, 40 behind it."""
    found = excerpt_of(HAND_MADE)
    assert (found.from_cycle, found.until_cycle, found.at_cycle) == (40, 200, 160)
    assert found.about == "the decision at exit1 (exit)"


def test_bars_stand_at_the_cycles_of_their_spans() -> None:
    page = page_of(HAND_MADE)
    assert bars_of(page, "PE array") == [
        ("t-compute", 0.0, 12.5),  # 15 to 60, cut at 40
        ("t-compute", 12.5, 31.25),
    ]
    assert bars_of(page, "branch unit") == [("t-evaluate", 50.0, 25.0)]
    assert bars_of(page, "controller") == [("t-decision", 75.0, 0.625), ("t-result", 75.0, 25.0)]
    assert bars_of(page, "DRAM channel") == [("t-store", 37.5, 6.25)]
    assert bars_of(page, "layer on the PE array") == [("strip-0", 0.0, 43.75)]
    assert {each.attributes["x1"] for each in page.all("line")} == {"75%"}
    titles = [each.text for each in page.all("title")]
    assert f"compute conv1 tile 1: cycles 60{TO}110" in titles
    assert f"fetch conv2 tile 0 (cut short): cycles 110{TO}160" in titles
    assert "PE array: works for 70 cycles" in titles
    assert "buffer port, loads" not in page.one("section").text  # nothing of it in these cycles


def test_stalls_and_decisions_are_in_words_too() -> None:
    page = page_of(HAND_MADE)
    rows = [[cell.text for cell in page.elements if cell.parent is row] for row in page.all("tr")]
    assert rows == [
        ["unit", "waits for", "first at cycle", "cycles"],
        ["PE array", "the data of tile 0 of conv1", "4", "11"],
        ["unit", "says", "about", "cycle", "µs"],
        ["branch unit", "exit", "exit1", "160", "0.8000"],
        ["DMA", "cancel", "all fetches", "160", "0.8000"],
    ]


def test_waits_are_lower_and_lie_on_top() -> None:
    spans = (
        Span("pe_array", "wait", "tile 1", 1, 20, 30),
        Span("pe_array", "compute", "conv1", 0, 0, 90),
        Span("controller", "decision", "exit1: go on", -1, 80, 81),
    )
    page = page_of(dataclasses.replace(HAND_MADE, spans=spans, marks=()))
    heights = [
        (each.attributes["class"], float(each.attributes["height"]))
        for each in page.all("rect")
        if label_of(each).startswith("PE array")
    ]
    assert [name for name, _ in heights] == ["t-compute", "t-wait"]
    assert heights[1][1] < heights[0][1]
    assert "PE array: works for 90 cycles, waits 10" in [each.text for each in page.all("title")]
    assert "Nothing is decided." in page.one("section").text


@pytest.mark.parametrize(
    ("spans", "about", "at_cycle"),
    [
        ((Span("pe_array", "wait", "tile 1", 1, 20, 30),), "the longest stall of the PE array", 30),
        ((Span("pe_array", "compute", "conv1", 0, 0, 90),), "its end", 199),
    ],
)
def test_without_a_decision_it_is_about_the_longest_stall_or_the_end(
    spans: tuple[Span, ...], about: str, at_cycle: int
) -> None:
    found = excerpt_of(dataclasses.replace(HAND_MADE, spans=spans))
    assert (found.about, found.at_cycle) == (about, at_cycle)
    assert found.from_cycle < at_cycle < found.until_cycle


@pytest.mark.parametrize(("first", "end"), [(90, 110), (0, 20), (110, 111), (70, 70)])
def test_the_excerpt_stays_inside_what_was_recorded(first: int, end: int) -> None:
    """The PE array waits from 80 to 120; spans that reach beyond a recorded window are whole."""
    waiting = (Span("pe_array", "wait", "tile 1", 1, 80, 120),)
    timeline = dataclasses.replace(HAND_MADE, spans=waiting, marks=(), from_cycle=first, until_cycle=end)
    found = excerpt_of(timeline)
    assert first <= found.from_cycle < found.until_cycle <= max(end, first + 1)
    assert found.from_cycle <= found.at_cycle <= found.until_cycle
    page = page_of(timeline)
    placed = [
        percent(each, key) for each in page.all("rect") if "y" in each.attributes for key in ("x", "width")
    ]
    assert all(0 <= place <= 100 for place in placed)


def test_no_timeline_makes_the_page_large() -> None:
    """A branch that is evaluated for 20,000 cycles while a thousand chunks come in."""
    chunks = tuple(Span("dram", "load", "conv2", 0, 20 * index, 20 * index + 19, 64) for index in range(1000))
    spans = (
        *chunks,
        Span("branch_unit", "evaluate", "exit1", -1, 0, 20_000),
        Span("controller", "decision", "exit1: exit", -1, 20_000, 20_001),
    )
    timeline = dataclasses.replace(HAND_MADE, cycles=20_100, until_cycle=20_100, spans=spans)
    found = excerpt_of(timeline)
    assert sum(len(found.spans(timeline, unit, whats)) for _, unit, whats in ROWS) <= MOST_SPANS
    assert found.from_cycle < 20_000 < found.until_cycle
    cut = excerpt_of(dataclasses.replace(timeline, until_cycle=20_000))
    assert cut.from_cycle < cut.at_cycle == cut.until_cycle == 20_000
    assert found.until_cycle - found.from_cycle > 3000
    marks = tuple(LoggedEvent(index, "branch_unit", "go on", "exit1") for index in range(200))
    page = page_of(dataclasses.replace(timeline, marks=marks))
    assert len(page.all("tr")) < 20
    assert len(timeline_section(timeline).markup()) < 100_000


@pytest.mark.parametrize(
    ("exits_at", "skipped"), [(1, (True, False)), (None, (False, False)), (0, (False, False))]
)
def test_a_recorded_image_is_shown_as_it_ran(exits_at: int | None, skipped: tuple[bool, ...]) -> None:
    timeline = Machine().timeline(exits_at, skipped)
    found, page = excerpt_of(timeline), page_of(timeline)
    assert timeline.from_cycle <= found.from_cycle < found.until_cycle <= timeline.until_cycle
    shown = found.until_cycle - found.from_cycle
    for label, unit, whats in ROWS:
        spans = found.spans(timeline, unit, whats)
        drawn = bars_of(page, label)
        expected = sorted(
            (100 * (span.start_cycle - found.from_cycle) / shown, f"t-{span.what}") for span in spans
        )
        assert [(kind, pytest.approx(place, abs=0.001)) for place, kind in expected] == [
            (kind, place) for kind, place, _ in sorted(drawn, key=lambda bar: (bar[1], bar[0]))
        ]
        # The result is written from the cycle in which the controller handles the last decision.
        works = sorted((place, width) for kind, place, width in drawn if kind not in ("t-wait", "t-decision"))
        assert all(place + width <= after + 0.21 for (place, width), (after, _) in pairwise(works))
