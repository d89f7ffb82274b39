"""Images on the page of ``archsim report``: those of the run, or why there are none."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsim.results.store import write_run
from tests.html_page import Page
from tests.report_pages import CLASS_NAMES, IMAGES, classes_workload, page_of, simulated
from tests.run_results import early_exit_run


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classes_workload(tmp_path_factory.mktemp("workload"))


@pytest.fixture(scope="module")
def run(workload: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated(workload, tmp_path_factory.mktemp("run"))


def images_text(page: Page) -> str:
    return next(each.text for each in page.all("section") if each.attributes["id"] == "images")


def test_images_are_those_of_the_run(run: Path, workload: Path, tmp_path: Path) -> None:
    page = page_of(run, "--workload", workload, out=tmp_path / "a.html")
    with (run / "images.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with np.load(workload.parent / "tiny.images.npz") as arrays:
        pixels = arrays["images"]
    pictures = page.all("img")
    assert len(pictures) == IMAGES
    for index, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        meant, said = (CLASS_NAMES[int(row[key])] for key in ("label", "prediction"))
        assert picture.attributes["alt"] == f"Image {index}: {meant}, taken for {said}, left at {row['exit']}"
        assert picture.parent is not None
        assert picture.parent.attributes["data-exit"] == row["exit"]
        assert picture.parent.attributes["data-answer"] == ("right" if meant == said else "wrong")
        content = base64.b64decode(picture.attributes["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(content)) as found:
            assert np.array_equal(np.asarray(found), pixels[index, :, :, 0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [],
            "The workload tiny of this run was not found. Give its file with --workload, or the images with --data",
        ),
        (["--workload", "none.yaml"], "The workload tiny ships no images. Give those of the run with --data"),
        (["--workload", "others.yaml"], "The images that ship with the workload are not those of this run."),
    ],
)
def test_the_page_says_why_there_are_no_images(
    run: Path, workload: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    folder = workload.parent
    text = workload.read_text()
    (folder / "none.yaml").write_text(text.replace("images: tiny.images.npz\n", ""))
    (folder / "others.yaml").write_text(text.replace("tiny.images.npz", "others.npz"))
    np.savez(folder / "others.npz", images=np.zeros((IMAGES, 8, 8, 1), np.uint8), labels=np.full(IMAGES, 3))
    words = [word if word.startswith("--") else str(folder / word) for word in words]
    page = page_of(run, *words, out=tmp_path / "a.html")
    assert page.all("img") == []
    assert said in images_text(page)


def test_a_network_without_weights_has_no_images(tmp_path: Path) -> None:
    result = early_exit_run(accuracy=None)
    unknown = [dataclasses.replace(each, label=None, prediction=None) for each in result.per_image]
    write_run(dataclasses.replace(result, per_image=tuple(unknown)), tmp_path / "run")
    page = page_of(tmp_path / "run", out=tmp_path / "a.html")
    assert page.errors == []
    assert "timed without images" in images_text(page)
    assert "classified correctly" not in page.one("header").text
