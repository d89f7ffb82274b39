"""What trunk prefixes and branches cost: counted from shapes (parameters, MACs), or simulated (energy, cycles).

A simulated cost is measured on the network with the one candidate and on the network with none, so that the sum along
a path is exact for one branch. Between several branches there is some interplay (prefetching, where weights lie), which
a sum cannot have: simulate the policy that was chosen to see it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.config.workload import DbpSpec
from archsim.energy.account import account
from archsim.energy.table import ResolvedTable
from archsim.exits.tables import Costs, Floats
from archsim.functional.decide import Decisions
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import Branch, Network
from archsim.sim.engine import Simulator
from archsim.sim.records import ImageRecord

CountedObjective = Literal["parameters", "macs"]
SimulatedObjective = Literal["energy", "cycles"]
UNITS = {"parameters": "weight", "macs": "MAC", "energy": "pJ", "cycles": "cycle"}
"""Unit of the costs by objective."""
SIMULATED = get_args(SimulatedObjective)


@dataclass(frozen=True)
class Machine:
    """What simulated costs are costs of."""

    arch: ArchSpec
    dram: DramPresetSpec
    energy: ResolvedTable


def counted_costs(network: Network, objective: CountedObjective) -> Costs:
    """Weights (*parameters used*) or MACs of every trunk prefix and every branch; a skipped branch costs nothing."""
    by_parameters = objective == "parameters"
    trunk = [
        sum(layer.weights if by_parameters else layer.macs for layer in network.trunk_until(branch))
        for branch in network.branches
    ]
    branches = [branch.weights if by_parameters else branch.macs for branch in network.branches]
    nothing = np.zeros(len(branches))
    return Costs(
        objective=objective,
        unit=UNITS[objective],
        full=float(network.weights if by_parameters else network.macs),
        trunk=np.array(trunk, np.float64),
        branch=np.array(branches, np.float64),
        tap=nothing,
        dbp=nothing,
    )


def simulated_costs(
    network: Network, machine: Machine, trace: FunctionalTrace, objective: SimulatedObjective
) -> Costs:
    """Energy or cycles, means over the images of a trace with zero maps; every path is simulated once an image.

    Exits and DBP of the accelerator must be enabled. Raises InvalidInput where the network does not map, Deadlock when
    the hardware hangs.
    """
    full = _mean_cost(replace(network, branches=()), machine, trace, objective, leaves=False)
    rows = [_branch_costs(network, branch, machine, trace, objective, full) for branch in network.branches]
    trunk, branch_costs, tap, dbp = np.array(rows, np.float64).reshape(-1, 4).T
    return Costs(objective, UNITS[objective], full, trunk, branch_costs, tap, dbp)


def _branch_costs(
    network: Network,
    branch: Branch,
    machine: Machine,
    trace: FunctionalTrace,
    objective: SimulatedObjective,
    full: float,
) -> tuple[float, float, float, float]:
    """(trunk, branch, tap, dbp) of one candidate, by the paths: leaves, stays, stays under DBP, is skipped."""
    plain = replace(network, branches=(replace(branch, dbp=None),))
    pruned = replace(network, branches=(replace(branch, dbp=DbpSpec()),))
    leaving = _mean_cost(plain, machine, trace, objective, leaves=True)
    staying = _mean_cost(plain, machine, trace, objective, leaves=False)
    decided = _mean_cost(pruned, machine, trace, objective, leaves=False)
    skipped = _mean_cost(pruned, machine, trace, objective, leaves=False, skips=True)
    own = max(0.0, staying - full)
    dbp = max(0.0, decided - staying)
    return max(0.0, leaving - own), own, max(0.0, skipped - full - dbp), dbp


def _mean_cost(
    network: Network,
    machine: Machine,
    trace: FunctionalTrace,
    objective: SimulatedObjective,
    *,
    leaves: bool,
    skips: bool = False,
) -> float:
    """Mean cost of the images of a trace on one path of a network with one branch or none."""
    branches = len(network.branches)
    skipped = np.full((trace.images, branches), skips)
    exit_index = np.full(trace.images, 0 if leaves else branches, np.int64)
    decisions = Decisions(exit_index, ~skipped, skipped)
    simulator = Simulator(network, machine.arch, machine.dram, "segment")
    return float(record_costs(simulator.records(trace, decisions), machine, objective).mean())


def record_costs(records: Iterable[ImageRecord], machine: Machine, objective: SimulatedObjective) -> Floats:
    """Cost of every simulated image (N,)."""
    if objective == "cycles":
        return np.array([record.cycles for record in records], np.float64)
    return np.array([account(record.counters, machine.energy).total_pj for record in records])
