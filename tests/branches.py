"""Which branches of archsim do the tests take? A branch is a jump from one line to another.

``python -m tests.branches --out docs/explanation/branches.json`` is what the table in ``docs/explanation/trust.md``
shows. SlipCover has to be installed; nothing else needs it. Two runs of tests: all of them, with files of compiled
functions left alone; then these files, interpreted. What a run has found is kept in ``build/branches`` and found there
by the next one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "branches"
SAME_NAMES = ("tests/perf", "tests/exactness/test_systolic.py", "tests/invariants/test_resources.py")
"""Files of tests named as others are: the import that SlipCover can follow has room for one of a name."""
PYTEST = ("pytest", "--import-mode=prepend", "-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning",
          "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip


def main() -> int:
    """Run the tests, write the sums by package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    compiled = compiled_files()
    ignored = [f"--ignore={path}" for path in SAME_NAMES]
    files = taken("all", ["--source", "archsim", "--omit", ",".join(compiled)], ignored)
    packages = ",".join(sorted({str(Path(path).parent) for path in compiled}))
    interpreted = taken("interpreted", ["--source", packages], kernel_tests(), NUMBA_DISABLE_JIT="1")
    files |= {path: interpreted[path] for path in compiled}
    asked.out.write_text(json.dumps({"packages": by_package(files)}, indent=1) + "\n", encoding="utf-8")
    return 0


def compiled_files() -> list[str]:
    """Files with functions that Numba compiles, below the root of the checkout."""
    paths = sorted((ROOT / "archsim").glob("**/*.py"))
    return [
        path.relative_to(ROOT).as_posix()
        for path in paths
        if {"@kernel", "@inlined"} & set(path.read_text(encoding="utf-8").splitlines())
    ]


def kernel_tests() -> list[str]:
    """Tests of compiled functions that are quick enough when these are interpreted."""
    packages = tomllib.loads((ROOT / "tests" / "mutants" / "packages.toml").read_text(encoding="utf-8"))
    both = [packages["mapping"], packages["timing"]]
    tests = ["tests/unit/test_kernels_oracle.py", "archsim/kernels"]
    tests += [path for setup in both for path in setup["tests"] if path not in SAME_NAMES]
    return [*tests, *(f"--deselect={name}" for setup in both for name in setup["deselect"])]


def taken(name: str, sources: list[str], tests: list[str], **variables: str) -> dict[str, Any]:
    """What SlipCover says of every file after a run of tests; a test that fails has run, too."""
    path = KEPT / f"{name}.json"
    if not path.is_file():
        command = [sys.executable, "-m", "slipcover", "--branch", "--json", "--out", str(path), *sources]
        subprocess.run(
            [*command, "-m", *PYTEST, *tests],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": "."} | variables,
            check=False,
        )
    files: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["files"]
    return files


def by_package(files: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Branches and those taken of every package, its modules together; modules outside of packages are one row.

    >>> by_package({
    ...     "archsim/sim/a.py": {"summary": {"covered_branches": 3, "missing_branches": 1}},
    ...     "archsim/sim/deep/b.py": {"summary": {"covered_branches": 2, "missing_branches": 0}},
    ...     "archsim/api.py": {"summary": {"covered_branches": 0, "missing_branches": 1}}})
    [{'package': 'archsim', 'branches': 1, 'taken': 0}, {'package': 'archsim.sim', 'branches': 6, 'taken': 5}]
    """
    branches: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    for path, found in files.items():
        package = ".".join(Path(path).parts[:-1][:2])
        covered[package] += found["summary"]["covered_branches"]
        branches[package] += found["summary"]["covered_branches"] + found["summary"]["missing_branches"]
    return [
        {"package": package, "branches": branches[package], "taken": covered[package]}
        for package in sorted(branches)
    ]


if __name__ == "__main__":
    sys.exit(main())
