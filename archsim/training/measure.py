"""What the int8 network does on labelled images, by the executor that evaluation and simulation use."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.datasets import ImageBatch
from archsim.exits.costs import counted_costs
from archsim.exits.policy import ExitPolicy, apply_policy
from archsim.exits.tables import CandidateTable, table_of_trace
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.statistics import paired_test
from archsim.network.graph import Network
from archsim.network.weights import Weights

_DIGITS = 5


def exit_table(network: Network, weights: Weights, batch: ImageBatch) -> CandidateTable:
    """Margins, sums and correctness of every image at every branch, and the MACs of trunk and branches."""
    trace = run(network, weights, [batch], policy=Policy.of(network), lazy=False, zero_maps=False)
    return table_of_trace(network, trace, counted_costs(network, "macs"))


def summary(table: CandidateTable, policy: ExitPolicy) -> dict[str, Any]:
    """Accuracies as fractions, MACs as a fraction of the full network's, exits as counts; for the log."""
    outcome = apply_policy(table, policy)
    comparison = paired_test(table.correct[:, -1], outcome.correct)
    counts = np.bincount(outcome.exits, minlength=table.count + 1).tolist()
    accuracies = table.correct.mean(axis=0).round(_DIGITS).tolist()
    return {
        "images": comparison.n,
        "classifier_accuracy": dict(zip([*table.names, "final"], accuracies, strict=True)),
        "full_network_accuracy": accuracies[-1],
        "accuracy": round(float(outcome.correct.mean()), _DIGITS),
        "delta": round(comparison.delta, _DIGITS),
        "delta_se": round(comparison.se, _DIGITS),
        "delta_lower95": round(comparison.lower95, _DIGITS),
        "discordant": {"b": comparison.b, "c": comparison.c},
        "macs_used_fraction": round(float(outcome.costs.mean()) / table.costs.full, _DIGITS),
        "exits": dict(zip([*table.names, "final"], counts, strict=True)),
    }
