"""What a choice of exits amounts to: the branches kept and rejected, accuracy with its bound, and the controls."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.config.workload import DbpSpec
from archsim.exits.controls import dbp_quality, oracle_dbp, oracle_exit, random_skips
from archsim.exits.costs import Machine, SimulatedObjective, record_costs
from archsim.exits.cross_fit import CrossFit
from archsim.exits.export import dbp_of
from archsim.exits.line_search import Lagrangian
from archsim.exits.policy import ExitPolicy, apply_policy, mean_cost_fraction
from archsim.exits.safeguards import Chosen
from archsim.exits.shorten import Cut
from archsim.exits.spec import ExitsBuildSpec
from archsim.exits.structure import choose_policy, compare
from archsim.exits.tables import CandidateTable
from archsim.functional.decide import Policy, decide
from archsim.functional.statistics import ExitStatistics, statistics
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import Network
from archsim.results.paired import PairedAccuracy
from archsim.sim.engine import Simulator


@dataclass(frozen=True)
class KeptBranch:
    """A branch of the new workload and what it did on the measured images.

    auc, spearman: how well the magnitude sum tells, among images that reach the branch, who leaves and how sure it is.
    margin_auc: how well the margin of the branch before, which DBP does not use, tells who leaves.
    true_skips, false_skips: share of images that DBP skips among those that would stay and among those that would
    leave. NaN is None in JSON.
    """

    name: str
    after: str
    structure: str
    threshold: float
    dbp: DbpSpec | None
    weights: int
    evaluated: int
    skipped_by_dbp: int
    exited: int
    auc: float
    margin_auc: float
    spearman: float
    true_skips: float
    false_skips: float


@dataclass(frozen=True)
class RejectedBranch:
    """A candidate that is not kept, and why."""

    name: str
    after: str
    structure: str
    reason: str


@dataclass(frozen=True)
class Control:
    """Mean cost as a fraction of the full network's, and accuracy, on the measured images."""

    cost_fraction: float
    accuracy: float


@dataclass(frozen=True)
class Measured:
    """The workload as it is written on the test images, which chose nothing."""

    images: int
    accuracy: float
    full_network_accuracy: float
    paired: PairedAccuracy
    params_used_fraction: float
    macs_used_fraction: float
    exits: dict[str, int]


@dataclass(frozen=True)
class OutOfFold:
    """The search on images that chose nothing: every fold by what the others chose (:mod:`archsim.exits.cross_fit`)."""

    max_branches: int | None
    folds: int
    price: float | None
    paired: PairedAccuracy
    cost_fraction: float


@dataclass(frozen=True)
class ExitsReport:
    """What was chosen and how it does on images that did not choose it (without certification: on those that did).

    images_searched, images_measured: of split A and B; the same images without certification. p_value: of "the loss is
    max_loss or more", None without certification; path_step of path_steps: how far the certification went from no
    exit to the policy of the search. cost_fraction: mean cost by the sums of the table, simulated_cost_fraction and
    predicted_cost_fraction: simulated and by the sums, on the sample images; None for counted objectives.
    controls: ``oracle_exit``, ``oracle_dbp``, ``random_dbp``, ``without_dbp``, ``single_exit`` (searched like the
    policy, not certified), ``searched`` (before certification). cuts: of ``shorten``, the cheapest first; the first
    that is met has become the full network of everything else. dearer: what folds said of other numbers of branches. In
    every ``paired`` the full network is the first.
    """

    name: str
    workload: str
    objective: str
    arch: str | None
    energy_table: str | None
    images_searched: int
    images_measured: int
    certified: bool
    max_loss: float
    p_value: float | None
    path_step: int | None
    path_steps: int | None
    accuracy: float
    full_network_accuracy: float
    paired: PairedAccuracy
    params_used_fraction: float
    macs_used_fraction: float
    cost_fraction: float
    predicted_cost_fraction: float | None
    simulated_cost_fraction: float | None
    exits: dict[str, int]
    branches: tuple[KeptBranch, ...]
    rejected: tuple[RejectedBranch, ...]
    controls: dict[str, Control]
    cuts: tuple[Cut, ...] = ()
    cross_fit: OutOfFold | None = None
    dearer: tuple[OutOfFold, ...] = ()
    test: Measured | None = None
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN becomes None, and the keys of a paired difference stand beside the others."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def measured(network: Network, trace: FunctionalTrace) -> Measured:
    """Early exits against the full network, both on all images of a trace."""
    found = statistics(network, trace, decide(trace, Policy.of(network)))
    paired = found.paired
    assert paired is not None and found.full_network_accuracy is not None and found.accuracy is not None
    return Measured(
        images=found.images,
        accuracy=found.accuracy,
        full_network_accuracy=found.full_network_accuracy,
        paired=PairedAccuracy.of(paired),
        params_used_fraction=found.params_used_fraction,
        macs_used_fraction=found.macs_used_fraction,
        exits=found.exits,
    )


def report_of(
    spec: ExitsBuildSpec,
    network: Network,
    table: CandidateTable,
    chosen: Chosen,
    trace: FunctionalTrace,
    sample: FunctionalTrace,
    machine: Machine | None,
) -> ExitsReport:
    """Measures a choice. network, table, trace: of all candidates; sample: of the images that costs were taken from."""
    policy, rows = chosen.choice.policy, chosen.rows_a if chosen.rows_b is None else chosen.rows_b
    measured, certificate = table.rows(rows), chosen.certificate
    quality = _statistics(network, table, policy, trace, rows)
    assert quality.accuracy is not None  # there are no candidates without weights
    predicted, simulated = _simulated(network, table, policy, sample, machine)
    return ExitsReport(
        name=spec.name,
        workload=network.name,
        objective=spec.objective,
        arch=machine.arch.name if machine else None,
        energy_table=machine.energy.name if machine else None,
        images_searched=len(chosen.rows_a),
        images_measured=len(rows),
        certified=certificate is not None,
        max_loss=spec.accuracy.max_loss,
        p_value=certificate.p_value if certificate else None,
        path_step=certificate.step if certificate else None,
        path_steps=certificate.steps if certificate else None,
        accuracy=quality.accuracy,
        full_network_accuracy=float(measured.correct[:, -1].mean()),
        paired=PairedAccuracy.of(compare(measured, policy)),
        params_used_fraction=quality.params_used_fraction,
        macs_used_fraction=quality.macs_used_fraction,
        cost_fraction=mean_cost_fraction(measured, policy),
        predicted_cost_fraction=predicted,
        simulated_cost_fraction=simulated,
        exits=quality.exits,
        branches=tuple(_kept(network, measured, policy, quality, k) for k in policy.chosen),
        rejected=tuple(
            _rejected(spec, network, table, chosen, k) for k in range(table.count) if k not in policy.chosen
        ),
        controls=_controls(spec, table, chosen, measured),
        cross_fit=_out_of_fold(chosen.cross_fits[0]) if chosen.cross_fits else None,
        dearer=tuple(map(_out_of_fold, chosen.cross_fits[1:])),
    )


def _out_of_fold(found: CrossFit) -> OutOfFold:
    return OutOfFold(
        max_branches=found.search.max_branches,
        folds=found.folds,
        price=found.price,
        paired=PairedAccuracy.of(found.comparison),
        cost_fraction=found.cost_fraction,
    )


def _with_policy(network: Network, table: CandidateTable, policy: ExitPolicy) -> Network:
    """The network with the branches that are kept, decided as the policy decides."""
    kept = tuple(
        dataclasses.replace(
            network.branches[k], threshold=int(policy.thresholds[k] or 0), dbp=dbp_of(policy.windows[k])
        )
        for k in policy.chosen
    )
    return dataclasses.replace(network, branches=kept)


def _part(trace: FunctionalTrace, policy: ExitPolicy, rows: Any) -> FunctionalTrace:
    """Some images and the branches that are kept."""
    columns = [*policy.chosen, len(trace.exit_names) - 1]
    return dataclasses.replace(
        trace,
        exit_names=tuple(trace.exit_names[column] for column in columns),
        labels=trace.labels[rows],
        margins=trace.margins[rows][:, columns],
        predictions=trace.predictions[rows][:, columns],
        magnitude_sums=trace.magnitude_sums[rows][:, columns[:-1]],
    )


def _statistics(
    network: Network, table: CandidateTable, policy: ExitPolicy, trace: FunctionalTrace, rows: Any
) -> ExitStatistics:
    kept = _with_policy(network, table, policy)
    part = _part(trace, policy, rows)
    return statistics(kept, part, decide(part, Policy.of(kept)))


def _simulated(
    network: Network,
    table: CandidateTable,
    policy: ExitPolicy,
    sample: FunctionalTrace,
    machine: Machine | None,
) -> tuple[float | None, float | None]:
    """Cost fraction of the sample images (which are the first of the table) by the sums and as simulated."""
    if machine is None:
        return None, None
    objective: SimulatedObjective = "energy" if table.costs.objective == "energy" else "cycles"
    kept = _with_policy(network, table, policy)
    part = _part(sample, policy, slice(None))
    simulator = Simulator(kept, machine.arch, machine.dram, "segment")
    costs = record_costs(simulator.records(part, decide(part, Policy.of(kept))), machine, objective)
    predicted = mean_cost_fraction(table.rows(np.arange(sample.images)), policy)
    return predicted, float(costs.mean()) / table.costs.full


def _kept(
    network: Network, measured: CandidateTable, policy: ExitPolicy, quality: ExitStatistics, k: int
) -> KeptBranch:
    branch, done = network.branches[k], quality.branches[measured.names[k]]
    threshold = policy.thresholds[k]
    assert threshold is not None
    dbp = dbp_quality(measured, policy, k)
    return KeptBranch(
        name=branch.name,
        after=branch.after,
        structure=measured.structures[k],
        threshold=threshold,
        dbp=dbp_of(policy.windows[k]),
        weights=branch.weights,
        evaluated=done.evaluated,
        skipped_by_dbp=done.skipped_by_dbp,
        exited=done.exited,
        auc=dbp.auc,
        margin_auc=dbp.margin_auc,
        spearman=dbp.spearman,
        true_skips=dbp.true_skips,
        false_skips=dbp.false_skips,
    )


def _rejected(
    spec: ExitsBuildSpec, network: Network, table: CandidateTable, chosen: Chosen, k: int
) -> RejectedBranch:
    branch = network.branches[k]
    return RejectedBranch(
        branch.name, branch.after, table.structures[k], _reason(spec, table.rows(chosen.rows_a), chosen, k)
    )


def _reason(spec: ExitsBuildSpec, half: CandidateTable, chosen: Chosen, k: int) -> str:
    """Why candidate k is not kept, by the images of the search and the price of accuracy that they ended at."""
    searched = chosen.searched
    if not searched.chosen:
        return "no policy with exits met the accuracy"
    if k in searched.chosen:
        return "it was chosen, but certification left it no image"
    at_position = (other for other in searched.chosen if half.positions[other] == half.positions[k])
    rival = next(at_position, None)
    if rival is not None:
        return f"{half.names[rival]} at the same position is better"
    line = Lagrangian(half, chosen.choice.price, spec.accuracy.luck_credit).line_search(searched, k)
    if line.threshold is None:
        return "at no threshold it earns what it costs"
    gain = f"{100 * line.gain / half.images:.3f} % of the full cost"
    if len(searched.chosen) == chosen.search.max_branches:
        return f"it would gain {gain}, but max_branches is reached"
    return f"it would gain only {gain}"


def _controls(
    spec: ExitsBuildSpec, table: CandidateTable, chosen: Chosen, measured: CandidateTable
) -> dict[str, Control]:
    policy, full = chosen.choice.policy, measured.costs.full
    search = dataclasses.replace(chosen.search, max_branches=1)
    single = choose_policy(table.rows(chosen.rows_a), spec.accuracy.goal, search)
    unpruned = ExitPolicy(policy.thresholds, (None,) * table.count)
    outcomes = {
        "oracle_exit": oracle_exit(measured),
        "oracle_dbp": oracle_dbp(measured, policy),
        "without_dbp": apply_policy(measured, unpruned),
        "single_exit": apply_policy(measured, single),
        "searched": apply_policy(measured, chosen.searched),
    }
    found = {
        name: Control(float(outcome.costs.mean()) / full, float(outcome.correct.mean()))
        for name, outcome in outcomes.items()
    }
    cost, accuracy = random_skips(measured, policy, spec.seed)
    return {**found, "random_dbp": Control(cost / full, accuracy)}


def _plain(value: Any) -> Any:
    if isinstance(value, DbpSpec):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        plain: dict[str, Any] = {}
        for key, inner in value.items():
            plain |= _plain(inner) if key == "paired" else {key: _plain(inner)}
        return plain
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
