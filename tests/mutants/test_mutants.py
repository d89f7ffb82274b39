"""The mutants themselves: repeatable, and at places that mean something. And what is kept of them."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from tests.page_scripts import ROOT

pytest.importorskip("cosmic_ray", reason="mutation testing is not installed")

from tests.mutants import places, run
from tests.mutants.swap import code_in

SOURCE = '''"""A module."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Pair:
    first: int | None = 2

    @property
    def both(self) -> int | float:
        return self.first + 1

def pairs(one: list[int] | None, *, strict: bool = True) -> "int | None":
    return zip(one, one, strict=True)
'''


def test_places_have_a_meaning() -> None:
    lines = SOURCE.splitlines()
    found = {
        (lines[line - 1].strip(), name.partition("_")[0]) for name, (line, _), _ in places._changes(SOURCE)
    }
    assert found == {
        ("first: int | None = 2", "NumberReplacer"),
        ("return self.first + 1", "NumberReplacer"),
        ("return self.first + 1", "ReplaceBinaryOperator"),
        ('def pairs(one: list[int] | None, *, strict: bool = True) -> "int | None":', "ReplaceTrueWithFalse"),
        (
            'def pairs(one: list[int] | None, *, strict: bool = True) -> "int | None":',
            "ReplaceBinaryOperator",
        ),
    }


def test_a_sample_is_repeatable_and_grows() -> None:
    small, large = places.drawn("energy", 5, 3), places.drawn("energy", 5, 6)
    assert large[:3] == small
    assert len({mutant.source for mutant in large}) == 6
    assert places.drawn("energy", 6, 3) != small


def test_the_changed_code_takes_the_place_of_the_other() -> None:
    from archsim.energy import law, uncertainty

    names = ("archsim/energy/law.py", "ReplaceComparisonOperator_LtE_Lt", 0)
    found = code_in(places.mutant(*names))
    assert found is not None
    function, code = found
    assert function is law.power_law
    assert code.co_code != function.__code__.co_code
    constant = places.mutant("archsim/energy/uncertainty.py", "NumberReplacer", 0)
    assert constant.before.startswith("SAMPLES") and uncertainty.SAMPLES
    assert code_in(constant) is None


def test_what_is_kept_is_all_of_a_sample() -> None:
    kept = json.loads((ROOT / "docs" / "explanation" / "mutants.json").read_text(encoding="utf-8"))
    assert {row["package"] for row in kept["packages"]} == set(run.PACKAGES)
    for row in chain(kept["earlier"], kept["packages"]):
        assert row["killed"] + row["survivors_explained"] <= row["mutants"] <= row["places"]
