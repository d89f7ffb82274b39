"""What every unit did while one image ran: spans of cycles on tracks, decisions, what the buffer held. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsim.sim.observe import LoggedEvent, Span

MOST_SPANS = 100_000
"""Spans that a timeline holds at most: some 20 MB, which viewers still open quickly."""
STREAMS = ("branch", "load", "store")
"""What moves over the DRAM channel, as the spans of ``dram`` call it."""
DECISIONS = ("run", "skip", "go on", "exit")
"""Events of the controller: a message of the DBP unit (the first two) or of the branch unit that it handles."""


@dataclass(frozen=True)
class TimelineRequest:
    """Which timeline is asked for: of an image of the run, by its position.

    layers: from the start of the first to the end of the last of these layers and branches; all by default. window:
    cycles from, until; with both, what they have in common. most_spans: where it ends at the latest.
    """

    image: int = 0
    layers: tuple[str, ...] = ()
    window: tuple[int, int] | None = None
    most_spans: int = MOST_SPANS


@dataclass(frozen=True)
class BufferUse:
    """What the global buffer holds beside filters while a layer is on the array.

    maps_bytes: feature maps that stay on the chip, its own output included; working_bytes: partial sums in flight and
    the input while it comes from DRAM.
    """

    layer: str
    start_cycle: int
    end_cycle: int
    maps_bytes: int
    working_bytes: int


@dataclass(frozen=True)
class Feeds:
    """Layers whose last tile a decision about a branch waits for: DBP's, and that of the branch unit."""

    judged: str
    decided: str


@dataclass(frozen=True)
class Arrow:
    """What follows from what, in the order of time: spans of different units."""

    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Timeline:
    """One image on an accelerator.

    cycles: of the whole image. from_cycle, until_cycle: what is shown; spans that reach beyond it are whole.
    is_truncated: it ends because there are too many spans. dram_bytes_per_cycle: at most, in core cycles;
    buffer_bytes, filter_bytes: size of the global buffer, and of its part for filters. feeds: by branch. marks: events.
    spans: by unit and start; those of ``dram`` and of a client of ``global_buffer`` do not overlap.
    """

    workload: str
    arch: str
    image: int
    exit: str
    cycles: int
    core_mhz: int
    from_cycle: int
    until_cycle: int
    is_truncated: bool
    dram_bytes_per_cycle: int
    buffer_bytes: int
    filter_bytes: int
    feeds: Mapping[str, Feeds]
    buffer: tuple[BufferUse, ...]
    marks: tuple[LoggedEvent, ...]
    spans: tuple[Span, ...]

    def of(self, unit: str, what: str = "") -> list[Span]:
        """Spans of a unit, of one kind where ``what`` says so."""
        return [span for span in self.spans if span.unit == unit and what in ("", span.what)]

    def dram_bytes(self, edges_cycles: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """Bytes that each stream moves between two edges; float64 (edges - 1,) by name of the stream.

        The bytes of a chunk are spread evenly over the cycles that the channel serves it.
        """
        found = {}
        for stream in STREAMS:
            spans = self.of("dram", stream)
            starts = np.array([span.start_cycle for span in spans], np.int64)
            # One that is served in no time of its own came with the one before, in the same cycle.
            ends = np.array([max(span.end_cycle, span.start_cycle + 1) for span in spans], np.int64)
            sizes = np.array([span.amount_bytes for span in spans], np.float64)
            until = np.array([
                (sizes * np.clip((edge - starts) / (ends - starts), 0, 1)).sum() for edge in edges_cycles
            ])  # fmt: skip
            found[stream] = np.diff(until)
        return found


def arrows(timeline: Timeline) -> Iterator[Arrow]:
    """From DRAM over the port to the tile, and on to the unit that decides about its layer and to the controller."""
    fetched = _last_of(timeline.of("dram", "load"))
    loaded = _last_of(timeline.of("global_buffer", "load"))
    way: dict[tuple[str, int], tuple[Span, ...]] = {}
    for tile in timeline.of("pe_array", "tile"):
        key = tile.subject, tile.tile
        way[key] = (*(each[key] for each in (fetched, loaded) if key in each), tile)
    for (layer, number), spans in way.items():
        if len(spans) > 1:
            yield Arrow(f"{layer} tile {number}", spans)
    for decision in timeline.of("controller", "decision"):
        branch, _, said = decision.subject.partition(": ")
        feeds, is_dbp = timeline.feeds[branch], said in DECISIONS[:2]
        unit, layer = ("dbp_unit", feeds.judged) if is_dbp else ("branch_unit", feeds.decided)
        asked = [each for each in _until(decision, timeline.of(unit)) if each.subject == branch]
        tiles = _until(decision, [spans[-1] for (name, _), spans in way.items() if name == layer])
        before = way[layer, max(tile.tile for tile in tiles)] if tiles else ()
        spans = (*before, *asked[-1:], decision)
        if len(spans) > 1:
            yield Arrow(decision.subject, spans)
        weights = [each for each in timeline.of("dram", "branch") if each.subject == branch]
        if weights and asked and not is_dbp:
            yield Arrow(f"weights of {branch}", (weights[-1], decision))


def _until(decision: Span, spans: list[Span]) -> list[Span]:
    """Those that have ended when it is taken, the unit's own idling and waiting left out."""
    done = [span for span in spans if span.end_cycle <= decision.start_cycle]
    return [span for span in done if span.what in ("tile", "judge", "evaluate")]


def _last_of(spans: list[Span]) -> dict[tuple[str, int], Span]:
    """The last of the spans of each tile."""
    return {(span.subject, span.tile): span for span in sorted(spans, key=lambda span: span.end_cycle)}
