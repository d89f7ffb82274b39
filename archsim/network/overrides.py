"""Thresholds and DBP bounds that an accelerator sets in place of those of the workload."""

from __future__ import annotations

from dataclasses import replace

from archsim.config.arch import ExitsSpec, PruningSpec
from archsim.config.workload import DbpSpec
from archsim.network.graph import Branch, Network


def with_overrides(network: Network, exits: ExitsSpec, dbp: PruningSpec) -> Network:
    """The network as an accelerator decides in it; names that are no branch of it change nothing.

    A branch without bounds gets those that are set, a bound that is not set stays as it is.
    """
    branches = tuple(
        replace(
            branch,
            threshold=exits.thresholds.get(branch.name, branch.threshold),
            dbp=_bounds(branch, dbp),
        )
        for branch in network.branches
    )
    return replace(network, branches=branches)


def _bounds(branch: Branch, dbp: PruningSpec) -> DbpSpec | None:
    changes = dbp.bounds.get(branch.name)
    if changes is None or (changes.min_sum is None and changes.max_sum is None):
        return branch.dbp
    own = branch.dbp or DbpSpec()
    return DbpSpec(
        min_sum=own.min_sum if changes.min_sum is None else changes.min_sum,
        max_sum=own.max_sum if changes.max_sum is None else changes.max_sum,
    )
