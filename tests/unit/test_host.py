"""What a run cost the machine is what this run cost."""

from __future__ import annotations

import subprocess
import sys


def test_peak_memory_is_that_of_the_process_and_not_of_who_started_it() -> None:
    ballast = b"x" * (500 << 20)
    program = "from archsim.results.host import Stopwatch; print(Stopwatch().stop().peak_rss_mb)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 5 < float(done.stdout) < 400 < len(ballast) / 1e6
