"""Mutation testing of packages: does a test fail when a line is wrong?

``python -m tests.mutants.run --seed 2 --places 100 --out docs/explanation/mutants.json`` is what the table in
``docs/explanation/trust.md`` shows. Cosmic Ray and coverage have to be installed; nothing else needs them. Outcomes are
kept in ``build/mutants``, by the mutated file and the tests of its package, and found there by the next run: it can be
stopped at any time. After a change anywhere else, delete the folder. With ``--out``, what no test had noticed before is
tried again; ``--places 0`` does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import sys
import tomllib
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutants.child import noted, preload, tested
from tests.mutants.places import ROOT, Mutant, drawn, listed, places
from tests.mutants.swap import swapped

HERE = Path(__file__).resolve().parent
KEPT = ROOT / "build" / "mutants"
PACKAGES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "packages.toml").read_text(encoding="utf-8"))
EXPLAINED: list[dict[str, str]] = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))[
    "mutant"
]
NOTICED = ("killed", "timeout")
CHANGE = ("path", "before", "after")
"""What a change is known by."""


def main() -> int:
    """Try mutants of packages, each in a process of its own: what is to be mutated must not be imported yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", action="append", choices=list(PACKAGES))
    parser.add_argument("--places", type=int, default=100, help="how many of all places are drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep the table, which needs all packages")
    parser.add_argument("--words", default="", help="what the sample is called there")
    parser.add_argument("--earlier", action="store_true", help="keep it beside the table that counts")
    asked = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    names = asked.package or list(PACKAGES)
    for name in names:
        if process := os.fork():
            if os.waitpid(process, 0)[1]:
                return 1
        else:
            with leaving():
                package_rows(
                    name, [*drawn(name, asked.seed, asked.places), *listed(name, survivors(asked.out))]
                )
    rows = [
        table_row(name, asked.seed, asked.places) | {"sample": asked.words} for name in names if asked.places
    ]
    for row in rows:
        sys.stdout.write(f"{row['package']}: {row['killed']} of {row['mutants']} noticed, {row['share']}\n")
    if asked.out:
        keep(asked.out, rows, "earlier" if asked.earlier else "packages")
    return 0


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """End this forked process after the block, whatever happens in it."""
    code = 1
    try:
        yield
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def table_row(package: str, seed: int, count: int) -> dict[str, Any]:
    """What became of the drawn mutants of a package."""
    known = {row["key"]: row for row in kept_rows(package)}
    rows = [known[key_of(mutant)] for mutant in drawn(package, seed, count)]
    lost = [row for row in rows if row["outcome"] not in NOTICED]
    killed = len(rows) - len(lost)
    branches = json.loads((KEPT / f"{package}-notes.json").read_text(encoding="utf-8"))["branches"]
    low, high = interval(killed, len(rows))
    return {
        "package": package,
        "command": f"python -m tests.mutants.run --package {package} --seed {seed} --places {count}",
        "places": len(places(package)),
        "mutants": len(rows),
        "killed": killed,
        "share": f"{killed / len(rows):.0%} ({100 * low:.0f}-{100 * high:.0f})",
        "survivors_explained": sum(reason(row) != "" for row in lost),
        "survivors": [[row[key] for key in CHANGE] for row in lost],
        "branches": branches,
    }


def reason(row: dict[str, Any]) -> str:
    """Why no test fails, "" where no one has said it."""
    return next((entry["why"] for entry in EXPLAINED if all(row[key] == entry[key] for key in CHANGE)), "")


def survivors(path: Path | None) -> set[tuple[str, str, str]]:
    """Changes that no test had noticed when the file of all results was written."""
    if path is None or not path.is_file():
        return set()
    found = json.loads(path.read_text(encoding="utf-8"))["survivors"]
    return {(file, before, after) for file, before, after, _ in found}


def keep(path: Path, rows: list[dict[str, Any]], part: str) -> None:
    """Put rows into the file of all results: ``packages`` (those that count) or ``earlier`` ones. ``survivors``: file,
    line, what it was made and why, of all mutants of all rows that no test notices as the tests are now.
    """
    found = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"earlier": [], "packages": []}
    )
    changes = survivors(path) | {tuple(change) for row in rows for change in row.pop("survivors")}
    new = {(row["package"], row["sample"]) for row in rows}
    others = [row for row in found[part] if (row["package"], row["sample"]) not in new]
    found[part] = sorted([*others, *rows], key=lambda row: (row["package"], row["sample"]))
    branches = {row["package"]: row["branches"] for row in found["packages"]}.values()
    percent = 100 * sum(each["covered"] for each in branches) / max(1, sum(each["all"] for each in branches))
    found["command"] = "python -m tests.mutants.run"
    found["coverage"] = {"branch_pct": round(percent, 1), "command": "python -m tests.mutants.run --places 1"}
    latest = {tuple(row[key] for key in CHANGE): row for package in PACKAGES for row in kept_rows(package)}
    lost = [
        dict(zip(CHANGE, change, strict=True))
        for change in changes
        if _is_there(*change) and (change not in latest or latest[change]["outcome"] not in NOTICED)
    ]
    found["survivors"] = sorted([*(row[key] for key in CHANGE), reason(row)] for row in lost)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _is_there(path: str, before: str, _: str) -> bool:
    """Whether a file still has the line."""
    place = ROOT / path
    return place.is_file() and before in map(str.strip, place.read_text(encoding="utf-8").splitlines())


def package_rows(package: str, mutants: list[Mutant]) -> list[dict[str, Any]]:
    """Outcomes of mutants; those not known yet are found and kept."""
    setup = PACKAGES[package]
    preload(setup["preload"], package, interpreted=setup["interpreted"])
    version = digest(setup)
    trial = Trial(package, setup, version, _notes(package, setup, version))
    trial.in_one_session([mutant for mutant in mutants if trial.row(mutant) is None])
    for mutant in mutants:
        if trial.row(mutant) is None:
            trial.anew(mutant)
    return [trial.rows[key_of(mutant)] for mutant in mutants]


class Trial:
    """The mutants of one package and what became of them, kept in a file as soon as it is known."""

    def __init__(self, package: str, setup: dict[str, Any], version: str, notes: dict[str, Any]) -> None:
        self.setup, self.version, self.notes = setup, version, notes
        self.durations_s: dict[str, float] = notes["durations_s"]
        self.package = package
        self.rows: dict[str, dict[str, Any]] = {}
        self._read()

    def row(self, mutant: Mutant) -> dict[str, Any] | None:
        """What became of a mutant with the tests as they are."""
        row = self.rows.get(key_of(mutant))
        return row if row is not None and row["version"] == self.version else None

    def runs(self, mutant: Mutant) -> list[str]:
        """Tests that execute the statement, short ones first; the one that failed last time before all."""
        before = self.rows.get(key_of(mutant), {}).get("killer")
        found = self._executing(mutant) & set(self.durations_s)
        return sorted(found, key=lambda name: (name != before, self.durations_s[name]))

    def _executing(self, mutant: Mutant) -> set[str]:
        """Tests that execute the statement; "" is the import of the tests."""
        by_line = self.notes["lines"].get(mutant.path, {})
        first, last = mutant.statement
        return {test for line in range(first, last + 1) for test in by_line.get(str(line), ())}

    def in_one_session(self, mutants: list[Mutant]) -> None:
        """Those inside of functions, in a process of its own, which imports the package."""
        if process := os.fork():
            os.waitpid(process, 0)
            self._read()
            return
        with leaving():
            setup = self.setup
            swapped(mutants, setup["tests"], setup["deselect"], self.runs, self.durations_s, self.said_now)

    def said_now(self, mutant: Mutant, outcome: str, killer: str) -> None:
        """As :meth:`said`, unless what the import of the tests computes could tell more."""
        if outcome in NOTICED or "" not in self._executing(mutant):
            self.said(mutant, outcome, killer)

    def anew(self, mutant: Mutant) -> None:
        """One with its module imported anew."""
        executing, outcome, killer = self._executing(mutant), "not run", ""
        order = (
            sorted(self.durations_s, key=self.durations_s.__getitem__)
            if "" in executing
            else self.runs(mutant)
        )
        if order:
            files = sorted({name.partition("::")[0] for name in order})
            outcome, killer = tested(mutant, files, order, self.setup["deselect"], self.durations_s)
        self.said(mutant, outcome, killer)

    def said(self, mutant: Mutant, outcome: str, killer: str) -> None:
        """Keep and show an outcome."""
        row = {key: value for key, value in asdict(mutant).items() if key != "source"}
        row |= {"outcome": outcome, "killer": killer, "key": key_of(mutant), "version": self.version}
        self.rows[row["key"]] = row
        with (KEPT / f"{self.package}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        assert sys.__stdout__ is not None
        sys.__stdout__.write(
            f"{outcome:9}{mutant.path}:{mutant.line}: {mutant.before}  =>  {mutant.after}  [{killer}]\n"
        )
        sys.__stdout__.flush()

    def _read(self) -> None:
        self.rows = {row["key"]: row for row in kept_rows(self.package)}


def kept_rows(package: str) -> list[dict[str, Any]]:
    """All outcomes that were ever found, the last of a mutant last."""
    path = KEPT / f"{package}.jsonl"
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    )


def interval(killed: int, count: int) -> tuple[float, float]:
    """95 % interval of a binomial share after Wilson (JASA 22:209, 1927).

    >>> [round(end, 3) for end in interval(90, 100)]
    [0.826, 0.945]
    """
    z, share = 1.959964, killed / count
    centre, scale = share + z * z / (2 * count), 1 + z * z / count
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - half) / scale, (centre + half) / scale


def digest(setup: dict[str, Any]) -> str:
    """Of the tests of a package and of all helpers of tests."""
    helpers = [path for path in (ROOT / "tests").glob("**/*.py") if not path.name.startswith("test_")]
    files = [path for path in helpers if HERE not in path.parents]
    for name in setup["tests"]:
        files += sorted((ROOT / name).glob("**/*.py")) if (ROOT / name).is_dir() else [ROOT / name]
    text = b"".join(path.read_bytes() for path in sorted(set(files)))
    return hashlib.sha256(text + json.dumps(setup).encode()).hexdigest()[:16]


def _notes(package: str, setup: dict[str, Any], version: str) -> dict[str, Any]:
    path = KEPT / f"{package}-notes.json"
    if path.is_file():
        notes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if notes["version"] == version:
            return notes
    notes = noted(package, setup["tests"], setup["deselect"]) | {"version": version}
    path.write_text(json.dumps(notes), encoding="utf-8")
    return notes


def key_of(mutant: Mutant) -> str:
    """What an outcome is kept under."""
    return hashlib.sha256(
        f"{mutant.path} {mutant.operator} {mutant.occurrence} {mutant.source}".encode()
    ).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
