"""Candidate branches by structure and position."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.errors import InvalidInput
from archsim.network.graph import Network
from archsim.training.candidates import Structure, candidate_branches, positions
from archsim.training.spec import load_train_spec, network_of

EVERY: tuple[Structure, ...] = ("g1", "g2", "g4", "g8", "bottleneck", "depthwise", "conv32")


@pytest.fixture(scope="module")
def specs(repository: Path) -> Path:
    return repository / "workloads" / "training"


@pytest.fixture(scope="module")
def vgg(specs: Path) -> Network:
    """VGG-16 of full width without branches."""
    return network_of(load_train_spec(specs / "vgg16-cifar10.yaml"))


def test_positions_are_convolutions_behind_their_pools(vgg: Network) -> None:
    assert positions(vgg) == [
        *("conv1", "pool1", "conv3", "pool2", "conv5", "conv6", "pool3", "conv8", "conv9", "pool4"),
        *("conv11", "conv12", "pool5"),
    ]


def test_weights_are_those_of_the_closed_forms(specs: Path) -> None:
    """C K, 4 C K, 16 C K, 16 C + 256 K, 9 C + 64 C + 64 K and 288 C + 32 (S/2)^2 K, here with K = 10."""
    network = network_of(load_train_spec(specs / "vgg16-cifar10-candidates.yaml"))
    found = {branch.name: branch.weights for branch in network.branches}
    assert found["g1-conv9"] == 512 * 10
    assert found["g2-conv9"] == 4 * 512 * 10
    assert found["g4-conv9"] == 16 * 512 * 10
    assert found["bottleneck-conv9"] == 16 * 512 + 256 * 10
    assert found["depthwise-conv9"] == 9 * 512 + 64 * 512 + 64 * 10
    assert found["conv32-conv9"] == 288 * 512 + 32 * 2 * 2 * 10
    assert found["fat"] == 512 * 4096 + 4096 * 4096 + 4096 * 10


@pytest.mark.parametrize(
    ("name", "weights", "macs", "fat_weights"),
    [
        ("vgg16-cifar10", 14_715_584, 313_201_664, 33_625_792),
        ("vgg16-tinyimagenet", 15_120_064, 1_253_195_776, 40_695_488),
    ],
)
def test_counts_of_the_networks_that_are_trained(
    specs: Path, name: str, weights: int, macs: int, fat_weights: int
) -> None:
    """By hand: 14,710,464 weights in the convolutions, then 512 K, 2048 K, or two layers of 4096 and one of K."""
    plain = network_of(load_train_spec(specs / f"{name}.yaml"))
    candidates = network_of(load_train_spec(specs / f"{name}-candidates.yaml"))
    assert (plain.weights, plain.macs) == (candidates.weights, candidates.macs) == (weights, macs)
    fat = next(branch for branch in candidates.branches if branch.name == "fat")
    convolutions = sum(layer.weights for layer in candidates.trunk_until(fat))
    assert convolutions + fat.weights == fat_weights


def test_a_grid_of_eight_reads_64_values_a_channel(vgg: Network, specs: Path, tmp_path: Path) -> None:
    """64 C K; nothing is pooled where the map has this size, and a smaller map has no such branch."""
    found = candidate_branches(vgg, ["g8"], ["pool1", "pool2", "pool3"])
    assert [(branch.name, [layer.op for layer in branch.layers]) for branch in found] == [
        ("g8-pool1", ["avg_pool", "linear"]),
        ("g8-pool2", ["linear"]),
    ]
    file = tmp_path / "spec.yaml"
    text = (specs / "vgg16-cifar10-candidates.yaml").read_text()
    file.write_text(text.replace("- structures: [g1,", "- structures: [g8, g1,"))
    weights = {branch.name: branch.weights for branch in network_of(load_train_spec(file)).branches}
    assert (weights["g8-pool1"], weights["g8-pool2"]) == (64 * 64 * 10, 64 * 128 * 10)


def test_structures_that_do_not_fit_are_left_out(vgg: Network) -> None:
    assert [branch.name for branch in candidate_branches(vgg, EVERY, ["pool4", "pool5"])] == [
        *("g1-pool4", "g2-pool4", "bottleneck-pool4", "depthwise-pool4", "conv32-pool4", "g1-pool5"),
    ]


def test_unknown_names_are_refused_with_their_place(specs: Path, tmp_path: Path) -> None:
    text = (specs / "vgg16-cifar10-candidates.yaml").read_text()
    text = text.replace("conv9, pool4]\n", "conv9, pol4]\n")
    file = tmp_path / "spec.yaml"
    file.write_text(text.replace("- structures: [g1,", "- structures: [g9,"))
    with pytest.raises(InvalidInput, match=r"candidates\.0\.structures\.0"):
        load_train_spec(file)
    file.write_text(text)
    with pytest.raises(InvalidInput, match='no trunk layer "pol4"'):
        load_train_spec(file)
    file.write_text(text.replace("pol4", "pool4").replace("[g4-pool2, ", "[g4-convS, "))
    with pytest.raises(InvalidInput, match=r'recipe\.branches\.0: no branch "g4-convS"'):
        load_train_spec(file)


@pytest.mark.parametrize(("written", "names"), [("one", ["one"]), ("[one, two]", ["one", "two"])])
def test_a_start_is_a_name_or_several(specs: Path, tmp_path: Path, written: str, names: list[str]) -> None:
    text = (specs / "digits.yaml").read_text()
    file = tmp_path / "spec.yaml"
    file.write_text(f"{text}\nstart: {written}\n")
    assert load_train_spec(file).start == names
    file.write_text(f"{text}\nstart: 3\n")
    with pytest.raises(
        InvalidInput, match=r"spec\.yaml:\d+:8: start: found 3, expected a name .*, or a list of them"
    ):
        load_train_spec(file)
