"""Synthetic candidate tables: images of random difficulty, seeded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy
from archsim.exits.tables import CandidateTable, Costs


def costs_of(trunk: Sequence[float], branch: float, full: float = 1000.0, tap: float = 0.0) -> Costs:
    """Costs of ``len(trunk)`` candidates whose branches all cost the same."""
    count = len(trunk)
    dbp = np.full(count, tap / 2)
    return Costs(
        "macs", "MAC", full, np.array(trunk, float), np.full(count, float(branch)), np.full(count, tap), dbp
    )


def synthetic_table(
    seed: int, images: int, positions: int, *, branch: float = 5, structures: int = 1, tap: float = 0.0
) -> CandidateTable:
    """Deeper and richer classifiers are better; margins and sums tell difficulty with noise."""
    rng = np.random.default_rng(seed)
    count = positions * structures
    difficulty = rng.normal(size=(images, 1))
    skill = np.linspace(0.3, 1.5, count + 1)
    correct = difficulty + rng.normal(size=(images, count + 1)) < skill
    margins = np.rint(10 * (skill[:-1] - difficulty + rng.normal(size=(images, count)))).astype(np.int64)
    sums = np.rint(20 * (3 - difficulty + rng.normal(size=(images, count)))).clip(0).astype(np.int64)
    trunk = np.repeat(np.linspace(100, 1000, positions + 1)[:-1], structures)
    return CandidateTable(
        names=tuple(f"exit{k}" for k in range(count)),
        structures=tuple(f"kind{k % structures}" for k in range(count)),
        positions=np.repeat(np.arange(positions), structures),
        margins=margins,
        magnitude_sums=sums,
        correct=correct,
        costs=costs_of(trunk.tolist(), branch, tap=tap),
    ).checked()


def nested_table(seed: int, images: int, positions: int) -> CandidateTable:
    """One margin for all branches: whoever leaves at one would leave at any later one of no higher threshold."""
    table = synthetic_table(seed, images, positions, branch=20)
    margins = np.repeat(table.margins[:, :1], positions, axis=1)
    return CandidateTable(
        table.names,
        table.structures,
        table.positions,
        margins,
        table.magnitude_sums,
        table.correct,
        table.costs,
    )


def exhaustive(lagrangian: Lagrangian, max_branches: int | None = None) -> tuple[float, ExitPolicy]:
    """(J, policy) of least J over all thresholds of all candidates, without DBP."""
    table = lagrangian.table
    options = [[None, *np.unique(table.margins[:, k]).tolist()] for k in range(table.count)]
    best = (np.inf, ExitPolicy.without_exits(table.count))
    for thresholds in itertools.product(*options):
        policy = ExitPolicy(thresholds, (None,) * table.count)
        chosen = policy.chosen
        positions = {int(table.positions[k]) for k in chosen}
        if len(positions) == len(chosen) <= (max_branches or table.count):
            best = min(best, (lagrangian.value(policy), policy), key=lambda pair: pair[0])
    return best
