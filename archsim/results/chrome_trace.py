"""Timelines as trace-event JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing open, and back.

Format: "Trace Event Format" (Google, 2016). Each unit is a process, each of its tracks a thread. A span is a complete
event (``X``), a decision or an abort an instant (``i``), what the buffer holds and what the DRAM moves are counters
(``C``), arrows are flows (``s``, ``t``, ``f``) that begin where their spans begin. ``ts`` and ``dur`` are microseconds
of the core clock, as the format wants them, to the nanosecond; ``args`` have cycles.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from archsim.errors import InvalidInput, Problem
from archsim.files import read_bounded
from archsim.results.timeline import STREAMS, Timeline, arrows
from archsim.sim.observe import NO_TILE, Span

MAX_TIMELINE_BYTES = 256 << 20
"""A million spans."""
TRACKS: dict[tuple[str, str], tuple[str, str]] = {
    ("dram", ""): ("DRAM", "channel"),
    ("dma.branch", ""): ("DMA", "branch weights"),
    ("dma.load", ""): ("DMA", "loads"),
    ("dma.store", ""): ("DMA", "stores"),
    ("global_buffer", "array"): ("global buffer", "port: array"),
    ("global_buffer", "load"): ("global buffer", "port: loads"),
    ("global_buffer", "store"): ("global buffer", "port: stores"),
    ("pe_array", ""): ("PE array", "layers and tiles"),
    ("dbp_unit", ""): ("DBP unit", "decisions"),
    ("branch_unit", ""): ("branch unit", "evaluations"),
    ("controller", ""): ("controller", "messages"),
}
"""(process, thread) by unit and, where it has several tracks, by what is done."""
_PLACES = list(TRACKS)
_UNITS = list(dict.fromkeys(process for process, _ in TRACKS.values()))
_COUNTED_BINS = 400
_MOST = 1 << 53
_LISTED = ("spans",)
"""Fields of a timeline that are events; the others are ``otherData``."""
_TIMELINE = TypeAdapter(Timeline)


def track_of(unit: str, what: str) -> tuple[str, str]:
    """Key in :data:`TRACKS`."""
    return (unit, what) if (unit, what) in TRACKS else (unit, "")


def span_name(span: Span) -> str:
    """What a viewer writes on it.

    >>> span_name(Span("pe_array", "wait", "the data of tile 3 of conv1", -1, 0, 9))
    'waits for the data of tile 3 of conv1'
    >>> span_name(Span("dma.load", "fetch", "conv2", 4, 0, 9, is_cut=True))
    'fetch conv2 tile 4 (cancelled)'
    """
    if span.what == "wait":
        return f"waits for {span.subject}"
    if span.what == "tile":
        return f"tile {span.tile}"
    if span.unit == "pe_array" and span.what not in ("layer", "idle"):
        return span.what
    if span.what in ("layer", "decision"):
        return span.subject
    words = [span.what, span.subject] + ([f"tile {span.tile}"] if span.tile != NO_TILE else [])
    return " ".join(words) + (" (cancelled)" if span.is_cut else "")


def to_chrome_trace(timeline: Timeline) -> bytes:
    """Content of the file: one JSON object."""
    plain = dataclasses.asdict(timeline)
    found = {
        "traceEvents": [*_names(), *_events(timeline)],
        "displayTimeUnit": "ns",
        "otherData": {key: value for key, value in plain.items() if key not in _LISTED},
    }
    return json.dumps(found, separators=(",", ":"), allow_nan=False).encode()


def read_chrome_trace(file: Path) -> Timeline:
    """The timeline of a file that :func:`to_chrome_trace` wrote. Raises InvalidInput for any other."""
    hint = "simulate with --out and --timeline"
    try:
        found = json.loads(read_bounded(file, MAX_TIMELINE_BYTES, hint))
    except (ValueError, RecursionError) as error:
        raise InvalidInput([Problem(str(file), "", f"is no JSON: {error}", hint)]) from None
    try:
        spans = [_span(event) for event in found["traceEvents"] if event["ph"] == "X"]
        timeline = _TIMELINE.validate_python({**found["otherData"], "spans": spans})
        if not _is_possible(timeline):
            raise ValueError
        return timeline
    except (AttributeError, KeyError, TypeError, ValueError, ValidationError):
        raise InvalidInput([Problem(str(file), "", "is no timeline of archsim", hint)]) from None


def _is_possible(timeline: Timeline) -> bool:
    """A run can have made it: units that there are, times and amounts in order, all exact in a float."""
    ordered = [
        (1, timeline.core_mhz),
        (1, timeline.dram_bytes_per_cycle),
        (0, timeline.from_cycle, timeline.until_cycle, timeline.cycles),
        (0, timeline.filter_bytes, timeline.buffer_bytes),
        *((0, mark.cycle) for mark in timeline.marks),
        *((0, use.start_cycle, use.end_cycle) for use in timeline.buffer),
        *((0, amount) for use in timeline.buffer for amount in (use.maps_bytes, use.working_bytes)),
        *((0, span.start_cycle, span.end_cycle) for span in timeline.spans),
        *((0, span.amount_bytes) for span in timeline.spans),
    ]
    places = {track_of(span.unit, span.what) for span in timeline.spans}
    places |= {track_of(_marked(mark.unit), "") for mark in timeline.marks}
    decided = {span.subject.partition(": ")[0] for span in timeline.of("controller", "decision")}
    are_known = places <= set(TRACKS) and decided <= set(timeline.feeds)
    return are_known and all(list(row) == sorted(row) and row[-1] < _MOST for row in ordered)


def _names() -> Iterator[dict[str, Any]]:
    for order, unit in enumerate(_UNITS):
        yield {"ph": "M", "name": "process_name", "pid": order, "tid": 0, "args": {"name": unit}}
        yield {"ph": "M", "name": "process_sort_index", "pid": order, "tid": 0, "args": {"sort_index": order}}
    for place, (_, track) in TRACKS.items():
        where = _where(*place)
        yield {"ph": "M", "name": "thread_name", **where, "args": {"name": track}}
        yield {"ph": "M", "name": "thread_sort_index", **where, "args": {"sort_index": where["tid"]}}


def _where(unit: str, what: str) -> dict[str, int]:
    place = track_of(unit, what)
    return {"pid": _UNITS.index(TRACKS[place][0]), "tid": _PLACES.index(place)}


def _events(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for span in timeline.spans:
        start_us = _us(span.start_cycle, timeline)
        args: dict[str, Any] = {
            "subject": span.subject,
            "cycle": span.start_cycle,
            "cycles": span.end_cycle - span.start_cycle,
        }
        args |= {"tile": span.tile} if span.tile != NO_TILE else {}
        args |= {"bytes": span.amount_bytes} if span.amount_bytes else {}
        args |= {"cancelled": True} if span.is_cut else {}
        yield {
            "ph": "X",
            "name": span_name(span),
            "cat": f"{span.unit},{span.what}",
            **_where(span.unit, span.what),
            "ts": start_us,
            "dur": round(_us(span.end_cycle, timeline) - start_us, 3),
            "args": args,
        }
    for mark in timeline.marks:
        yield {
            "ph": "i",
            "s": "t",
            "name": f"{mark.event} {mark.subject}",
            "cat": f"{mark.unit},{mark.event}",
            **_where(_marked(mark.unit), ""),
            "ts": _us(mark.cycle, timeline),
            "args": {"cycle": mark.cycle},
        }
    yield from _flows(timeline)
    yield from _counters(timeline)


def _marked(unit: str) -> str:
    """On whose track an instant is drawn."""
    return "dma.load" if unit == "dma" else unit


def _flows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for number, arrow in enumerate(arrows(timeline)):
        last = len(arrow.spans) - 1
        for position, span in enumerate(arrow.spans):
            phase = "s" if position == 0 else "f" if position == last else "t"
            yield {
                "ph": phase,
                "id": number,
                "name": arrow.name,
                "cat": "flow",
                **_where(span.unit, span.what),
                "ts": _us(span.start_cycle, timeline),
                **({"bp": "e"} if phase == "f" else {}),
            }


def _counters(timeline: Timeline) -> Iterator[dict[str, Any]]:
    buffer, dram = _where("global_buffer", "array"), _where("dram", "")
    for use in timeline.buffer:
        held = {
            "filters": timeline.filter_bytes,
            "feature maps": use.maps_bytes,
            "working": use.working_bytes,
        }
        cycle = max(use.start_cycle, timeline.from_cycle)
        yield {"ph": "C", "name": "held (bytes)", **buffer, "ts": _us(cycle, timeline), "args": held}
    edges = bin_edges(timeline, _COUNTED_BINS)
    moved = timeline.dram_bytes(edges)
    for index, (start, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        rates = {stream: round(float(moved[stream][index]) / (end - start), 3) for stream in STREAMS}
        yield {"ph": "C", "name": "moved (bytes/cycle)", **dram, "ts": _us(start, timeline), "args": rates}


def bin_edges(timeline: Timeline, bins: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Cycles between which something is summed up: so many bins of the window, or one a cycle where it is shorter."""
    edges = np.linspace(timeline.from_cycle, timeline.until_cycle, bins + 1)
    return np.unique(np.rint(edges).astype(np.int64))


def _us(cycle: int, timeline: Timeline) -> float:
    """Microseconds to the nanosecond; never earlier for a later cycle, so that what nests goes on to do so."""
    return round(1000 * cycle / timeline.core_mhz) / 1000


def _span(event: dict[str, Any]) -> Span:
    unit, what = event["cat"].split(",")
    args = event["args"]
    return Span(
        unit,
        what,
        args["subject"],
        args.get("tile", NO_TILE),
        args["cycle"],
        args["cycle"] + args["cycles"],
        args.get("bytes", 0),
        args.get("cancelled", False),
    )
