"""What a sweep of very many of the cheapest points costs besides the simulations themselves."""

from __future__ import annotations

import resource
import sqlite3
import time
from pathlib import Path

import pytest

from archsim.explore.request import spec_from
from archsim.explore.sweep import run_sweep

POINTS = 10_000


@pytest.mark.perf
def test_ten_thousand_points(tmp_path: Path) -> None:
    thresholds = list(range(1000, 1000 + POINTS // 8))
    spec = spec_from(
        {
            "schema": "archsim.sweep/1",
            "name": "many",
            "workload": "digits",
            "arch": "gated-rs",
            "images": 1,
            "space": {
                "pe_array.rows": [8, 12],
                "global_buffer.size_kib": [27, 54, 81, 108],
                "exits.exit1.threshold": thresholds,
            },
        }
    )
    start_s = time.perf_counter()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    summary = run_sweep(spec, tmp_path / "out", jobs=2)
    passed_s = time.perf_counter() - start_s
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    with sqlite3.connect(tmp_path / "out" / "sweep.sqlite") as connection:
        (simulated_s,) = connection.execute("select sum(wall_s) from results").fetchone()
    assert (summary.points, summary.failed) == (POINTS, 0)
    assert 2 * passed_s < 1.2 * simulated_s, f"{2 * passed_s / simulated_s - 1:.1%} more than the simulations"
    assert grown_kb < 200_000
