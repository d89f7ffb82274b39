"""The checks of code and imports, as part of the tests: what they print is the failure."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent
MAX_LINES = 400

COMMANDS = {
    "ruff check": [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "."],
    "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "mypy": [sys.executable, "-m", "mypy"],
    "import contracts": [str(SCRIPTS / "lint-imports"), "--no-cache"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_check(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        pytest.fail(f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}", pytrace=False)


def test_files_are_short() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.glob("archsim/**/*.py")
    }
    assert len(lengths) > 50
    assert {str(path.relative_to(ROOT)): count for path, count in lengths.items() if count >= MAX_LINES} == {}


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("constraints.txt", ["cluster", "data", "dse", "onnx"]),
        ("constraints-test.txt", ["data", "docs", "onnx", "rtl", "test"]),
    ],
)
def test_constraints_pin_every_dependency_with_hashes_and_no_address(file: str, extras: list[str]) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    entries = re.findall(
        r"^([a-z0-9-]+)==\S+(?: ; .*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n?)+)", text, re.M
    )
    pinned = {name for name, _ in entries}
    assert len(entries) == len(re.findall(r"^\S", text, re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    names = {re.split(r"[>=<\[]", line)[0].lower() for line in wanted} - {"archsim"}
    assert names <= pinned
    assert "torch" not in pinned
