"""One key of a space: its values, and how they are written on the command line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsim.config.document import Position
from archsim.config.yaml_io import parse_value
from archsim.errors import InvalidInput, Problem
from archsim.explore.spec import Number, RangeSpec, Scalar

MAX_VALUES = 100_000
_RANGE = re.compile(r"(?P<low>[^,\[\]]+?)\.\.(?P<high>[^,\[\]:*#]+)(?:(?P<kind>[:*#])(?P<by>.+))?")
_KINDS = {":": "step", "*": "factor", "#": "count"}


@dataclass(frozen=True)
class Axis:
    """A key and what it may be: ``values``, or all numbers of ``interval``, of which there are no values to list."""

    key: str
    values: tuple[Scalar, ...] = ()
    interval: RangeSpec | None = None

    @property
    def is_integer(self) -> bool:
        """Whether an interval is one of whole numbers."""
        found = self.interval
        return found is not None and isinstance(found.low, int) and isinstance(found.high, int)

    def at(self, position: float) -> Scalar:
        """The value at a position in [0, 1): each listed value, and each part of an interval, has its share.

        >>> Axis("a", (4, 8, 12, 16)).at(0.3), Axis("a", interval=RangeSpec(low=1, high=9)).at(0.5)
        (8, 5)
        >>> Axis("a", interval=RangeSpec(low=1.0, high=100.0, log=True)).at(0.5)
        10.0
        """
        if self.interval is None:
            return self.values[int(position * len(self.values))]
        low, high = self.interval.low, self.interval.high
        if self.is_integer and not self.interval.log:
            return int(low + math.floor(position * (high - low + 1)))
        if self.interval.log:
            value = math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
            value = float(f"{value:.12g}")
        else:
            value = low + position * (high - low)
        return round(value) if self.is_integer else float(value)


def axis_of(key: str, written: Scalar | Sequence[Scalar] | RangeSpec) -> Axis:
    """An axis as a sweep file writes it. Raises InvalidInput for a list without values or far too many."""
    if isinstance(written, RangeSpec):
        if written.step is None and written.factor is None and written.count is None:
            return Axis(key, interval=written)
        return Axis(key, range_values(key, written))
    values = tuple(written) if isinstance(written, list | tuple) else (written,)
    if not values:
        raise InvalidInput([Problem("space", key, "found no value, expected at least one")])
    return Axis(key, tuple(dict.fromkeys(values)))


def range_values(key: str, spec: RangeSpec) -> tuple[Number, ...]:
    """All values of a range with a step, a factor or a count; each is computed from ``low``, so errors do not add up.

    >>> range_values("a", RangeSpec(low=27, high=216, factor=2))
    (27, 54, 108, 216)
    >>> range_values("a", RangeSpec(low=0, high=10, step=4)), range_values("a", RangeSpec(low=1, high=2, count=3))
    ((0, 4, 8), (1, 1.5, 2))
    """
    low, high = spec.low, spec.high
    if spec.count is not None:
        parts = spec.count - 1
        values = [low + (high - low) * index / parts for index in range(spec.count)]
    elif spec.factor is not None:
        steps = math.log(high / low) / math.log(spec.factor)
        values = [low * spec.factor**index for index in range(_bounded(key, steps) + 1)]
    else:
        assert spec.step is not None
        steps = (high - low) / spec.step
        values = [low + spec.step * index for index in range(_bounded(key, steps) + 1)]
    whole = isinstance(low, int)
    return tuple(int(value) if whole and value == int(value) else value for value in values)


def _bounded(key: str, steps: float) -> int:
    """Whole steps; there may be infinitely many."""
    if not steps + 1e-9 < MAX_VALUES:
        message = f"found about {steps:.3g} values, expected at most {MAX_VALUES}"
        raise InvalidInput(
            [Problem("space", key, message, "use a larger step, or low and high with a sample")]
        )
    return math.floor(steps + 1e-9)


def parse_axis(text: str) -> Axis:
    """An axis as the command line writes it, after ``--set``.

    ``K=8,12,16`` lists values, ``K=4..16:4`` steps by 4, ``K=27..216*2`` doubles, ``K=0..1#5`` takes five, and
    ``K=1..9`` is for sampling. Raises InvalidInput.

    >>> parse_axis("pe_array.rows=4..16:4").values, parse_axis("pe_array.zero=gate,skip").values
    ((4, 8, 12, 16), ('gate', 'skip'))
    """
    key, equals, written = text.partition("=")
    position = Position(f"--set {text}")
    if not equals or not key.strip() or not written.strip():
        raise InvalidInput([Problem(str(position), "", "expected KEY=VALUES", "--set pe_array.rows=8,12,16")])
    key = key.strip()
    found = _RANGE.fullmatch(written.strip())
    try:
        if found:
            return axis_of(key, _range(found, position, key))
        listed = parse_value(written if written.strip().startswith("[") else f"[{written}]", position)
        if any(isinstance(value, list | dict) for value in listed):
            message = "found a list or a mapping among the values, expected single ones"
            raise InvalidInput([Problem(str(position), key, message)])
        return axis_of(key, listed)
    except InvalidInput as error:
        problems = [Problem(str(position), key, found.message, found.hint) for found in error.problems]
        raise InvalidInput(problems) from None


def value_text(value: Scalar) -> str:
    """A value as ``--set KEY=VALUE`` reads it back.

    >>> value_text(8), value_text("gate"), value_text("8"), value_text(True), value_text(None)
    ('8', 'gate', '"8"', 'true', 'null')
    """
    if isinstance(value, str) and value and parse_text(value) == value:
        return value
    return json.dumps(value)


def parse_text(text: str) -> object:
    """What a text means after ``--set KEY=``; None where it means nothing."""
    try:
        return parse_value(text, Position("value"))
    except InvalidInput:
        return None


def _range(found: re.Match[str], position: Position, key: str) -> RangeSpec:
    from pydantic import ValidationError

    bounds: dict[str, Any] = {name: parse_value(found[name], position) for name in ("low", "high")}
    if found["kind"]:
        bounds[_KINDS[found["kind"]]] = parse_value(found["by"], position)
    try:
        return RangeSpec(**bounds)
    except ValidationError:
        message = (
            f'found "{found[0]}", expected LOW..HIGH of numbers, with :STEP, *FACTOR or #COUNT behind it'
        )
        raise InvalidInput([Problem(str(position), key, message)]) from None
