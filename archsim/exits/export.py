"""A policy as part of a workload: the branches that are kept, their integers, and what is left of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from archsim.config.workload import BranchSpec, DbpSpec
from archsim.exits.policy import ExitPolicy, Window
from archsim.network.graph import Network
from archsim.network.weights import expected_arrays

Arrays = dict[str, npt.NDArray[Any]]


def kept_branches(
    candidates: Sequence[BranchSpec], names: Sequence[str], policy: ExitPolicy
) -> list[BranchSpec]:
    """The branches that ``policy``, which is of ``names``, keeps, with their thresholds and DBP bounds."""
    by_name = {branch.name: branch for branch in candidates}
    return [
        by_name[names[k]].model_copy(
            update={"threshold": policy.thresholds[k], "dbp": dbp_of(policy.windows[k])}
        )
        for k in policy.chosen
    ]


def without_branches(arrays: Mapping[str, npt.NDArray[Any]], network: Network) -> Arrays:
    """The arrays that ``network``, which may lack some branches, still reads."""
    expected = expected_arrays(network)
    return {key: array for key, array in arrays.items() if key in expected}


def dbp_of(window: Window | None) -> DbpSpec | None:
    """The DBP bounds of a workload file; integers, as hardware compares."""
    if window is None:
        return None
    return DbpSpec(min_sum=int(window.low), max_sum=None if window.high is None else int(window.high))
