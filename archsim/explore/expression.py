"""Constraints of a space: comparisons over configuration keys, evaluated without executing anything.

Allowed are numbers, texts, dotted keys, ``+ - * / // % **``, comparisons, ``and``, ``or``, ``not``, and the functions
``min``, ``max``, ``abs``, ``ceil`` and ``floor``.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from archsim.errors import InvalidInput, Problem

Lookup = Callable[[str], Any]
"""Value of a dotted key; KeyError for one that there is not."""
_MAX_CHARACTERS = 1000
_MAX_EXPONENT = 64
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
}


@dataclass(frozen=True)
class Constraint:
    """A condition that points of a space satisfy; ``keys`` are those it reads."""

    text: str
    tree: ast.expr
    keys: tuple[str, ...]

    def reads(self, keys: Collection[str]) -> bool:
        """Whether it depends on one of some keys."""
        return not set(self.keys).isdisjoint(keys)

    def holds(self, lookup: Lookup) -> bool:
        """Whether a point satisfies it. Raises InvalidInput where values do not go together, as a text times a text."""
        try:
            return bool(_evaluate(self.tree, lookup))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InvalidInput(
                [Problem("constraints", self.text, f"cannot be evaluated ({error})")]
            ) from None


def parse_constraint(text: str) -> Constraint:
    """Raises InvalidInput for what is no such expression.

    >>> found = parse_constraint("pe_array.rows * pe_array.cols <= 200")
    >>> found.keys
    ('pe_array.rows', 'pe_array.cols')
    >>> found.holds({"pe_array.rows": 12, "pe_array.cols": 14}.__getitem__)
    True
    """
    hint = "for example: pe_array.rows * pe_array.cols <= 256"
    if len(text) > _MAX_CHARACTERS:
        message = f"found {len(text)} characters, expected at most {_MAX_CHARACTERS}"
        raise InvalidInput([Problem("constraints", text[:40], message, hint)])
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        keys = tuple(dict.fromkeys(_keys(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput([Problem("constraints", text, f"found no condition ({error})", hint)]) from None
    if not keys:
        raise InvalidInput([Problem("constraints", text, "found no configuration key in it", hint)])
    return Constraint(text, tree, keys)


def _dotted(node: ast.expr) -> str:
    """The key that a chain of attributes writes."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError("a key consists of names with dots between them")


def _keys(node: ast.expr) -> Iterator[str]:
    """Keys that are read; ValueError for everything that is not allowed."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return
        case ast.Name() | ast.Attribute():
            yield _dotted(node)
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            inner = [left, right]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            inner = [operand]
        case ast.BoolOp(values=values):
            inner = values
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            inner = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            inner = arguments
        case _:
            raise ValueError(f'"{ast.unparse(node)}" is not allowed')
    for part in inner:
        yield from _keys(part)


def _evaluate(node: ast.expr, lookup: Lookup) -> Any:  # noqa: PLR0911 (one a kind of node)
    match node:
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _evaluate(left, lookup), _evaluate(right, lookup)
            if isinstance(op, ast.Pow) and abs(second) > _MAX_EXPONENT:
                raise ValueError(f"an exponent above {_MAX_EXPONENT}")
            return _BINARY[type(op)](first, second)
        case ast.UnaryOp(op=sign, operand=operand):
            return _UNARY[type(sign)](_evaluate(operand, lookup))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_evaluate(value, lookup) for value in values)
        case ast.BoolOp(values=values):
            return any(_evaluate(value, lookup) for value in values)
        case ast.Compare(left=left, ops=ops, comparators=others):
            found = [_evaluate(part, lookup) for part in (left, *others)]
            return all(
                _COMPARE[type(op)](one, other) for op, one, other in zip(ops, found, found[1:], strict=False)
            )
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(_evaluate(argument, lookup) for argument in arguments))
        case _:
            return lookup(_dotted(node))
