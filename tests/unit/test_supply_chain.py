"""What is shipped and what runs: contents of wheel and sdist, no way from data to code, an install in a clean place."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads",
    "shelve.open", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "tempfile.mktemp", "np.load", "joblib.load",
}  # fmt: skip
"""Calls by which data becomes code, or that read arrays without a bound."""


def shipped(builder: SdistBuilder | WheelBuilder) -> set[str]:
    """Paths in an archive, below its top folder."""
    return {found.distribution_path.replace(os.sep, "/") for found in builder.recurse_included_files()}


def tracked() -> set[str]:
    """Paths of all files under version control."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no checkout")
    return {path for path in done.stdout.splitlines() if (ROOT / path).is_file()}


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else() -> None:
    files = shipped(WheelBuilder(str(ROOT)))
    moved = {"workloads": "archsim/_data/workloads", "energy_tables": "archsim/_data/energy_tables"}
    expected = {
        moved[top] + path.removeprefix(top) if (top := path.partition("/")[0]) in moved else path
        for path in tracked()
        if path.partition("/")[0] in ("archsim", *moved)
    }
    assert expected <= files, sorted(expected - files)[:5]
    assert sorted(files - expected) == []


def test_the_sdist_holds_what_is_needed_to_build_test_and_document() -> None:
    files = shipped(SdistBuilder(str(ROOT)))
    tops = ("archsim", "docs", "energy_tables", "tests", "workloads")
    alone = (
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "README.md",
        "constraints.txt",
    )
    expected = {path for path in tracked() if path.partition("/")[0] in tops or path in alone}
    assert expected <= files, sorted(expected - files)[:5]
    assert {path for path in files if re.search(r"\.venv|__pycache__|\.pt$|\.pem$|\.key$", path)} == set()


def calls(tree: ast.AST) -> list[tuple[int, str, ast.Call]]:
    """Line and dotted name of everything that is called."""
    return [
        (node.lineno, ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)
    ]


def test_no_data_becomes_code() -> None:
    found = []
    for path in sorted(ROOT.glob("archsim/**/*.py")):
        for line, name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            is_unsafe = (
                name in FORBIDDEN
                or words.get("shell") == "True"
                or words.get("allow_pickle", "False") != "False"
                or (name == "torch.load" and words.get("weights_only") != "True")
                or (name.endswith("pickle.Unpickler"))
            )
            if is_unsafe:
                found.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert found == []


def test_text_is_read_and_written_in_utf_8_whatever_the_locale() -> None:
    found = []
    for path in sorted(ROOT.glob("archsim/**/*.py")):
        for line, name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            words = {keyword.arg for keyword in call.keywords}
            if name.endswith((".read_text", ".write_text")) and "encoding" not in words:
                found.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert found == []


def test_no_date_enters_a_result() -> None:
    """Clocks jump; durations are measured with clocks that do not."""
    dates = ("time.time", "time.time_ns", "datetime.now", "datetime.today", "date.today", "datetime.utcnow")
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted(ROOT.glob("archsim/**/*.py"))
        for line, name, _ in calls(ast.parse(path.read_text(encoding="utf-8")))
        if name.endswith(dates)
    ]
    assert found == []


def run(folder: Path, *words: object, **environment: str) -> str:
    """Output of a process that knows nothing of this checkout and of this environment."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, kind: str, target: Path) -> Path:
    """A wheel or an sdist of a folder."""
    run(source, sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target)
    (built,) = target.iterdir()
    return built


def clean_environment(folder: Path, *, with_pip: bool) -> tuple[Path, Path]:
    """A new environment: its Python, and where its packages lie."""
    venv.create(folder, with_pip=with_pip)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    said = run(folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    return python, Path(said.strip())


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_built_from_the_sdist_is_that_of_the_checkout_and_runs_elsewhere(tmp_path: Path) -> None:
    """Installed without a network: the packages that archsim needs are those of this environment."""
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    wheel = build(source, "wheel", tmp_path / "wheel")
    assert members(wheel) == members(build(ROOT, "wheel", tmp_path / "other"))
    python, packages = clean_environment(tmp_path / "environment", with_pip=False)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # A path in a .pth file adds its packages, and not what that folder's own .pth files name: not this checkout.
    (packages / "rest.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    module = "import archsim; print(archsim.__file__)"
    assert Path(run(tmp_path, python, "-c", module).strip()).is_relative_to(packages)
    assert "archsim = archsim.cli.main:main" in members(wheel)[_entry_points(wheel)].decode()
    words = ("simulate", "digits", "--images", "1", "--check", "--json")
    found = json.loads(run(tmp_path, python, "-m", "archsim", *words, NUMBA_DISABLE_JIT="1"))
    assert (found["workload"], found["images"]) == ("digits", 1)


def _entry_points(wheel: Path) -> str:
    (name,) = (name for name in members(wheel) if name.endswith(".dist-info/entry_points.txt"))
    return name


@pytest.mark.slow
def test_wheel_and_sdist_work_in_a_clean_environment(tmp_path: Path) -> None:
    """Built from the files of the checkout, installed with the pinned packages, run outside of it."""
    built = [build(ROOT, kind, tmp_path / kind) for kind in ("wheel", "sdist")]
    python, _ = clean_environment(tmp_path / "environment", with_pip=True)
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    try:
        run(tmp_path, *install, "--require-hashes", "-r", "constraints.txt")
    except AssertionError as error:
        if "No matching distribution" in str(error) or "Connection" in str(error):
            pytest.skip("no package index can be reached")
        raise
    results = []
    words = ("simulate", "digits", "--images", "4", "--check", "--json")
    for package in built:
        run(tmp_path, *install, "--no-deps", "--force-reinstall", package)
        run(tmp_path, python, "-m", "archsim", "doctor")
        result = json.loads(run(tmp_path, python, "-m", "archsim", *words))
        results.append({**result, "host": None})
    assert results[0] == results[1]
    assert run(tmp_path, python, "-m", "pip", "check").startswith("No broken requirements")
