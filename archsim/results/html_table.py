"""Tables that a notebook shows for a result: plain HTML, everything escaped, no style of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from archsim.units import percent

if TYPE_CHECKING:
    from archsim.functional.statistics import BranchStatistics
    from archsim.results.run_result import CycleStatistics, EvaluateResult, LatencyStatistics, RunResult

Row = Sequence[str]


@dataclass(frozen=True)
class HtmlTable:
    """Texts of a table; the first cell of a row names it."""

    caption: str
    header: Row
    rows: Sequence[Row]

    def to_html(self) -> str:
        """The element."""
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.header)
        body = "".join(_row(row) for row in self.rows)
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(row: Row) -> str:
    name, *cells = row
    values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{values}</tr>'


def page(title: str, tables: Iterable[HtmlTable]) -> str:
    """Tables under a title; those without rows are left out."""
    shown = "".join(table.to_html() for table in tables if table.rows)
    return f"<div><p><strong>{escape(title)}</strong></p>{shown}</div>"


def run_html(result: RunResult) -> str:
    """What :func:`archsim.simulate` found, mean over all images."""
    title = f"{result.workload} on {result.arch}, {result.images} images, energy table {result.energy_table}"
    names = ("mean", "p50", "p99", "max")
    times = [("cycles", *_marks(result.cycles, 0)), ("latency (us)", *_marks(result.latency_us, 1))]
    return page(
        title,
        [
            HtmlTable("time of an image", ("", *names), times),
            HtmlTable("an image", ("", ""), _summary(result)),
            _exits(result.images, result.exits, result.branches),
            _energy(result),
        ],
    )


def _marks(found: CycleStatistics | LatencyStatistics, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in (found.mean, found.p50, found.p99, found.max)]


def _summary(result: RunResult) -> list[Row]:
    dram = result.dram_bytes_per_image
    return [
        ("accuracy", percent(result.accuracy)),
        ("parameters used", percent(result.params_used_fraction)),
        ("MACs used", percent(result.macs_used_fraction)),
        ("throughput (images/s)", f"{result.throughput_ips:.1f}"),
        ("DRAM read (bytes)", f"{dram.read:.0f}"),
        ("DRAM written (bytes)", f"{dram.write:.0f}"),
        ("of it wasted (bytes)", f"{dram.wasted:.0f}"),
    ]


def _energy(result: RunResult) -> HtmlTable:
    """By component and in total, with half widths of the 95 % ranges where the result carries them."""
    energy, found = result.energy_uj_per_image, result.energy_uncertainty_uj
    widths = {} if found is None else {**found.by_component, "total": found.total}
    rows = [
        (
            name,
            f"{value_uj:.4f}",
            f"{widths[name]:.4f}" if name in widths else "",
            percent(value_uj / energy.total if energy.total else 0.0),
        )
        for name, value_uj in {**energy.by_component, "total": energy.total}.items()
    ]
    return HtmlTable("energy of an image", ("", "uJ", "+-", "share"), rows)


def evaluate_html(result: EvaluateResult) -> str:
    """What :func:`archsim.evaluate` found."""
    rows: list[Row] = [
        ("accuracy", percent(result.accuracy)),
        ("full network", percent(result.full_network_accuracy)),
        ("parameters used", percent(result.params_used_fraction)),
        ("MACs used", percent(result.macs_used_fraction)),
    ]
    if result.delta_pp is not None and result.delta_lower95_pp is not None:
        lower = f"lower 95 % bound {result.delta_lower95_pp:+.3f}"
        rows.insert(2, ("difference (pp)", f"{result.delta_pp:+.3f} ({lower})"))
    title = f"{result.workload}, {result.images} images"
    exits = _exits(result.images, result.exits, result.branches)
    return page(title, [HtmlTable("all images", ("", ""), rows), exits])


def _exits(images: int, exits: dict[str, int], branches: dict[str, BranchStatistics]) -> HtmlTable:
    rows = []
    for name, count in exits.items():
        branch = branches.get(name)
        evaluated, skipped = (str(branch.evaluated), str(branch.skipped_by_dbp)) if branch else ("", "")
        rows.append((name, str(count), percent(count / images), evaluated, skipped))
    return HtmlTable("exits", ("", "images", "share", "evaluated", "skipped by DBP"), rows)
