"""``simulate --jobs``: the images of one simulation on several workers give the bytes of one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from archsim.cli.main import cli
from archsim.explore import pool
from archsim.explore.work import Job
from tests.builders import tiny_document


def simulate(*words: object) -> Result:
    return CliRunner().invoke(cli, ["simulate", *(str(word) for word in words)])


def files_of(folder: Path) -> dict[str, bytes]:
    """What a run wrote, less what tells of this machine."""
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    content = json.loads(found["result.json"])
    del content["host"], content["files"]
    return {**found, "result.json": json.dumps(content).encode()}


OPTIONS = (
    "--images",
    11,
    "--arrivals",
    20000,
    "--seed",
    5,
    "--set",
    "pe_array.rows=6",
    "--engine",
    "segment",
)


def test_the_files_are_those_of_one_process(tiny: Path, tmp_path: Path, jobs: list[Job]) -> None:
    assert simulate(tiny, *OPTIONS, "--out", tmp_path / "one").exit_code == 0
    assert not jobs
    spread = simulate(tiny, *OPTIONS, "--jobs", 2, "--out", tmp_path / "spread", "--json")
    assert spread.exit_code == 0, spread.output
    assert [(job["first"], job["last"]) for job in jobs] == [(0, 6), (6, 11)]
    assert files_of(tmp_path / "one") == files_of(tmp_path / "spread")
    written = json.loads((tmp_path / "spread" / "result.json").read_text())
    assert json.loads(spread.stdout) == written


def test_two_processes_give_the_same_and_a_relative_path_will_do(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    spread = simulate(tiny.name, "--jobs", 2, "--out", tmp_path / "spread")
    assert spread.exit_code == 0, spread.output
    assert simulate(tiny.name, "--out", tmp_path / "one").exit_code == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "spread")


def test_what_workers_do_not_survive_is_done_here(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_ask", lambda _process, _line: "")
    monkeypatch.setattr(pool, "ATTEMPTS", 1)
    assert simulate(tiny, "--images", 3, "--jobs", 1, "--out", tmp_path / "spread").exit_code == 0
    assert simulate(tiny, "--images", 3, "--out", tmp_path / "one").exit_code == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "spread")


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    "override", ["pe_array.rows=0", "exits.erly.threshold=1", "global_buffer.size_kib=4"]
)
def test_errors_are_those_of_one_process(tiny: Path, override: str) -> None:
    spread, one = (simulate(tiny, "--set", override, *words) for words in (("--jobs", 2), ()))
    assert (spread.exit_code, spread.stderr) == (one.exit_code, one.stderr) and one.exit_code == 3


def test_a_network_without_weights_needs_no_workers(tmp_path: Path, jobs: list[Job]) -> None:
    path = tmp_path / "shapes.yaml"
    path.write_text(yaml.safe_dump(tiny_document(weights=None, images=None, branches=None)))
    spread, one = (simulate(path, "--images", 2, "--json", *words) for words in (("--jobs", 2), ()))
    assert spread.exit_code == 0 and not jobs
    found, expected = (json.loads(result.stdout) for result in (spread, one))
    assert found["cycles"] == expected["cycles"] and found["accuracy"] is None
