"""Which runs a comparison is made of, and the arithmetic between them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from archsim.comparison.bounds import oracle, oracle_exits
from archsim.comparison.cases import Case, Request
from archsim.comparison.ladder import ladder
from archsim.comparison.relate import against, differences, ratio_of_means
from archsim.comparison.runs import Machine, Run
from archsim.config.load import load_arch
from archsim.energy.uncertainty import EnergyTerm
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import Network
from archsim.results.run_result import RunResult
from tests.machine import CONV_HEAD, small_network
from tests.machine import Machine as SmallMachine
from tests.run_results import baseline_run, early_exit_run


def request(**changes: Any) -> Request:
    return Request(
        **{"workload": "lean", "arch": "locoexnet-65nm", "baselines": (("dense-rs", "full"),), **changes}
    )


def steps_of(asked: Request, network: Network, *overrides: str) -> dict[str, tuple[str, ...]]:
    spec = load_arch(asked.arch, overrides)
    return {step.name: step.case.overrides for step in ladder(asked, spec, network)}


# --- the ladder


def test_every_rung_changes_one_thing() -> None:
    asked = request(conventional="conventional")
    steps = ladder(asked, load_arch(asked.arch), small_network())
    assert [(step.name, step.case.workload) for step in steps] == [
        ("dense", "full"),
        ("+ zero gating", "full"),
        ("+ zero skipping", "full"),
        ("+ early exit, conventional branches", "conventional"),
        ("+ low-cost branch structures", "lean"),
        ("+ branch unit", "lean"),
        ("+ DBP", "lean"),
    ]
    specs = [load_arch(step.case.arch, step.case.overrides).model_dump() for step in steps]
    changed = [
        {
            f"{section}.{key}"
            for section, values in before.items()
            if isinstance(values, dict)
            for key in values
            if values[key] != after[section][key]
        }
        for before, after in itertools.pairwise(specs)
    ]
    lanes = {"branch_unit.macs", "branch_unit.weight_sram_kib"}
    assert changed == [
        {"pe_array.zero"},
        {"pe_array.zero"},
        {"exits.enabled", *lanes},
        set(),  # only the branches of the workload
        lanes,
        {"dbp.enabled"},
    ]


def test_the_last_rung_is_the_accelerator_as_asked_for() -> None:
    asked = request(overrides=("pe_array.rows=8", "exits.early.threshold=7"))
    for arch in ("locoexnet-65nm", "skip-rs", "conventional-ee", "tpu-like-ws"):
        found = ladder(dataclasses.replace(asked, arch=arch), load_arch(arch), small_network())
        assert found[-1].case == Case("lean", arch, asked.overrides)


def test_thresholds_do_not_reach_rungs_of_other_networks() -> None:
    found = steps_of(request(overrides=("pe_array.rows=8", "exits.early.threshold=7")), small_network())
    assert "pe_array.rows=8" in found["dense"]
    assert not any("threshold" in text for text in found["dense"])
    assert "exits.early.threshold=7" in found["+ early exit"]


def test_rungs_that_change_nothing_are_left_out() -> None:
    assert list(steps_of(request(arch="tpu-like-ws"), small_network())) == ["dense", "network small"]
    assert list(steps_of(request(arch="gated-rs", workload="full"), small_network())) == [
        "dense",
        "+ zero gating",
    ]
    assert list(steps_of(request(), small_network(), "dbp.enabled=false"))[-1] == "+ branch unit"
    assert list(steps_of(request(), small_network(branches=False)))[-1] == "network small"


# --- ratios


def run_of(result: RunResult, arch: str = "locoexnet-65nm") -> Run:
    return Run(Machine.of(Case("digits", arch), None), result)


def with_energy(result: RunResult, uj: float) -> RunResult:
    terms = (EnergyTerm("dram", "io", 0.25 * uj, 0.4), EnergyTerm("pe_array", "mac", 0.75 * uj, 0.2))
    return dataclasses.replace(result, energy_terms=terms)


def test_ratios_are_those_of_means_and_of_the_same_images() -> None:
    ours, baseline = with_energy(early_exit_run(), 18.0), with_energy(baseline_run(), 36.0)
    found = against(run_of(ours), run_of(baseline, "dense-rs"))
    assert (found.speedup, found.speedup_p50, found.speedup_p99, found.speedup_max) == (2.0, 4.0, 1.0, 1.0)
    assert found.speedup_range[0] < 2.0 < found.speedup_range[1]
    assert found.energy_saving == 0.5
    assert found.energy_saving_range == pytest.approx((0.5, 0.5)), "what both share cancels"
    assert found.energy_saving_without_dram == 1 - (18.0 - 0.5) / (36.0 - 20.0)
    assert found.edp_saving == 1 - 18.0 * 2.0 / (36.0 * 4.0)
    assert found.paired is not None
    assert (found.paired.delta_pp, found.paired.discordant.b, found.paired.discordant.c) == (-25.0, 1, 0)
    assert found.hard_images.slower_fraction == 0
    assert found.hard_images.worst_time_ratio == 1.0


def test_a_slower_clock_is_a_slower_accelerator() -> None:
    ours, baseline = with_energy(early_exit_run(), 18.0), with_energy(baseline_run(), 36.0)
    slow = Run(Machine.of(Case("digits", "dense-rs", ("clock.core_mhz=100",)), None), baseline)
    assert against(run_of(ours), slow).speedup == 4.0


def test_hard_images_that_pay_more_are_found() -> None:
    ours, baseline = with_energy(baseline_run(), 36.0), with_energy(early_exit_run(), 18.0)
    hard = against(run_of(ours), run_of(baseline)).hard_images
    assert (hard.slower_fraction, hard.worst_time_ratio) == (0.75, 4.0)
    assert (hard.costlier_fraction, hard.worst_energy_ratio) == (0.0, 1.0)


def test_the_range_of_a_ratio_covers_its_value_as_often_as_it_says() -> None:
    random, hits = np.random.default_rng(3), 0
    for _ in range(400):
        cycles = random.gamma(2.0, 1.0, (2, 200))
        found = ratio_of_means(cycles[0] + 1.0, cycles[1])
        hits += found.low <= 1.5 <= found.high  # means 3 and 2
    assert 0.92 <= hits / 400 <= 0.98


def test_what_differs_between_accelerators_is_named() -> None:
    ours, skip, systolic = (
        run_of(early_exit_run(), arch) for arch in ("locoexnet-65nm", "skip-rs", "tpu-like-ws")
    )
    assert differences(ours, skip) == {"exits.enabled": (True, False)}
    found = differences(ours, systolic)
    assert found["pe_array.dataflow"] == ("row_stationary", "weight_stationary")
    assert not any(key.startswith("branch_unit") for key in found), "a unit that is not there cannot differ"


# --- bounds


def random_trace(network: Network, images: int = 12) -> FunctionalTrace:
    random = np.random.default_rng(5)
    exits = len(network.exit_names)
    tensors = (*network.zero_map_tensors, *network.branch_map_tensors)
    return FunctionalTrace(
        network.name,
        network.exit_names,
        random.integers(0, 2, images),
        random.integers(0, 200, (images, exits)),
        random.integers(0, 2, (images, exits)),
        random.integers(0, 900, (images, exits - 1)),
        {
            name: random.integers(0, 256, (images, -(-network.shape(name).elements // 8))).astype(np.uint8)
            for name in tensors
        },
    )


def test_the_oracle_leaves_at_the_first_exit_that_is_right() -> None:
    trace = random_trace(small_network())
    for image, exit_index in enumerate(oracle_exits(trace)):
        right = (trace.predictions[image] == trace.labels[image]).tolist()
        assert exit_index == (right.index(True) if any(right) else 0)


@pytest.mark.parametrize("head", [None, CONV_HEAD])
def test_an_oracle_image_pays_for_the_trunk_and_its_own_branch(head: list[dict[str, Any]] | None) -> None:
    network = small_network() if head is None else small_network(head=head)
    trace = random_trace(network)
    machine = Machine.of(Case("digits", "locoexnet-65nm", ("dbp.enabled=false",)), None)
    bound, ideal = oracle(machine, network, trace)
    cycles = []
    for image, exit_index in enumerate(oracle_exits(trace).tolist()):
        alone = dataclasses.replace(network, branches=network.branches[exit_index : exit_index + 1])
        small = SmallMachine(alone, machine.spec)
        one = dataclasses.replace(
            trace.rows(image, image + 1),
            zero_maps={k: v[image : image + 1] for k, v in trace.zero_maps.items()},
        )
        small._works = {
            step.index: small.program.dataflow.work(
                step.layer, machine.spec, step.plan, nonzero(one, network, step.layer.inputs[0])
            )
            for step in small.program.steps
        }
        record = small.record(0 if alone.branches else None, (False,) * len(alone.branches))
        cycles.append(record.cycles)
    assert bound.cycles_mean == np.mean(cycles)
    assert ideal.cycles_mean < bound.cycles_mean
    assert ideal.energy_uj_per_image < bound.energy_uj_per_image
    assert (
        bound.accuracy
        == ideal.accuracy
        == np.mean([(trace.predictions[i] == trace.labels[i]).any() for i in range(trace.images)])
    )


def nonzero(trace: FunctionalTrace, network: Network, tensor: str) -> np.ndarray:
    shape = network.shape(tensor)
    bits = np.unpackbits(trace.zero_maps[tensor][0], count=shape.elements, bitorder="little")
    return (bits == 0).reshape(shape.height, shape.width, shape.channels)
