"""The page of ``archsim report`` in a browser: theme, keyboard, filters, widths, print. Nothing is requested.

Skipped where there is no Chromium or no playwright.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsim.config.load import config_hash, load_arch
from archsim.functional.statistics import BranchStatistics
from archsim.report.page.assemble import write_page
from archsim.report.page.sources import Asked
from archsim.results.run_result import CycleStatistics, LayerResult
from archsim.results.store import write_run
from tests.run_results import early_exit_run, image, observed_run

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(names)} is installed")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with four images, three of which leave at the first exit, one of them wrong."""
    folder = tmp_path_factory.mktemp("page")
    write_run(
        early_exit_run(arch="locoexnet-65nm", overrides=("a.rather.long.key=" + "x" * 80,)), folder / "run"
    )
    np.savez(folder / "images.npz", images=np.full((4, 8, 8, 3), 99, np.uint8), labels=np.ones(4, np.int64))
    return write_page(folder / "run", folder / "page.html", Asked(data=folder / "images.npz")).as_uri()


class Visit:
    """A page that was opened, and everything that went wrong on it or was asked for by it."""

    def __init__(self, browser: Any, address: str, viewport: dict[str, int], scheme: str) -> None:
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.said.append(request.url))
        self.page.goto(address)
        pictures = [url for url in self.said if url.startswith("data:image/png")]
        assert self.said == [address, *pictures]
        self.said.clear()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert self.said == []

    def paper(self) -> str:
        """Colour of the page."""
        found: str = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return found

    def shown(self) -> int:
        """Images of the gallery that are seen."""
        count: int = self.page.locator(".gallery > li:visible").count()
        return count


WHITE = "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_that_of_the_system_until_it_is_chosen(browser: Any, address: str, scheme: str) -> None:
    with Visit(browser, address, DESK, scheme) as visit:
        toggle = visit.page.get_by_role("button", name="Dark")
        for dark in (scheme == "dark", scheme != "dark", scheme == "dark"):
            assert (visit.paper() != WHITE) == dark
            assert toggle.get_attribute("aria-pressed") == str(dark).lower()
            toggle.click()


def test_everything_is_reached_by_keyboard(browser: Any, address: str) -> None:
    with Visit(browser, address, DESK, "light") as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.keyboard.press("Enter")
        assert page.url.endswith("#summary")
        page.locator("#theme").focus()
        page.keyboard.press("Space")
        assert visit.paper() != WHITE
        page.locator("input[name=exit]:checked").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("input[name=exit]:checked").get_attribute("value") == "exit1"
        assert visit.shown() == 3


def test_folded_parts_open_by_keyboard_and_are_printed(browser: Any, tmp_path: Path) -> None:
    name = "locoexnet-65nm"
    write_run(early_exit_run(arch=name, config_hash=config_hash(load_arch(name))), tmp_path / "run")
    address = write_page(tmp_path / "run", tmp_path / "page.html").as_uri()
    with Visit(browser, address, DESK, "light") as visit:
        key = visit.page.get_by_text("pe_array.rows", exact=True)
        assert not key.is_visible()
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert key.is_visible()
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not key.is_visible()
        visit.page.locator("summary").focus()
        visit.page.keyboard.press("Enter")
        assert key.is_visible()


def test_the_gallery_is_filtered(browser: Any, address: str) -> None:
    with Visit(browser, address, DESK, "light") as visit:
        assert visit.shown() == 4
        for exit_name, answer, count in (
            ("exit1", "all", 3),
            ("exit1", "wrong", 1),
            ("final", "wrong", 0),
            ("final", "right", 1),
            ("all exits", "all", 4),
        ):
            for name in (exit_name, answer):
                visit.page.get_by_role("radio", name=name, exact=True).check()
            assert visit.shown() == count
            assert visit.page.locator("#shown").text_content() == f"{count} of 4 images"


@pytest.mark.parametrize(
    "viewport", [PHONE, DESK, {"width": 320, "height": 600}], ids=lambda size: str(size["width"])
)
def test_the_page_is_never_wider_than_the_screen(
    browser: Any, address: str, viewport: dict[str, int]
) -> None:
    with Visit(browser, address, viewport, "light") as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        # The words beside the flow are inside its picture, which would cut them off.
        assert visit.page.evaluate(
            "(() => { const flow = document.querySelector('.flow').getBoundingClientRect();"
            " return [...document.querySelectorAll('.flow text')].every(text => {"
            " const box = text.getBoundingClientRect();"
            " return box.right <= flow.right + 1 && box.bottom <= flow.bottom + 1; }); })()"
        )


def test_no_table_scrolls_sideways_on_a_desk(browser: Any, tmp_path: Path) -> None:
    """Twelve exits with long names and large numbers; the flow and its table stand below each other then."""
    names = [f"branch_behind_conv{index}_gap_linear" for index in range(12)]
    images = tuple(image(index, name, 123_456_789) for index, name in enumerate([*names, "final"]))
    many = early_exit_run(
        images=13,
        exits=dict.fromkeys([*names, "final"], 1),
        branches={name: BranchStatistics(123_456, 123_456, 1) for name in names},
        per_image=images,
        cycles=CycleStatistics(123_456_789.0, *[123_456_789] * 4, 13 * 123_456_789),
        layers=tuple(
            LayerResult(name, *[4_567_890.0] * 4, 0.5, *[4_567_890.0] * 4, 1234.5) for name in names
        ),
    )
    write_run(many, tmp_path / "run")
    address = write_page(tmp_path / "run", tmp_path / "page.html").as_uri()
    with Visit(browser, address, DESK, "light") as visit:
        wide = visit.page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)"
            ".map(one => one.getAttribute('aria-label'))"
        )
        assert wide == []


def test_the_timeline_is_drawn_in_both_themes(browser: Any, tmp_path: Path) -> None:
    """A track a unit, its bars inside it; what is black on white paper is not on dark."""
    write_run(observed_run(), tmp_path / "run")
    address = write_page(tmp_path / "run", tmp_path / "page.html").as_uri()
    inks = []
    for scheme in ("light", "dark"):
        with Visit(browser, address, PHONE, scheme) as visit:
            tracks = visit.page.locator("#timeline .tracks > li")
            assert tracks.count() == 7
            assert visit.page.evaluate(
                "[...document.querySelectorAll('.tracks svg')].every(track => {"
                " const box = track.getBoundingClientRect();"
                " return [...track.querySelectorAll('rect, text')].every(one => {"
                " const inner = one.getBoundingClientRect();"
                " return inner.left >= box.left - 1 && inner.right <= box.right + 1; }); })"
            )
            inks.append(
                visit.page.evaluate("getComputedStyle(document.querySelector('rect.t-decision')).fill")
            )
    assert inks == ["rgb(27, 31, 35)", "rgb(230, 232, 234)"]


def test_it_is_readable_without_scripts(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert not page.locator("#theme").is_visible()
    assert not page.locator(".filters").is_visible()
    assert page.locator(".gallery > li:visible").count() == 4
    context.close()


def test_it_is_printed_dark_on_white(browser: Any, address: str) -> None:
    with Visit(browser, address, DESK, "dark") as visit:
        visit.page.locator("#theme").click()
        visit.page.locator("#theme").click()
        assert visit.paper() != WHITE
        visit.page.emulate_media(media="print")
        assert visit.paper() == WHITE
        assert not visit.page.locator("nav").is_visible()
        assert visit.page.pdf(format="A4").startswith(b"%PDF-")
