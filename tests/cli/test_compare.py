"""``archsim compare``: what it prints and writes, and that every number of it can be derived again."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from archsim.api import load, simulate
from archsim.cli.main import cli
from archsim.comparison.cases import Case
from archsim.comparison.runs import Machine
from archsim.counters import Counters
from archsim.energy.account import account
from archsim.functional.decide import Policy, decide
from archsim.results.source import Source
from archsim.sim.engine import Simulator
from tests.builders import TINY, tiny_document, write_workload

IMAGES = 24
CONV = {"name": "conv", "op": "conv2d", "filters": 8, "kernel": 3, "padding": 1, "relu": True}


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["compare", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def compare(*arguments: str | Path) -> dict[str, Any]:
    code, printed, errors = run(*arguments, "--json")
    assert code == 0, errors
    found: dict[str, Any] = json.loads(printed)
    return found


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A comparison of a trained network, and the folder it was written into."""
    folder = tmp_path_factory.mktemp("compare")
    arguments = ("digits", "--baseline", "dense-rs", "--baseline", "conventional-ee", "--images", str(IMAGES))
    return compare(*arguments, "--out", folder), folder


def conventional(folder: Path) -> Path:
    """The tiny workload with a convolution in its branch; the same images."""
    branch = copy.deepcopy(TINY["branches"][0])
    branch["layers"].insert(0, CONV)
    names = {"name": "conventional", "weights": "conventional.weights.npz"}
    return write_workload(folder, tiny_document(**names, branches=[branch]))


# --- the promise to scripts


def test_the_keys_that_scripts_rely_on_are_there(digits: tuple[dict[str, Any], Path]) -> None:
    found, _ = digits
    assert (found["workload"], found["arch"], found["batch"]) == ("digits", "locoexnet-65nm", 1)
    keys = {"name", "workload", "speedup", "energy_saving", "cycles_mean", "energy_uj_per_image", "accuracy"}
    assert [baseline["name"] for baseline in found["baselines"]] == ["dense-rs", "conventional-ee"]
    assert all(keys <= set(baseline) for baseline in found["baselines"])
    assert all(
        {"step", "cycles_mean", "energy_uj_per_image", "accuracy"} <= set(rung) for rung in found["ladder"]
    )
    ours, dense = found["ours"], found["baselines"][0]
    assert dense["speedup"] == pytest.approx(dense["cycles_mean"] / ours["cycles_mean"], rel=1e-12)
    assert dense["energy_saving"] == 1 - ours["energy_uj_per_image"] / dense["energy_uj_per_image"]
    low, high = dense["energy_saving_range"]
    assert low < dense["energy_saving"] < high


# --- every number can be derived again


def test_every_rung_is_a_run_of_simulate_and_the_last_one_the_plain_one(
    digits: tuple[dict[str, Any], Path],
) -> None:
    found, _ = digits
    for rung in found["ladder"]:
        again = simulate(rung["workload"], images=IMAGES, overrides=rung["overrides"])
        assert rung["cycles_mean"] == again.cycles.mean
        assert rung["energy_by_component_uj"] == again.energy_uj_per_image.by_component
        assert rung["accuracy"] == again.accuracy
    last, plain = found["ladder"][-1], simulate("digits", images=IMAGES)
    assert last["overrides"] == []
    assert (last["cycles_mean"], last["energy_uj_per_image"]) == (
        plain.cycles.mean,
        plain.energy_uj_per_image.total,
    )
    assert last["energy_uj_per_image"] == found["ours"]["energy_uj_per_image"]


def test_the_energy_of_every_rung_is_its_counters_times_the_table(
    digits: tuple[dict[str, Any], Path],
) -> None:
    found, _ = digits
    workload = load("digits")
    for rung in found["ladder"]:
        machine = Machine.of(Case("digits", "locoexnet-65nm", tuple(rung["overrides"])), None)
        policy = Policy.of(
            workload.network,
            exits_enabled=machine.spec.exits.enabled,
            dbp_enabled=machine.spec.dbp.enabled,
        )
        trace = Source.of(workload, None, IMAGES).whole(policy, zero_maps=True, progress=None)
        simulator, counters = Simulator(workload.network, machine.spec, machine.dram), Counters()
        for record in simulator.records(trace, decide(trace, policy)):
            counters.merge(record.counters)
        energy_uj = account(counters, machine.energy).total_pj / 1e6 / IMAGES
        assert rung["energy_uj_per_image"] == pytest.approx(energy_uj, rel=1e-12)


def test_the_ladder_adds_up(digits: tuple[dict[str, Any], Path]) -> None:
    ladder = digits[0]["ladder"]
    first, last = ladder[0], ladder[-1]
    assert (first["step"], first["speedup"], first["step_energy_saving"]) == ("dense", 1.0, 0.0)
    saved = math.fsum(math.fsum(rung["step_saved_by_component_uj"].values()) for rung in ladder)
    assert saved == pytest.approx(first["energy_uj_per_image"] - last["energy_uj_per_image"])
    left = math.prod(1 - rung["step_energy_saving"] for rung in ladder)
    assert 1 - left == pytest.approx(last["energy_saving"])
    assert math.prod(rung["step_speedup"] for rung in ladder) == pytest.approx(last["speedup"])


def test_oracle_saves_more_than_early_exit_and_that_more_than_none(
    digits: tuple[dict[str, Any], Path],
) -> None:
    found, _ = digits
    energy = {rung["step"]: rung["energy_uj_per_image"] for rung in found["ladder"]}
    controls = {control["name"]: control for control in found["controls"]}
    assert list(controls) == ["oracle_exit", "ideal", "without_dbp"]
    assert (
        controls["ideal"]["energy_uj_per_image"]
        < controls["oracle_exit"]["energy_uj_per_image"]
        < found["ours"]["energy_uj_per_image"]
        < energy["+ early exit"]
        < energy["+ zero skipping"]
        < energy["+ zero gating"]
        < energy["dense"]
    )
    assert controls["oracle_exit"]["accuracy"] >= found["ours"]["accuracy"]
    assert controls["without_dbp"]["energy_uj_per_image"] == energy["+ branch unit"]


def test_baselines_of_equal_area_and_without_weight_traffic(digits: tuple[dict[str, Any], Path]) -> None:
    found, _ = digits
    dense, deciding = found["baselines"]
    assert dense["area_mm2"] < dense["equal_area"]["area_mm2"] <= found["ours"]["area_mm2"]
    limit = dense["batch_limit"]
    assert limit["weight_bytes_per_image"] == load("digits").network.weights
    assert limit["cycles_mean"] < dense["cycles_mean"]
    assert limit["energy_saving"] < dense["energy_saving"]
    assert deciding["batch_limit"] is None
    assert dense["differs_in"] == {"pe_array.zero": ["skip", "none"], "exits.enabled": [True, False]}


# --- files


def test_everything_is_written(digits: tuple[dict[str, Any], Path]) -> None:
    found, folder = digits
    assert all(Path(file).is_file() for file in found["files"])
    assert json.loads((folder / "comparison.json").read_text()) == found
    for name in ("speedup.png", "energy.png", "ladder.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    rows = (folder / "baselines.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 + sum(baseline["equal_area"] is not None for baseline in found["baselines"])
    assert len((folder / "ladder.csv").read_text().splitlines()) == 1 + len(found["ladder"])
    written = json.loads((folder / "runs" / "digits-on-locoexnet-65nm" / "result.json").read_text())
    assert written["cycles"]["mean"] == found["ours"]["cycles_mean"]


def test_tables_tell_what_means_hide() -> None:
    code, printed, _ = run("digits", "--images", "6", "--baseline", "eyeriss-65nm")
    assert code == 0
    assert "digits on locoexnet-65nm, 6 images, batch 1, energy table 65nm" in printed
    assert "of the images take longer, the worst" in printed
    assert "eyeriss-65nm differs in energy_table eyeriss-65nm (ours 65nm)" in printed
    assert "eyeriss-65nm: the energy inside its DRAM is not counted" in printed
    assert "DBP " in printed


# --- options


def test_conventional_branches_have_a_step_of_their_own(tiny: Path, tmp_path: Path) -> None:
    found = compare(tiny, "--conventional", conventional(tmp_path / "conventional"))
    steps = {rung["step"]: rung for rung in found["ladder"]}
    first = found["ladder"][0]
    assert len({rung["accuracy"] for rung in found["ladder"]}) > 1
    for rung in found["ladder"]:
        delta_pp = 100 * (rung["accuracy"] - first["accuracy"])
        assert rung["paired"]["delta_pp"] == pytest.approx(delta_pp, abs=1e-12)
    assert found["ladder"][-1]["paired"] == found["baselines"][0]["paired"], "dense-rs is the first rung"
    assert steps["+ early exit, conventional branches"]["workload"] == "conventional"
    assert steps["+ low-cost branch structures"]["workload"] == "tiny"
    assert steps["+ DBP"]["note"] == "no branch of the workload has DBP bounds"


def test_further_workloads_are_compared_with_the_same_baselines(tiny: Path, tmp_path: Path) -> None:
    second = conventional(tmp_path / "conventional")
    found = compare(tiny, second, "--baseline-workload", tiny)
    (other,) = found["others"]
    assert (other["workload"], other["baselines"][0]["workload"]) == ("conventional", "tiny")
    assert other["baselines"][0]["cycles_mean"] == found["baselines"][0]["cycles_mean"]


def test_hardware_is_set_for_all_and_decisions_for_the_accelerator_alone(tiny: Path) -> None:
    found = compare(tiny, "--set", "pe_array.rows=6", "--set", "exits.early.threshold=0")
    assert found["ours"]["overrides"] == ["pe_array.rows=6", "exits.early.threshold=0"]
    assert found["baselines"][0]["overrides"] == ["pe_array.rows=6"]
    assert found["ours"]["exits"]["early"] == 12
    assert found["ours"]["pes"] == found["baselines"][0]["pes"] == 6 * 14


def test_one_key_is_varied_for_ours_and_the_baselines_alike(tiny: Path) -> None:
    found = compare(tiny, "--vary", "pe_array.rows=6,12", "--vary", "dram.preset=ddr4-2400-x8")
    settings = [variation["setting"] for variation in found["variations"]]
    assert settings == ["pe_array.rows=6", "pe_array.rows=12", "dram.preset=ddr4-2400-x8"]
    for variation in found["variations"]:
        alone = compare(tiny, "--set", variation["setting"])
        assert variation["ours"]["cycles_mean"] == alone["ours"]["cycles_mean"]
        assert variation["baselines"][0]["speedup"] == alone["baselines"][0]["speedup"]
    code, _, errors = run(tiny, "--vary", "pe_array.rows")
    assert code == 3 and "expected KEY=VALUE,VALUE" in errors


def test_with_arrivals_latency_waits_and_nothing_is_bounded(tiny: Path) -> None:
    found = compare(tiny, "--arrivals", "1000000", "--seed", "3")
    alone = compare(tiny)
    assert found["arrivals"] == "1000000"
    assert found["controls"] == [] and found["baselines"][0]["batch_limit"] is None
    assert found["ours"]["cycles"] == alone["ours"]["cycles"]
    assert found["ours"]["latency_us"]["p95"] > alone["ours"]["latency_us"]["p95"]
    assert found["ours"]["energy_uj_per_image"] > alone["ours"]["energy_uj_per_image"]


def test_a_network_without_weights_is_compared_in_time_and_energy(tmp_path: Path) -> None:
    document = tiny_document(weights=None, images=None, branches=None)
    path = tmp_path / "shapes.yaml"
    path.write_text(yaml.safe_dump(document))
    found = compare(path, "--arch", "skip-rs", "--images", "2")
    assert found["baselines"][0]["accuracy"] is None and found["baselines"][0]["paired"] is None
    assert found["baselines"][0]["energy_saving"] > 0
    assert [rung["paired"] for rung in found["ladder"]] == [None] * 3
    assert [rung["step"] for rung in found["ladder"]] == ["dense", "+ zero gating", "+ zero skipping"]


# --- what is refused


def test_other_images_are_refused(tiny: Path, tmp_path: Path) -> None:
    fewer = write_workload(tmp_path / "fewer", tiny_document(name="fewer"), images=8)
    code, _, errors = run(tiny, "--baseline-workload", fewer)
    assert (code == 3 and "--images" in errors) or "same images" in errors
    other = write_workload(tmp_path / "other", tiny_document(name="other"), seed=5)
    code, _, errors = run(tiny, "--baseline-workload", other)
    assert code == 3 and "give both the same images with --data" in errors


def test_all_problems_are_listed_at_once(tiny: Path) -> None:
    code, _, errors = run(tiny, "--arch", "locoexnet-65m", "--baseline", "dens-rs", "--baseline", "skip-rs")
    assert code == 3
    assert "locoexnet-65nm" in errors and "dense-rs" in errors


def test_baseline_workloads_are_one_or_as_many_as_baselines(tiny: Path) -> None:
    code, _, errors = run(tiny, "--baseline-workload", tiny, "--baseline-workload", tiny)
    assert code == 2 and "one for all or one for each" in errors
