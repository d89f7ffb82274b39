"""Start-up, help and exit codes: what a user meets before anything is simulated."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import archsim
from archsim import api
from archsim.cli.main import COMMANDS, cli
from archsim.errors import Deadlock
from archsim.resources import Kind, builtin_names

HEAVY = ("numpy", "numba", "simpy", "matplotlib", "pydantic", "rich", "torch", "yaml")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_heavy(option: str) -> None:
    script = (
        "import sys\nfrom archsim.cli.main import main\n"
        f"sys.argv = ['archsim', {option!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print('LOADED', code, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "LOADED 0 []"


def test_version() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.output == f"archsim, version {archsim.__version__}\n"


def test_module_is_runnable() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "archsim", "describe", "noc"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0
    assert "pe_array.noc.ifmap_bytes_per_cycle" in run.stdout
    assert run.stderr == ""


def example_of(name: str) -> list[list[str]]:
    """The example in the help of a command, as words a line, without what a shell does with its output."""
    help_text = CliRunner().invoke(cli, [name, "--help"]).output
    block = re.search(r"Examples?:\n((?:\s+archsim .*\n)+)", help_text)
    assert block is not None, help_text
    return [line.partition(">")[0].split()[1:] for line in block[1].strip().splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_an_example(name: str) -> None:
    assert name in [line[0] for line in example_of(name)]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help is not None
    assert command.name == name
    assert command.help.partition("\n")[0] == COMMANDS[name][1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in ("data", "export-rtl", "train"):
        pytest.skip("downloads, synthesises or trains for minutes; all have tests of their own")
    monkeypatch.chdir(tmp_path)
    for words in example_of(name):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["simulat"],
        ["simulate"],
        ["simulate", "x", "--images", "0"],
        ["simulate", "x", "--engine", "warp"],
        ["--wrong"],
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_a_mistyped_command_is_recognised() -> None:
    assert 'did you mean "simulate"?' in CliRunner().invoke(cli, ["simulat"]).stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            Deadlock(7, {"pe_array": "a full buffer"}),
            4,
            "deadlock at cycle 7:\n  pe_array waits for a full buffer\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("odd"), 1, "internal error: RuntimeError: odd\nThis is a bug of archsim."),
    ],
)
def test_errors_have_their_exit_codes(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("ARCHSIM_DEBUG", raising=False)
    monkeypatch.setattr(api, "simulate", fail)
    result = CliRunner().invoke(cli, ["simulate", "tiny"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_traceback_is_there_for_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setenv("ARCHSIM_DEBUG", "1")
    monkeypatch.setattr(api, "simulate", fail)
    result = CliRunner().invoke(cli, ["simulate", "tiny"])
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr


def test_a_missing_extra_is_exit_code_5(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    images = tiny.parent / "images.parquet"
    images.write_bytes(b"PAR1")
    result = CliRunner().invoke(cli, ["evaluate", str(tiny), "--data", str(images)])
    assert result.exit_code == 5
    assert 'pip install "archsim[data]"' in result.stderr


def test_training_without_torch_is_exit_code_5(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["archsim", "train", builtin_names(Kind.TRAINING)[0], "--out", str(out)]
    script = f"import sys\nsys.modules['torch'] = None\nsys.argv = {words!r}\nfrom archsim.cli.main import main\nmain()"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (5, "")
    assert run.stderr == 'training needs the extra "train": pip install "archsim[train]"\n'
    assert not out.exists()
