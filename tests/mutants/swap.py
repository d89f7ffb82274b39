"""Many mutants in one session of pytest: tests are collected once, and each mutant is a forked process in which the
code of one function has been exchanged. That takes the time of the tests alone, but does not change what was computed
while the tests were collected.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.mutants.child import ARGUMENTS, Order, outcome_of, words
from tests.mutants.places import Mutant

Said = Callable[[Mutant, str, str], None]
"""Takes a mutant, its outcome and the test that failed."""


class Session:
    """Runs the tests of each mutant after one collection. runs: which tests, in which order."""

    def __init__(
        self,
        mutants: Sequence[Mutant],
        runs: Callable[[Mutant], list[str]],
        notice: Order,
        said: Said,
    ) -> None:
        self.mutants, self.runs, self.notice, self.said = mutants, runs, notice, said

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        gc.freeze()  # or each process copies every page that its garbage collector looks at
        for mutant in self.mutants:
            new = code_in(mutant)
            order = [items[name] for name in self.runs(mutant) if name in items]
            if new is None or not order:
                continue
            self.said(mutant, *self._one(new, order))
        return True

    def _one(self, new: tuple[FunctionType, CodeType], order: list[pytest.Item]) -> tuple[str, str]:
        def work() -> dict[str, Any]:
            function, code = new
            function.__code__ = code
            for item, after in zip(order, [*order[1:], None], strict=True):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
                if self.notice.killer:
                    break
            return {"code": 1 if self.notice.killer else 0, "killer": self.notice.killer}

        return outcome_of(work)


def swapped(
    mutants: Sequence[Mutant],
    tests: Sequence[str],
    deselect: Sequence[str],
    runs: Callable[[Mutant], list[str]],
    durations_s: dict[str, float],
    said: Said,
) -> None:
    """Tell what becomes of mutants, except outside of functions. To run in a process of its own, which ends
    after it: it imports the package.
    """
    notice = Order(None, [], durations_s)
    plugins = [notice, Session(mutants, runs, notice, said)]
    with redirect_stdout(io.StringIO()):
        pytest.main([*ARGUMENTS, *words(deselect), *tests], plugins=plugins)


def code_in(mutant: Mutant) -> tuple[FunctionType, CodeType] | None:
    """The function that a mutant changes, and its new code; None outside of functions or where it cannot be found."""
    names = _names(mutant)
    if names is None or mutant.module not in sys.modules:
        return None
    code: CodeType = compile(mutant.source, mutant.path, "exec", dont_inherit=True)
    found: Any = sys.modules[mutant.module]
    for name, line in names:
        inner = [
            const for const in code.co_consts
            if isinstance(const, CodeType) and const.co_name == name and const.co_firstlineno == line
        ]  # fmt: skip
        if len(inner) != 1 or name not in vars(found):
            return None
        code, found = inner[0], vars(found)[name]
    function = _plain(found)
    if function is None or function.__code__.co_firstlineno != code.co_firstlineno:
        return None
    return (function, code) if function.__code__.co_freevars == code.co_freevars else None


def _plain(found: Any) -> FunctionType | None:
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, functools.cached_property):
        found = found.func
    elif isinstance(found, staticmethod | classmethod):
        found = found.__func__
    found = inspect.unwrap(found)
    return found if isinstance(found, FunctionType) else None


def _names(mutant: Mutant) -> list[tuple[str, int]] | None:
    """Name and first line of the classes and of the function around the changed line; None when there is none."""
    body, names = ast.parse(mutant.source).body, []
    while True:
        for node in body:
            around = _around(node, mutant.line)
            if around is not None:
                names.append(around)
                if isinstance(node, ast.FunctionDef):
                    inside = node.body[0].lineno <= mutant.line
                    return names if inside else None
                assert isinstance(node, ast.ClassDef)
                body = node.body
                break
        else:
            return None


def _around(node: ast.stmt, line: int) -> tuple[str, int] | None:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.name, first) if first <= line <= (node.end_lineno or node.lineno) else None
