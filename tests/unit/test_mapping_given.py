"""Mappings that a file gives, mappings that were found and written down, and what the search is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from archsim import api
from archsim.cli.main import cli
from archsim.cli.mappings import mappings_of
from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput
from archsim.mapping import row_stationary_search, systolic_search
from archsim.mapping.base import Placement, TilePlan
from archsim.mapping.row_stationary import RowStationary, mapping_of
from archsim.mapping.tiling import RowStationaryMapping
from archsim.registry import DATAFLOWS, get_dataflow
from tests.exactness.test_groups import convolution
from tests.unit.test_shape_only import write

E5P4 = {"layer": "layer", "dataflow": "row_stationary", "e": 5, "p": 4, "q": 2, "r": 2, "t": 2}


def architecture(*mappings: dict[str, Any], **sections: Any) -> ArchSpec:
    return ArchSpec.model_validate(
        {"schema": "archsim.arch/1", "name": "drawn", "mappings": list(mappings), **sections}
    )


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
@pytest.mark.parametrize("objective", ["energy", "cycles", "traffic"])
def test_found_mappings_written_to_a_file_give_the_same_run(
    tmp_path: Path, dataflow: str, objective: str
) -> None:
    """A small buffer, so that some tensors are stored and the choice of what stays depends on the mappings."""
    overrides = [
        f"pe_array.dataflow={dataflow}", f"pe_array.mapping={objective}", "global_buffer.size_kib=4",
        "global_buffer.filter_kib=2",
    ]  # fmt: skip
    workload, mapped = write(tmp_path), tmp_path / "mapped.yaml"
    found = mappings_of(str(workload), "gated-rs", overrides, quiet)
    mapped.write_text(found.file_text("gated-rs", overrides))
    assert {row["layer"] for row in found.rows} == {"conv1", "conv2", "down", "conv3", "fc"}
    assert mappings_of(str(workload), str(mapped), [], quiet).rows == found.rows
    searched = api.simulate(workload, arch="gated-rs", overrides=overrides).to_json()
    given = api.simulate(workload, arch=mapped).to_json()
    for result in (searched, given):
        del result["host"], result["config_hash"], result["overrides"]
    assert given == searched


def test_describe_writes_the_file(tmp_path: Path) -> None:
    workload, mapped = str(write(tmp_path)), tmp_path / "mapped.yaml"
    run = CliRunner().invoke
    shown = run(cli, ["describe", workload, "--arch", "dense-rs", "--save-mappings", str(mapped), "--json"])
    assert shown.exit_code == 0, shown.stderr
    rows = json.loads(shown.stdout)["mappings on dense-rs"]
    document = yaml.safe_load(mapped.read_text())
    assert [entry["layer"] for entry in document["mappings"]] == [row["layer"] for row in rows]
    assert document["extends"] == "dense-rs"
    alone = run(cli, ["describe", workload, "--save-mappings", str(mapped)])
    assert alone.exit_code == 2 and "need --arch" in alone.stderr


def test_the_given_mapping_is_taken() -> None:
    layer, placement = convolution(10, 6, 16, 3, 1, 1), Placement(True, True, 65536)
    flow = RowStationary()
    plan = flow.plan(layer, architecture(E5P4 | {"m": 16, "strips_outer": True}), placement)
    wanted = RowStationaryMapping(5, 4, 2, 2, 2, strips_outer=True, g=2)
    assert mapping_of(plan) == wanted != mapping_of(flow.plan(layer, architecture(), placement))
    expected = flow.plan_with(layer, architecture(), placement, wanted)
    assert np.array_equal(plan.compute_cycles, expected.compute_cycles)


def test_mappings_of_another_dataflow_are_left_alone() -> None:
    layer, placement = convolution(10, 6, 16, 3, 1, 1), Placement(True, True, 65536)
    flow = get_dataflow("weight_stationary")
    plans = [flow.plan(layer, architecture(*given), placement).mapping for given in ([], [E5P4])]
    assert plans[0] == plans[1]
    steps = {"layer": "layer", "dataflow": "weight_stationary", "steps_a_fold": 50, "steps_a_tile": 25}
    given = flow.plan(layer, architecture(steps), placement)
    assert (given.mapping["steps_a_fold"], given.mapping["steps_a_tile"]) == (50, 25)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"r": 3, "t": 3}, "pe_array.cols: needs 9 PE sets at a time, found 8"),
        ({"p": 25, "t": 1, "q": 1}, "pe_array.scratchpad.psum_words: needs 25 partial sums a PE, found 24"),
        ({"q": 5, "r": 1}, "pe_array.scratchpad.ifmap_words: needs 15 activations a PE for the kernel 3x3, found 12"),
        ({"p": 24, "q": 4, "r": 1}, "pe_array.scratchpad.filter_words: needs 288 weights a PE"),
        ({"m": 16}, "global_buffer.size_kib: needs 3200 bytes for partial sums of 10 columns, found 2000"),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_says_which_limit_it_breaks(
    changes: dict[str, int], expected: str
) -> None:
    layer, placement = convolution(10, 6, 16, 3, 1, 1), Placement(True, True, 2000)
    arch = architecture(E5P4 | changes)
    with pytest.raises(InvalidInput) as caught:
        RowStationary().plan(layer, arch, placement)
    assert f'layer "layer" on "drawn": {expected}' in str(caught.value)
    assert RowStationary().cost(layer, arch, placement) is None


def test_a_systolic_mapping_that_does_not_fit_says_why() -> None:
    layer, tight = convolution(10, 30, 16, 3, 1, 1), Placement(True, True, 100)
    short = {"layer": "layer", "steps_a_fold": 100, "steps_a_tile": 100}
    weights = architecture(short | {"dataflow": "weight_stationary"})
    with pytest.raises(
        InvalidInput, match=r"global_buffer\.size_kib: needs 5600 bytes for partial sums, found 100"
    ):
        get_dataflow("weight_stationary").plan(layer, weights, tight)
    assert get_dataflow("weight_stationary").cost(layer, weights, tight) is None
    outputs = architecture(short | {"dataflow": "output_stationary"})
    with pytest.raises(InvalidInput, match="found steps_a_fold = 100, expected 270"):
        get_dataflow("output_stationary").plan(layer, outputs, tight)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"layer": "conf2"}, '"shapes" has no layer "conf2" with weights (hint: did you mean "conv2"?)'),
        ({"layer": "pool1"}, '"shapes" has no layer "pool1" with weights'),
        ({"m": 9}, "found m = 9, expected a multiple of p t = 8"),
        ({"dataflow": "row"}, "mappings.0.dataflow"),
        ({"steps_a_fold": 3}, "mappings.0.steps_a_fold: unknown key"),
    ],
)  # fmt: skip
def test_entries_are_checked_where_they_stand(tmp_path: Path, entry: dict[str, Any], expected: str) -> None:
    path = tmp_path / "mapped.yaml"
    given = E5P4 | {"layer": "conv2"} | entry
    path.write_text(yaml.safe_dump({"schema": "archsim.arch/1", "name": "m", "mappings": [given]}))
    with pytest.raises(InvalidInput) as caught:
        api.simulate(write(tmp_path), arch=path)
    assert expected in str(caught.value) and f"{path}:" in str(caught.value)


def test_a_layer_has_one_mapping_a_dataflow(tmp_path: Path) -> None:
    path, given = tmp_path / "mapped.yaml", E5P4 | {"layer": "conv2"}
    path.write_text(yaml.safe_dump({"schema": "archsim.arch/1", "name": "m", "mappings": [given, given]}))
    with pytest.raises(InvalidInput, match='a second row_stationary mapping of "conv2"'):
        api.simulate(write(tmp_path), arch=path)


@pytest.mark.parametrize(
    ("dataflow", "shape", "room_bytes"),
    [
        ("row_stationary", (8, 64, 64, 3, 1, 1), 1200),
        ("weight_stationary", (16, 16, 24, 3, 1, 1), 1200),
        ("input_stationary", (28, 16, 32, 3, 1, 1), 3000),
    ],
)
def test_each_objective_is_best_in_what_it_asks_for(
    dataflow: str, shape: tuple[int, ...], room_bytes: int
) -> None:
    """Little room makes traffic expensive; DRAM at a byte a cycle makes it slow. Objectives choose differently here."""
    placement = Placement(False, False, room_bytes, dram_bytes_per_cycle=1)
    plans = {
        objective: get_dataflow(dataflow).plan(
            convolution(*shape),
            architecture(pe_array={"dataflow": dataflow, "mapping": objective}),
            placement,
        )
        for objective in ("energy", "cycles", "traffic")
    }
    moved = {objective: traffic_bytes(plan) for objective, plan in plans.items()}
    taken = {objective: bound_cycles(plan) for objective, plan in plans.items()}
    assert moved["traffic"] < min(moved["energy"], moved["cycles"])
    assert taken["cycles"] < taken["traffic"] and taken["cycles"] <= taken["energy"]


def traffic_bytes(plan: TilePlan) -> int:
    return int((plan.weight_load_bytes + plan.ifmap_load_bytes + plan.store_bytes).sum())


def bound_cycles(plan: TilePlan) -> int:
    array = plan.fill_cycles + plan.compute_cycles + plan.drain_cycles
    dram = plan.weight_load_bytes + plan.ifmap_load_bytes + plan.store_bytes
    return int(np.maximum(array, dram).sum())


class Searched(Exception):
    """A search was made where none was expected."""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing remembered in the process."""
    monkeypatch.setenv("ARCHSIM_CACHE_DIR", str(tmp_path / "cache"))
    forget()
    return tmp_path / "cache" / "mappings"


def forget() -> None:
    row_stationary_search._frontiers.cache_clear()
    systolic_search._candidates.cache_clear()


def cost(dataflow: str = "row_stationary", columns: int = 14) -> int:
    arch = architecture(pe_array={"dataflow": dataflow, "cols": columns})
    found = get_dataflow(dataflow).cost(convolution(9, 4, 6, 3, 1, 1), arch, Placement(False, True, 4096))
    assert found is not None
    return found


def no_more_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*_: object) -> None:
        raise Searched

    forget()
    monkeypatch.setattr(row_stationary_search, "_search", search)
    monkeypatch.setattr(systolic_search, "_costed", search)


@pytest.mark.parametrize("dataflow", ["row_stationary", "weight_stationary"])
def test_a_search_is_found_again_in_another_process(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, dataflow: str
) -> None:
    before = cost(dataflow)
    assert len(list(fresh.iterdir())) == 1
    no_more_searches(monkeypatch)
    assert cost(dataflow) == before
    with pytest.raises(Searched):
        cost(dataflow, columns=13)


@pytest.mark.parametrize("damage", ["", "not a digest\n[]", "cut", "other data"])
def test_a_damaged_entry_is_ignored_and_written_again(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    before = cost()
    (path,) = fresh.iterdir()
    whole = path.read_bytes()
    other = b"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n{}"  # whole, but of something else
    path.write_bytes({"cut": whole[:-7], "other data": other}.get(damage, damage.encode()))
    forget()
    assert cost() == before
    assert path.read_bytes() == whole
    no_more_searches(monkeypatch)
    assert cost() == before


def test_without_a_folder_every_process_searches(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cost()
    (tmp_path / "file").write_text("no folder")
    for setting in ("", str(tmp_path / "file")):
        monkeypatch.setenv("ARCHSIM_CACHE_DIR", setting)
        forget()
        assert cost() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "file"]
