"""Plots, looked at through the shapes that they are made of, and the files that they become."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from archsim.energy.uncertainty import EnergyTerm, half_width_uj
from archsim.report import style
from archsim.report.captions import joined, labels, merged_order, title
from archsim.report.energy import plot_energy_by_component, plot_energy_by_layer
from archsim.report.exits import plot_exit_accuracy, plot_exit_shares, right_at_exits, wilson_interval
from archsim.report.figure import draw, render
from archsim.report.kinds import KINDS
from archsim.report.latency import latencies_us, plot_latency, plot_latency_by_exit
from archsim.results.run_result import EnergyPerImage, EnergyUncertainty, LatencyStatistics, RunResult
from tests.drawn import legend, texts
from tests.run_results import COMPONENTS, baseline_run, early_exit_run, image, layer, observed_run

BOTH = (baseline_run(), early_exit_run())
OF_RUNS = [name for name, kind in KINDS.items() if kind.draw]
SIDE_BY_SIDE = [name for name in OF_RUNS if not KINDS[name].only_one]


def results_of(kind: str) -> tuple[RunResult, ...]:
    """What a kind can draw."""
    return (observed_run(),) if KINDS[kind].only_one else BOTH


def bars(axes: Axes) -> list[tuple[float, float]]:
    """(centre, height) of upright bars, rounded."""
    found: Any = axes.patches
    return [(round(bar.get_x() + bar.get_width() / 2, 9), round(bar.get_height(), 9)) for bar in found]


# --- energy


def test_bars_of_components_follow_each_other_and_add_up(axes: Axes) -> None:
    plot_energy_by_component([early_exit_run()], axes)
    patches: Any = axes.patches
    assert [bar.get_width() for bar in patches] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]
    ends = np.cumsum([0, *(bar.get_width() for bar in patches)])
    assert [bar.get_x() for bar in patches] == ends[:-1].tolist()
    assert ends[-1] == 18.0
    assert [to_hex(bar.get_facecolor()).upper() for bar in patches] == list(style.COMPONENT_COLOURS.values())
    assert legend(axes) == list(COMPONENTS)
    assert texts(axes)[-1] == "18.00 µJ"
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 18
    assert axes.get_xlabel() == "energy (µJ per image)"


def test_shares_are_told_where_there_is_room(axes: Axes) -> None:
    plot_energy_by_component([early_exit_run()], axes)
    assert texts(axes)[:-1] == ["8 %", "11 %", "14 %", "17 %", "19 %", "22 %"]


def test_results_are_told_as_changes_against_the_first(axes: Axes) -> None:
    plot_energy_by_component(BOTH, axes)
    assert texts(axes)[-2:] == ["36.00 µJ", "18.00 µJ (\N{MINUS SIGN}50.0 %)"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["slow", "fast"]
    assert axes.yaxis_inverted(), "the baseline is on top"


def test_whiskers_are_the_ranges_of_the_totals(axes: Axes) -> None:
    def run(make: Any, dram_uj: float) -> RunResult:
        terms = (EnergyTerm("dram", "io", dram_uj, 0.3), EnergyTerm("pe_array", "mac", 4.0, 0.5))
        return make(
            energy_uj_per_image=EnergyPerImage(dram_uj + 4.0, {"dram": dram_uj, "pe_array": 4.0}),
            energy_uncertainty_uj=EnergyUncertainty(half_width_uj(terms), {}),
            energy_terms=terms,
        )

    plot_energy_by_component([run(baseline_run, 36.0), run(early_exit_run, 16.0)], axes)
    (whiskers,) = axes.containers[-1].lines[2]
    spans = [[point[0] for point in segment] for segment in whiskers.get_segments()]
    # 36 x 0.3 and 4 x 0.5 in quadrature; 16 x 0.3 and 4 x 0.5
    assert spans == [pytest.approx([40 - 10.984, 40 + 10.984], abs=1e-3), pytest.approx([14.8, 25.2])]
    minus = "\N{MINUS SIGN}"
    assert texts(axes)[-2] == "40.00 ± 10.98 µJ"
    found = re.fullmatch(
        rf"20.00 ± 5.200 µJ \({minus}50.0 %, {minus}(\S+) % to {minus}(\S+) %\)", texts(axes)[-1]
    )
    assert found
    assert 50 < float(found[1]) < 54 and 44 < float(found[2]) < 50


def test_a_component_that_has_no_colour_yet_is_drawn(axes: Axes) -> None:
    plot_energy_by_component([early_exit_run(energy_uj_per_image=EnergyPerImage(3.0, {"laser": 3.0}))], axes)
    assert legend(axes) == ["laser"]
    assert to_hex(axes.patches[0].get_facecolor()) == "#ffffff"


def test_no_energy_at_all_is_no_error(axes: Axes) -> None:
    nothing = EnergyPerImage(0.0, {"dram": 0.0})
    plot_energy_by_component([early_exit_run(energy_uj_per_image=nothing)] * 2, axes)
    assert texts(axes) == ["0 µJ", "0 µJ"]


def test_layers_stand_in_the_order_in_which_images_meet_them(axes: Axes) -> None:
    plot_energy_by_layer(BOTH, axes)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["conv1", "exit1", "conv2"]
    assert bars(axes) == [(-0.2, 10.0), (0.8, 0.0), (1.8, 26.0), (0.2, 10.0), (1.2, 2.0), (2.2, 6.0)]
    patches: Any = axes.patches
    assert [bool(bar.get_hatch()) for bar in patches] == [False, True, False] * 2
    assert legend(axes) == ["slow", "fast", "branch"]
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylabel() == "energy (µJ per image)"


def test_without_branches_the_legend_has_none(axes: Axes) -> None:
    plot_energy_by_layer([baseline_run(branches={})], axes)
    assert legend(axes) == ["trunk layer"]


def test_names_that_do_not_fit_stand_upright(axes: Axes) -> None:
    plot_energy_by_layer([early_exit_run()], axes)
    assert axes.get_xticklabels()[0].get_rotation() == 0
    plot_energy_by_layer([early_exit_run(layers=tuple(layer(f"conv{n}", 1.0) for n in range(20)))], axes)
    assert axes.get_xticklabels()[0].get_rotation() == 90


# --- latency


def test_latency_is_drawn_from_cycles_in_microseconds() -> None:
    assert latencies_us(early_exit_run()).tolist() == [1.0, 1.0, 2.0, 4.0]


def test_latency_includes_waiting() -> None:
    waited = (image(0, "final", 200, waiting_cycles=600), image(1, "final", 200))
    run = early_exit_run(per_image=waited, latency_us=LatencyStatistics(2.5, 1.0, 4.0, 4.0, 4.0))
    assert latencies_us(run).tolist() == [4.0, 1.0]


def test_the_cumulative_line_rises_by_the_share_of_images(axes: Axes) -> None:
    plot_latency([early_exit_run()], axes)
    line, *marks = axes.lines
    assert np.asarray(line.get_xdata()).tolist() == [1.0, 1.0, 2.0, 4.0]
    assert np.asarray(line.get_ydata()).tolist() == [0.0, 50.0, 75.0, 100.0]
    assert line.get_drawstyle() == "steps-post"
    assert [(m.get_marker(), m.get_xdata()[0], m.get_ydata()[0]) for m in marks] == [  # type: ignore[index]
        ("D", 2.0, 75.0),
        ("o", 1.0, 50.0),
        ("^", 4.0, 100.0),
    ]
    assert axes.get_xlim()[0] == 0 and axes.get_ylim()[0] == 0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latency (µs)", "images done (%)")
    assert legend(axes) == ["mean", "p50", "p99"]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.sampled_from([133, 200, 977]))
def test_marks_lie_on_the_line_whatever_the_clock(service_cycles: list[int], core_mhz: int) -> None:
    ascending = sorted(service_cycles)
    count = len(ascending)
    p50, p99 = ascending[(count + 1) // 2 - 1], ascending[-(-99 * count // 100) - 1]
    mean = sum(ascending) / count
    run = early_exit_run(
        images=count,
        per_image=tuple(image(index, "final", cycles) for index, cycles in enumerate(service_cycles)),
        latency_us=LatencyStatistics(*(cycles / core_mhz for cycles in (mean, p50, p99, p99, ascending[-1]))),
    )
    axes = Figure().subplots()
    plot_latency([run], axes)
    done = [float(np.asarray(mark.get_ydata())[0]) for mark in axes.lines[1:]]
    expected = [100 * sum(cycles <= mark for cycles in ascending) / count for mark in (p50, p99)]
    assert done[1:] == pytest.approx(expected)


def test_the_histogram_holds_every_image_at_its_exit(axes: Axes) -> None:
    plot_latency_by_exit(early_exit_run(), axes)
    heights = np.array([height for _, height in bars(axes)]).reshape(2, -1)
    assert heights.sum(axis=1) == pytest.approx([75.0, 25.0])
    assert heights[1, -1] == 25.0, "the slowest image is in the last bin, not beyond it"
    assert legend(axes) == ["exit1", "final"]


def test_the_histogram_leaves_out_exits_that_no_image_took(axes: Axes) -> None:
    plot_latency_by_exit(baseline_run(), axes)
    assert legend(axes) == ["final"]


def test_the_legend_tells_the_numbers() -> None:
    figure = draw("latency", BOTH)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "slow: mean 4.000 µs, p50 4.000 µs, p99 4.000 µs",
        "fast: mean 2.000 µs (\N{MINUS SIGN}50.0 %), p50 1.000 µs, p99 4.000 µs",
    ]


# --- exits


def test_shares_of_exits(axes: Axes) -> None:
    plot_exit_shares([early_exit_run()], axes)
    assert bars(axes) == [(0.0, 75.0), (1.0, 25.0)]
    assert texts(axes) == ["75.0 %\n(3)", "25.0 %\n(1)"]
    assert axes.get_ylim()[0] == 0


def test_shares_side_by_side(axes: Axes) -> None:
    plot_exit_shares(BOTH, axes)
    assert bars(axes) == [(-0.2, 0.0), (0.8, 100.0), (0.2, 75.0), (1.2, 25.0)]
    assert legend(axes) == ["slow", "fast"]


def test_accuracy_is_that_of_the_images_that_left_there(axes: Axes) -> None:
    assert right_at_exits(early_exit_run()) == {"exit1": (2, 3), "final": (1, 1)}
    plot_exit_accuracy([early_exit_run()], axes)
    points = axes.containers[0].lines[0]  # type: ignore[attr-defined]
    assert points.get_ydata().tolist() == pytest.approx([200 / 3, 100.0])
    assert [text.get_text() for text in axes.texts] == ["66.7 %", "100.0 %"]
    assert axes.get_ylim()[0] == 0
    assert legend(axes) == ["all images: 75.00 %"]


def test_an_exit_that_no_image_takes_has_no_accuracy(axes: Axes) -> None:
    plot_exit_accuracy(BOTH, axes)
    counts = [len(container.lines[0].get_xdata()) for container in axes.containers]  # type: ignore[attr-defined]
    assert counts == [1, 2]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["exit1", "final"]


@given(st.integers(1, 5000), st.data())
def test_the_interval_encloses_the_estimate(total: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, total))
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total + 1e-12 and right / total - 1e-12 <= high <= 1
    mirrored = wilson_interval(total - right, total)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)


# --- captions


def test_the_title_says_what_the_results_share() -> None:
    assert title("What", [early_exit_run()]) == "What\ntoy · fast · 4 images · energy table 65nm"
    assert title("What", BOTH) == "What\ntoy · 4 images · energy table 65nm"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (({}, {"arch": "other"}), ["fast", "other"]),
        (({}, {"overrides": ("pe_array.rows=8",)}), ["fast", "pe_array.rows=8"]),
        (
            ({"overrides": ("a=1", "b=1")}, {"overrides": ("a=1", "b=2")}),
            ["b=1", "b=2"],
        ),
        (({}, {"arrivals": "250"}), ["fast", "arrivals 250 Hz (seed 1)"]),
        (({}, {"arrivals": "back-to-back"}), ["fast", "arrivals back-to-back"]),
        (({}, {"images": 1}), ["4 images", "1 image"]),
        (({}, {"energy_table": "45nm"}), ["energy table 65nm", "energy table 45nm"]),
        (({}, {"dram_preset": "ddr4"}), ["DRAM lpddr3", "DRAM ddr4"]),
        (({}, {}), ["fast, run 1", "fast, run 2"]),
        (({"arch": "a"}, {"arch": "b"}, {"arch": "b"}), ["a", "b, run 1", "b, run 2"]),
        (({},), ["fast"]),
    ],
)
def test_labels_say_where_results_differ(changes: tuple[dict[str, Any], ...], expected: list[str]) -> None:
    assert labels([early_exit_run(**change) for change in changes]) == expected


@given(st.lists(st.text("abc=.", min_size=1, max_size=50), max_size=8), st.integers(5, 40))
def test_lines_are_no_longer_than_asked_for(words: list[str], characters: int) -> None:
    text = joined(words, ", ", characters)
    assert all(len(line) <= characters for line in text.splitlines())
    assert "".join(text.split()) == ",".join(words)


@given(st.lists(st.permutations("abcdef").map(lambda names: names[:4]), max_size=4))
def test_merging_loses_and_doubles_nothing(orders: list[list[str]]) -> None:
    merged = merged_order(orders)
    assert sorted(merged) == sorted({name for order in orders for name in order})


@given(st.lists(st.sets(st.sampled_from("abcdefgh")), min_size=1, max_size=4))
def test_the_longest_order_stays(parts: list[set[str]]) -> None:
    whole = list("abcdefgh")
    assert merged_order([whole, *(sorted(part) for part in parts)]) == whole


# --- figures and files


def long_winded(number: int) -> RunResult:
    """A run that is told from others in four lines."""
    keys = "global_buffer.size_kib", "branch_unit.macs", "pe_array.rows", "pe_array.cols"
    return early_exit_run(
        arch=f"an-arch-with-a-long-name-{number}", overrides=tuple(f"{key}={number}" for key in keys)
    )


@pytest.mark.parametrize("kind", SIDE_BY_SIDE)
@pytest.mark.parametrize("count", [1, 2, len(style.RESULT_COLOURS)])
def test_nothing_overlaps_or_runs_out_of_the_picture(kind: str, count: int) -> None:
    with style.house_style():
        figure = draw(kind, [long_winded(number) for number in range(count)])
        figure.draw_without_rendering()
        tight = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
        panels: Any = [axes.get_tightbbox() for axes in figure.axes]
        frames = [axes.get_window_extent() for axes in figure.axes]
        headline = [text.get_window_extent() for text in figure.texts]
        rows = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert min(tight.x0, tight.y0) >= 0
    assert tight.x1 <= figure.bbox.width and tight.y1 <= figure.bbox.height
    assert all(frame.height > 1.2 * figure.dpi and frame.width > 4 * figure.dpi for frame in frames)
    assert not any(panel.overlaps(text) for panel in panels for text in headline)
    assert len(panels) == 1 or not panels[0].overlaps(panels[1])
    assert not any(one.overlaps(two) for one, two in pairwise(rows))


def test_a_picture_is_the_same_bytes_every_time() -> None:
    wanted = [(kind, ".svg") for kind in OF_RUNS] + [("energy", ".png"), ("energy", ".pdf")]
    first = [render(kind, results_of(kind), suffix) for kind, suffix in wanted]
    second = int(time.time())
    while int(time.time()) == second:  # a time of day, wherever it is written, must be another one
        time.sleep(0.02)
    assert [render(kind, results_of(kind), suffix.upper()) for kind, suffix in wanted] == first


@pytest.mark.parametrize(("suffix", "banned"), [(".pdf", b"CreationDate"), (".svg", b"<dc:date>")])
def test_a_picture_has_no_date(suffix: str, banned: bytes) -> None:
    content = render("energy", BOTH, suffix)
    assert banned not in content
    assert b"archsim" in content


def test_a_picture_says_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(render("exits", [early_exit_run()], ".png"))
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.info["Title"] == "archsim: exits - toy · fast · 4 images · energy table 65nm"
        assert picture.info["Software"].startswith("archsim ")
        assert min(picture.size) > 800


def test_a_dollar_is_no_formula() -> None:
    assert render("energy", [early_exit_run(workload="a$_b$c", arch="$\\frac$")], ".svg")


def test_the_settings_of_the_user_have_no_say_and_survive() -> None:
    expected = render("energy", BOTH, ".svg")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        assert render("energy", BOTH, ".svg") == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_no_state_of_pyplot_is_made() -> None:
    code = (
        "import sys; from archsim.report.figure import render; from archsim.report.kinds import KINDS\n"
        "from tests.run_results import observed_run\n"
        "for kind in KINDS: KINDS[kind].draw and render(kind, [observed_run()], '.png')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\n"


def test_drawing_changes_no_result() -> None:
    run: RunResult = observed_run()
    for kind in OF_RUNS:
        draw(kind, [run] if KINDS[kind].only_one else [run, baseline_run()])
    assert run == observed_run()
