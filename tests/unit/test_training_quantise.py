"""The arithmetic of quantisation and the files that it ends in; no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.config.workload import BranchSpec
from archsim.config.workload_file import write_workload
from archsim.datasets import ImageBatch
from archsim.errors import InvalidInput
from archsim.exits.export import kept_branches
from archsim.exits.policy import ExitPolicy, Window
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.network.graph import Network
from archsim.network.weights import Weights, load_weights, save_weights
from archsim.quantisation import arithmetic
from archsim.quantisation.integer import Arrays, FloatLayer, input_table, integer_network
from archsim.training.export import workload_of
from archsim.training.spec import TrainSpec, load_train_spec, network_of
from tests.unit.int8_reference import run_reference

EVERY_OP = """
schema: archsim.train/1
name: every-op
dataset: {name: none, classes: 5}
data: {train: [a.npz], held_out: 1, mean: [0.4, 0.5], std: [0.2, 0.3]}
input: {height: 9, width: 8, channels: 2}
layers:
  - {name: conv, op: conv2d, filters: 6, kernel: 3, padding: 1, relu: true}
  - {name: wise, op: depthwise_conv2d, kernel: [3, 1], padding: [1, 0]}
  - {name: sum, op: add, other: conv, relu: true, output_max: 200}
  - {name: max, op: max_pool, kernel: 3, stride: 2, padding: 1}
  - {name: narrow, op: conv2d, filters: 8, kernel: 2, stride: [1, 2], groups: 2, relu: true}
  - {name: avg, op: avg_pool, kernel: [2, 1], stride: 1}
  - {name: hidden, op: linear, units: 9, relu: true}
  - {name: fc, op: linear, units: 5}
branches:
  - {name: early, after: sum, layers: [{name: pool, op: avg_pool, kernel: 4}, {name: fc, op: linear, units: 5}]}
  - {name: late, after: narrow, layers: [{name: gap, op: global_avg_pool}, {name: fc, op: linear, units: 5}]}
recipe: {epochs: 1, batch: 4, peak_lr: 0.1}
heads: {epochs: 1}
"""


@pytest.fixture
def spec(tmp_path: Path) -> TrainSpec:
    path = tmp_path / "every-op.yaml"
    path.write_text(EVERY_OP)
    return load_train_spec(path)


def random_arrays(spec: TrainSpec, network: Network, seed: int) -> Arrays:
    """Integers of a network with random weights, each tensor calibrated on values of about the right size."""
    rng = np.random.default_rng(seed)
    floats = {
        layer.name: FloatLayer(
            rng.normal(0, 0.3, layer.weight_shape), rng.normal(0, 0.2, layer.output_shape.channels)
        )
        for layer in network.all_layers()
        if layer.is_compute
    }
    samples = {
        layer.name: np.abs(rng.normal(0, 1, 500))
        * (1 if not layer.signed_output else rng.choice([-1, 1], 500))
        for layer in network.all_layers()
    }
    return integer_network(network, floats, samples, spec.quantisation)


@pytest.mark.parametrize("seed", range(3))
def test_every_operator_equals_the_integer_definition(spec: TrainSpec, tmp_path: Path, seed: int) -> None:
    network = network_of(spec)
    arrays = random_arrays(spec, network, seed)
    save_weights(tmp_path / "w.npz", Weights.of(arrays))
    weights = load_weights([tmp_path / "w.npz"], network)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (20, 9, 8, 2), dtype=np.uint8)
    batch = ImageBatch(images, np.zeros(20, np.int64))
    trace = run(network, weights, [batch], policy=Policy.of(network), lazy=False)
    tensors = run_reference(network, arrays, images)
    for index, name in enumerate(("early.fc", "late.fc", "fc")):
        logits = np.sort(tensors[name][:, 0, 0, :], axis=1)
        np.testing.assert_array_equal(trace.margins[:, index], logits[:, -1] - logits[:, -2])
    for index, name in enumerate(("sum", "narrow")):
        expected = np.abs(tensors[name]).sum(axis=(1, 2, 3))
        np.testing.assert_array_equal(trace.magnitude_sums[:, index], expected)


def test_branch_pools_only_shift(spec: TrainSpec) -> None:
    arrays = random_arrays(spec, network_of(spec), 0)
    assert arrays["early.pool/multiplier"] == arrays["late.gap/multiplier"] == 1
    assert 0 <= arrays["early.pool/shift"] <= 8
    assert arrays["avg/multiplier"] >= 1 << 30
    assert "fc/multiplier" not in arrays and "early.fc/shift" not in arrays


@given(st.floats(2.0**-31, 2.0**20))
def test_fixed_point_is_near_and_normal(factor: float) -> None:
    multiplier, shift = arithmetic.fixed_point(np.array([factor]))
    assert 1 << 30 <= multiplier[0] < 1 << 31
    assert 1 <= shift[0] <= 62
    assert float(multiplier[0]) / 2.0 ** int(shift[0]) == pytest.approx(factor, rel=2.0**-30)


def test_fixed_point_that_rounds_up_to_a_power_of_two() -> None:
    multiplier, shift = arithmetic.fixed_point(np.array([1 - 2.0**-40]))
    assert (multiplier[0], shift[0]) == (1 << 30, 30)


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0**40, 2.0**-40, 5e-324, 1e308, np.inf, np.nan])
def test_fixed_point_refuses_what_does_not_fit(factor: float) -> None:
    with pytest.raises(ValueError, match="requantise"):
        arithmetic.fixed_point(np.array([0.5, factor]))


@pytest.mark.parametrize(
    "factors", [(0.5, 0.0), (0.5, -1.0), (2.0**31, 0.5), (2.0**-34, 5e-324), (np.inf, 0.5), (np.nan, 0.5)]
)
def test_factors_of_an_addition_that_do_not_fit(factors: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="cannot add"):
        arithmetic.add_fixed_point(np.array(factors))


@pytest.mark.parametrize(("larger", "shift"), [(2.0**30 - 1, 0), (2.0**-33, 62)])
def test_factors_of_an_addition_that_just_fit(larger: float, shift: int) -> None:
    multipliers, found = arithmetic.add_fixed_point(np.array([larger, larger / 4]))
    assert found == shift
    assert multipliers[0] == pytest.approx(4 * multipliers[1], rel=1e-8)
    assert multipliers[0] / 2.0**shift == pytest.approx(larger, rel=1e-8)


def test_scales_clip_outliers_only_where_that_helps() -> None:
    uniform = np.linspace(0, 2.55, 1000)
    assert arithmetic.activation_scale(uniform, signed=False) == pytest.approx(0.01, rel=0.02)
    with_outlier = np.append(np.repeat(uniform, 50), 5.0)
    assert arithmetic.activation_scale(with_outlier, signed=False) < 5.0 / 255
    assert arithmetic.activation_scale(np.zeros(5), signed=True) == 1.0


def test_weights_round_within_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 3, 4, 8))
    scales = arithmetic.weight_scales(weight, np.zeros(8), 0.1, "max")
    error = np.abs(arithmetic.quantise_weight(weight, scales) * scales - weight)
    assert (error <= scales / 2 + 1e-12).all()
    clipped = arithmetic.weight_scales(weight, np.zeros(8), 0.1, "mse")
    assert (clipped <= scales + 1e-12).all()


def test_dead_channel_keeps_its_bias() -> None:
    weight = np.zeros((1, 1, 2, 1))
    scales = arithmetic.weight_scales(weight, np.array([3.0]), 0.5, "mse")
    bias = arithmetic.quantise_bias(np.array([3.0]), 0.5 * scales)
    assert bias[0] * 0.5 * scales[0] == pytest.approx(3.0, rel=1e-6)


def test_input_table_is_the_normalised_pixel() -> None:
    table, scale = input_table([0.4, 0.5], [0.2, 0.3])
    assert table.shape == (2, 256) and table.dtype == np.int8
    assert table[0, 128] * scale == pytest.approx((128 / 255 - 0.4) / 0.2, abs=scale / 2)
    assert np.abs(table).max() == 127


def test_workload_holds_the_kept_branches(spec: TrainSpec, tmp_path: Path) -> None:
    branches = kept_branches(spec.branches, ("early", "late"), ExitPolicy((None, 120), (None, Window(33))))
    write_workload(tmp_path / "w.yaml", workload_of(spec, branches))
    text = (tmp_path / "w.yaml").read_text()
    assert "early" not in text
    assert "threshold: 120" in text and "min_sum: 33" in text
    assert "{name: wise, op: depthwise_conv2d, kernel: [3, 1], padding: [1, 0]}" in text
    assert [type(branch) for branch in branches] == [BranchSpec]


def test_spec_problems_come_together_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    text = EVERY_OP.replace("mean: [0.4, 0.5]", "mean: [0.4]").replace("other: conv", "other: cnov")
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_train_spec(path)
    messages = str(caught.value)
    assert "bad.yaml:5" in messages and "data.mean" in messages
    assert "bad.yaml:10" in messages and "cnov" in messages


@pytest.mark.parametrize("name", ["digits", "vgg16-slim-cifar10"])
def test_shipped_specs_and_workloads_agree(repository: Path, name: str) -> None:
    spec = load_train_spec(repository / "workloads" / "training" / f"{name}.yaml")
    assert spec.name == name
    network_of(spec)
    text = (repository / "workloads" / f"{name}.yaml").read_text()
    assert all(f"name: {layer.name}, op: {layer.op}" in text for layer in spec.layers)
