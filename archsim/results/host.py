"""What a run cost the machine that ran it: the only part of a result that differs from run to run."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Host:
    """wall_s: duration of the call in seconds. peak_rss_mb: largest resident memory of the process in MB (1e6)."""

    wall_s: float
    peak_rss_mb: float


class Stopwatch:
    """Starts when it is made; :meth:`stop` reads it."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()

    def stop(self) -> Host:
        """Time since the start and the peak memory of the process."""
        return Host(round(time.perf_counter() - self._start_s, 3), round(_peak_rss_bytes() / 1e6, 1))


def _peak_rss_bytes() -> int:
    """0 where the platform does not tell (Windows)."""
    # Linux counts in getrusage the memory of the process that started this one, until this one has had more.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
