"""A small run, and the page that ``archsim report`` makes of a result."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from archsim.cli.main import cli
from tests.builders import tiny_document, write_workload
from tests.html_page import Page

IMAGES = 12
CLASS_NAMES = ["a<b", "bee", "cat", "dog"]


def report(*words: object) -> Result:
    """``archsim report`` with these words."""
    return CliRunner().invoke(cli, ["report", *(str(word) for word in words)])


def page_of(*words: object, out: Path) -> Page:
    """The page that is written to ``out``."""
    result = report(*words, "-o", out)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {out}\n")
    return Page.of(out.read_text(encoding="utf-8"))


def classes_workload(folder: Path) -> Path:
    """The tiny workload with names of classes."""
    dataset = {"name": "noise", "classes": len(CLASS_NAMES), "class_names": CLASS_NAMES}
    return write_workload(folder, tiny_document(dataset=dataset), images=IMAGES)


def simulated(workload: Path, folder: Path, *words: str) -> Path:
    """The folder with a run of it."""
    given = ["simulate", str(workload), "--set", "pe_array.rows=8", "--engine", "segment", *words]
    assert CliRunner().invoke(cli, [*given, "--out", str(folder)]).exit_code == 0
    return folder
