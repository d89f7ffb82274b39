"""CPU time of pieces of work: in turns, so that whatever else the machine does falls on all of them; medians."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]


def medians_s(work: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Median CPU seconds of this process, by name; a first round, which compiles and fills caches, does not count."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for round_index in range(rounds + 1):
        for name, run in work.items():
            start_s = time.process_time()
            run()
            if round_index:
                spent[name].append(time.process_time() - start_s)
    return {name: statistics.median(times) for name, times in spent.items()}


def command_s(*words: str) -> float:
    """CPU seconds of ``archsim`` with these words in a process of its own, everything included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "archsim", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command_median_s(rounds: int, *words: str) -> float:
    """Median of some runs behind a first one that does not count."""
    command_s(*words)
    return statistics.median(command_s(*words) for _ in range(rounds))
