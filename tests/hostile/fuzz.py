"""Damaged and hostile files for every reader: each is read or refused with a reason, in bounded time and memory.

``python -m tests.hostile.fuzz --cases 100000 --out docs/explanation/fuzz.json`` is what the table in
``docs/explanation/trust.md`` shows; the test beside this file tries a few cases of each reader.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from archsim.errors import InvalidInput
from tests.hostile.mutate import DAMAGES, EDITS, Edit, write
from tests.hostile.readers import READERS

LIMIT_S = 10.0
"""Processor time of one case."""
LIMIT_MIB = 512
"""By which one case may raise the peak memory of the process."""


class Hang(BaseException):
    """The reader did not come back; nothing that a reader catches."""


@dataclass
class Tally:
    """What became of the cases of one reader. longest_s: processor time of the slowest. memory_mib: by which they
    raised the peak of the process.
    """

    reader: str
    cases: int = 0
    read: int = 0
    refused: int = 0
    longest_s: float = 0.0
    memory_mib: int = 0


def fuzz(name: str, cases: int, number: int, phases: tuple[Phase, ...] = (Phase.generate,)) -> Tally:
    """Try damaged files with a reader. Raises what the reader raises, if that is no InvalidInput; Hang; MemoryError."""
    reader, tally = READERS[name], Tally(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seeds = reader.seeds(folder / "seeds")
        for content in seeds:
            _attempt(name, content, folder, Tally(name), must_read=True)

        @seed(number)
        @settings(
            max_examples=cases,
            phases=phases,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(range(len(seeds))), st.booleans(), EDITS)
        def case(index: int, is_deep: bool, edits: list[Edit]) -> None:
            content = DAMAGES[reader.kind if is_deep else "bytes"](seeds[index], edits)
            _attempt(name, content, folder, tally)

        case()
    return tally


def _attempt(name: str, content: bytes, folder: Path, tally: Tally, *, must_read: bool = False) -> None:
    reader = READERS[name]
    inside = folder / "case"
    shutil.rmtree(inside, ignore_errors=True)
    path = write(inside / reader.file, content)
    start_s, start_mib = time.process_time(), _peak_mib()
    tally.cases += 1
    with _watched(), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            reader.read(path)
            tally.read += 1
        except InvalidInput as error:
            if must_read:
                raise
            lines = str(error).splitlines()
            assert lines and all(line.isprintable() and line.strip() for line in lines), lines
            tally.refused += 1
    tally.longest_s = max(tally.longest_s, time.process_time() - start_s)
    grown_mib = _peak_mib() - start_mib
    tally.memory_mib += grown_mib
    if grown_mib > LIMIT_MIB and not must_read:
        raise MemoryError(f"{name}: {grown_mib} MiB for a file of {len(content)} bytes")


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Raise Hang after a while of processor time."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"no answer within {LIMIT_S} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def main() -> int:
    """All readers, the cases shared evenly; says what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reader", action="append", choices=list(READERS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    names = asked.reader or list(READERS)
    rows: list[dict[str, Any]] = []
    failed = 0
    for name in names:
        try:
            tally = fuzz(name, -(-asked.cases // len(names)), asked.seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            sys.stdout.write(f"FAILED {name}: {_story(error)}\n")
            continue
        rows.append(asdict(tally))
        sys.stdout.write(f"{name}: {tally.cases} cases, {tally.read} read, {tally.refused} refused, "
                         f"longest {tally.longest_s:.2f} s, {tally.memory_mib} MiB more\n")  # fmt: skip
        sys.stdout.flush()
    command = f"python -m tests.hostile.fuzz --cases {asked.cases} --seed {asked.seed}"
    if asked.out and not failed:
        asked.out.write_text(json.dumps({"command": command, "readers": rows}, indent=1) + "\n")
    return min(failed, 1)


def _story(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(main())
