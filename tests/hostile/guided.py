"""Fuzzing by coverage: a damaged file that makes a reader reach new code is kept, and damaged further.

What a reader reaches are steps from line to line inside archsim. So deep checks are met that a good file with one to
three edits does not come to; libFuzzer and AFL work like this, without wheels for all versions of Python.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import archsim
from tests.hostile.attempt import Tally, attempt, workplace
from tests.hostile.mutate import DAMAGE_BYTES, DAMAGES, Damage
from tests.hostile.readers import READERS

Step = tuple[CodeType, int, int]
"""In a function, from a line to a line."""
_PACKAGE = str(Path(archsim.__file__).parent)
_MOST_MORE_BYTES = 4096
"""By which a file that is damaged further may be larger than a good one: edits that double something would not end."""
_RECENT = 8


@dataclass(frozen=True)
class Kept:
    """is_whole: it has the form of its kind (an archive, a database), so that what is inside can be damaged."""

    content: bytes
    is_whole: bool


def guided(name: str, cases: int, number: int, tally: Tally) -> None:
    """So many cases, seeded with ``number``. Raises as :func:`tests.hostile.attempt.attempt`."""
    rng, reader = random.Random(f"{name} {number}"), READERS[name]
    reached: set[Step] = set()
    with workplace() as folder:
        pool = [Kept(content, True) for content in reader.seeds(folder / "seeds")]
        most_bytes = max(len(good.content) for good in pool) + _MOST_MORE_BYTES
        for good in pool:
            reached |= steps_of(lambda good=good: attempt(name, good.content, folder, Tally(name)))  # type: ignore[misc]
        for _ in range(cases):
            case = damaged_further(rng, pool, reader.kind)
            found = steps_of(lambda case=case: attempt(name, case.content, folder, tally))  # type: ignore[misc]
            tally.guided += 1
            if found - reached and len(case.content) <= most_bytes:
                reached |= found
                pool.append(case)
                tally.kept += 1


def damaged_further(rng: random.Random, pool: list[Kept], kind: str) -> Kept:
    """Some edits of a file, often of one of the last that were kept."""
    parent = rng.choice(pool[-_RECENT:] if rng.random() < 0.5 else pool)
    edits = Damage.of(rng.randbytes(DAMAGE_BYTES)).edits
    if parent.is_whole and kind != "bytes" and rng.random() < 0.7:
        try:
            return Kept(DAMAGES[kind](parent.content, edits), True)
        except Exception:
            pass  # so damaged that it has lost its form
    return Kept(DAMAGES["bytes"](parent.content, edits), False)


def steps_of(action: Callable[[], None]) -> set[Step]:
    """Steps inside archsim that an action takes in this thread."""
    found: set[Step] = set()

    def enter(frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return None
        last = 0

        def step(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
            nonlocal last
            if event == "line":
                found.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        action()
    finally:
        sys.settrace(before)
    return found
