"""The notebooks open in Jupyter: what jupytext makes of a page has the cells that the page shows.

That the cells run, and print what is shown, is a test of all pages (``test_documented_commands.py``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.page_scripts import ROOT, script

jupytext = pytest.importorskip("jupytext")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.md"))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["co-design", "dbp", "first-look"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_python_block_is_a_cell_and_no_output_is(path: Path) -> None:
    cells = jupytext.read(path).cells
    blocks = script("run")._BLOCK.finditer(path.read_text(encoding="utf-8"))
    shown = [found["body"].rstrip("\n") for found in blocks if found["language"] == "python"]
    assert len(shown) >= 4
    assert [cell.source for cell in cells if cell.cell_type == "code"] == shown
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
