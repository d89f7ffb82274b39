"""The page that tells in which order to read the source names files that are there."""

from __future__ import annotations

import re

from tests.page_scripts import ROOT

PAGE = ROOT / "docs" / "explanation" / "reading-the-source.md"


def test_every_file_of_the_reading_order_is_there() -> None:
    """A name without a folder stands behind one with it, in the same row or item."""
    gone, found = [], 0
    for item in re.split(r"\n(?=[-|])", PAGE.read_text(encoding="utf-8")):
        folder = ROOT
        for name in re.findall(r"`([\w/]+\.py)`", item):
            folder = (ROOT / name).parent if "/" in name else folder
            found += 1
            gone += [] if (folder / name.rpartition("/")[2]).is_file() else [name]
    assert found > 50 and gone == []
