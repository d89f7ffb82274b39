"""One file given to one reader: read, or refused with a reason, within a bound of time and memory."""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from archsim.errors import InvalidInput
from tests.hostile.mutate import write
from tests.hostile.readers import READERS

LIMIT_S = 10.0
"""Processor time of one case."""
LIMIT_MIB = 512
"""By which one case may raise the memory of the process while it runs."""

_MEMORY = Path("/dev/shm")


class Hang(BaseException):
    """The reader did not come back; nothing that a reader catches."""


@dataclass
class Tally:
    """What became of the cases of one reader. guided: those by coverage; kept: of them, those that reached new code.

    longest_s: processor time of the slowest. memory_mib: memory at the peak of the costliest, beyond what the process
    had before.
    """

    reader: str
    cases: int = 0
    guided: int = 0
    kept: int = 0
    read: int = 0
    refused: int = 0
    longest_s: float = 0.0
    memory_mib: int = 0


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder in memory where there is such a place: nothing of this needs to last, and disks are slow."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def attempt(name: str, content: bytes, folder: Path, tally: Tally, *, must_read: bool = False) -> None:
    """Raises what the reader raises, if that is no InvalidInput; Hang; MemoryError; for a good file InvalidInput."""
    reader = READERS[name]
    inside = folder / "case"
    shutil.rmtree(inside, ignore_errors=True)
    path = write(inside / reader.file, content)
    _forget_peak()
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
    tally.memory_mib = max(tally.memory_mib, grown_mib)
    if grown_mib > LIMIT_MIB and not must_read:
        raise MemoryError(f"{name}: {grown_mib} MiB for a file of {len(content)} bytes")


def _forget_peak() -> None:
    """Peak memory counts from now on, where the system can do that; elsewhere the largest case so far counts."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


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
