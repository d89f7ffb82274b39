"""What ships does what its model card says, and its trace is what the kernels compute."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from archsim import api
from archsim.config.load import load_workload
from archsim.datasets import iter_images
from archsim.exits.spec import load_exits_spec
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace_io import load_trace
from archsim.resources import Kind, builtin_names

SHAPE_ONLY = tuple(name for name in builtin_names(Kind.WORKLOAD) if load_workload(name).spec.is_shape_only)
WORKLOADS = tuple(name for name in builtin_names(Kind.WORKLOAD) if name not in SHAPE_ONLY)
SLIM = "vgg16-slim-cifar10"


def test_there_are_workloads() -> None:
    assert {"digits", SLIM} <= set(WORKLOADS)
    assert set(SHAPE_ONLY) == {"alexnet", "vgg16", "resnet18", "mobilenetv2"}


def check_shape_only(name: str, arch: str, overrides: tuple[str, ...] = ()) -> None:
    result, network = api.simulate(name, arch=arch, overrides=overrides), api.load(name).network
    assert result.accuracy is None and result.exits == {"final": 1}
    assert sum(layer.macs + layer.skipped_macs for layer in result.layers) == network.macs
    assert all(0 < layer.utilisation <= 1 for layer in result.layers)
    if result.arch != "eyeriss-65nm":  # codes its feature maps, not its weights
        assert result.dram_bytes_per_image.read >= network.weights


def test_a_residual_network_runs_with_the_options_of_the_chip() -> None:
    """16 bits, run-length coded maps, banks, grouped passes of traffic's choice; shortcuts and a padded pool."""
    check_shape_only("resnet18", "eyeriss-65nm")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPE_ONLY)
@pytest.mark.parametrize(
    ("arch", "dataflow"),
    [
        ("locoexnet-65nm", "row_stationary"),
        ("eyeriss-65nm", "row_stationary"),
        ("gated-rs", "weight_stationary"),
        ("gated-rs", "output_stationary"),
        ("gated-rs", "input_stationary"),
    ],
)
def test_every_known_network_runs_on_every_dataflow(name: str, arch: str, dataflow: str) -> None:
    check_shape_only(name, arch, (f"pe_array.dataflow={dataflow}",))


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("arch", ["locoexnet-65nm", "conventional-ee", "dense-rs", "gated-rs", "skip-rs"])
def test_every_workload_runs_on_every_preset(name: str, arch: str) -> None:
    workload = api.load(name)
    result = api.simulate(workload, arch=arch, images=4, engine="segment")
    components = result.energy_uj_per_image.by_component
    has_exits = arch in ("locoexnet-65nm", "conventional-ee") and bool(workload.network.branches)
    assert result.energy_uj_per_image.total == pytest.approx(sum(components.values()), rel=1e-12)
    assert all(components[part] > 0 for part in ("dram", "global_buffer", "noc", "pe_array", "leakage"))
    assert (components["branch_unit"] > 0) == has_exits
    assert all(0 < layer.utilisation <= 1 for layer in result.layers)
    assert sum(layer.energy_uj for layer in result.layers) == pytest.approx(result.energy_uj_per_image.total)
    assert sum(result.exits.values()) == 4
    assert (result.exits["final"] == 4) or has_exits


@pytest.mark.parametrize("name", WORKLOADS)
def test_simulate_and_evaluate_agree_on_every_image(name: str) -> None:
    simulated, evaluated = api.simulate(name, images=32, engine="segment"), api.evaluate(name, images=32)
    assert simulated.exits == evaluated.exits
    assert simulated.branches == evaluated.branches
    assert simulated.accuracy == evaluated.accuracy
    assert simulated.params_used_fraction == evaluated.params_used_fraction
    right = [image.label == image.prediction for image in simulated.per_image]
    assert sum(right) / 32 == evaluated.accuracy


def test_digits_are_read() -> None:
    result = api.evaluate("digits")
    assert result.images == 360
    assert result.full_network_accuracy is not None and result.full_network_accuracy >= 0.97
    assert result.accuracy >= 0.97
    assert result.macs_used_fraction < 0.2


@pytest.mark.pack
def test_the_shipped_trace_is_what_the_kernels_compute(image_pack: Path) -> None:
    workload = api.load(SLIM)
    shipped = load_trace(workload.loaded.trace_paths, workload.network, workload.tensor_hashes)
    images = iter_images(image_pack / "cifar10_test.parquet", 64, limit=shipped.images)
    policy = Policy.of(workload.network)
    computed = run(workload.network, workload.weights, images, policy=policy, lazy=False)
    assert np.array_equal(shipped.labels, computed.labels)
    assert np.array_equal(shipped.margins, computed.margins)
    assert np.array_equal(shipped.predictions, computed.predictions)
    assert np.array_equal(shipped.magnitude_sums, computed.magnitude_sums)
    assert shipped.zero_maps.keys() == computed.zero_maps.keys()
    for tensor, zero_map in shipped.zero_maps.items():
        assert np.array_equal(zero_map, computed.zero_maps[tensor]), tensor


@pytest.mark.pack
def test_simulation_from_trace_and_from_images_is_the_same(image_pack: Path) -> None:
    from_trace = api.simulate(SLIM, images=16).to_json()
    from_images = api.simulate(SLIM, images=16, data=image_pack / "cifar10_test.parquet").to_json()
    del from_trace["host"], from_images["host"]
    assert from_trace == from_images


@pytest.mark.pack
@pytest.mark.slow
def test_vgg16_slim_keeps_its_accuracy_at_sixty_percent_of_the_macs(image_pack: Path) -> None:
    result = api.evaluate(SLIM, data=image_pack / "cifar10_test.parquet")
    assert result.images == 10_000
    assert result.full_network_accuracy is not None and result.full_network_accuracy >= 0.84
    assert result.delta_pp is not None and abs(result.delta_pp) <= 0.5
    assert result.macs_used_fraction <= 0.6


FAMILY = (
    *("vgg16-cifar10", "vgg16-cifar10-gap", "vgg16-cifar10-locoexnet", "vgg16-cifar10-branchynet"),
    *("vgg16-cifar10-sdn", "vgg16-cifar10-short", "vgg16-fat-cifar10", "vgg16-fat-cifar10-locoexnet"),
)
TWO_HUNDRED = (
    "vgg16-half-tinyimagenet",
    "vgg16-half-tinyimagenet-locoexnet",
    "vgg16-half-tinyimagenet-short",
)


def test_no_network_of_a_head_is_asked_for_more_accuracy_than_locoexnet(repository: Path) -> None:
    """Otherwise the ladder would credit LoCoExNet with accuracy that only the others had to keep."""
    ours: dict[tuple[str, str | None], float] = {}
    others: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    asked: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for file in sorted((repository / "workloads" / "exits").glob("*.yaml")):
        spec = load_exits_spec(file).spec
        if spec.search.candidates != [] or spec.shorten is not None:
            head = (spec.workload, spec.classifier)
            rest = (
                spec.accuracy.model_dump(exclude={"max_loss"}),
                spec.data.model_dump(exclude={"trace_images"}),
            )
            asked[head].add(repr(rest))
            if "locoexnet" in spec.name:
                ours[head] = spec.accuracy.max_loss
            else:
                others[head].append(spec.accuracy.max_loss)
    assert all(len(found) == 1 for found in asked.values()), asked
    compared = [(ours[head], loss) for head, losses in others.items() if head in ours for loss in losses]
    assert len(compared) == 6 and all(own <= other for own, other in compared)


@pytest.mark.parametrize("name", FAMILY)
def test_full_width_family_runs_from_the_traces_it_shares(name: str) -> None:
    workload = api.load(name)
    evaluated = api.evaluate(workload)
    assert evaluated.images == 1000
    simulated = api.simulate(workload, images=2, engine="segment")
    assert sum(simulated.exits.values()) == 2 and simulated.cycles.total > 0
    if workload.network.branches:
        assert evaluated.params_used_fraction < 0.2 and evaluated.macs_used_fraction < 0.6
        assert evaluated.delta_pp is not None and evaluated.delta_pp > -2
    else:
        assert evaluated.params_used_fraction == 1


def test_exits_of_two_hundred_classes_are_stored_beside_the_trunk() -> None:
    full, *others = (api.load(name) for name in TWO_HUNDRED)
    for workload in others:
        shared, own = workload.loaded.weights_paths
        assert shared == full.loaded.weights_paths[0] and own.stat().st_size < 1 << 20
        assert api.evaluate(workload).images == 250


def test_full_width_trunk_is_stored_once() -> None:
    trunks = {tuple(api.load(name).weights.layers["conv9"].weight.ravel()[:99]) for name in FAMILY}
    assert len(trunks) == 1
    own = [path for name in FAMILY[1:6] for path in api.load(name).loaded.weights_paths[1:]]
    assert all(path.stat().st_size < 1 << 20 for path in own)


@pytest.mark.pack
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images"),
    [
        *((name, "cifar10_test.parquet") for name in FAMILY),
        *((name, "tinyimagenet_val.parquet") for name in TWO_HUNDRED),
    ],
)
def test_reports_of_a_family_are_what_evaluation_says(
    name: str, images: str, repository: Path, image_pack: Path
) -> None:
    report = json.loads((repository / "workloads" / "exits" / "reports" / f"{name}.json").read_text())["test"]
    found = api.evaluate(name, data=image_pack / images)
    for key in ("images", "accuracy", "params_used_fraction", "macs_used_fraction", "exits", "delta_pp"):
        assert getattr(found, key) == report[key], key
