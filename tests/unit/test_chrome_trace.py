"""Timelines as trace-event JSON: the rules of the format, the way back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsim.errors import InvalidInput
from archsim.results.chrome_trace import bin_edges, read_chrome_trace, to_chrome_trace
from archsim.results.timeline import Timeline
from tests.machine import Machine


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return Machine().timeline(1, (True, False))


@pytest.fixture(scope="module")
def events(timeline: Timeline) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(to_chrome_trace(timeline))["traceEvents"]
    return found


def test_every_event_has_what_its_phase_needs(events: list[dict[str, Any]]) -> None:
    """Trace Event Format: complete, instant, counter, flow and metadata events."""
    assert {event["ph"] for event in events} == {"X", "i", "C", "s", "t", "f", "M"}
    for event in events:
        assert isinstance(event["name"], str) and event["name"]
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        if event["ph"] != "M":
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
        assert (event.get("bp") == "e") == (event["ph"] == "f")


def test_every_track_has_a_name(events: list[dict[str, Any]]) -> None:
    processes = {event["pid"] for event in events if event["name"] == "process_name"}
    threads = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    used = {(event["pid"], event["tid"]) for event in events if event["ph"] in "XistfC"}
    assert used <= threads
    assert {pid for pid, _ in used} <= processes


def test_flows_begin_end_and_hit_a_slice(events: list[dict[str, Any]]) -> None:
    """One start, one end, in the order of time; each on the track of a slice that lasts at that moment."""
    flows = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            flows[event["id"]].append(event)
    assert len(flows) > 5
    starts = {(event["pid"], event["tid"], event["ts"]) for event in events if event["ph"] == "X"}
    for flow in flows.values():
        phases = "".join(event["ph"] for event in flow)
        assert phases[0] == "s" and phases[-1] == "f" and set(phases[1:-1]) <= {"t"}
        assert [event["ts"] for event in flow] == sorted(event["ts"] for event in flow)
        assert len({(event["name"], event["cat"]) for event in flow}) == 1
        assert {(event["pid"], event["tid"], event["ts"]) for event in flow} <= starts


def ns(us: float) -> int:
    """Nanoseconds, in which the times of the file are whole."""
    found = round(1000 * us)
    assert abs(1000 * us - found) < 1e-3
    return found


@pytest.mark.parametrize("core_mhz", [200, 333, 1000, 1700])
def test_a_viewer_finds_no_fault(timeline: Timeline, core_mhz: int) -> None:
    """As Perfetto's importer reads it: slices of a thread nest, counters and metadata are unambiguous, all is in time.

    Clocks that do not divide a microsecond round each time; what nests in cycles must go on to do so.
    """
    content = to_chrome_trace(dataclasses.replace(timeline, core_mhz=core_mhz))
    trace = json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert trace["displayTimeUnit"] == "ns"
    events, end_ns = trace["traceEvents"], ns(round(1000 * timeline.cycles / core_mhz) / 1000)
    slices, counters, metadata = defaultdict(list), defaultdict(list), Counter[Any]()
    for event in events:
        if event["ph"] == "M":
            metadata[event["name"], event["pid"], event["tid"]] += 1
            assert set(event["args"]) == {"sort_index" if event["name"].endswith("index") else "name"}
            continue
        assert 0 <= ns(event["ts"]) <= end_ns
        if event["ph"] == "X":
            start_ns = ns(event["ts"])
            slices[event["pid"], event["tid"]].append((start_ns, start_ns + ns(event["dur"])))
        if event["ph"] == "C":
            counters[event["pid"], event["name"], tuple(event["args"])].append(ns(event["ts"]))
    assert set(metadata.values()) == {1}
    assert len(counters) == 2 and all(times == sorted(set(times)) for times in counters.values())
    for spans in slices.values():
        open_until: list[int] = []
        for start_ns, until_ns in sorted(spans, key=lambda span: (span[0], -span[1])):
            assert start_ns <= until_ns <= end_ns
            while open_until and open_until[-1] <= start_ns:
                open_until.pop()
            assert not open_until or until_ns <= open_until[-1]
            open_until.append(until_ns)


def test_microseconds_are_those_of_the_clock(timeline: Timeline, events: list[dict[str, Any]]) -> None:
    for event in events:
        if event["ph"] == "X":
            assert event["ts"] == pytest.approx(event["args"]["cycle"] / timeline.core_mhz, abs=5e-4)
            assert event["dur"] == pytest.approx(event["args"]["cycles"] / timeline.core_mhz, abs=1e-3)


def test_it_is_read_back_as_it_was(timeline: Timeline, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    file.write_bytes(to_chrome_trace(timeline))
    assert read_chrome_trace(file) == timeline


def test_all_bytes_of_the_dram_are_in_its_bins(timeline: Timeline) -> None:
    for bins in (1, 7, 400):
        found = timeline.dram_bytes(bin_edges(timeline, bins))
        for stream, amounts in found.items():
            expected = sum(span.amount_bytes for span in timeline.of("dram", stream))
            assert amounts.sum() == pytest.approx(expected)
            assert (amounts >= 0).all()
    edges = bin_edges(timeline, 50)
    rates = sum(timeline.dram_bytes(edges).values()) / np.diff(edges)
    assert rates.max() <= timeline.dram_bytes_per_cycle


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is no JSON"),
        ("[]", "is no timeline of archsim"),
        ('{"traceEvents": [], "otherData": {}}', "is no timeline of archsim"),
        ('{"traceEvents": [{"ph": "X"}], "otherData": {}}', "is no timeline of archsim"),
        ('{"traceEvents": [{"ph": "X", "cat": {}}], "otherData": {}}', "is no timeline of archsim"),
    ],
)
def test_other_files_are_refused(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidInput, match=message):
        read_chrome_trace(file)
