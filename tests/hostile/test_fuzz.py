"""A few damaged files for every reader; ``-m slow`` and ``python -m tests.hostile.fuzz`` try many more."""

from __future__ import annotations

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("PIL")

from tests.hostile.fuzz import fuzz
from tests.hostile.readers import READERS

CASES, SLOW_CASES = 12, 3_400


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused(name: str) -> None:
    tally = fuzz(name, CASES, 1)
    assert tally.read + tally.refused == tally.cases >= CASES


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_read_or_refused(name: str) -> None:
    tally = fuzz(name, SLOW_CASES, 2)
    assert tally.read + tally.refused == tally.cases >= SLOW_CASES
