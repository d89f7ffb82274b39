"""What every unit does around the moment in which an image leaves: an excerpt of the run's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.network.graph import FINAL
from archsim.report.page.bars import legend, percent
from archsim.report.page.markup import Child, Html, el, join, table
from archsim.report.page.numbers import TO, number, whole
from archsim.report.page.section import Section, says
from archsim.report.style import BLACK
from archsim.report.time_axis import to_us
from archsim.report.timeline import COLOURS, ROWS, legend_words
from archsim.results.timeline import Timeline
from archsim.sim.observe import Span

MOST_SPANS = 300
"""Bars of an excerpt at most: a page stays small, and a bar is still seen on a phone."""
_MOST_ROWS = 12
_BEFORE, _AFTER = 2, 1
"""How much is shown around the moment, in lengths of what leads to it."""
_LEAST_CYCLES = 40
_HEIGHT_PX, _STRIP_PX, _WAIT_PX = 20, 20, 10
_LEAST_PERCENT = 0.2
"""Width of a bar at least: one cycle among thousands would not be seen."""
_PHONE_PX, _LETTER_PX = 320, 7.2
"""A name is written on a bar only where a phone has room for it."""


_UNITS = {"dbp_unit": "DBP unit", "branch_unit": "branch unit", "dma": "DMA", "pe_array": "PE array"}


@dataclass(frozen=True)
class Excerpt:
    """Cycles from, until (not included) of a timeline. at_cycle: what it is about; about: in words."""

    from_cycle: int
    until_cycle: int
    at_cycle: int
    about: str

    def spans(self, timeline: Timeline, unit: str, whats: Sequence[str] = ()) -> list[Span]:
        """What a unit does in it, cut at its ends."""
        return [
            span._replace(
                start_cycle=max(span.start_cycle, self.from_cycle),
                end_cycle=min(span.end_cycle, self.until_cycle),
            )
            for span in timeline.of(unit)
            if (not whats or span.what in whats)
            and span.start_cycle < self.until_cycle
            and span.end_cycle > self.from_cycle
        ]


def timeline_section(timeline: Timeline) -> Section:
    """The excerpt: layers, a track a unit, who waited for what, what was decided."""
    excerpt = excerpt_of(timeline)
    tracks = [
        (label, spans) for label, unit, whats in ROWS if (spans := excerpt.spans(timeline, unit, whats))
    ]
    drawn = {span.what for _, spans in tracks for span in spans}
    rows = [_layers(timeline, excerpt), *(_track(label, spans, excerpt) for label, spans in tracks)]
    is_whole = (timeline.from_cycle, timeline.until_cycle) == (0, timeline.cycles)
    what = "image" if is_whole else "recorded part"
    return Section(
        "timeline",
        "Timeline",
        join(
            says(_remark(timeline, excerpt)),
            el("ul", *rows, _axis(excerpt), class_="bars tracks", aria_label="What each unit does"),
            legend(_keys(drawn)),
            el(
                "div",
                el("div", el("h3", f"Stalls of the {what}"), _stalls(timeline)),
                el("div", el("h3", f"Decisions of the {what}"), _decisions(timeline)),
                class_="pair",
            ),
        ),
    )


def excerpt_of(timeline: Timeline) -> Excerpt:
    """Around the decision with which the image leaves, or the last one; without any, around the longest stall.

    What leads to the moment is a quarter of it, unless more than :data:`MOST_SPANS` bars would be in it.
    """
    first_cycle, end_cycle = timeline.from_cycle, max(timeline.until_cycle, timeline.from_cycle + 1)
    start_cycle, at_cycle, about = _moment(timeline)
    at_cycle = min(max(at_cycle, first_cycle), end_cycle)  # what begins or ends outside is recorded whole
    length = max(at_cycle - max(start_cycle, first_cycle), _LEAST_CYCLES)
    from_cycle = max(first_cycle, at_cycle - (1 + _BEFORE) * length)
    found = Excerpt(from_cycle, min(end_cycle, at_cycle + _AFTER * length), at_cycle, about)
    while _count(timeline, found) > MOST_SPANS and found.until_cycle - found.from_cycle > 2:
        before, after = at_cycle - found.from_cycle, found.until_cycle - at_cycle
        until_cycle = min(end_cycle, at_cycle + max(1, after // 2))
        found = Excerpt(at_cycle - before // 2, until_cycle, at_cycle, about)
    return found


def timeline_colours() -> str:
    """Classes of what units do, in the colours of ``archsim plot --kind timeline``; black follows the theme."""
    inks = {what: "var(--ink)" if colour == BLACK else colour for what, colour in COLOURS.items()}
    return "".join(f".t-{what}{{fill:{ink}}}" for what, ink in inks.items())


def _moment(timeline: Timeline) -> tuple[int, int, str]:
    """Cycle in which what leads to it begins, its own cycle, and what it is."""
    decisions = timeline.of("controller", "decision")
    last = next((span for span in decisions if span.subject.endswith(": exit")), None)
    if last is None and decisions:
        last = decisions[-1]
    if last is not None:
        branch, _, said = last.subject.partition(": ")
        asked = [
            span.start_cycle
            for unit in ("dbp_unit", "branch_unit")
            for span in timeline.of(unit)
            if span.subject == branch and span.what != "wait" and span.start_cycle < last.start_cycle
        ]
        about = f"the decision at {branch} ({said})"
        return min(asked, default=last.start_cycle), last.start_cycle, about
    waits = timeline.of("pe_array", "wait")
    if waits:
        longest = max(waits, key=lambda span: (span.end_cycle - span.start_cycle, -span.start_cycle))
        return longest.start_cycle, longest.end_cycle, "the longest stall of the PE array"
    end = timeline.until_cycle
    return end - (end - timeline.from_cycle) // 8, end - 1, "its end"


def _count(timeline: Timeline, excerpt: Excerpt) -> int:
    return sum(len(excerpt.spans(timeline, unit, whats)) for _, unit, whats in ROWS)


def _remark(timeline: Timeline, excerpt: Excerpt) -> str:
    way = "runs to its end" if timeline.exit == FINAL else f"leaves at {timeline.exit}"
    return (
        f"Image {timeline.image} {way} after {timeline.cycles:,} cycles. Shown are cycles {excerpt.from_cycle:,}{TO}"
        f"{excerpt.until_cycle:,}, around {excerpt.about}, which the dashed line marks. Low bars are waits. "
        "timeline.json beside the result holds all that was recorded; Perfetto and chrome://tracing open it."
    )


# --- drawing


def _layers(timeline: Timeline, excerpt: Excerpt) -> Html:
    """Which layer is on the array, by name where there is room."""
    spans = excerpt.spans(timeline, "pe_array", ("layer",))
    pieces = []
    for index, span in enumerate(spans):
        box = _bar(span, excerpt, _STRIP_PX, f"strip-{index % 2}")
        share = (span.end_cycle - span.start_cycle) / (excerpt.until_cycle - excerpt.from_cycle)
        pieces.append(box)
        if share * _PHONE_PX > len(span.subject) * _LETTER_PX:
            middle = _place((span.start_cycle + span.end_cycle) / 2, excerpt)
            pieces.append(el("text", span.subject, x=middle, y="14", text_anchor="middle"))
    words = ", ".join(span.subject for span in spans) or "none"
    return _row("layer on the PE array", pieces, f"Layers on the PE array: {words}", "", excerpt)


def _track(label: str, spans: Sequence[Span], excerpt: Excerpt) -> Html:
    # Waits last, so that they are seen where something else goes on too.
    ordered = sorted(spans, key=lambda span: span.what == "wait")
    pieces = [
        _bar(span, excerpt, _WAIT_PX if span.what == "wait" else _HEIGHT_PX, f"t-{span.what}")
        for span in ordered
    ]
    works = _lasting([span for span in spans if span.what != "wait"])
    waits = _lasting([span for span in spans if span.what == "wait"])
    note = f"{works:,} cycle" + ("s" if works != 1 else "") + (f", waits {waits:,}" if waits else "")
    return _row(label, pieces, f"{label}: works for {note}", note, excerpt)


def _row(label: str, pieces: Sequence[Html], title: str, note: str, excerpt: Excerpt) -> Html:
    at = _place(excerpt.at_cycle, excerpt)
    mark = el("line", x1=at, x2=at, y1="0", y2=str(_HEIGHT_PX), class_="moment")
    drawing = el("svg", el("title", title), *pieces, mark, role="img", width="100%", height=str(_HEIGHT_PX))
    return el("li", el("span", label, class_="label"), drawing, el("span", note, class_="note"))


def _axis(excerpt: Excerpt) -> Html:
    cycles = (excerpt.from_cycle, (excerpt.from_cycle + excerpt.until_cycle) // 2, excerpt.until_cycle)
    ticks = [
        el("text", f"{cycle:,}", x=_place(cycle, excerpt), y="13", text_anchor=anchor)
        for cycle, anchor in zip(cycles, ("start", "middle", "end"), strict=True)
    ]
    title = f"Axis: cycles {cycles[0]:,} to {cycles[-1]:,}"
    drawing = el("svg", el("title", title), *ticks, role="img", width="100%", height="16", class_="axis")
    return el("li", el("span", "cycle", class_="label"), drawing, el("span", "", class_="note"))


def _bar(span: Span, excerpt: Excerpt, height_px: int, colour: str) -> Html:
    shown = excerpt.until_cycle - excerpt.from_cycle
    share = (span.end_cycle - span.start_cycle) / shown
    return el(
        "rect",
        el("title", f"{_words(span)}: cycles {span.start_cycle:,}{TO}{span.end_cycle:,}"),
        x=_place(span.start_cycle, excerpt),
        y=f"{(_HEIGHT_PX - height_px) / 2:g}",
        width=percent(max(share, _LEAST_PERCENT / 100), 1),
        height=str(height_px),
        class_=colour,
    )


def _words(span: Span) -> str:
    if span.what == "wait":
        return f"waits for {span.subject}"
    tile = f" tile {span.tile}" if span.tile >= 0 else ""
    return f"{span.what} {span.subject}{tile}{' (cut short)' if span.is_cut else ''}"


def _place(cycle: float, excerpt: Excerpt) -> str:
    return percent(cycle - excerpt.from_cycle, excerpt.until_cycle - excerpt.from_cycle)


def _lasting(spans: Sequence[Span]) -> int:
    """Cycles in which at least one of them lasts."""
    total, reached = 0, 0
    for span in sorted(spans, key=lambda span: span.start_cycle):
        total += max(0, span.end_cycle - max(span.start_cycle, reached))
        reached = max(reached, span.end_cycle)
    return total


def _keys(drawn: set[str]) -> list[tuple[str, str]]:
    """(words, class) for each colour that is seen, in the order of the picture's legend."""
    classes = {COLOURS[what]: f"t-{what}" for what in sorted(drawn)}
    return [(", ".join(words), classes[colour]) for colour, words in legend_words(drawn).items() if words]


# --- in words


def _stalls(timeline: Timeline) -> Html:
    """Who waits for what in all that is recorded, the longest first."""
    waits: dict[tuple[str, str], list[Span]] = {}
    for label, unit, whats in ROWS:
        for span in timeline.of(unit, "wait") if "wait" in whats else ():
            waits.setdefault((label, span.subject), []).append(span)
    ordered = sorted(waits.items(), key=lambda item: -_lasting(item[1]))[:_MOST_ROWS]
    if not ordered:
        return says("Neither the PE array nor the branch unit ever waits.")
    rows: list[list[Child]] = [
        [unit, reason, whole(spans[0].start_cycle), whole(_lasting(spans))]
        for (unit, reason), spans in ordered
    ]
    return table("Stalls", ("unit", "waits for", "first at cycle", "cycles"), rows, left=(0, 1))


def _decisions(timeline: Timeline) -> Html:
    """What is decided and cancelled, the last of it where there is much."""
    if not timeline.marks:
        return says("Nothing is decided.")
    rows: list[list[Child]] = [
        [
            _UNITS.get(mark.unit, mark.unit),
            mark.event,
            mark.subject if mark.subject != timeline.workload else "all fetches",
            whole(mark.cycle),
            number(to_us(mark.cycle, timeline)),
        ]
        for mark in timeline.marks[-_MOST_ROWS:]
    ]
    return table("Decisions", ("unit", "says", "about", "cycle", "µs"), rows, left=(0, 1, 2))
