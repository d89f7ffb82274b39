"""From margins and activation sums to decisions, for any thresholds: the exit rule and dynamic branch pruning (DBP).

Exit rule: an image leaves at a branch iff top-1 minus top-2 logit >= threshold (int32 logit units).
DBP: a branch is run iff min_sum <= sum of |a| over the tensor it reads <= max_sum (raw 8-bit units).
Source: LoCoExNet (Jo et al., IEEE TCAD 42(12), 2023) as far as its abstract tells; the margin in place of a softmax
follows from ISOCC 2020, pp. 127-128 (a decision from the outputs of the fully connected layer alone).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsim.config.workload import DbpSpec
from archsim.errors import InvalidInput, Problem
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.network.graph import FINAL, Network

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Policy:
    """What decides; one element a branch, in the order in which an image meets them.

    branches: names. thresholds: None never exits (the branch still runs). dbp: None always runs.
    exits_enabled False: no branch is evaluated or skipped, every image runs to the end of the trunk.
    dbp_enabled False: every branch that an image meets is run.
    """

    branches: tuple[str, ...]
    thresholds: tuple[int | None, ...]
    dbp: tuple[DbpSpec | None, ...]
    exits_enabled: bool = True
    dbp_enabled: bool = True

    @classmethod
    def of(
        cls,
        network: Network,
        *,
        exits_enabled: bool = True,
        dbp_enabled: bool = True,
    ) -> Policy:
        """The network's own thresholds and bounds."""
        return cls(
            tuple(branch.name for branch in network.branches),
            tuple(branch.threshold for branch in network.branches),
            tuple(branch.dbp for branch in network.branches),
            exits_enabled,
            dbp_enabled,
        )

    def runs(self, branch_index: int, magnitude_sums: Int64Array) -> BoolArray:
        """For which images (bool, the shape of ``magnitude_sums``) DBP lets the branch run."""
        bounds = self.bounds(branch_index)
        if bounds is None:
            return np.ones(magnitude_sums.shape, np.bool_)
        inside = magnitude_sums >= bounds.min_sum
        return inside if bounds.max_sum is None else inside & (magnitude_sums <= bounds.max_sum)

    def exits(self, branch_index: int, margins: Int64Array) -> BoolArray:
        """Which images (bool, the shape of ``margins``) leave at the branch once it has been evaluated."""
        threshold = self.thresholds[branch_index]
        if threshold is None:
            return np.zeros(margins.shape, np.bool_)
        return margins >= threshold

    def needs_sums(self, branch_index: int) -> bool:
        """True where the decision to run the branch depends on the activations."""
        return self.bounds(branch_index) is not None

    def bounds(self, branch_index: int) -> DbpSpec | None:
        """What DBP compares the sum of a branch with; None where it does not decide."""
        return self.dbp[branch_index] if self.exits_enabled and self.dbp_enabled else None


@dataclass(frozen=True)
class Decisions:
    """What happened to N images at B branches.

    exit_index: int64 (N,), position in the trace's ``exit_names``; B is the end of the trunk.
    evaluated, skipped: bool (N, B), never both; both False at branches that the image did not reach.
    """

    exit_index: Int64Array
    evaluated: BoolArray
    skipped: BoolArray


def decide(trace: FunctionalTrace, policy: Policy) -> Decisions:
    """Apply a policy to a trace.

    Raises InvalidInput when the trace is of other branches, or lacks a margin, sum or final prediction that the
    policy needs (a lazily computed trace ends where its own policy let each image leave).
    """
    if trace.exit_names != (*policy.branches, FINAL):
        found, expected = ", ".join(trace.exit_names), ", ".join((*policy.branches, FINAL))
        message = f"found a trace with the exits {found}, expected {expected}"
        raise InvalidInput([Problem(trace.workload, "exit_names", message, "compute the trace again")])
    images, branch_count = trace.images, len(policy.branches)
    exit_index = np.full(images, branch_count, np.int64)
    evaluated = np.zeros((images, branch_count), np.bool_)
    skipped = np.zeros((images, branch_count), np.bool_)
    alive = np.ones(images, np.bool_)
    problems: list[Problem] = []
    for index in range(branch_count if policy.exits_enabled else 0):
        name, margins, sums = policy.branches[index], trace.margins[:, index], trace.magnitude_sums[:, index]
        if policy.needs_sums(index):
            problems += _missing(trace, f"magnitude_sums.{name}", alive & (sums == NOT_COMPUTED))
        runs = policy.runs(index, sums)
        evaluated[:, index] = alive & runs
        skipped[:, index] = alive & ~runs
        problems += _missing(trace, f"margins.{name}", evaluated[:, index] & (margins == NOT_COMPUTED))
        leaves = evaluated[:, index] & policy.exits(index, margins)
        exit_index[leaves] = index
        alive &= ~leaves
    if not trace.is_shape_only:
        problems += _missing(trace, f"predictions.{FINAL}", alive & (trace.predictions[:, -1] < 0))
    if problems:
        raise InvalidInput(problems)
    return Decisions(exit_index, evaluated, skipped)


def _missing(trace: FunctionalTrace, key: str, absent: BoolArray) -> list[Problem]:
    count = int(absent.sum())
    if not count:
        return []
    message = (
        f"{count} of {trace.images} images were not computed this far (first: image {int(absent.argmax())})"
    )
    hint = "use a trace written by evaluate --save-trace, or compute it with this policy"
    return [Problem(trace.workload, key, message, hint)]
