"""The same numbers, to the last byte, whatever the process, its hash seed, its threads, its engine and its locale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SURROUNDINGS: dict[str, dict[str, str]] = {
    "plain": {},
    "hash seed": {"PYTHONHASHSEED": "12345"},
    "two threads": {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    "locale of Turkey, Latin 9": {
        "LC_ALL": "tr_TR.ISO-8859-9",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "iso8859-9",
    },
    "no locale, no cache": {"LC_ALL": "C", "LANG": "C", "ARCHSIM_CACHE_DIR": ""},
}


def run(folder: Path, surroundings: dict[str, str], *words: str) -> dict[str, Any]:
    out = folder / "out"
    command = [
        sys.executable,
        "-m",
        "archsim",
        "simulate",
        "digits",
        "--images",
        "6",
        "--out",
        str(out),
        "--json",
        *words,
    ]
    done = subprocess.run(command, env={**os.environ, **surroundings}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
    result["csv"] = [(out / name).read_bytes() for name in ("images.csv", "layers.csv")]
    return {key: value for key, value in result.items() if key not in ("host", "files")}


@pytest.mark.slow
def test_a_run_repeats_everywhere(tmp_path: Path) -> None:
    results = {name: run(tmp_path / name.replace(" ", "-"), found) for name, found in SURROUNDINGS.items()}
    assert len(results) == len(SURROUNDINGS)
    for name, result in results.items():
        assert result == results["plain"], name
    other = run(tmp_path / "segment", {}, "--engine", "segment")
    assert {**other, "engine": "tile"} == results["plain"]
