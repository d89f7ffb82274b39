"""Against luck: structure chosen on one half of the images, thresholds certified on the other.

A search over many candidates picks what happens to do well on its images. So the search sees split A alone; on split B
nothing is searched: a fixed path from no exit to the policy of A is walked while a one-sided test rejects "the loss
is larger than allowed", and ends at the first that does not (fixed-sequence testing, which keeps the error rate of a
single test however long the path). Sources: early-exit design, section 3.2; Angelopoulos et al., Learn then Test, 2021;
Tango, Statistics in Medicine 17, 1998, for the test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from archsim.exits.cross_fit import CrossFit
from archsim.exits.policy import ExitPolicy, leaves, reaches
from archsim.exits.structure import AccuracyGoal, Choice, Search, choose, compare
from archsim.exits.tables import CandidateTable, Int64s
from archsim.functional.statistics import PairedTest
from archsim.progress import Progress

LEVEL = 0.05
"""Probability, over draws of split B, that a certified policy loses more than it may."""
PATH_STEPS = 40
_SPLIT_STREAM = 5
"""Distinguishes the random stream of this split from those of training."""


@dataclass(frozen=True)
class Certificate:
    """The last policy of a path that passed.

    step: its index on the path of ``steps`` steps, 0 is without exits. comparison: on split B. p_value: of "the loss
    is larger than max_loss"; 1 where nothing but step 0 passed, which cannot lose.
    """

    policy: ExitPolicy
    step: int
    steps: int
    comparison: PairedTest
    p_value: float
    max_loss: float
    level: float


@dataclass(frozen=True)
class Chosen:
    """A choice and the rows of the table it was made on; rows_b and certificate are None without certification.

    search: what was searched. choice.policy is the certified one where there is a certificate; searched is the policy
    that the search found. cross_fits: what folds said of it, then of searches that cost more.
    """

    search: Search
    choice: Choice
    searched: ExitPolicy
    rows_a: Int64s
    rows_b: Int64s | None
    certificate: Certificate | None
    cross_fits: tuple[CrossFit, ...] = ()


def choose_safely(
    table: CandidateTable, goal: AccuracyGoal, search: Search, seed: int, progress: Progress | None = None
) -> Chosen:
    """Searches on split A of the images and certifies ``goal.max_loss`` on split B. progress: as :func:`choose`."""
    rows_a, rows_b = split_rows(table.images, seed)
    half = table.rows(rows_a)
    choice = choose(half, goal, search, progress)
    certificate = certify(table.rows(rows_b), tightening_path(half, choice.policy), goal.max_loss)
    return Chosen(
        search, replace(choice, policy=certificate.policy), choice.policy, rows_a, rows_b, certificate
    )


def split_rows(images: int, seed: int, share: float = 0.5) -> tuple[Int64s, Int64s]:
    """Rows of split A (``share`` of the images) and of split B, each ascending; a seeded shuffle."""
    order = np.random.default_rng([seed, _SPLIT_STREAM]).permutation(images)
    size = round(share * images)
    return np.sort(order[:size]), np.sort(order[size:])


def tightening_path(
    table: CandidateTable, policy: ExitPolicy, steps: int = PATH_STEPS
) -> tuple[ExitPolicy, ...]:
    """From no exit to ``policy`` by one parameter: at step i of n each branch lets i/n of its images go, the surest.

    Uses margins alone, never labels. Sets of images that leave grow along the path.
    """
    leaving = {
        k: np.sort(table.margins[leaves(table, policy, k) & reaches(table, policy, k), k])[::-1]
        for k in policy.chosen
    }
    path = []
    for step in range(steps + 1):
        found = policy
        for k, margins in leaving.items():
            count = math.ceil(step * len(margins) / steps)
            if step < steps:
                found = found.with_branch(k, margins[count - 1].item() if count else None, policy.windows[k])
        path.append(found)
    return tuple(path)


def certify(
    table: CandidateTable, path: Sequence[ExitPolicy], max_loss: float, level: float = LEVEL
) -> Certificate:
    """The last policy of ``path`` before the first that fails on ``table``, whose images chose none of them.

    path[0] must be without exits. max_loss: allowed loss of accuracy, a fraction, above 0: that there is no loss at
    all, no number of images can show.
    """
    best = Certificate(path[0], 0, len(path) - 1, compare(table, path[0]), 1.0, max_loss, level)
    for step, policy in enumerate(path[1:], start=1):
        comparison = compare(table, policy)
        p_value = loss_p_value(comparison, max_loss)
        if p_value > level:
            break
        best = Certificate(policy, step, len(path) - 1, comparison, p_value, max_loss, level)
    return best


def least_images(max_loss: float, level: float = LEVEL) -> int:
    """Images of split B below which nothing can be certified, even if no image was lost.

    >>> least_images(0.01), least_images(0.002)
    (268, 1351)
    """
    return math.ceil(NormalDist().inv_cdf(1 - level) ** 2 * (1 - max_loss) / max_loss)


def loss_p_value(comparison: PairedTest, max_loss: float) -> float:
    """p of "the second classifier loses at least ``max_loss``" against the first, one-sided.

    Tango's score test: the variance is that under the hypothesis, so that it stays right where few images differ and
    the Wald bound of :func:`~archsim.functional.statistics.paired_test` is too sure of itself. Below, q21 under the
    hypothesis is 0.01109, the variance of c - b 12.08, z = 10 / 3.476 = 2.877:

    >>> round(loss_p_value(PairedTest(1000, 2, 2, 0.0, 0.002, -0.0033, 1.0), 0.01), 5)
    0.00201
    """
    n, b, c = comparison.n, comparison.b, comparison.c
    # In the terms of the paper c ~ q12 and b ~ q21, with q12 - q21 = -max_loss under the hypothesis.
    shift = -max_loss
    linear = -(c + b) + (2 * n - c + b) * shift
    constant = -b * shift * (1 - shift)
    q21 = (math.sqrt(linear**2 - 8 * n * constant) - linear) / (4 * n)
    variance = n * (2 * q21 + shift * (1 - shift))
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((c - b - n * shift) / math.sqrt(2 * variance))
