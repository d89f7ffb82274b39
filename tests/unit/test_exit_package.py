"""What is left of a workload: another end of the trunk, branches with their numbers, files that are shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from archsim import api
from archsim.config.workload import DbpSpec
from archsim.datasets import load_images
from archsim.exits.classifier import Ending, ended_by
from archsim.exits.costs import counted_costs
from archsim.exits.export import dbp_of, kept_branches, without_branches
from archsim.exits.package import KeptWorkload, kept_workload, network_of, write_package
from archsim.exits.policy import ExitPolicy, Window
from archsim.exits.runs import CandidateRuns
from archsim.exits.spec import ExitsBuildSpec
from archsim.exits.tables import CandidateTable
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace import FunctionalTrace
from archsim.results.source import Workload
from tests.builders import tiny_document, write_workload

IMAGES = 6


def head(*before: dict[str, Any]) -> list[dict[str, Any]]:
    return [*before, {"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 4}]


THIN = {"name": "conv2", "op": "conv2d", "filters": 2, "kernel": 1, "relu": True}
BRANCHES = [
    {"name": "z", "after": "pool1", "layers": head(), "threshold": 7, "dbp": {"min_sum": 3}},
    {"name": "m", "after": "conv2", "layers": head(THIN)},
    {"name": "a", "after": "conv2", "layers": head()},
    {"name": "late", "after": "gap", "layers": head()},
]
KEYS = {
    "conv": ("weight", "bias", "multiplier", "shift"),
    "fc": ("weight", "bias"),
    "gap": ("multiplier", "shift"),
}


def keys(*layers: str) -> set[str]:
    """Of arrays, by the kinds of layers that names end with."""
    kinds = {layer: layer.split(".")[-1].split("-")[-1].rstrip("12") for layer in layers}
    return {f"{layer}/{part}" for layer, kind in kinds.items() for part in KEYS[kind]}


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    write_workload(tmp_path, tiny_document(branches=BRANCHES), images=IMAGES)
    return api.load(tmp_path / "tiny.yaml")


@pytest.fixture
def ending(workload: Workload) -> Ending:
    return Ending(workload.spec, workload.weights.arrays())


def test_a_branch_takes_the_place_of_what_lies_behind_it(ending: Ending) -> None:
    found = ended_by(ending, "m")
    assert [layer.name for layer in found.spec.layers] == ["conv1", "pool1", "conv2", "m-conv2", "gap", "fc"]
    assert [branch.name for branch in found.spec.branches] == ["z", "a"]
    old, new = ending.arrays, found.arrays
    trunk, moved = ("conv1", "conv2"), {"m-conv2": "m.conv2", "gap": "m.gap", "fc": "m.fc"}
    others = ("z.gap", "z.fc", "a.gap", "a.fc")
    assert set(new) == {"input/table"} | keys(*trunk, *moved, *others)
    for key in {"input/table"} | keys(*trunk, *others):
        assert new[key] is old[key]
    for name, before in moved.items():
        for part in KEYS[name.split("-")[-1].rstrip("12")]:
            assert new[f"{name}/{part}"] is old[f"{before}/{part}"]
    assert network_of(found.spec).exit_names == ("z", "a", "final")


def test_an_early_end_loses_the_branches_behind_it(ending: Ending) -> None:
    found = ended_by(ending, "z")
    assert [layer.name for layer in found.spec.layers] == ["conv1", "pool1", "gap", "fc"]
    assert found.spec.branches == []
    assert set(found.arrays) == {"input/table"} | keys("conv1", "gap", "fc")


def test_tensors_inside_a_moved_branch_keep_their_places(tmp_path: Path) -> None:
    """A layer that reads another one of its branch by name reads it by its new name."""
    inside = head(THIN)
    inside[1] = {**inside[1], "input": "conv2"}
    write_workload(tmp_path, tiny_document(branches=[{**BRANCHES[1], "layers": inside}]))
    spec = api.load(tmp_path / "tiny.yaml").spec
    layers = ended_by(Ending(spec, {}), "m").spec.layers
    assert [(layer.name, layer.input) for layer in layers[-3:]] == [
        ("m-conv2", None),
        ("gap", "m-conv2"),
        ("fc", None),
    ]


def test_bounds_are_written_as_hardware_compares() -> None:
    assert dbp_of(None) is None
    assert dbp_of(Window(3.0)) == DbpSpec(min_sum=3)
    assert dbp_of(Window(3.0, 8.0)) == DbpSpec(min_sum=3, max_sum=8)


def table(workload: Workload, *names: str) -> CandidateTable:
    """Some of the branches as candidates; what images do there does not matter here."""
    kept = tuple(branch for branch in workload.network.branches if branch.name in names)
    network = replace(workload.network, branches=kept)
    nothing = np.zeros((1, len(names)), np.int64)
    right = np.ones((1, len(names) + 1), bool)
    costs = counted_costs(network, "macs")
    return CandidateTable(names, names, np.arange(len(names)), nothing, nothing, right, costs)


def kept(workload: Workload, ending: Ending, policy: ExitPolicy, **changes: Any) -> KeptWorkload:
    spec = ExitsBuildSpec.model_validate(
        {"schema": "archsim.exits/1", "name": "small", "workload": "tiny", **changes}
    )
    return kept_workload(spec, ending, table(workload, "z", "m", "late"), policy)


POLICY = ExitPolicy((9, None, 0), (Window(4, 6), None, None))
"""Of the candidates z, m and late."""


def test_kept_branches_have_the_numbers_of_the_policy(workload: Workload, ending: Ending) -> None:
    first, last = kept_branches(workload.spec.branches, ("z", "m", "late"), POLICY)
    assert (first.name, first.threshold, first.dbp) == ("z", 9, DbpSpec(min_sum=4, max_sum=6))
    assert (last.name, last.after, last.threshold, last.dbp) == ("late", "gap", 0, None)
    found = kept(workload, ending, POLICY)
    assert found.network.exit_names == ("z", "late", "final")
    assert (found.spec.name, found.spec.description, found.spec.trace) == (
        "small",
        "Two convolutions and one branch, for tests",
        None,
    )
    assert kept(workload, ending, POLICY, description="less").spec.description == "less"
    layers = ("conv1", "conv2", "gap", "fc", "z.gap", "z.fc", "late.gap", "late.fc")
    assert set(found.weights.arrays()) == {"input/table"} | keys(*layers)


def test_weights_of_absent_branches_are_left_out(workload: Workload) -> None:
    bare = replace(workload.network, branches=())
    found = without_branches(workload.weights.arrays(), bare)
    assert set(found) == {"input/table"} | keys("conv1", "conv2", "gap", "fc")


def written(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def beside(folder: Path, name: str, **changes: np.ndarray) -> Workload:
    """A workload in the output folder, of the same network less its last branch, with some arrays of its own."""
    document = tiny_document(
        name=name, branches=BRANCHES[:3], weights=f"{name}.npz", images=f"{name}.images.npz"
    )
    write_workload(folder, document, images=IMAGES)
    with np.load(folder / f"{name}.npz") as file:
        arrays = {**file, **changes}
    np.savez(folder / f"{name}.npz", **arrays)
    return api.load(folder / f"{name}.yaml")


def test_only_what_others_do_not_hold_is_written(tmp_path: Path, workload: Workload, ending: Ending) -> None:
    """The one beside it has another conv2 and a branch that is not kept; the branch late it lacks."""
    out = tmp_path / "out"
    other = ending.arrays["conv2/weight"].copy()
    other[0, 0, 0, 0] ^= 1
    plain = beside(out, "plain", **{"conv2/weight": other})
    small = kept(workload, ending, POLICY)
    files = write_package(small, None, None, [plain], out)
    assert [path.name for path in files] == ["small.yaml", "small.npz"]
    assert written(files[0])["weights"] == ["plain.npz", "small.npz"]
    with np.load(out / "small.npz") as own:
        held = {"late.gap/multiplier", "late.gap/shift", *keys("late.fc")}
        differing = {key for key, array in small.weights.arrays().items() if not same(plain, key, array)}
        assert set(own) == differing >= held | {"conv2/weight"}
    for key, array in api.load(files[0]).weights.arrays().items():
        assert (array == small.weights.arrays()[key]).all()


def same(workload: Workload, key: str, array: np.ndarray) -> bool:
    found = workload.weights.arrays()
    return key in found and bool((found[key] == array).all())


def test_where_everything_is_held_nothing_is_written(
    tmp_path: Path, workload: Workload, ending: Ending
) -> None:
    out = tmp_path / "out"
    plain = beside(out, "plain", **{key: array for key, array in ending.arrays.items() if "late" not in key})
    bare = kept(workload, ending, ExitPolicy.without_exits(3))
    files = write_package(bare, None, None, [plain], out)
    assert [path.name for path in files] == ["small.yaml"]
    assert written(files[0])["weights"] == "plain.npz"
    assert not {"trace", "images"} & set(written(files[0]))


def test_images_are_copied_beside_the_workload(tmp_path: Path, workload: Workload, ending: Ending) -> None:
    images = workload.loaded.images_path
    files = write_package(kept(workload, ending, POLICY), None, images, [], tmp_path / "new" / "out")
    assert [path.name for path in files] == ["small.yaml", "small.npz", "small-images.npz"]
    assert images is not None and files[2].read_bytes() == images.read_bytes()
    assert written(files[0])["images"] == "small-images.npz" and written(files[0])["weights"] == "small.npz"


def complete(workload: Workload, small: KeptWorkload) -> FunctionalTrace:
    assert workload.loaded.images_path is not None
    batch = load_images(workload.loaded.images_path)
    return run(small.network, small.weights, [batch], policy=Policy.of(small.network), lazy=False)


def test_a_trace_of_other_weights_is_not_named(tmp_path: Path, workload: Workload, ending: Ending) -> None:
    out = tmp_path / "out"
    moved = np.roll(ending.arrays["input/table"], 1, axis=1)
    beside(out, "plain", **{"input/table": moved})
    api.evaluate(out / "plain.yaml", save_trace=out / "plain.trace.npz")
    document = {**written(out / "plain.yaml"), "trace": "plain.trace.npz"}
    (out / "plain.yaml").write_text(yaml.safe_dump(document))
    small = kept(workload, ending, POLICY)
    trace = complete(workload, small)
    files = write_package(small, trace, None, [api.load(out / "plain.yaml")], out)
    assert written(files[0])["trace"] == "small.trace.npz"
    assert [path.name for path in files] == ["small.yaml", "small.npz", "small.trace.npz"]
    back = api.load(files[0])
    assert api.evaluate(files[0]).images == IMAGES and back.spec.name == "small"


def test_runs_are_of_the_branches_that_are_asked_for(workload: Workload) -> None:
    """All images to the end, whatever thresholds the workload has."""
    assert workload.loaded.images_path is not None
    batch = load_images(workload.loaded.images_path)
    weights = workload.weights
    never = replace(
        workload.network,
        branches=tuple(replace(branch, threshold=None, dbp=None) for branch in workload.network.branches),
    )
    whole = run(never, weights, [batch], policy=Policy.of(never), lazy=False, zero_maps=False)
    runs = CandidateRuns(["z", "l*"])
    only = replace(workload.network, branches=(workload.network.branches[3],))
    for network, classifier, columns in (
        (replace(only, branches=(never.branches[0], never.branches[3])), None, [0, 3, 4]),
        (only, None, [3, 4]),
        (replace(only, branches=()), "z", [0]),
        (replace(only, branches=(never.branches[0],)), "late", [0, 3]),
    ):
        found = runs.trace(workload, network, classifier, batch, "held out")
        assert found.exit_names == network.exit_names and not found.zero_maps
        assert (found.margins == whole.margins[:, columns]).all()
        assert (found.predictions == whole.predictions[:, columns]).all()
        assert (found.magnitude_sums == whole.magnitude_sums[:, columns[:-1]]).all()
