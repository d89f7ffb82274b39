"""The network of a workload file, with problems at the place where they are written."""

from __future__ import annotations

from archsim.config.load import LoadedWorkload
from archsim.errors import InvalidInput, Problem
from archsim.network.build import build_network
from archsim.network.graph import Network
from archsim.network.zeros import zero_fraction_problems


def load_network(workload: LoadedWorkload) -> Network:
    """Build the graph of a loaded workload.

    Raises InvalidInput, at file:line:col, listing every layer and branch that does not fit, and every zero fraction
    that contradicts another or stands beside weights.
    """
    spec = workload.spec
    network, problems = build_network(
        spec.name,
        spec.input,
        spec.dataset.classes,
        spec.layers,
        spec.branches,
        shape_only=spec.is_shape_only,
    )
    if network is not None:
        problems += zero_fraction_problems(network, has_weights=not spec.is_shape_only)
    if network is None or problems:
        raise InvalidInput(
            Problem(workload.document.where(key), key, message, hint) for key, message, hint in problems
        )
    return network
