"""Plots of sweeps: what is drawn where, read back from the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from archsim.errors import InvalidInput
from archsim.explore.table import SweepTable
from archsim.report.figure import draw_sweep, plot_files, render_sweep
from archsim.report.kinds import KINDS
from archsim.report.sweep_view import Levels, View, point_names, sweep_title
from tests.sweep_tables import sweep_table

SWEEP_KINDS = [name for name, kind in KINDS.items() if kind.draw_sweep]


@pytest.mark.parametrize("kind", SWEEP_KINDS)
def test_the_same_table_gives_the_same_bytes(kind: str) -> None:
    first = render_sweep(kind, sweep_table(), View(), ".svg")
    assert first == render_sweep(kind, sweep_table(), View(), ".svg")
    assert f"archsim: {kind} - swept".encode() in first


def test_the_front_is_larger_joined_and_named() -> None:
    axes = draw_sweep("pareto", sweep_table(), View()).axes[0]
    (points,) = (found for found in axes.collections if isinstance(found, PathCollection))
    assert np.asarray(points.get_offsets()).tolist() == [[4, 4], [3, 2], [2, 3], [5, 1]]
    assert points.get_sizes().tolist() == [18.0, 60.0, 60.0, 60.0]
    assert axes.lines[0].get_xydata().tolist() == [[2, 3], [3, 2], [5, 1]]
    texts = [text.get_text() for text in axes.texts]
    assert texts[:3] == ["1", "2", "3"]
    assert texts[3].splitlines() == ["1  rows=8, zero=gate", "2  rows=4, zero=skip", "3  rows=8, zero=skip"]
    assert axes.get_xlabel() == "mean latency (µs), less is better"


def test_the_front_of_something_that_should_be_large() -> None:
    axes = draw_sweep("pareto", sweep_table(), View(x="accuracy", y="energy")).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[70, 1], [80, 2], [90, 3]]
    assert axes.get_xlabel() == "accuracy (%), more is better"


def test_cells_of_a_heat_map() -> None:
    axes = draw_sweep("heatmap", sweep_table(), View()).axes[0]
    assert np.asarray(axes.images[0].get_array()).tolist() == [[4, 3], [2, 1]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "8"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gate", "skip"]
    bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
    assert bold == ["1.000"]
    swapped = draw_sweep("heatmap", sweep_table(), View(x="pe_array.zero", value="accuracy")).axes[0]
    assert np.asarray(swapped.images[0].get_array()).tolist() == pytest.approx(np.array([[90, 80], [90, 70]]))


def test_a_cell_without_a_point_is_crossed() -> None:
    columns = dict(sweep_table().columns)
    columns["status"] = np.array(["ok", "ok", "ok", "failed"], object)
    axes = draw_sweep("heatmap", SweepTable("s", Path("s"), columns), View()).axes[0]
    assert [text.get_text() for text in axes.texts][-1] == "\N{MULTIPLICATION SIGN}"
    assert "where no point was simulated" in axes.get_title("left")


def test_lines_of_parallel_coordinates() -> None:
    axes = draw_sweep("parallel", sweep_table(), View()).axes[0]
    assert len(axes.lines) == 4
    assert sorted(line.get_linewidth() for line in axes.lines) == [0.8, 1.8, 1.8, 1.8]
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["rows", "zero"]
    heights = {tuple(np.round(line.get_ydata(), 3)) for line in axes.lines}
    assert (0.0, 0.0, 0.667, 1.0, 1.0) in heights


def test_sensitivities_are_those_of_the_grid() -> None:
    left, right = draw_sweep("sensitivity", sweep_table(), View()).axes
    # Energy is 4 - (rows == 8) - 2 (zero == skip): no interplay, four fifths of the variance are due to zero.
    widths = [bar.get_width() for bar in right.patches]
    assert widths == pytest.approx([80, 20, 80, 20])
    assert [label.get_text() for label in left.get_yticklabels()] == ["pe_array.zero", "pe_array.rows"]
    assert {text.get_text() for text in left.texts} == {"skip", "gate", "4", "8"}


def test_sensitivity_needs_a_grid() -> None:
    columns = {name: column[:3] for name, column in sweep_table().columns.items()}
    with pytest.raises(InvalidInput, match="found no complete grid"):
        draw_sweep("sensitivity", SweepTable("s", Path("s"), columns), View())


def test_energy_bars_are_sorted() -> None:
    axes = draw_sweep("energy", sweep_table(), View()).axes[0]
    assert axes.get_yticklabels()[0].get_text() == "rows=8, zero=skip"
    assert [text.get_text() for text in axes.texts] == [
        "1.000",
        "2.000 (+100.0 %)",
        "3.000 (+200.0 %)",
        "4.000 (+300.0 %)",
    ]


def test_levels_with_null_and_numbers() -> None:
    table = sweep_table()
    columns = {**table.columns, "param.t": np.array([None, 1500.0, None, 200.0], object)}
    levels = Levels.of(SweepTable("s", Path("s"), columns), "t")
    assert (levels.values, levels.rows.tolist()) == ((None, 1500, 200), [0, 1, 0, 2])
    assert levels.texts == ["null", "1500", "200"]


def test_words() -> None:
    assert sweep_title("What", sweep_table()) == "What\nswept · toy · fast · 16 images · 4 points"
    assert point_names(sweep_table())[0] == "rows=4, zero=gate"


def test_accuracy_is_unknown_without_weights() -> None:
    table = sweep_table(accuracy=[float("nan")] * 4)
    for kind in SWEEP_KINDS:
        draw_sweep(kind, table, View())


def test_kinds_and_results_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "sweep.sqlite").write_bytes(b"")
    for kind, sources, view, said in (
        ("latency", [tmp_path], View(), "found the result of a sweep, of which there is no plot latency"),
        ("pareto", [tmp_path / "run"], View(), "found the result of a run, of which there is no plot pareto"),
        ("energy", [tmp_path, tmp_path], View(), "expected one where one is a sweep"),
        ("energy", [tmp_path / "run"], View(x="energy"), "found what to show of a sweep, but no sweep"),
    ):
        with pytest.raises(InvalidInput, match=said):
            plot_files(kind, sources, tmp_path / "p.png", view)
