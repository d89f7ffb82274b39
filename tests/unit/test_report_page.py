"""Parts of the page of ``archsim report``: what is drawn has the lengths of the numbers, whatever they are."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from archsim.report.page.bars import Bar, Part, bars
from archsim.report.page.energy import energy_section
from archsim.report.page.figures import inline_figure
from archsim.report.page.flow import Leaving, exit_flow
from archsim.report.page.gallery import chosen
from archsim.report.page.png import png, thumbnail
from archsim.report.page.provenance import simulate_command
from archsim.report.style import BLUE
from archsim.results.run_result import EnergyUncertainty
from tests.html_page import Element, Page
from tests.run_results import early_exit_run, image, observed_run


def percent(element: Element, key: str) -> float:
    return float(element.attributes[key].removesuffix("%"))


def test_bars_are_as_long_as_their_parts() -> None:
    rows = [
        Bar(
            "a",
            [Part("x", 30.0, "c-dram", "x"), Part("none", 0.0, "c-noc", ""), Part("y", 10.0, "c-noc", "y")],
            "",
        ),
        Bar("b", [Part("x", 60.0, "c-dram", "x")], "", whisker=(40.0, 80.0)),
    ]
    page = Page.of(bars("lengths", rows))
    assert page.errors == []
    drawn = [(percent(each, "x"), percent(each, "width")) for each in page.all("rect")]
    assert drawn == [(0.0, 37.5), (37.5, 12.5), (0.0, 75.0)]
    whisker = page.all("line")[0]
    assert (percent(whisker, "x1"), percent(whisker, "x2")) == (50.0, 100.0)


def test_the_bar_of_an_image_is_its_energy() -> None:
    """Components of 0.5, 1.0, ... 4.0 uJ; the range of 2 uJ around 18 makes 20 uJ the full width."""
    uncertain = EnergyUncertainty(2.0, dict.fromkeys(early_exit_run().energy_uj_per_image.by_component, 0.1))
    page = Page.of(energy_section(early_exit_run(energy_uncertainty_uj=uncertain)).markup())
    assert page.errors == []
    drawn = [each for each in page.all("rect") if each.parent and each.parent.attributes.get("role") == "img"]
    assert [percent(each, "width") for each in drawn[:8]] == [2.5 * (index + 1) for index in range(8)]
    # By layer: 10, 2 and 6 uJ, the branch hatched.
    layers = drawn[8:]
    assert [percent(each, "width") for each in layers] == [100.0, 20.0, 60.0]
    assert [each.attributes["class"] for each in layers] == ["layer", "branch", "layer"]


@given(st.lists(st.integers(0, 500), min_size=1, max_size=14).filter(any))
@settings(max_examples=30)
def test_arms_of_the_flow_are_as_broad_as_the_share_that_leaves(counts: list[int]) -> None:
    images = sum(counts)
    page = Page.of(
        exit_flow(images, [Leaving(f"e{row}", count, "x-0", []) for row, count in enumerate(counts)])
    )
    assert page.errors == []
    arms = [each for each in page.all("path") if each.attributes["class"] != "trunk"]
    assert len(arms) == sum(count > 0 for count in counts)
    broad = []
    for arm in arms:
        left, right, upper, lower = (
            float(found)
            for found in re.match(
                r"M(\S+) \S+H(\S+)Q\S+ \S+ \S+ (\S+)V([\d.]+)", arm.attributes["d"]
            ).groups()  # type: ignore[union-attr]
        )
        assert right - left == pytest.approx(lower - upper, abs=0.21)
        broad.append(lower - upper)
    wanted = [84 * count / images for count in counts if count]
    assert broad == pytest.approx(wanted, abs=0.11)
    # Words of two exits never meet: they are at least a line apart.
    heights = [float(each.attributes["y"]) for each in page.all("text")[1:]]
    assert all(below - above > 18.9 for above, below in itertools.pairwise(heights))
    assert max(heights) < float(page.one("svg").attributes["height"])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_the_image(channels: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as found:
        found.load()
        assert np.array_equal(np.asarray(found).reshape(pixels.shape), pixels)


def test_a_thumbnail_is_the_mean_of_blocks() -> None:
    pixels = np.array([[0, 10, 100, 101], [20, 30, 102, 103]], np.uint8)[:, :, None]
    assert thumbnail(pixels, 2)[:, :, 0].tolist() == [[15, 102]]
    assert np.array_equal(thumbnail(pixels, 4), pixels)
    assert thumbnail(np.zeros((3, 4096, 3), np.uint8), 64).shape == (1, 1365, 3)


def test_the_gallery_shows_every_exit_and_the_wrong_ones() -> None:
    """Of exit1 2 of 500 are wrong, of final all of 30: 24 of each exit are shown."""
    images = [image(index, "exit1", 200, right=index not in (7, 400)) for index in range(500)]
    images += [image(500 + index, "final", 800, right=False) for index in range(30)]
    shown = chosen(
        early_exit_run(images=530, exits={"exit1": 500, "none": 0, "final": 30}, per_image=tuple(images))
    )
    by_exit = {name: [each.index for each in shown if each.exit == name] for name in ("exit1", "final")}
    assert [len(found) for found in by_exit.values()] == [24, 24]
    assert {7, 400} <= set(by_exit["exit1"])
    assert max(by_exit["exit1"]) > 470
    assert [each.index for each in shown] == sorted(each.index for each in shown)


def test_no_number_of_exits_makes_the_gallery_larger() -> None:
    images = [image(index, f"e{index % 300}", 200) for index in range(900)]
    exits = {f"e{index}": 3 for index in range(300)}
    assert len(chosen(early_exit_run(images=900, exits=exits, per_image=tuple(images)))) == 96


def test_a_figure_takes_the_colours_of_the_page() -> None:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BLUE)
    axes.set_title("<b>")
    first, second = (inline_figure(figure, name, "A line", {BLUE: "accent"}) for name in ("one", "two"))
    page = Page.of(f"<main>{first}{second}</main>")
    assert page.errors == []
    assert "stroke: var(--accent)" in first and BLUE.lower() not in first
    assert "<b>" in [each.text for each in page.all("text")]
    assert page.all("metadata") == []


def test_the_command_is_quoted_for_a_shell() -> None:
    result = dataclasses.replace(early_exit_run(), overrides=("a=b c",), arrivals="250.0", seed=7)
    assert simulate_command(result, "my net.yaml", "fast", "$data") == (
        "archsim simulate 'my net.yaml' --arch fast --energy-table 65nm --images 4 --data '$data' --set 'a=b c' "
        "--engine tile --arrivals 250.0 --seed 7 --out run"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "--timeline 0"),
        ({"until_cycle": 90, "is_truncated": True}, "--timeline 0"),
        ({"from_cycle": 10, "until_cycle": 90, "is_truncated": True}, "--timeline 0 --window 10:200"),
        ({"from_cycle": 10, "until_cycle": 90}, "--timeline 0 --window 10:90"),
    ],
)
def test_the_command_records_the_same_timeline(changes: dict[str, int], words: str) -> None:
    timeline = observed_run().timeline
    assert timeline is not None
    result = observed_run(timeline=dataclasses.replace(timeline, **changes))
    assert simulate_command(result, "toy", "fast", None).endswith(f" --out run {words}")
