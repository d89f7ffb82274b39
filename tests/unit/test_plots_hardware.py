"""Plots of what bounds a run and of what happens while an image runs, looked at through their shapes."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from archsim.energy.uncertainty import EnergyTerm, ratio_range
from archsim.errors import InvalidInput
from archsim.report import style
from archsim.report.dbp import plot_dbp
from archsim.report.figure import draw
from archsim.report.kinds import KINDS
from archsim.report.over_time import buffer_steps, plot_bandwidth, plot_buffer
from archsim.report.roofline import plot_roofline, points
from archsim.report.speedup import plot_relative_energy, plot_speedup, service_us
from archsim.report.time_axis import layer_strip, timeline_of
from archsim.report.timeline import plot_timeline
from archsim.report.utilisation import plot_layer_cycles, plot_utilisation
from archsim.results.run_result import BranchImage, EnergyPerImage, LayerResult
from tests.drawn import legend, texts
from tests.run_results import baseline_run, early_exit_run, layer, observed_run

BOTH = (baseline_run(), early_exit_run())
ALONE = [name for name, kind in KINDS.items() if kind.only_one]


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


# --- speed-up


def test_speedup_is_the_ratio_of_mean_times(axes: Axes) -> None:
    assert [service_us(result) for result in BOTH] == [4.0, 2.0]
    plot_speedup(BOTH, axes)
    assert [bar.get_width() for bar in bars(axes)] == [1.0, 2.0]
    assert texts(axes) == ["1.00x (4.000 µs)", "2.00x (2.000 µs)"]
    assert axes.yaxis_inverted(), "the baseline is on top"


def test_speedup_knows_clocks_of_its_own(axes: Axes) -> None:
    """Half the cycles at a quarter of the clock take twice as long."""
    fast = early_exit_run()
    assert fast.roofs is not None
    slow_clock = early_exit_run(roofs=type(fast.roofs)(50, 168, 16, 64, 32))
    plot_speedup([baseline_run(), slow_clock], axes)
    assert [bar.get_width() for bar in bars(axes)] == [1.0, 0.5]


def test_a_result_without_roofs_is_too_old(axes: Axes) -> None:
    with pytest.raises(InvalidInput, match="roofs: missing from the result of toy on fast"):
        plot_speedup([early_exit_run(roofs=None)], axes)


def test_relative_energy_adds_up_to_the_ratio(axes: Axes) -> None:
    plot_relative_energy(BOTH, axes)
    found: dict[float, float] = {}
    for bar in bars(axes):
        found[bar.get_y()] = found.get(bar.get_y(), 0.0) + bar.get_width()
    assert list(found.values()) == [100.0, 50.0]
    assert texts(axes)[-2:] == ["100.0 %", "50.0 %"]


def test_whiskers_are_the_range_of_the_ratio(axes: Axes) -> None:
    def terms(dram_uj: float) -> tuple[EnergyTerm, ...]:
        return EnergyTerm("dram", "io", dram_uj, 0.3), EnergyTerm("pe_array", "mac", 4.0, 0.5)

    def energy(dram_uj: float) -> EnergyPerImage:
        return EnergyPerImage(dram_uj + 4, {"dram": dram_uj, "pe_array": 4.0})

    runs = (
        baseline_run(energy_uj_per_image=energy(36.0), energy_terms=terms(36.0)),
        early_exit_run(energy_uj_per_image=energy(16.0), energy_terms=terms(16.0)),
    )
    plot_relative_energy(runs, axes)
    (whiskers,) = axes.containers[-1].lines[2]  # type: ignore[attr-defined]
    (ends,) = [[point[0] for point in segment] for segment in whiskers.get_segments()]
    expected = ratio_range(terms(16.0), terms(36.0))
    assert ends == pytest.approx([100 * expected.low, 100 * expected.high])
    assert texts(axes)[-2:] == ["100.0 %", expected.percent()]


def test_nothing_is_relative_to_no_energy(axes: Axes) -> None:
    with pytest.raises(InvalidInput, match="found no energy"):
        plot_relative_energy([early_exit_run(energy_uj_per_image=EnergyPerImage(0.0, {}))], axes)


# --- utilisation


def test_waiting_stands_on_working(axes: Axes) -> None:
    plot_layer_cycles([early_exit_run()], axes)
    found = [(bar.get_y(), bar.get_height()) for bar in bars(axes)]
    assert found == [(0.0, 9.0)] * 3 + [(9.0, 1.0)] * 3
    assert legend(axes) == ["working", "waiting for data or space", "branch"]
    assert axes.get_ylabel() == "cycles (mean per image)"


def test_utilisation_is_in_percent_of_the_layers_of_each(axes: Axes) -> None:
    plot_utilisation(BOTH, axes)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["conv1", "exit1", "conv2"]
    assert [bar.get_height() for bar in bars(axes)] == [50.0, 0.0, 50.0, 50.0, 50.0, 50.0]
    assert axes.get_ylim() == (0, 100)


# --- roofline


def test_points_are_macs_by_bytes_and_by_cycles() -> None:
    """Layers: 100 MACs, 96 bytes, 10 cycles. Images: 100 MACs and 96 bytes each, 800 and 800 cycles."""
    found = {point.name: point for point in points(early_exit_run())}
    assert found["conv1"].intensity == 100 / 96
    assert found["conv1"].performance == 10.0
    assert found["exit1"].kind == "branch"
    assert found["images leaving at exit1"].performance == 300 / 800
    assert found["images to the end"].performance == 100 / 800
    assert found["images to the end"].intensity == 100 / 96


def test_without_dram_traffic_a_layer_stands_at_the_edge(axes: Axes) -> None:
    kept = LayerResult("kept", 10.0, 0.0, 100.0, 0.0, 0.5, 0.0, 0.0, 128.0, 64.0, 1.0)
    idle = LayerResult("(unattributed)", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    run = early_exit_run(layers=(layer("conv1", 1.0), kept, idle))
    assert [point.name for point in points(run)][:2] == ["conv1", "kept"]
    assert points(run)[1].intensity == math.inf
    plot_roofline(run, axes)
    assert "kept (no DRAM traffic)" in texts(axes)
    drawn = np.asarray(axes.lines[3].get_xdata(), float)
    assert np.isfinite(drawn).all() and drawn.max() < axes.get_xlim()[1]


def test_roofs_are_those_of_the_accelerator(axes: Axes) -> None:
    plot_roofline(early_exit_run(), axes)
    intensities, performances = (np.asarray(data, float) for data in axes.lines[0].get_data())
    assert performances.max() == 168
    slanted = performances < 168
    assert performances[slanted] == pytest.approx(64 * intensities[slanted])
    assert axes.lines[2].get_ydata() == [16, 16]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert set(texts(axes)) == {point.name for point in points(early_exit_run())}


# --- DBP


def test_points_of_images_threshold_and_bounds(axes: Axes) -> None:
    rows = [
        *early_exit_run().per_branch,
        BranchImage(4, "exit1", 300, 400, 950, 70, 50, "skipped"),
        BranchImage(5, "exit1", 200, 400, 950, None, 50, "skipped"),
    ]
    rows = [BranchImage(*(getattr(row, name) for name in ("index", "branch", "magnitude_sum")), 400, 950,
                        row.margin, row.threshold, row.outcome) for row in rows]  # fmt: skip
    plot_dbp("exit1", rows, axes)
    left, passed, skipped, unknown, threshold, low, high = axes.lines
    drawn = [list(zip(*line.get_data(), strict=True)) for line in (left, passed, skipped)]
    assert drawn == [[(900, 80), (800, 60), (700, 55)], [(600, 20)], [(300, 70)]]
    assert list(unknown.get_xdata()) == [200]
    assert threshold.get_ydata() == [50, 50]
    assert (low.get_xdata()[0], high.get_xdata()[0]) == (400, 950)
    shaded = [(round(bar.get_x()), round(bar.get_x() + bar.get_width())) for bar in bars(axes)]
    assert shaded[0][1] == 400 and shaded[1][0] == 950
    assert axes.get_title() == "exit1: 3 of 4 leave, 2 skipped"


def test_branches_without_sums_are_left_out() -> None:
    unknown = BranchImage(0, "exit1", None, None, None, 80, 50, "left")
    known = BranchImage(0, "exit2", 7, None, None, 80, None, "passed")
    figure = draw("dbp", [early_exit_run(per_branch=(unknown, known))])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["exit2: 0 of 1 leave, 0 skipped"]
    with pytest.raises(InvalidInput, match="found no branch whose magnitudes are known"):
        draw("dbp", [early_exit_run(per_branch=(unknown,))])


# --- over time


def test_a_result_without_timeline_has_no_plot_of_it() -> None:
    for kind in ("timeline", "buffer", "bandwidth"):
        with pytest.raises(InvalidInput, match="simulate with --timeline IMAGE"):
            draw(kind, [early_exit_run()])


def test_bars_of_the_timeline_are_its_spans(axes: Axes) -> None:
    timeline = timeline_of(observed_run())
    plot_timeline(timeline, axes)
    found: dict[tuple[int, str], float] = {}
    collections: Any = axes.collections
    for bundle in collections:
        for path in bundle.get_paths():
            (left, low), (right, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            key = (round((low + high) / 2), bundle.get_facecolor()[0].tobytes().hex())
            found[key] = found.get(key, 0.0) + (right - left) * timeline.core_mhz
    by_row: dict[int, list[int]] = {}
    for (row, _), cycles in found.items():
        by_row.setdefault(row, []).append(round(cycles))
    rows = [tick.get_text() for tick in axes.get_yticklabels()]
    named = {rows[row]: sorted(cycles) for row, cycles in by_row.items()}
    assert named == {
        "DRAM channel": [10, 20],
        "buffer port, loads": [5],
        "DMA, loads": [70],
        "PE array": [4, 11, 95],
        "branch unit": [40],
        "controller": [1, 40],
    }
    marks = [(line.get_marker(), line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]  # type: ignore[index]
    assert marks == [("X", 0.8, rows.index("branch unit")), ("v", 0.8, rows.index("DMA, loads"))]
    assert rows == list(named), "in the order of the rows, those of idle units left out"
    assert axes.get_xlim() == (0, 1.0)
    assert "200 cycles each" in axes.get_xlabel()


def test_a_layer_is_named_where_there_is_room(axes: Axes) -> None:
    layer_strip(axes, timeline_of(observed_run()), 5.0)
    assert texts(axes) == ["conv1"]
    bare = Figure().subplots()
    layer_strip(bare, timeline_of(observed_run()), 0.1)
    assert texts(bare) == []


def test_what_the_buffer_holds_is_stacked(axes: Axes) -> None:
    timeline = timeline_of(observed_run())
    edges_us, parts_kib = buffer_steps(timeline)
    assert edges_us.tolist() == [0.0, 0.55]
    assert [part.tolist() for part in parts_kib] == [[8.0, 8.0], [4.0, 4.0], [2.0, 2.0]]
    plot_buffer(timeline, axes)
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in axes.collections]
    assert tops == [8.0, 12.0, 14.0]
    assert axes.lines[0].get_ydata() == [16.0, 16.0]
    assert legend(axes)[0] == "size: 16 KiB"


def test_bandwidth_adds_up_to_the_bytes(axes: Axes) -> None:
    """768 bytes in a microsecond; 32 bytes a cycle at 200 MHz are 6.4 GB/s."""
    timeline = timeline_of(observed_run())
    plot_bandwidth(timeline, axes)
    patches: Any = axes.patches
    moved_bytes, top = [], np.zeros(200)
    for stairs in patches:
        values, edges, baseline = stairs.get_data()
        moved_bytes.append(((values - baseline) * np.diff(edges)).sum() * 1e3)
        top = values
    assert moved_bytes == pytest.approx([640, 128])
    assert top.max() == pytest.approx(6.4)
    assert axes.lines[0].get_ydata() == [12.8, 12.8]
    assert axes.lines[1].get_ydata() == pytest.approx([0.768, 0.768])
    assert axes.get_ylabel() == "DRAM bandwidth (GB/s)"


# --- pictures, notebooks


@pytest.mark.parametrize("kind", ALONE)
def test_nothing_overlaps_or_runs_out_of_the_picture(kind: str) -> None:
    branches = {name: value for name in ("exit1", "exit2") for value in early_exit_run().branches.values()}
    rows = [
        BranchImage(*(index, name, 900, 500, None, 80, 50, "left")) for index in range(3) for name in branches
    ]
    layers = tuple(layer(f"a_layer_with_a_long_name_{index}", 1.0) for index in range(24))
    run = observed_run(
        arch="an-arch-with-a-rather-long-name",
        overrides=tuple(f"global_buffer.size_kib={index}" for index in range(6)),
        per_branch=tuple(rows),
        layers=layers,
    )
    with style.house_style():
        figure = draw(kind, [run])
        figure.draw_without_rendering()
        tight = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
        panels: Any = [axes.get_tightbbox() for axes in figure.axes]
        headline = [text.get_window_extent() for text in figure.texts]
        names = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without the leader
    assert min(tight.x0, tight.y0) >= 0
    assert tight.x1 <= figure.bbox.width and tight.y1 <= figure.bbox.height
    assert not any(panel.overlaps(text) for panel in panels for text in headline)
    assert not any(one.overlaps(two) for one, two in pairwise(panels))
    assert not any(one.overlaps(two) for one, two in pairwise(names))


def test_a_kind_of_one_result_draws_no_two() -> None:
    with pytest.raises(InvalidInput, match="found 2 results, of which roofline draws one at a time"):
        draw("roofline", BOTH)


def test_pictures_in_a_notebook(tmp_path: Path) -> None:
    plots = early_exit_run().plot
    assert set(dir(plots)) >= {"energy", "latency", "roofline", "timeline"}
    assert "pareto" not in dir(plots)
    picture = plots.energy()
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert picture.save(tmp_path / "e.svg").read_bytes().startswith(b"<?xml")
    assert len(plots.speedup(baseline_run()).figure.axes) == 2
    with pytest.raises(InvalidInput, match="found the suffix"):
        picture.save(tmp_path / "e.jpg")
    with pytest.raises(AttributeError, match='no plot "enery"'):
        plots.enery  # noqa: B018


def test_results_are_free_of_matplotlib_until_a_plot_is_asked_for() -> None:
    code = (
        "import sys, archsim, archsim.api; from tests.run_results import early_exit_run\n"
        "run = early_exit_run(); print('matplotlib' in sys.modules); run.plot; print('matplotlib' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\nTrue\n"
