"""Damaged and hostile files for every reader: each is read or refused with a reason, in bounded time and memory.

``python -m tests.hostile.fuzz --cases 100000 --out docs/explanation/fuzz.json`` is what the table in
``docs/explanation/trust.md`` shows; the test beside this file tries a few cases of each reader. Most cases are edits of
good files that hypothesis draws; the others are guided by coverage. What is done is kept beside ``--out``, reader by
reader: the same command goes on there.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.hostile.attempt import Tally, attempt, workplace
from tests.hostile.guided import guided
from tests.hostile.mutate import DAMAGE_BYTES, DAMAGES, Damage
from tests.hostile.readers import READERS

GUIDED = 16
"""One of so many cases is guided by coverage."""
BATCH = 8
"""Cases of one example of hypothesis, which takes longer to draw than most readers need."""
MOST_GIB = 4
"""Address space that the whole run may ask for beyond what it has: a reader that wants more fails at once."""


def fuzz(name: str, cases: int, number: int, phases: tuple[Phase, ...] = (Phase.generate,)) -> Tally:
    """Try damaged files with a reader. Raises as :func:`tests.hostile.attempt.attempt`."""
    tally, by_coverage = Tally(name), cases // GUIDED
    _drawn(name, cases - by_coverage, number, phases, tally)
    guided(name, by_coverage, number, tally)
    return tally


def _drawn(name: str, cases: int, number: int, phases: tuple[Phase, ...], tally: Tally) -> None:
    reader = READERS[name]
    with workplace() as folder:
        seeds = reader.seeds(folder / "seeds")
        for content in seeds:
            attempt(name, content, folder, Tally(name), must_read=True)

        @seed(number)
        @settings(
            max_examples=-(-cases // BATCH),
            phases=phases,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.binary(min_size=BATCH * DAMAGE_BYTES, max_size=BATCH * DAMAGE_BYTES))
        def some(numbers: bytes) -> None:
            for start in range(0, len(numbers), DAMAGE_BYTES):
                damage = Damage.of(numbers[start : start + DAMAGE_BYTES])
                make = DAMAGES[reader.kind if damage.is_deep else "bytes"]
                attempt(name, make(seeds[damage.seed % len(seeds)], damage.edits), folder, tally)

        some()


def main() -> int:
    """All readers; says what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reader", action="append", choices=list(READERS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    names = asked.reader or list(READERS)
    shares = _shares(names, asked.cases)
    command = f"python -m tests.hostile.fuzz --cases {asked.cases} --seed {asked.seed}"
    _bound_memory()
    kept = asked.out and asked.out.with_suffix(".part.json")
    rows = _kept_rows(kept, command) if kept else {}
    failed = 0
    for name in [name for name in names if name not in rows]:
        try:
            rows[name] = asdict(fuzz(name, shares[name], asked.seed))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            sys.stdout.write(f"FAILED {name}: {''.join(traceback.format_exception(error))}\n")
        else:
            sys.stdout.write(", ".join(f"{key} {value}" for key, value in rows[name].items()) + "\n")
        sys.stdout.flush()
        if kept:
            kept.write_text(json.dumps({"command": command, "readers": rows}), encoding="utf-8")
    if asked.out and kept and not failed:
        ordered = [rows[name] for name in names]
        asked.out.write_text(json.dumps({"command": command, "readers": ordered}, indent=1) + "\n")
        kept.unlink()
    return min(failed, 1)


def _shares(names: Sequence[str], cases: int) -> dict[str, int]:
    """How many cases each reader gets: slow ones fewer, so that all are tried for about as long."""
    weights = {name: 1 if READERS[name].is_slow else 4 for name in names}
    return {name: -(-cases * weight // sum(weights.values())) for name, weight in weights.items()}


def _kept_rows(kept: Path, command: str) -> dict[str, Any]:
    """Readers that an earlier run of the same command was done with."""
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    rows: dict[str, Any] = found["readers"] if found.get("command") == command else {}
    return rows


def _bound_memory() -> None:
    """Where the system says how much there is."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        now_bytes = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now_bytes + (MOST_GIB << 30), most))


if __name__ == "__main__":
    sys.exit(main())
