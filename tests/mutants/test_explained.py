"""Reasons why a wrong line changes nothing: they go with the line, also where mutation testing is not installed."""

from __future__ import annotations

import tomllib

from tests.page_scripts import ROOT


def test_every_explanation_is_of_a_line_that_is_there() -> None:
    text = (ROOT / "tests" / "mutants" / "explained.toml").read_text(encoding="utf-8")
    stale = []
    for entry in tomllib.loads(text)["mutant"]:
        lines = [line.strip() for line in (ROOT / entry["path"]).read_text(encoding="utf-8").splitlines()]
        if entry["before"] not in lines or entry["after"] in lines or not entry["why"]:
            stale.append(entry)
    assert not stale
