"""Tables from which exits are chosen: what every image would do at every candidate branch, and what that costs.

A candidate is one structure at one position of the trunk; candidates of one position exclude each other. Nothing here
knows networks or frameworks: fill :class:`CandidateTable` from arrays of your own, or from a functional trace with
:func:`table_of_trace`. Source: early-exit design, section 3.2, step 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput, Problem
from archsim.exits.ranking import Keys, Ranking
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.network.graph import Branch, Network

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Costs:
    """Mean cost of an image in one unit, as sums along its path; C candidates.

    objective, unit: what is counted (``macs`` in ``MAC``, ``energy`` in ``pJ``). full: the network without branches.
    trunk: float64 (C,), an image that leaves at the candidate, without what branches cost. branch: float64 (C,), the
    candidate's own cost wherever it is evaluated. tap: float64 (C,), what it costs where DBP skips it. dbp: float64
    (C,), what the decision of DBP costs for every image that comes by, on top of ``branch`` or ``tap``.
    """

    objective: str
    unit: str
    full: float
    trunk: Floats
    branch: Floats
    tap: Floats
    dbp: Floats

    @cached_property
    def exits(self) -> Floats:
        """float64 (C + 1,): ``trunk`` with ``full`` behind it."""
        return np.append(self.trunk, self.full)

    def arrays(self) -> dict[str, Floats]:
        """The arrays (C,) by name."""
        return {"trunk": self.trunk, "branch": self.branch, "tap": self.tap, "dbp": self.dbp}


@dataclass(frozen=True)
class CandidateTable:
    """What N images do at C candidates, whatever the thresholds; in the order in which an image meets them.

    names: unique. structures: what kind of branch each one is. positions: int64 (C,), ascending; equal numbers share
    a position. margins: int64 or float64 (N, C), the larger the surer. magnitude_sums: likewise (N, C), what DBP
    decides by. correct: bool (N, C + 1), the last column is the full network.
    """

    names: tuple[str, ...]
    structures: tuple[str, ...]
    positions: Int64s
    margins: Keys
    magnitude_sums: Keys
    correct: Bools
    costs: Costs

    @property
    def images(self) -> int:
        """Number of images N."""
        return len(self.correct)

    @property
    def count(self) -> int:
        """Number of candidates C."""
        return len(self.names)

    @cached_property
    def margin_rankings(self) -> tuple[Ranking, ...]:
        """The images in descending order of margin, one ranking a candidate."""
        return tuple(Ranking(column) for column in self.margins.T)

    @cached_property
    def sum_rankings(self) -> tuple[Ranking, ...]:
        """The images in descending order of magnitude sum, one ranking a candidate."""
        return tuple(Ranking(column) for column in self.magnitude_sums.T)

    def rows(self, rows: Int64s) -> CandidateTable:
        """The same table of some of its images."""
        return dataclasses.replace(
            self,
            margins=self.margins[rows],
            magnitude_sums=self.magnitude_sums[rows],
            correct=self.correct[rows],
        )

    def with_costs(self, costs: Costs) -> CandidateTable:
        """The same images under another objective."""
        return dataclasses.replace(self, costs=costs)

    def checked(self, where: str = "candidate table") -> CandidateTable:
        """The table itself. Raises InvalidInput at ``where`` listing all that does not fit together."""
        problems = [Problem(where, key, message) for key, message in _problems(self)]
        if problems:
            raise InvalidInput(problems)
        return self


def table_of_trace(network: Network, trace: FunctionalTrace, costs: Costs) -> CandidateTable:
    """The table of a trace that ran every image through all branches to the end (not lazily).

    Raises InvalidInput where the trace lacks a margin or is of other branches.
    """
    problems = []
    if trace.exit_names != network.exit_names:
        found, expected = ", ".join(trace.exit_names), ", ".join(network.exit_names)
        problems.append(Problem(trace.workload, "exit_names", f"found {found}, expected {expected}"))
    if bool((trace.margins == NOT_COMPUTED).any()):
        hint = "compute it again without lazy"
        problems.append(Problem(trace.workload, "margins", "some images were not run to the end", hint))
    if problems:
        raise InvalidInput(problems)
    order = {layer.name: index for index, layer in enumerate(network.layers)}
    return CandidateTable(
        names=tuple(branch.name for branch in network.branches),
        structures=tuple(structure_of(branch) for branch in network.branches),
        positions=np.array([order[branch.after] for branch in network.branches], np.int64),
        margins=trace.margins[:, :-1],
        magnitude_sums=trace.magnitude_sums,
        correct=trace.predictions == trace.labels[:, None],
        costs=costs,
    ).checked(trace.workload)


def structure_of(branch: Branch) -> str:
    """Operators of a branch in order, as ``global_avg_pool + linear``."""
    return " + ".join(layer.op for layer in branch.layers)


def _problems(table: CandidateTable) -> Iterator[tuple[str, str]]:
    """(key, message) of everything that does not fit."""
    images, count = table.images, table.count
    shapes = {
        "structures": ((len(table.structures),), (count,)),
        "positions": (table.positions.shape, (count,)),
        "margins": (table.margins.shape, (images, count)),
        "magnitude_sums": (table.magnitude_sums.shape, (images, count)),
        "correct": (table.correct.shape, (images, count + 1)),
        **{f"costs.{key}": (array.shape, (count,)) for key, array in table.costs.arrays().items()},
    }
    for key, (found, expected) in shapes.items():
        if found != expected:
            yield key, f"found shape {found}, expected {expected}"
    if images == 0:
        yield "correct", "found no images, expected at least one"
    if len(set(table.names)) < count:
        yield "names", "found a name twice, expected unique names"
    if bool((np.diff(table.positions) < 0).any()):
        yield "positions", "expected ascending numbers, in the order in which an image meets the candidates"
    if table.correct.dtype != np.bool_:
        yield "correct", f"found {table.correct.dtype}, expected bool"
    for key in ("margins", "magnitude_sums"):
        values: Keys = getattr(table, key)
        if values.dtype not in (np.int64, np.float64):
            yield key, f"found {values.dtype}, expected int64 or float64"
        elif not bool(np.isfinite(values).all()):
            yield key, "found a value that is no finite number"
    for key, array in {**table.costs.arrays(), "full": np.array([table.costs.full])}.items():
        if not bool((np.isfinite(array) & (array >= 0)).all()):
            yield f"costs.{key}", "expected finite numbers, 0 or more"
    if table.costs.full == 0:
        yield "costs.full", "found 0, expected a positive cost of the full network"
