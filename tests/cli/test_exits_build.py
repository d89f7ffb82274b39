"""``archsim exits build``: accelerators and tables it measures on, sizes it refuses, what ships and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from archsim import api
from archsim.exits.build import _choose, build, runs_for
from archsim.exits.cross_fit import cross_fitted
from archsim.exits.safeguards import choose_safely
from archsim.exits.spec import load_exits_spec
from archsim.exits.structure import Search, choose
from archsim.progress import Progress
from tests.builders import tiny_document, write_workload
from tests.exit_builds import agreeing_workload, branch, exits, spec
from tests.exit_tables import synthetic_table

BRANCHES = [branch("early", "pool1"), branch("late", "gap")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The workload with 300 images whose labels mean nothing."""
    write_workload(tmp_path, tiny_document(branches=BRANCHES), images=300)
    return tmp_path


@pytest.fixture
def agreeing(tmp_path: Path) -> Path:
    return agreeing_workload(tmp_path)


def report(path: Path, *words: object) -> dict[str, Any]:
    result = exits(path, "--out", path.parent / "out", "--json", *words)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(path: Path) -> str:
    result = exits(path, "--out", path.parent / "out")
    assert (result.exit_code, result.stdout) == (3, "")
    return result.stderr


FEW = {"held_out": 20}
UNCERTIFIED = {"max_loss": 0.0, "certify": False, "standard_errors": 0.0}


def test_costs_are_measured_on_the_accelerator_and_by_the_table_of_the_spec(folder: Path) -> None:
    """Also where the candidates come from another file than the spec names."""
    path = spec(
        folder,
        workload="elsewhere.yaml",
        energy_table="65nm-dram-8pj-per-bit",
        cost_images=1,
        data=FEW,
        accuracy=UNCERTIFIED,
        search={"candidates": ["early"]},
    )
    found = report(path, "--workload", folder / "tiny.yaml")
    assert (found["arch"], found["energy_table"]) == ("locoexnet-65nm", "65nm-dram-8pj-per-bit")


def test_the_accelerator_names_its_table_unless_the_spec_does(folder: Path) -> None:
    path = spec(folder, cost_images=1, data=FEW, accuracy=UNCERTIFIED, search={"candidates": []})
    assert report(path)["energy_table"] == "65nm"


@pytest.mark.parametrize("part", ["exits", "dbp"])
def test_an_accelerator_measures_with_exits_and_pruning_alone(folder: Path, part: str) -> None:
    arch = {"schema": "archsim.arch/1", "name": "half", "extends": "locoexnet-65nm", part: {"enabled": False}}
    (folder / "half.yaml").write_text(yaml.safe_dump(arch))
    path = spec(folder, arch="half.yaml")
    assert "arch: found exits or dbp disabled in half, expected both enabled" in refused(path)
    counted = spec(folder, arch="half.yaml", objective="macs", data=FEW, accuracy=UNCERTIFIED)
    assert report(counted)["arch"] is None


def test_half_of_the_images_must_be_enough_to_certify(folder: Path) -> None:
    """133 are, with the smaller half for the search; a loss of nothing no number shows."""
    path = spec(folder, objective="macs", data={"held_out": 264})
    message = "found 132 images in the half that certifies, expected at least 133 for a loss of 0.02 at 5 %"
    assert message in refused(path)
    found = report(spec(folder, objective="macs", data={"held_out": 265}))
    assert (found["images_searched"], found["images_measured"]) == (132, 133)
    assert "accuracy.max_loss: found 0, expected more" in refused(
        spec(folder, objective="macs", accuracy={"max_loss": 0})
    )


@pytest.mark.parametrize("accuracy", [UNCERTIFIED, {"max_loss": 0.02}, {"max_loss": 0, "folds": 2}])
def test_few_images_are_enough_where_nothing_is_certified(folder: Path, accuracy: dict[str, Any]) -> None:
    """Because it is not asked for, for lack of candidates, or because folds tell."""
    candidates: list[str] = [] if accuracy == {"max_loss": 0.02} else ["early"]
    path = spec(
        folder,
        objective="macs",
        data=FEW,
        accuracy=accuracy,
        search={"candidates": candidates},
    )
    found = report(path)
    assert (found["images_searched"], found["images_measured"], found["certified"]) == (20, 20, False)
    assert (found["cross_fit"] is not None) is ("folds" in accuracy)


def test_without_candidates_folds_have_nothing_to_tell(folder: Path) -> None:
    path = spec(folder, objective="macs", accuracy={"max_loss": 0, "folds": 2}, search={"candidates": []})
    found = report(path)
    assert (found["cross_fit"], found["branches"], found["certified"]) == (None, [], False)


def test_a_workload_without_branches_is_taken_where_none_is_asked_for(folder: Path) -> None:
    write_workload(folder, tiny_document(branches=[]))
    found = report(spec(folder, objective="macs", search={"candidates": []}))
    assert (found["branches"], found["rejected"], found["cost_fraction"]) == ([], [], 1.0)


def test_nothing_is_cut_off_where_no_cut_keeps_the_accuracy(agreeing: Path) -> None:
    """The labels are what the branch early says, which is kept as an exit instead."""
    found = report(spec(agreeing, objective="macs", shorten=["late"]))
    assert [(cut["name"], cut["met"]) for cut in found["cuts"]] == [("late", False)]
    assert [kept["name"] for kept in found["branches"]] == ["early"]
    layers = [api.load(agreeing / file).network.layers for file in ("tiny.yaml", "out/small.yaml")]
    assert [layer.name for layer in layers[0]] == [layer.name for layer in layers[1]]


def test_a_trace_that_ships_is_not_that_of_another_classifier(folder: Path) -> None:
    api.evaluate(folder / "tiny.yaml", images=20, save_trace=folder / "tiny.trace.npz")
    document = tiny_document(branches=BRANCHES, trace="tiny.trace.npz")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    shipped = {}
    for classifier in (None, "late"):
        report(spec(folder, objective="macs", classifier=classifier, search={"candidates": []}))
        written = yaml.safe_load((folder / "out" / "small.yaml").read_text())
        shipped[classifier] = written.get("trace")
    assert shipped == {None: "small.trace.npz", "late": None}


def test_test_images_leave_no_trace_unless_one_is_asked_for(folder: Path) -> None:
    shared: dict[str, Any] = {"objective": "macs", "search": {"candidates": []}}
    found = report(spec(folder, data={"test": "tiny.images.npz"}, **shared))
    assert found["test"]["images"] == 300
    assert not (folder / "out" / "small.trace.npz").exists()
    report(spec(folder, data={"test": "tiny.images.npz", "trace_images": 7}, **shared))
    with np.load(folder / "out" / "small.trace.npz") as trace:
        assert len(trace["labels"]) == 7


def test_the_safeguard_is_that_of_the_spec(tmp_path: Path) -> None:
    table = synthetic_table(3, 120, 2)

    def chosen(**changes: Any) -> Any:
        return _choose(load_exits_spec(spec(tmp_path, **changes)), table, lambda _done, _total: None)

    plain, limits = {"max_loss": 0.1, "certify": False}, {"max_branches": 1, "dbp": "none"}
    search = Search(max_branches=1, dbp="none")
    found = chosen(accuracy=plain, search=limits)
    goal = load_exits_spec(spec(tmp_path, accuracy=plain)).spec.accuracy.goal
    assert found.choice == choose(table, goal, search) and found.searched == found.choice.policy
    assert found.rows_a.tolist() == list(range(120)) and found.rows_b is found.certificate is None
    found = chosen(accuracy={"max_loss": 0.1}, search=limits, seed=9)
    expected = choose_safely(table, goal, search, 9)
    assert found.certificate == expected.certificate and found.rows_a.tolist() == expected.rows_a.tolist()
    several = {**limits, "max_branches": [2, 1]}
    found = chosen(accuracy={"max_loss": 0.1, "folds": 2}, search=several, seed=9)
    fits = [cross_fitted(table, goal, Search(max_branches=limit, dbp="none"), 9, 2) for limit in (2, 1)]
    choice, best = min(fits, key=lambda pair: pair[1].cost_fraction)
    assert fits[0][1].cost_fraction != fits[1][1].cost_fraction
    assert (found.choice, found.search, found.cross_fits[0]) == (choice, best.search, best)
    assert (found.searched, found.certificate, len(found.cross_fits)) == (choice.policy, None, 2)


@pytest.mark.parametrize("accuracy", [{"folds": 2}, {"certify": True}, {"certify": False}])
def test_a_long_choice_says_how_far_it_is(folder: Path, accuracy: dict[str, Any]) -> None:
    said: list[tuple[str, str, int, int]] = []

    def stage(task: str, unit: str) -> Progress:
        return lambda done, total: said.append((task, unit, done, total))

    file = spec(folder, accuracy={"max_loss": 0.1, **accuracy}, data={"test": "tiny.images.npz"})
    build(load_exits_spec(file), [], folder / "out", stage=stage)
    units = {
        "running images through 2 candidate branches": "images",
        "measuring energy": "images",
        "searching": "prices of accuracy",
        "running test images": "images",
    }
    assert list(dict.fromkeys((task, unit) for task, unit, _, _ in said)) == list(units.items())
    for task in units:
        steps = [(done, total) for found, _, done, total in said if found == task]
        assert steps == sorted(steps) and len({total for _, total in steps}) == 1
        assert 0 <= steps[-1][0] <= steps[-1][1]
    assert sum(found == "searching" for found, *_ in said) > 2


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, ["a", "b", "c"]),
        ({"search": {"candidates": []}}, []),
        ({"search": {"candidates": ["a"]}, "classifier": "b"}, ["a", "b"]),
        ({"search": {"candidates": []}, "shorten": ["b", "c"]}, ["b", "c"]),
    ],
)
def test_images_run_through_all_that_a_choice_names(
    tmp_path: Path, changes: dict[str, Any], asked: list[str]
) -> None:
    runs = runs_for([load_exits_spec(spec(tmp_path, **changes))])
    assert [name for name in "abc" if runs._asks_for(name)] == asked
