"""A few damaged files for every reader; ``-m slow`` and ``python -m tests.hostile.fuzz`` try many more."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("PIL")

from archsim.importing.walk import safe_name
from tests.hostile.attempt import Tally
from tests.hostile.fuzz import fuzz
from tests.hostile.guided import guided, steps_of
from tests.hostile.readers import READERS

CASES, SLOW_CASES = 12, 400


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused(name: str) -> None:
    tally = fuzz(name, CASES, 1)
    assert tally.read + tally.refused == tally.cases >= CASES


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_read_or_refused(name: str) -> None:
    tally = fuzz(name, SLOW_CASES, 2)
    assert tally.read + tally.refused == tally.cases >= SLOW_CASES


def test_guidance_keeps_what_reaches_new_code(tmp_path: Path) -> None:
    """Of damaged configurations, some break a rule that those before them did not, and only those are kept."""
    tally = Tally("SCALE-Sim configuration")
    guided(tally.reader, 60, 1, tally)
    assert (tally.guided, tally.read + tally.refused) == (60, 60)
    assert 3 <= tally.kept <= 40


def test_steps_are_those_inside_archsim() -> None:
    before = sys.gettrace()
    assert steps_of(lambda: json.dumps([1])) == set()
    short, long = (steps_of(lambda text=text: safe_name(text)) for text in ("a", "1"))
    assert short and {code.co_name for code, _, _ in short} == {"safe_name"}
    assert short == long  # both ends of a conditional expression are one line
    with pytest.raises(ZeroDivisionError):
        steps_of(lambda: 1 // 0)
    assert sys.gettrace() is before
