"""Which branches of archsim the tests take, by package: the record of what coverage has measured.

``python -m tests.branches build/coverage.json --out docs/explanation/branches.json``, after the commands in
``CONTRIBUTING.md``. A branch is a jump from one line to another.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any


def main() -> None:
    """Read a JSON report of coverage, write its sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="what coverage json has written")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    rows = by_package(json.loads(asked.report.read_text(encoding="utf-8")))
    asked.out.write_text(json.dumps({"packages": rows}, indent=1) + "\n", encoding="utf-8")


def by_package(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Branches and those taken of every package, its modules together; modules outside of packages are one row.

    >>> by_package({"files": {
    ...     "archsim/sim/a.py": {"summary": {"num_branches": 4, "covered_branches": 3}},
    ...     "archsim/sim/deep/b.py": {"summary": {"num_branches": 2, "covered_branches": 2}},
    ...     "archsim/api.py": {"summary": {"num_branches": 1, "covered_branches": 0}}}})
    [{'package': 'archsim', 'branches': 1, 'taken': 0}, {'package': 'archsim.sim', 'branches': 6, 'taken': 5}]
    """
    branches: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for path, found in report["files"].items():
        package = ".".join(Path(path).parts[:-1][:2])
        branches[package] += found["summary"]["num_branches"]
        taken[package] += found["summary"]["covered_branches"]
    return [
        {"package": package, "branches": branches[package], "taken": taken[package]}
        for package in sorted(branches)
    ]


if __name__ == "__main__":
    main()
