"""Costs of candidates: counted ones by hand, simulated ones against the simulator itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from archsim.api import load
from archsim.config.load import load_dram_preset, load_energy_table, read_arch
from archsim.config.workload import DbpSpec
from archsim.datasets import load_images
from archsim.datasets.image_set import ImageBatch
from archsim.energy.table import resolve
from archsim.errors import InvalidInput
from archsim.exits import costs as module
from archsim.exits.costs import Machine, SimulatedObjective, counted_costs, record_costs, simulated_costs
from archsim.exits.policy import ExitPolicy, Window, apply_policy
from archsim.exits.tables import table_of_trace
from archsim.functional.decide import Decisions, Policy, decide
from archsim.functional.executor import run
from archsim.functional.statistics import statistics
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import Network
from archsim.network.weights import Weights
from archsim.sim.engine import Simulator
from tests.builders import build, random_images, random_weights, tiny_document

IMAGES = 3


@pytest.fixture(scope="module")
def network() -> Network:
    return load("digits").network


@pytest.fixture(scope="module")
def trace(network: Network) -> FunctionalTrace:
    workload = load("digits")
    assert workload.loaded.images_path is not None
    batch = load_images(workload.loaded.images_path, limit=40)
    return run(network, workload.weights, [batch], policy=Policy.of(network), lazy=False)


def machine(arch: str) -> Machine:
    spec = read_arch(arch, ["exits.enabled=true", "dbp.enabled=true"]).spec
    dram = load_dram_preset(spec.dram.preset)
    return Machine(spec, dram, resolve(load_energy_table(spec.energy_table), spec, dram))


def head(trace: FunctionalTrace, count: int) -> FunctionalTrace:
    return replace(
        trace,
        labels=trace.labels[:count],
        margins=trace.margins[:count],
        predictions=trace.predictions[:count],
        magnitude_sums=trace.magnitude_sums[:count],
        zero_maps={name: bits[:count] for name, bits in trace.zero_maps.items()},
    )


def test_counted_costs_are_those_of_the_layers(network: Network) -> None:
    parameters, macs = counted_costs(network, "parameters"), counted_costs(network, "macs")
    conv1, branch = network.by_name["conv1"], network.branches[0]
    assert (parameters.trunk[0], macs.trunk[0]) == (conv1.weights, conv1.macs) == (72, 72 * 64)
    assert (parameters.branch[0], macs.branch[0]) == (branch.weights, branch.macs)
    assert (parameters.full, macs.full) == (network.weights, network.macs)
    assert not parameters.tap.any() and not parameters.dbp.any()
    assert (parameters.unit, macs.unit) == ("weight", "MAC")


def test_a_convolution_in_a_branch_has_more_macs_than_weights() -> None:
    document = tiny_document()
    document["branches"][0]["layers"].insert(
        0, {"name": "thin", "op": "conv2d", "filters": 2, "kernel": 1, "relu": True}
    )
    network = build(document)
    (branch,) = network.branches
    assert branch.macs > branch.weights
    assert counted_costs(network, "parameters").branch.tolist() == [branch.weights]
    assert counted_costs(network, "macs").branch.tolist() == [branch.macs]


def test_parameters_used_are_those_of_evaluate(network: Network, trace: FunctionalTrace) -> None:
    quality = statistics(network, trace, decide(trace, Policy.of(network)))
    policy = ExitPolicy(
        tuple(branch.threshold for branch in network.branches),
        tuple(Window(branch.dbp.min_sum) if branch.dbp else None for branch in network.branches),
    )
    for objective, expected in (
        ("parameters", quality.params_used_fraction),
        ("macs", quality.macs_used_fraction),
    ):
        table = table_of_trace(network, trace, counted_costs(network, objective))
        outcome = apply_policy(table, policy)
        assert outcome.costs.mean() / table.costs.full == pytest.approx(expected, rel=1e-12)
        assert outcome.correct.mean() == quality.accuracy
        low, high = table.costs.trunk.min(), table.costs.full + table.costs.branch.sum()
        assert low <= outcome.costs.min() and outcome.costs.max() <= high


@pytest.mark.parametrize("arch", ["locoexnet-65nm", "dense-rs"])
@pytest.mark.parametrize("objective", ["energy", "cycles"])
def test_sums_are_exact_for_one_branch(
    network: Network, trace: FunctionalTrace, arch: str, objective: SimulatedObjective
) -> None:
    """Every path of a network with one branch: the sum of its parts is what the simulator says."""
    target, sample = machine(arch), head(trace, IMAGES)
    costs = simulated_costs(network, target, sample, objective)
    for k, branch in enumerate(network.branches):
        alone = replace(network, branches=(replace(branch, threshold=0, dbp=DbpSpec(min_sum=10**9)),))
        part = replace(
            sample,
            exit_names=(branch.name, "final"),
            margins=sample.margins[:, [k, -1]],
            predictions=sample.predictions[:, [k, -1]],
            magnitude_sums=sample.magnitude_sums[:, [k]],
        )
        for dbp_enabled, expected in (
            (False, costs.trunk[k] + costs.branch[k]),
            (True, costs.full + costs.tap[k] + costs.dbp[k]),
        ):
            decided = (
                alone if dbp_enabled else replace(alone, branches=(replace(branch, threshold=0, dbp=None),))
            )
            decisions = decide(part, Policy.of(decided))
            records = Simulator(decided, target.arch, target.dram).records(part, decisions)
            assert record_costs(records, target, objective).mean() == pytest.approx(expected, rel=1e-9)


def test_simulated_costs_have_their_order(network: Network, trace: FunctionalTrace) -> None:
    costs = simulated_costs(network, machine("locoexnet-65nm"), head(trace, 1), "energy")
    assert costs.unit == "pJ"
    assert (np.diff(costs.exits) > 0).all()
    assert (costs.branch > costs.tap).all() and (costs.tap > 0).all() and (costs.dbp > 0).all()
    assert costs.branch.max() < 0.05 * costs.full


@pytest.mark.parametrize("arch", ["locoexnet-65nm", "conventional-ee"])
def test_costs_of_branches_on_the_array(arch: str) -> None:
    """A bottleneck is simulated as a candidate; without its zero maps the trace is refused."""
    document = tiny_document()
    document["branches"][0]["layers"].insert(
        0, {"name": "thin", "op": "conv2d", "filters": 2, "kernel": 1, "relu": True}
    )
    network = build(document)
    images = random_images(document, IMAGES)
    batch = ImageBatch(images["images"], images["labels"])
    weights = Weights.of(random_weights(network))
    trace = run(network, weights, [batch], policy=Policy.of(network), lazy=False)
    target = machine(arch)
    costs = simulated_costs(network, target, trace, "cycles")
    (branch,) = network.branches
    plain = Simulator(replace(network, branches=(replace(branch, dbp=None),)), target.arch, target.dram)
    everyone = Decisions(np.zeros(IMAGES, np.int64), np.ones((IMAGES, 1), bool), np.zeros((IMAGES, 1), bool))
    leaving = record_costs(plain.records(trace, everyone), target, "cycles").mean()
    assert costs.trunk[0] + costs.branch[0] == pytest.approx(leaving, rel=1e-12)
    assert costs.branch[0] > 0 and 0 <= costs.tap[0] < costs.branch[0]
    lacking = replace(
        trace, zero_maps={k: v for k, v in trace.zero_maps.items() if k in network.zero_map_tensors}
    )
    if arch == "conventional-ee":  # the classifier reads a tensor of its own
        with pytest.raises(InvalidInput, match="no zero map of this tensor"):
            simulated_costs(network, target, lacking, "cycles")


@pytest.mark.parametrize(
    ("leaving", "staying", "decided", "skipped", "expected"),
    [
        (40.0, 110.0, 113.0, 105.0, (30.0, 10.0, 2.0, 3.0)),
        (40.0, 99.5, 99.0, 90.0, (40.0, 0.0, 0.0, 0.0)),  # what is cheaper with a branch costs nothing
        (5.0, 110.0, 110.25, 100.5, (0.0, 10.0, 0.25, 0.25)),
    ],
)
def test_costs_are_differences_of_paths(
    monkeypatch: pytest.MonkeyPatch,
    network: Network,
    trace: FunctionalTrace,
    leaving: float,
    staying: float,
    decided: float,
    skipped: float,
    expected: tuple[float, float, float, float],
) -> None:
    """(trunk, branch, tap, dbp) where the network without branches costs 100."""

    def path(network: Network, *_: object, leaves: bool, skips: bool = False) -> float:
        if not network.branches:
            return 100.0
        (branch,) = network.branches
        if branch.dbp is None:
            return leaving if leaves else staying
        return skipped if skips else decided

    monkeypatch.setattr(module, "_mean_cost", path)
    target = machine("locoexnet-65nm")
    costs = simulated_costs(network, target, trace, "cycles")
    assert (costs.objective, costs.unit, costs.full) == ("cycles", "cycle", 100.0)
    for k in range(len(network.branches)):
        assert (costs.trunk[k], costs.branch[k], costs.tap[k], costs.dbp[k]) == expected
    nothing = simulated_costs(replace(network, branches=()), target, trace, "energy")
    assert (nothing.trunk.shape, nothing.dbp.shape, nothing.unit) == ((0,), (0,), "pJ")


def test_a_lazy_trace_is_refused(network: Network) -> None:
    workload = load("digits")
    assert workload.loaded.images_path is not None
    batch = load_images(workload.loaded.images_path, limit=20)
    lazy = run(network, workload.weights, [batch], policy=Policy.of(network), lazy=True)
    other = replace(lazy, exit_names=("a", "b"))
    with pytest.raises(InvalidInput) as caught:
        table_of_trace(network, other, counted_costs(network, "macs"))
    assert [problem.key for problem in caught.value.problems] == ["exit_names", "margins"]
