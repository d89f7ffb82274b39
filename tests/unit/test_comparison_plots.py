"""Pictures of a comparison: every bar is a number of it, and the same comparison gives the same file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from archsim.comparison.cases import Case
from archsim.comparison.records import Baseline, Comparison, Control, Rung
from archsim.comparison.relate import against, measured
from archsim.comparison.runs import Machine, Run
from archsim.energy.uncertainty import EnergyTerm
from archsim.report.comparison import draw, draw_energy, draw_ladder, draw_layers, draw_speedup, write_plots
from archsim.report.page.comparison import comparison_sections
from archsim.results.host import Host
from archsim.results.run_result import RunResult
from tests.drawn import texts
from tests.html_page import Page
from tests.run_results import baseline_run, early_exit_run

TERM = (EnergyTerm("dram", "io", 1.0, 0.1),)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Ours takes half the time and half the energy of dense-rs; the ladder has these two rungs."""

    def run_of(result: RunResult, arch: str) -> Run:
        return Run(Machine.of(Case("toy", arch), None), dataclasses.replace(result, energy_terms=TERM))

    ours, dense = run_of(early_exit_run(), "locoexnet-65nm"), run_of(baseline_run(), "dense-rs")

    def rung(run: Run, step: str, speedup: float) -> Rung:
        nothing = {
            "energy_saving_range": (0.45, 0.6),
            "step_energy_saving": 0.0,
            "step_energy_saving_range": (0.0, 0.0),
            "step_saved_by_component_uj": {},
            "paired": None,
        }
        told = {"step": step, "note": "", "speedup": speedup, "step_speedup": speedup, "energy_saving": 0.0}
        return Rung(**vars(measured(run)), **told, **nothing)

    return Comparison(
        workload="toy",
        arch="locoexnet-65nm",
        energy_table="65nm",
        images=4,
        batch=1,
        arrivals="alone",
        engine="tile",
        seed=1,
        version="0.1.0",
        overrides=(),
        ours=measured(ours),
        baselines=(
            Baseline(
                **vars(against(ours, dense)),
                differs_in={},
                dram_energy_counted=True,
                equal_area=None,
                batch_limit=None,
                speed_to_first_range=(1.0, 1.0),
                energy_to_first_range=(1.0, 1.0),
            ),
        ),
        ladder=(rung(dense, "dense", 1.0), rung(ours, "+ early exit", 2.0)),
        controls=(Control("oracle_exit", 1.0, 100.0, 5.0, 8.0, 0.9),),
        variations=(),
        host=Host(1.0, 1.0),
    )


def widths_by_row(axes: Axes) -> dict[float, float]:
    """Total width of the bars of each row."""
    sums: dict[float, float] = {}
    for bar in axes.patches:
        assert isinstance(bar, Rectangle)
        row = round(bar.get_y() + bar.get_height() / 2, 6)
        sums[row] = sums.get(row, 0.0) + bar.get_width()
    return sums


def names(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def whiskers(axes: Axes) -> dict[float, tuple[float, float]]:
    """Ends of the whiskers by row."""
    found = {}
    for lines in axes.collections:
        assert isinstance(lines, LineCollection)
        for (start, row), (end, _) in lines.get_segments():
            found[round(float(row) - 0.25, 6)] = (round(float(start), 6), round(float(end), 6))
    return found


def test_energies_are_those_of_the_baseline_times_one_and_less(comparison: Comparison) -> None:
    (axes,) = draw(draw_energy, comparison).axes
    assert names(axes) == ["dense-rs", "locoexnet-65nm"]
    assert widths_by_row(axes) == pytest.approx({0.0: 1.0, 1.0: 0.5})
    assert "100.0 % (36.00 µJ)" in texts(axes) and "50.0 % (18.00 µJ)" in texts(axes)


def test_energies_by_layer_are_fractions_of_the_baseline(comparison: Comparison) -> None:
    """conv1, exit1 and conv2 need 10, 2 and 6 uJ, with the baseline 10, 0 and 26; the branch alone is hatched."""
    (axes,) = draw(draw_layers, comparison).axes
    assert widths_by_row(axes) == pytest.approx({0.0: 1.0, 1.0: 0.5})
    ours = [bar for bar in axes.patches if bar.get_y() > 0.5]
    assert [bar.get_width() * 36 for bar in ours] == pytest.approx([10, 2, 6])
    assert [bool(bar.get_hatch()) for bar in ours] == [False, True, False]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["conv1", "exit1", "conv2"]
    assert {"conv1\n28", "conv2\n72", "conv2\n17", "6"} <= set(texts(axes))


def test_whiskers_are_the_ranges_of_the_ratios(comparison: Comparison) -> None:
    """Of ours against the first baseline; a second one and a workload on its network have theirs, another has none."""
    first = dataclasses.replace(
        comparison.baselines[0], speedup_range=(1.5, 2.5), energy_saving_range=(0.4, 0.55)
    )
    second = dataclasses.replace(first, speed_to_first_range=(0.9, 1.2), energy_to_first_range=(0.8, 1.25))
    same = dataclasses.replace(comparison, baselines=(first,))
    other = dataclasses.replace(comparison, baselines=(dataclasses.replace(first, workload="other"),))
    found = dataclasses.replace(comparison, baselines=(first, second), others=(same, other))
    speeds, energies, layers = (
        draw(each, found).axes[0] for each in (draw_speedup, draw_energy, draw_layers)
    )
    assert whiskers(speeds) == {1.0: (0.9, 1.2), 2.0: (1.5, 2.5), 3.0: (1.5, 2.5)}
    expected = {1.0: (0.8, 1.25), 2.0: (0.45, 0.6), 3.0: (0.45, 0.6)}
    assert whiskers(energies) == whiskers(layers) == expected
    dense, ours = found.ladder
    found = dataclasses.replace(
        found, ladder=(dataclasses.replace(dense, energy_saving_range=(0.0, 0.0)), ours)
    )
    assert whiskers(draw(draw_ladder, found).axes[0]) == {1.0: (0.4, 0.55)}
    assert energies.get_xlim()[1] > 1.25


def test_the_page_has_the_same_whiskers(comparison: Comparison) -> None:
    """In percent of the longest bar: 2.5 times as fast; 1.25 times the 36 uJ of the baseline."""
    first = dataclasses.replace(
        comparison.baselines[0], speedup_range=(1.5, 2.5), energy_saving_range=(0.4, 0.55)
    )
    second = dataclasses.replace(first, speed_to_first_range=(0.9, 1.2), energy_to_first_range=(0.8, 1.25))
    section, _ = comparison_sections(dataclasses.replace(comparison, baselines=(first, second)))
    page = Page.of(section.markup())
    spans = [
        (float(line.attributes["x1"][:-1]), float(line.attributes["x2"][:-1])) for line in page.all("line")
    ]
    assert [(low, high) for low, high in spans if low < high] == [(60, 100), (36, 48), (36, 48), (64, 100)]


def test_speed_is_told_against_the_baseline_controls_included(comparison: Comparison) -> None:
    (axes,) = draw(draw_speedup, comparison).axes
    assert names(axes) == ["dense-rs", "locoexnet-65nm", "oracle exit"]
    assert widths_by_row(axes) == pytest.approx({0.0: 1.0, 1.0: 2.0, 2.0: 8.0})
    assert texts(axes) == ["1.00x", "2.00x", "8.00x"]


def test_the_ladder_is_told_against_its_first_rung(comparison: Comparison) -> None:
    (axes,) = draw(draw_ladder, comparison).axes
    assert names(axes) == ["dense", "+ early exit\n2.00x as fast"]
    assert widths_by_row(axes) == pytest.approx({0.0: 1.0, 1.0: 0.5})


def test_the_same_comparison_gives_the_same_pictures(comparison: Comparison, tmp_path: Path) -> None:
    first, second = write_plots(comparison, tmp_path / "a"), write_plots(comparison, tmp_path / "b")
    assert [path.name for path in first] == ["speedup.png", "energy.png", "layers.png", "ladder.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
