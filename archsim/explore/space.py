"""The points of a space: every combination of its values, or a sample, without those that a constraint excludes."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.extends import find_file
from archsim.config.fields import dotted_keys
from archsim.config.load import load_arch
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.explore.axis import Axis, axis_of, value_text
from archsim.explore.derived import AREA, area_mm2
from archsim.explore.expression import Constraint, parse_constraint
from archsim.explore.spec import MAX_POINTS, Scalar, SweepSpec
from archsim.resources import Kind
from archsim.results.source import Workload

Params = dict[str, Scalar]
"""Value by key; the keys in the order of the space."""
RUN_KEYS = ("workload", "arch", "energy_table", "images", "arrivals", "seed", "engine")
"""Keys that are options of ``simulate`` and not part of an architecture file."""
_REFERENCES = {"workload": Kind.WORKLOAD, "arch": Kind.ARCH, "energy_table": Kind.ENERGY_TABLE}
_NAMES = ("schema", "name", "description", "energy_table")
_DRAWS_IN_VAIN = 100_000
_DRAWS_A_POINT = 200
"""Random points are drawn until enough are new and satisfy the constraints, but not for ever."""


@dataclass(frozen=True)
class Point:
    """One combination of values; ``number`` is its place in the table, from 0."""

    number: int
    params: Params


@dataclass(frozen=True)
class Space:
    """Axes and constraints of a sweep, all keys known."""

    spec: SweepSpec
    axes: tuple[Axis, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def of(cls, spec: SweepSpec, workloads: Mapping[str, Workload]) -> Space:
        """workloads: by the references in :func:`workload_references`. Raises InvalidInput listing every problem."""
        problems: list[Problem] = []
        axes: list[Axis] = []
        constraints: list[Constraint] = []
        known = _known_keys(workloads)
        for key, written in spec.space.items():
            problems += _key_problems(key, known)
            try:
                axes.append(axis_of(key, written))
            except InvalidInput as error:
                problems += error.problems
        for text in spec.constraints:
            try:
                constraints.append(parse_constraint(text))
                readable = (*known, *AREA)
                problems += [
                    found for key in constraints[-1].keys for found in _key_problems(key, readable, text)
                ]
            except InvalidInput as error:
                problems += error.problems
        for axis in axes:
            problems += _value_problems(spec, axis)
        space = cls(spec, tuple(axes), tuple(constraints))
        if not problems and space.size > MAX_POINTS:
            message = f"found {space.size} combinations, expected at most {MAX_POINTS}"
            problems.append(Problem("space", "", message, "take a sample, or use search"))
        if problems:
            raise InvalidInput(problems)
        return space

    @property
    def size(self) -> int:
        """Combinations before constraints, or points asked for."""
        return self.spec.sample.points or math.prod(
            len(axis.values) for axis in self.axes if not axis.interval
        )

    def points(self) -> Iterator[Point]:
        """All points, one after the other; the same every time. The last key of the space changes fastest."""
        wanted = (params for params in self._combinations() if self.allows(params))
        return (Point(number, params) for number, params in enumerate(wanted))

    def count(self) -> int:
        """Number of points."""
        if self.constraints or self.spec.sample.method != "grid":
            return sum(1 for _ in self.points())
        return self.size

    def allows(self, params: Params) -> bool:
        """Whether all constraints hold; keys that are not varied have the value of the accelerator.

        An accelerator that cannot be built has no area: such a point stays, and fails with the reason.
        """
        arch = str(params.get("arch", self.spec.arch))

        def lookup(key: str) -> Any:
            if key in AREA:
                return self._area_mm2(arch, params)
            if key in params:
                return params[key]
            if key in RUN_KEYS:
                return getattr(self.spec, key)
            return _arch_value(arch, key)

        return all(
            constraint.holds(lookup)
            for constraint in self.constraints
            if not constraint.reads(AREA) or self._area_mm2(arch, params) is not None
        )

    def _area_mm2(self, arch: str, params: Params) -> float | None:
        table = params.get("energy_table", self.spec.energy_table)
        return area_mm2(arch, None if table is None else str(table), overrides_of(params))

    def _combinations(self) -> Iterator[Params]:
        keys = [axis.key for axis in self.axes]
        if self.spec.sample.method == "grid":
            for values in itertools.product(*(axis.values for axis in self.axes)):
                yield dict(zip(keys, values, strict=True))
        elif self.spec.sample.method == "latin_hypercube":
            for positions in _latin_hypercube(self.size, len(keys), self.spec.sample.seed):
                yield {axis.key: axis.at(float(x)) for axis, x in zip(self.axes, positions, strict=True)}
        else:
            yield from self._random()

    def _random(self) -> Iterator[Params]:
        """Different points that satisfy the constraints, fewer than asked for where there are no more."""
        rng = np.random.default_rng(self.spec.sample.seed)
        seen: set[str] = set()
        in_vain = 0
        for _ in range(_DRAWS_A_POINT * self.size):
            if in_vain == _DRAWS_IN_VAIN:
                return
            params = {axis.key: axis.at(float(rng.random())) for axis in self.axes}
            text = json.dumps(params)
            in_vain += 1
            if text not in seen and self.allows(params):
                in_vain = 0
                seen.add(text)
                yield params
            if len(seen) == self.size:
                return


def overrides_of(params: Params) -> tuple[str, ...]:
    """What a point changes in its accelerator, as ``--set`` writes it.

    >>> overrides_of({"images": 4, "pe_array.rows": 8, "pe_array.zero": "gate"})
    ('pe_array.rows=8', 'pe_array.zero=gate')
    """
    return tuple(f"{key}={value_text(value)}" for key, value in params.items() if key not in RUN_KEYS)


def workload_references(spec: SweepSpec) -> tuple[str, ...]:
    """The workloads of a sweep: the one that it names, or those that it varies."""
    return tuple(
        str(value) for value in axis_of("workload", spec.space.get("workload", spec.workload)).values
    )


def _latin_hypercube(points: int, axes: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Positions in [0, 1), float64 (points, axes): each axis has one in each of ``points`` equal parts.

    McKay, Beckman, Conover, Technometrics 21(2), 1979.
    """
    rng = np.random.default_rng(seed)
    strata = np.column_stack([rng.permutation(points) for _ in range(axes)])
    return (strata + rng.random((points, axes))) / points


def _known_keys(workloads: Mapping[str, Workload]) -> tuple[str, ...]:
    branches = {branch.name for workload in workloads.values() for branch in workload.network.branches}
    arch = [key for key in dotted_keys(ArchSpec) if key not in _NAMES]
    of_branch = ("exits.{}.threshold", "dbp.{}.min_sum", "dbp.{}.max_sum")
    return (*RUN_KEYS, *arch, *(key.format(name) for name in sorted(branches) for key in of_branch))


def _key_problems(key: str, known: tuple[str, ...], where: str = "space") -> list[Problem]:
    if key in known:
        return []
    hint = did_you_mean(key, known)
    hint = "archsim describe ARCH shows all keys" if hint.startswith("allowed") else hint
    return [Problem(where, key, "no such configuration key", hint)]


def _value_problems(spec: SweepSpec, axis: Axis) -> list[Problem]:
    """Files that do not exist, and intervals where single values are needed."""
    problems: list[Problem] = []
    if axis.key in _REFERENCES and axis.key != "workload":
        for value in axis.values:
            try:
                find_file(_REFERENCES[axis.key], str(value), f"space: {value}", axis.key)
            except InvalidInput as error:
                problems += error.problems
    is_grid = spec.sample.method == "grid" and spec.search is None
    if axis.interval is not None and is_grid:
        message = "found an interval, expected single values in a grid"
        hint = "add step, factor or count (LOW..HIGH:STEP), or take a sample"
        problems.append(Problem("space", axis.key, message, hint))
    return problems


@lru_cache(maxsize=64)
def _arch_values(ref: str) -> dict[str, Any]:
    return load_arch(ref).model_dump(by_alias=True)


def _arch_value(ref: str, key: str) -> Any:
    """A value of an accelerator by dotted key. Raises InvalidInput where it holds none."""
    found: Any = _arch_values(ref)
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            message = f"{ref} has no value of its own for it"
            raise InvalidInput([Problem("constraints", key, message, "vary the key, or leave it out")])
        found = found[part]
    return found
