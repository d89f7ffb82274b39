"""``archsim exits build``: from a workload with candidates to one with the branches that pay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from archsim import api
from archsim.exits import runs
from archsim.exits.table_io import load_table
from tests.builders import build, tiny_document, write_workload
from tests.exit_builds import agreeing_workload, branch, exits, spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return agreeing_workload(tmp_path)


@pytest.mark.parametrize("objective", ["energy", "cycles", "macs", "parameters"])
def test_a_workload_is_built_that_runs(folder: Path, objective: str) -> None:
    out = folder / "out"
    result = exits(spec(folder, objective=objective, cost_images=2), "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    written = {**report, "files": [Path(file).name for file in report["files"]]}
    assert json.loads((out / "small.exits.json").read_text()) == written
    assert [kept["name"] for kept in report["branches"]] == ["early"]
    assert report["certified"] and report["p_value"] <= 0.05
    assert (report["images_searched"], report["images_measured"]) == (450, 450)
    assert report["cost_fraction"] < 1 and report["accuracy"] == 1
    assert [(found["name"], found["after"]) for found in report["rejected"]] == [("late", "gap")]
    assert set(report["controls"]) == {
        *("oracle_exit", "oracle_dbp", "random_dbp"),
        *("without_dbp", "single_exit", "searched"),
    }
    if objective in ("energy", "cycles"):
        predicted, simulated = report["predicted_cost_fraction"], report["simulated_cost_fraction"]
        assert simulated == pytest.approx(predicted, rel=1e-6)
    else:
        assert report["simulated_cost_fraction"] is None
    evaluated = api.evaluate(out / "small.yaml")
    assert (evaluated.accuracy, evaluated.exits["early"]) == (1, 900)
    assert sorted(path.name for path in out.iterdir()) == [
        *("small-images.npz", "small.exits.json", "small.npz", "small.table.npz", "small.yaml")
    ]
    assert load_table(out / "small.table.npz").names == ("early", "late")


def test_the_same_spec_gives_the_same_bytes(folder: Path) -> None:
    path = spec(folder, objective="macs")
    for name in ("a", "b"):
        assert exits(path, "--out", folder / name).exit_code == 0
    for file in ("small.yaml", "small.npz", "small.table.npz"):
        assert (folder / "a" / file).read_bytes() == (folder / "b" / file).read_bytes()


def test_another_workload_may_have_the_candidates(folder: Path) -> None:
    path = spec(folder, objective="macs", workload="elsewhere.yaml")
    assert exits(path, "--out", folder / "out").exit_code == 3
    result = exits(path, "--workload", folder / "tiny.yaml", "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["workload"] == "tiny"


def test_candidates_and_their_number_are_bounded(folder: Path) -> None:
    path = spec(folder, objective="macs", search={"candidates": ["late"]}, accuracy={"certify": False})
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [found["name"] for found in (*report["branches"], *report["rejected"])] == ["late"]
    assert report["p_value"] is None and not report["certified"]
    assert report["images_searched"] == report["images_measured"] == 900


def test_the_trace_that_ships_loses_the_branches_that_go(folder: Path) -> None:
    api.evaluate(folder / "tiny.yaml", images=20, save_trace=folder / "tiny.trace.npz")
    document = tiny_document(
        branches=[branch("early", "pool1"), branch("late", "gap")], images=None, trace="tiny.trace.npz"
    )
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    path = spec(folder, objective="macs", data={"source": "tiny.images.npz", "held_out": 800})
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["images_measured"] == 400
    evaluated = api.evaluate(folder / "out" / "small.yaml")
    assert (evaluated.images, evaluated.accuracy, set(evaluated.exits)) == (20, 1, {"early", "final"})


def test_several_numbers_of_branches_need_folds(folder: Path) -> None:
    path = spec(folder, objective="macs", search={"max_branches": [1, 2]})
    result = exits(path, "--out", folder / "out")
    assert result.exit_code == 3 and "search.max_branches: found several numbers" in result.stderr
    path = spec(
        folder, objective="macs", search={"max_branches": [1, 2]}, accuracy={"max_loss": 0, "folds": 3}
    )
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    tried = [report["cross_fit"], *report["dearer"]]
    assert sorted(fit["max_branches"] for fit in tried) == [1, 2]
    assert [fit["cost_fraction"] for fit in tried] == sorted(fit["cost_fraction"] for fit in tried)
    assert ", at most 1 branches\n" in exits(path, "--out", folder / "text").stdout


def test_the_price_of_accuracy_comes_from_folds(folder: Path) -> None:
    path = spec(folder, objective="macs", accuracy={"max_loss": 0, "folds": 3})
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["images_searched"], report["images_measured"], report["certified"]) == (900, 900, False)
    # The labels are what the first branch says: exits can only gain.
    assert report["cross_fit"]["discordant"]["b"] == 0 and report["cross_fit"]["delta_pp"] > 0
    assert [kept["name"] for kept in report["branches"]] == ["early"]
    assert "\nout of fold           +" in exits(path, "--out", folder / "text").stdout


def test_text_names_branches_and_reasons(folder: Path) -> None:
    result = exits(spec(folder, objective="parameters"), "--out", folder / "out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("small from tiny, least parameters\nmeasured on           450 images")
    assert "late      gap    at no threshold it earns what it costs" in result.stdout
    assert f"wrote {folder / 'out' / 'small.exits.json'}" in result.stderr


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"workload": "tinny.yaml", "arch": "locoexnet"}, ["workload", "arch"]),
        ({"search": {"candidates": ["early", "erly", "x"]}}, ["search.candidates.1", "search.candidates.2"]),
        ({"data": {"source": "none.npz"}}, ["data"]),
        ({"data": {"held_out": 901}}, ["data.held_out"]),
        ({"accuracy": {"max_loss": 0.002}}, ["accuracy.max_loss"]),
        ({"arch": "dense-rs"}, ["arch"]),
        ({"classifier": "lat"}, ["classifier"]),
        ({"shorten": ["l*", "erly"]}, ["shorten.1"]),
        ({"accuracy": {"max_loss": 0}}, ["accuracy.max_loss"]),
        ({"data": {"trace_images": 5}}, ["data.trace_images"]),
        ({"objective": "power", "cost_images": 0, "serch": {}}, ["serch", "objective", "cost_images"]),
    ],
)
def test_bad_specs_are_refused_with_their_place(
    folder: Path, changes: dict[str, Any], expected: list[str]
) -> None:
    result = exits(spec(folder, **changes), "--out", folder / "out")
    assert (result.exit_code, result.stdout) == (3, ""), result.stderr
    lines = [line for line in result.stderr.splitlines() if "small.spec.yaml:" in line or ": data: " in line]
    assert sorted(line.split(": ")[1] for line in lines) == sorted(expected), result.stderr
    assert not (folder / "out").exists()


def test_a_branch_becomes_the_end_of_the_trunk(folder: Path) -> None:
    path = spec(folder, objective="macs", classifier="late", search={"candidates": ["ear*"]})
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    network = api.load(folder / "out" / "small.yaml").network
    before = api.load(folder / "tiny.yaml").network
    at = [layer.name for layer in before.layers].index("gap")
    assert [layer.name for layer in network.layers] == [
        *(layer.name for layer in before.layers[: at + 1]),
        *("late-gap", "fc"),
    ]
    assert [found.name for found in network.branches] == ["early"]
    api.evaluate(folder / "tiny.yaml", save_trace=folder / "before.npz")
    api.evaluate(folder / "out" / "small.yaml", save_trace=folder / "after.npz")
    with np.load(folder / "before.npz") as old, np.load(folder / "after.npz") as new:
        for key in ("predictions", "margins"):
            np.testing.assert_array_equal(new[f"exits/final/{key}"], old[f"exits/late/{key}"])


def test_a_branch_is_found_by_its_name_whatever_comes_before_it(tmp_path: Path) -> None:
    write_workload(tmp_path, tiny_document(branches=[branch("z", "pool1"), branch("a", "gap")]), images=60)
    path = spec(tmp_path, objective="macs", classifier="a", search={"candidates": []})
    assert exits(path, "--out", tmp_path / "out").exit_code == 0
    assert api.load(tmp_path / "out" / "small.yaml").network.layers[-2].name == "a-gap"


def test_the_trunk_ends_at_the_cheapest_branch_that_keeps_the_accuracy(folder: Path) -> None:
    path = spec(folder, objective="macs", shorten=["*"], search={"candidates": []})
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    early, late = report["cuts"]
    assert [(cut["name"], cut["after"]) for cut in (early, late)] == [("early", "pool1"), ("late", "gap")]
    assert early["met"] and early["accuracy"] == 1 and early["discordant"]["b"] == 0
    before, after = (api.load(file).network for file in (folder / "tiny.yaml", folder / "out" / "small.yaml"))
    assert [layer.name for layer in after.layers] == ["conv1", "pool1", "gap", "fc"] and not after.branches
    assert early["cost_fraction"] == after.macs / before.macs
    assert api.evaluate(folder / "out" / "small.yaml").accuracy == 1
    assert report["accuracy"] == report["full_network_accuracy"] == 1, (
        "the shorter network is the full one now"
    )
    text = exits(path, "--out", folder / "text")
    assert "early  pool1" in text.stdout and "early ends the trunk" in text.stderr


def test_no_candidates_give_the_full_network(folder: Path) -> None:
    path = spec(folder, objective="macs", search={"candidates": []}, accuracy={"max_loss": 0.002})
    result = exits(path, "--out", folder / "out")
    assert result.exit_code == 0, result.stderr
    assert api.load(folder / "out" / "small.yaml").network.branches == ()


def test_test_images_are_measured_and_their_trace_ships(folder: Path) -> None:
    data = {"test": "tiny.images.npz", "trace_images": 30}
    path = spec(folder, objective="macs", data=data)
    result = exits(path, "--out", folder / "out", "--json")
    assert result.exit_code == 0, result.stderr
    test = json.loads(result.stdout)["test"]
    assert test["images"] == 900
    workload = folder / "out" / "small.yaml"
    found = api.evaluate(workload, data=folder / "tiny.images.npz")
    assert (test["accuracy"], test["exits"]) == (found.accuracy, found.exits)
    (folder / "out" / "small-images.npz").unlink()
    document = yaml.safe_load(workload.read_text())
    del document["images"]
    workload.write_text(yaml.safe_dump(document))
    assert api.evaluate(workload).images == 30
    # The trace ran every image to the end: it also serves thresholds at which nobody leaves.
    assert api.evaluate(workload, overrides=["exits.early.threshold=1000000"]).exits["final"] == 30
    assert "on 900 test images" in exits(path, "--out", folder / "text").stdout


def test_several_choices_run_the_images_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"test": "tiny.images.npz", "trace_images": 20}
    paths = []
    for name, changes in {
        "plain": {"search": {"candidates": []}},
        "short": {"classifier": "late", "search": {"candidates": ["early"]}},
        "whole": {},
    }.items():
        written = spec(folder, name=name, objective="macs", data=data, **changes)
        paths.append(written.rename(folder / f"{name}.spec.yaml"))
        assert exits(paths[-1], "--out", folder / "apart").exit_code == 0
    images: list[int] = []
    run = runs.run

    def counted(network: Any, weights: Any, batches: Any, **options: Any) -> Any:
        images.append(sum(len(batch) for batch in batches))
        return run(network, weights, batches, **options)

    monkeypatch.setattr(runs, "run", counted)
    result = exits(*paths, "--out", folder / "together", "--json")
    assert result.exit_code == 0, result.stderr
    assert images == [900, 900]
    reports = json.loads(result.stdout)["reports"]
    assert [report["name"] for report in reports] == ["plain", "short", "whole"]
    for path in (folder / "apart").iterdir():
        assert (folder / "together" / path.name).read_bytes() == path.read_bytes(), path.name


def test_images_may_come_from_several_files(folder: Path) -> None:
    with np.load(folder / "tiny.images.npz") as images:
        for name, part in (("a", slice(0, 500)), ("b", slice(500, None))):
            np.savez(folder / f"{name}.npz", images=images["images"][part], labels=images["labels"][part])
    reports = []
    for source in ("tiny.images.npz", ["a.npz", "b.npz"]):
        path = spec(folder, objective="macs", data={"source": source, "held_out": 700, "seed": 4})
        result = exits(path, "--out", folder / "out", "--json")
        assert result.exit_code == 0, result.stderr
        reports.append(json.loads(result.stdout))
    assert reports[0] == reports[1]


def test_what_a_workload_beside_it_holds_is_not_written_again(folder: Path) -> None:
    data = {"test": "tiny.images.npz", "trace_images": 30}
    out = folder / "out"
    plain = spec(folder, name="plain", objective="macs", data=data, search={"candidates": []})
    assert exits(plain, "--out", out).exit_code == 0
    result = exits(spec(folder, objective="macs", data=data, shared=["plain"]), "--out", out)
    assert result.exit_code == 0, result.stderr
    document = yaml.safe_load((out / "small.yaml").read_text())
    assert document["weights"] == ["plain.npz", "small.npz"]
    assert document["trace"] == ["plain.trace.npz", "small.trace.npz"]
    with np.load(out / "small.npz") as weights, np.load(out / "small.trace.npz") as trace:
        assert {key.split("/")[0] for key in weights} == {"early.fc", "early.gap"}
        assert not [key for key in trace if key.startswith(("zeros/conv", "exits/final"))]
    alone = spec(folder, objective="macs", data=data)
    assert exits(alone, "--out", folder / "alone").exit_code == 0
    pair = [api.load(place / "small.yaml") for place in (out, folder / "alone")]
    assert pair[0].network_hash == pair[1].network_hash
    results = [api.simulate(workload, images=5).to_json() for workload in pair]
    assert results[0]["cycles"] == results[1]["cycles"]
    missing = exits(spec(folder, objective="macs", shared=["absent"]), "--out", out)
    assert missing.exit_code == 3 and "shared.0: found no absent.yaml" in missing.stderr


def test_a_workload_without_branches_has_no_candidates(folder: Path) -> None:
    bare = tiny_document(branches=[])
    assert not build(bare).branches
    write_workload(folder, bare)
    result = exits(spec(folder), "--out", folder / "out")
    assert result.exit_code == 3
    assert "found no branches in tiny" in result.stderr
