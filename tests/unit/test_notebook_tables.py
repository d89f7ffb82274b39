"""What notebooks show for results: the numbers of the records, well-formed, everything escaped."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from archsim.api import evaluate
from archsim.comparison.run import compare
from archsim.explore.table import ROWS_SHOWN
from archsim.results.html_table import HtmlTable
from archsim.results.run_result import EnergyUncertainty
from tests.run_results import early_exit_run
from tests.sweep_tables import sweep_table


class Tables(HTMLParser):
    """Cells by caption of the table and name of the row; asserts that every element is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, dict[str, list[str]]] = {}
        self.headers: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._cells: list[str] = []
        self._caption = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}
        self._open.append(tag)
        if tag == "tr":
            self._cells = []
        elif tag in ("th", "td", "caption"):
            self._cells.append("")

    def handle_data(self, data: str) -> None:
        if self._open[-1] in ("th", "td", "caption"):
            self._cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "caption":
            self._caption = self._cells.pop()
        elif tag == "tr" and "thead" in self._open:
            self.headers[self._caption] = self._cells
        elif tag == "tr":
            name, *values = self._cells
            self.rows.setdefault(self._caption, {})[name] = values


def test_cells_are_escaped() -> None:
    text = HtmlTable("<b>", ("", "&"), [("<script>", '"x"')]).to_html()
    assert "<script>" not in text and "<b>" not in text
    assert Tables(text).rows == {"<b>": {"<script>": ['"x"']}}


def test_a_run_shows_its_numbers() -> None:
    result = replace(
        early_exit_run(workload="<i>toy</i> & co"),
        energy_uncertainty_uj=EnergyUncertainty(1.25, {"dram": 0.25}),
    )
    text = result._repr_html_()
    assert "&lt;i&gt;toy&lt;/i&gt; &amp; co on fast, 4 images, energy table 65nm" in text
    found = Tables(text)
    assert found.headers["time of an image"] == ["", "mean", "p50", "p99", "max"]
    assert found.rows["time of an image"] == {
        "cycles": ["400", "200", "800", "800"],
        "latency (us)": ["2.0", "1.0", "4.0", "4.0"],
    }
    assert found.rows["an image"]["accuracy"] == ["75.00 %"]
    assert found.rows["an image"]["DRAM read (bytes)"] == ["64"]
    assert found.rows["exits"] == {
        "exit1": ["3", "75.00 %", "4", "0"],
        "final": ["1", "25.00 %", "", ""],
    }
    energy = found.rows["energy of an image"]
    assert energy["dram"] == ["0.5000", "0.2500", "2.78 %"]
    assert energy["leakage"] == ["4.0000", "", "22.22 %"]
    assert energy["total"] == ["18.0000", "1.2500", "100.00 %"]


def test_a_run_without_weights_has_no_accuracy() -> None:
    found = Tables(early_exit_run(accuracy=None)._repr_html_())
    assert found.rows["an image"]["accuracy"] == ["unknown"]


def test_an_evaluation_shows_the_difference_and_its_bound() -> None:
    result = evaluate("digits", images=40)
    rows = Tables(result._repr_html_()).rows
    assert result.delta_pp is not None and result.delta_lower95_pp is not None
    bound = f"{result.delta_pp:+.3f} (lower 95 % bound {result.delta_lower95_pp:+.3f})"
    assert rows["all images"]["difference (pp)"] == [bound]
    assert {name: int(cells[0]) for name, cells in rows["exits"].items()} == result.exits
    assert "difference (pp)" not in Tables(replace(result, delta_pp=None)._repr_html_()).rows["all images"]


def test_a_comparison_shows_baselines_and_steps() -> None:
    found = compare(["digits"], images=4)
    rows = Tables(found._repr_html_()).rows
    (baseline,) = found.baselines
    assert list(rows["runs"]) == ["locoexnet-65nm", "dense-rs"]
    assert rows["runs"]["dense-rs"][1] == f"{baseline.cycles_mean:.0f}"
    assert rows["against"]["dense-rs"][0].startswith(f"{baseline.speedup:.2f}x (")
    assert [(name, cells[3]) for name, cells in rows["step by step"].items()] == [
        (rung.step, f"{100 * rung.energy_saving:.2f} %") for rung in found.ladder
    ]
    twice = replace(found, others=(replace(found, workload="other"),))._repr_html_()
    assert twice.count("<strong>") == 2 and "<strong>other on " in twice


def test_a_sweep_shows_what_varies_and_its_results() -> None:
    found = Tables(sweep_table()._repr_html_())
    assert found.headers["points"] == [
        "",
        "pe_array.rows",
        "pe_array.zero",
        "accuracy",
        "energy_uj_per_image.total",
        "latency_us.mean",
    ]
    assert found.rows["points"]["3"] == ["8", "skip", "0.7", "1", "5"]


def test_a_sweep_with_failures_says_why() -> None:
    table = sweep_table(
        status=["ok", "failed", "ok", "ok"], error=["", "a < b", "", ""], accuracy=[0.9, np.nan, 0.9, 0.7]
    )
    assert Tables(table._repr_html_()).rows["points"]["1"] == ["4", "skip", "", "2", "3", "failed", "a < b"]


@pytest.mark.parametrize(
    ("points", "shown", "words"), [(4, 4, "4 points<"), (24, ROWS_SHOWN, "24 points, the ")]
)
def test_long_sweeps_are_cut(points: int, shown: int, words: str) -> None:
    table = sweep_table()
    text = table.rows(np.arange(points) % 4)._repr_html_()
    assert len(Tables(text).rows["points"]) == shown
    assert words in text
