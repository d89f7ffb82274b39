"""Tests run in a forked process, with one module changed or with a note of what each test executes."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import coverage
import pytest
from hypothesis import Phase, settings

from tests.mutants.places import ROOT, Mutant

COLLECT_S, LEAST_S, TIMES = 60, 2, 2
"""Processor time of imports; of a test, at least, and as a multiple of what it took without a change, traced."""
MEMORY_BYTES = 6 << 30
ARGUMENTS = ["-q", "-s", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


class Changed(importlib.machinery.SourceFileLoader):
    """Loads a module from other source than that of its file."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(ROOT / mutant.path))
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutant.source, self.path, "exec", dont_inherit=True)


class Finder:
    """Finds the changed module before Python finds the file."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> Any:
        if name != self.mutant.module:
            return None
        location = str(ROOT / self.mutant.path)
        return importlib.util.spec_from_file_location(name, location, loader=Changed(self.mutant))


class Order:
    """Has the changed module found, runs the tests in a given order, others after them, each in bounded time, and tells
    which one failed.
    """

    def __init__(self, mutant: Mutant | None, first: Sequence[str], durations_s: dict[str, float]) -> None:
        self.mutant = mutant
        self.first = {name: place for place, name in enumerate(first)}
        self.durations_s = durations_s
        self.killer = ""

    def pytest_collection(self) -> None:
        """After pytest's own finder is in place and ``tests/conftest.py`` is read, before the tests are imported."""
        if self.mutant is not None:
            sys.meta_path.insert(0, Finder(self.mutant))  # type: ignore[arg-type]
        # A failure need not be the smallest one.
        short = settings(settings.get_profile("archsim"), phases=(Phase.explicit, Phase.generate))
        settings.register_profile("mutants", short)
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        last = len(self.first)
        items.sort(
            key=lambda item: (self.first.get(item.nodeid, last), self.durations_s.get(item.nodeid, 0.0))
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        limit(LEAST_S + TIMES * self.durations_s.get(nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.killer = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.killer = self.killer or f"import of {report.nodeid}"


class Notes:
    """Which lines of a package each test executes, and how long it takes."""

    def __init__(self, recorder: coverage.Coverage) -> None:
        self.recorder = recorder
        self.durations_s: dict[str, float] = {}
        self.started_s = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.recorder.switch_context(nodeid)
        self.started_s = time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.recorder.switch_context("")
        self.durations_s[nodeid] = time.process_time() - self.started_s


def limit(seconds: float) -> None:
    """Kill this process after so much more processor time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def preload(modules: Sequence[str], package: str, *, interpreted: bool) -> None:
    """What all forked processes share. Nothing of the package itself may be among it."""
    for module in (
        "numba",
        "pydantic",
        "simpy",
        "click",
        "hypothesis.extra.numpy",
        "archsim.kernels.conv",
        *modules,
    ):
        import_module(module)
    early = [name for name in sys.modules if f"{name}.".startswith(f"archsim.{package}.")]
    assert not early, early
    if interpreted:
        numba = import_module("numba")
        numba.config.DISABLE_JIT = 1
        os.environ["NUMBA_DISABLE_JIT"] = "1"


def tested(mutant: Mutant, tests: Sequence[str], first: Sequence[str], deselect: Sequence[str],
           durations_s: dict[str, float]) -> tuple[str, str]:  # fmt: skip
    """Outcome and the test that failed: killed, timeout, survived.

    Raises:
        RuntimeError: the tests could not be run at all.
    """

    def work() -> dict[str, Any]:
        limit(COLLECT_S)
        order = Order(mutant, first, durations_s)
        code = pytest.main([*ARGUMENTS, "-x", *words(deselect), *tests], plugins=[order])
        return {"code": int(code), "killer": order.killer}

    return outcome_of(work)


def outcome_of(work: Callable[[], dict[str, Any]]) -> tuple[str, str]:
    """Run tests in a forked process; ``work`` answers with pytest's exit code and the test that failed."""
    status, answer, text = _forked(work)
    if answer is None:
        stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
        return ("timeout" if stopped else "killed"), f"the process ended {text[-200:]}"
    if answer["code"] in (1, 2):
        return "killed", answer["killer"]
    if answer["code"] == 0:
        return "survived", ""
    raise RuntimeError(f"pytest ended with {answer['code']}:\n{text}")


def noted(package: str, tests: Sequence[str], deselect: Sequence[str]) -> dict[str, Any]:
    """Run all tests without a change: ``durations_s`` by test, ``lines`` by file and line the tests that ran it,
    ``branches`` how many there are and how many were taken.

    A line run by an import stands with the test "".

    Raises:
        RuntimeError: a test fails.
    """

    def work() -> dict[str, Any]:
        recorder = coverage.Coverage(
            data_file=None,
            config_file=str(ROOT / "pyproject.toml"),
            branch=True,
            source=[f"{ROOT}/archsim/{package}"],
        )
        recorder.set_option("run:patch", [])
        notes = Notes(recorder)
        recorder.start()
        code = pytest.main([*ARGUMENTS, *words(deselect), *tests], plugins=[notes])
        recorder.stop()
        data = recorder.get_data()
        lines = {
            Path(file).relative_to(ROOT).as_posix(): data.contexts_by_lineno(file)
            for file in data.measured_files()
        }
        with tempfile.NamedTemporaryFile() as report:
            recorder.json_report(outfile=report.name)
            totals = json.loads(Path(report.name).read_text(encoding="utf-8"))["totals"]
        branches = {"all": totals["num_branches"], "covered": totals["covered_branches"]}
        return {"code": int(code), "durations_s": notes.durations_s, "lines": lines, "branches": branches}

    _, answer, text = _forked(work)
    if answer is None or answer["code"]:
        raise RuntimeError(f"the tests fail without any change:\n{text}")
    return answer


def words(deselect: Sequence[str]) -> list[str]:
    """As options of pytest."""
    return [word for name in deselect for word in ("--deselect", name)]


def _forked(work: Callable[[], Any]) -> tuple[int, dict[str, Any] | None, str]:
    """Status of a forked process, what it answered, the end of what it wrote."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                try:
                    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
                    answer = work()
                except BaseException:
                    answer = None
                    said.write(traceback.format_exc())
            with os.fdopen(writer, "w") as pipe:
                json.dump([answer, said.getvalue()[-4000:]], pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    _, status = os.waitpid(process, 0)
    answer, text = json.loads(told) if told else (None, "")
    return status, answer, text
