"""``archsim plot``: from a run on disk to a picture on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from archsim.cli.main import cli
from archsim.report.kinds import KINDS
from archsim.results.store import write_run
from tests.run_results import baseline_run, early_exit_run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of a baseline and of an early-exit run."""
    write_run(baseline_run(), tmp_path / "slow")
    write_run(early_exit_run(), tmp_path / "fast")
    return tmp_path / "slow", tmp_path / "fast"


def plot(*words: object) -> Result:
    return CliRunner().invoke(cli, ["plot", *(str(word) for word in words)])


@pytest.mark.parametrize("kind", ["energy", "latency", "exits"])
def test_a_simulated_run_is_drawn(tiny: Path, tmp_path: Path, kind: str) -> None:
    simulated = CliRunner().invoke(cli, ["simulate", str(tiny), "--out", str(tmp_path / "run")])
    assert simulated.exit_code == 0, simulated.stderr
    out = tmp_path / "deep" / f"{kind}.png"
    result = plot(tmp_path / "run", "--kind", kind, "-o", out)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {out}\n")
    with Image.open(out) as picture:
        picture.verify()
        assert picture.info["Title"] == (
            f"archsim: {kind} - tiny · locoexnet-65nm · 12 images · energy table 65nm"
        )
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize(("suffix", "start"), [("pdf", b"%PDF-"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_the_suffix_chooses_the_format(
    runs: tuple[Path, Path], tmp_path: Path, suffix: str, start: bytes
) -> None:
    out = tmp_path / f"plot.{suffix}"
    assert plot(*runs, "--kind", "energy", "-o", out).exit_code == 0
    assert out.read_bytes().startswith(start)


def test_the_json_file_stands_for_its_folder(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for index, source in enumerate((runs[0], runs[0] / "result.json")):
        assert plot(source, "--kind", "latency", "-o", tmp_path / f"{index}.png").exit_code == 0
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_the_order_of_results_is_kept(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert plot(*runs, "--kind", "energy", "-o", tmp_path / "a.svg").exit_code == 0
    assert plot(*reversed(runs), "--kind", "energy", "-o", tmp_path / "b.svg").exit_code == 0
    assert "(\N{MINUS SIGN}50.0 %)" in (tmp_path / "a.svg").read_text()
    assert "(+100.0 %)" in (tmp_path / "b.svg").read_text()


def test_without_o_the_file_is_called_as_the_kind(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert plot(*runs, "--kind", "exits").stderr == "wrote exits.png\n"
    assert [path.name for path in Path().iterdir()] == ["exits.png"]


def test_energy_needs_no_images(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (runs[0] / "images.csv").unlink()
    assert plot(runs[0], "--kind", "energy", "-o", tmp_path / "e.png").exit_code == 0
    result = plot(runs[0], "--kind", "exits", "-o", tmp_path / "x.png")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"{runs[0] / 'images.csv'}: cannot be read: No such file")
    assert not (tmp_path / "x.png").exists()


def test_every_problem_is_listed_and_nothing_is_written(runs: tuple[Path, Path], tmp_path: Path) -> None:
    file = runs[1] / "result.json"
    content = json.loads(file.read_text())
    del content["energy_uj_per_image"]
    file.write_text(json.dumps(content, indent=2))
    before = sorted(tmp_path.rglob("*"))
    result = plot(tmp_path / "none", runs[1], "--kind", "energy", "-o", tmp_path / "plot.jpg")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == (
        f'{tmp_path / "plot.jpg"}: found the suffix ".jpg", expected .png, .pdf, .svg '
        "(hint: the suffix of the file chooses the format)\n"
        f"{tmp_path / 'none'}: found no such file, expected the result of a run "
        "(hint: give a folder written by archsim simulate --out, or its result.json)\n"
        f"{file}:1:1: energy_uj_per_image: missing (hint: simulate again with --out)\n"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_an_old_picture_survives_a_failure(runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "plot.png"
    out.write_bytes(b"old")
    assert plot(tmp_path / "none", "--kind", "energy", "-o", out).exit_code == 3
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("slow/result.json/plot.png", 'found that "'),
        ("slow.png", "found a folder, expected a file to write"),
        ("plot", 'found the suffix "", expected .png, .pdf, .svg'),
    ],
)
def test_places_that_cannot_be_written_to(
    runs: tuple[Path, Path], tmp_path: Path, out: str, message: str
) -> None:
    (tmp_path / "slow.png").mkdir()
    result = plot(runs[0], "--kind", "energy", "-o", tmp_path / out)
    assert result.exit_code == 3
    assert message in result.stderr


def test_more_results_than_colours(runs: tuple[Path, Path], tmp_path: Path) -> None:
    result = plot(*[runs[0]] * 8, "--kind", "energy", "-o", tmp_path / "plot.png")
    assert (result.exit_code, result.stderr) == (
        3,
        "RESULT: found 8 results, expected 1 to 7 side by side (hint: draw them in several plots)\n",
    )
    assert plot(*[runs[0]] * 7, "--kind", "energy", "-o", tmp_path / "plot.png").exit_code == 0


@pytest.mark.parametrize("words", [[], ["x"], ["x", "--kind", "rooflines"], ["--kind", "energy"]])
def test_wrong_usage(words: list[str]) -> None:
    result = plot(*words)
    assert result.exit_code == 2
    assert "Usage: archsim plot" in result.stderr


def test_help_is_free_of_matplotlib() -> None:
    code = (
        "import sys\nfrom archsim.cli.main import cli\n"
        "try: cli(['plot', '--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'matplotlib', 'numpy', 'numba', 'simpy', 'pydantic'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "Example:" in done.stdout
    assert f"--kind [{'|'.join(KINDS)}]" in "".join(done.stdout.split()).replace("--kind[", "--kind [")
