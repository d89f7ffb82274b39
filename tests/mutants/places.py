"""Where a package can be mutated, and a repeatable sample of it.

The mutations are those of Cosmic Ray. It would make every one of them, eleven for a ``+`` alone; here a *place* is a
position and the kind of change, and of all changes of that kind at that position one is drawn.
"""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

ROOT = Path(__file__).resolve().parent.parent.parent

_NOT_MADE = re.compile(
    r"RemoveDecorator"  # compiled or not is the same
    r"|VariableReplacer|VariableInserter"  # another change each time
    r"|_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is(Not)?$"  # which equal numbers are one object is up to CPython
    r"|_Is_Eq$|_IsNot_NotEq$"  # the same for None and members of enumerations
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file. path: of the file, below the root of the checkout. operator, occurrence: of Cosmic Ray.
    line: where it is. statement: first and last line of the statement around it. before, after: the line.
    """

    path: str
    operator: str
    occurrence: int
    line: int
    statement: tuple[int, int]
    before: str
    after: str
    source: str

    @property
    def module(self) -> str:
        """Dotted name of the module."""
        return self.path.removesuffix(".py").replace("/", ".")


def places(package: str) -> list[list[tuple[str, str, int]]]:
    """Of all places of ``archsim/<package>``: (path, operator, occurrence) of the changes that can be made there."""
    found: dict[tuple[Any, ...], list[tuple[str, str, int]]] = {}
    for path in sorted((ROOT / "archsim" / package).glob("**/*.py")):
        name = path.relative_to(ROOT).as_posix()
        for operator, position, occurrence in _changes(path.read_text(encoding="utf-8")):
            kind = operator.partition("_")[0]
            found.setdefault((name, position, kind), []).append((name, operator, occurrence))
    return [found[place] for place in sorted(found)]


def drawn(package: str, seed: int, count: int) -> list[Mutant]:
    """``count`` mutants at places drawn without replacement, one change each. A larger count begins with the same."""

    def order(change: tuple[str, str, int]) -> bytes:
        return hashlib.sha256(f"{seed} {change}".encode()).digest()

    chosen = [min(changes, key=order) for changes in places(package)]
    ordered = sorted(chosen, key=lambda change: hashlib.sha256(order(change)).digest())
    return list(islice((made for change in ordered if _compiles((made := mutant(*change)).source)), count))


def listed(package: str, changes: set[tuple[str, str, str]]) -> list[Mutant]:
    """The mutants of a package that are known by path and by the line before and after, each once."""
    lines = {change[:2] for change in changes}
    found: dict[tuple[str, str, str], Mutant] = {}
    for path in sorted((ROOT / "archsim" / package).glob("**/*.py")):
        name = path.relative_to(ROOT).as_posix()
        source = _source(name).splitlines()
        for operator, (line, _), occurrence in _changes(_source(name)):
            if (name, source[line - 1].strip()) in lines:
                made = mutant(name, operator, occurrence)
                change = (made.path, made.before, made.after)
                if change in changes and change not in found:
                    found[change] = made
    return list(found.values())


def _compiles(source: str) -> bool:
    """Cosmic Ray takes a few stars and bars for operators that are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "mutant", "exec")
        except SyntaxError:
            return False
    return True


def _changes(source: str) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Operator, (line, column) and occurrence of everything that Cosmic Ray can do to a file and that has a meaning."""
    provider, nodes = OperatorProvider(), list(ast_nodes(parso.parse(source)))
    for name in provider:
        if _NOT_MADE.search(name):
            continue
        operator, occurrence = provider[name](), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                if not _means_nothing(node):
                    yield name, start, occurrence
                occurrence += 1


def _means_nothing(node: Any) -> bool:
    """In an annotation, which no one evaluates; in a decorator (frozen, slots); ``strict=`` of zip, which asserts."""
    while node.parent is not None:
        around = node.parent
        if around.type == "funcdef" and node is around.annotation:
            return True
        if around.type == "annassign" and node is around.children[1]:
            return True
        if around.type == "tfpdef" and node is around.children[2]:
            return True
        if around.type == "decorator":
            return True
        if around.type == "argument" and around.children[0].get_code().strip() == "strict":
            return True
        node = around
    return False


@cache
def _source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def mutant(path: str, operator: str, occurrence: int) -> Mutant:
    """Make one change."""
    source = _source(path)
    changed = mutate_code(source, OperatorProvider()[operator](), occurrence)
    assert changed is not None
    old, new = source.splitlines(), changed.splitlines()
    line = next(number for number, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1])
    statement = _statement(source, line + 1)
    return Mutant(
        path, operator, occurrence, line + 1, statement, old[line].strip(), new[line].strip(), changed
    )


def _statement(source: str, line: int) -> tuple[int, int]:
    """First and last line of the smallest statement, or head of a compound one, that holds a line."""
    best = (line, line)
    size = None
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            span = (node.lineno, max(last, node.lineno))
            if span[0] <= line <= span[1] and (size is None or span[1] - span[0] < size):
                best, size = span, span[1] - span[0]
    return best
