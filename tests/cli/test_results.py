"""What simulate and evaluate print and write: keys, sums, files, repeatability."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from archsim import api
from archsim.cli import progress
from archsim.cli.main import cli
from tests.builders import tiny_document, write_workload

SIMULATE_KEYS = {
    "workload", "arch", "energy_table", "images", "engine", "seed", "version", "accuracy", "params_used_fraction",
    "macs_used_fraction", "exits", "branches", "cycles", "latency_us", "throughput_ips", "energy_uj_per_image",
    "dram_bytes_per_image", "layers", "host", "files",
}  # fmt: skip
LAYER_KEYS = {
    "name", "cycles", "stall_cycles", "macs", "skipped_macs", "utilisation", "dram_read_bytes", "dram_write_bytes",
    "glb_read_bytes", "glb_write_bytes", "energy_uj",
}  # fmt: skip
EVALUATE_KEYS = {
    "workload", "images", "accuracy", "full_network_accuracy", "delta_pp", "delta_lower95_pp", "discordant",
    "params_used_fraction", "macs_used_fraction", "exits", "branches", "host",
}  # fmt: skip
COMPONENTS = [
    "dram", "global_buffer", "noc", "pe_array", "branch_unit", "dbp_unit", "controller", "leakage",
]  # fmt: skip


def run_json(*words: object) -> dict[str, Any]:
    """The JSON object that a command prints; nothing else may be on stdout."""
    result = CliRunner().invoke(cli, [str(word) for word in words] + ["--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def without_host(found: dict[str, Any]) -> str:
    return json.dumps({**found, "host": None})


def test_simulate_has_every_key_of_the_contract(tiny: Path) -> None:
    found = run_json("simulate", tiny)
    assert set(found) >= SIMULATE_KEYS
    assert set(found["cycles"]) == {"mean", "p50", "p95", "p99", "max", "total"}
    assert set(found["latency_us"]) == {"mean", "p50", "p95", "p99", "max"}
    assert set(found["energy_uj_per_image"]) == {"total", "by_component"}
    assert list(found["energy_uj_per_image"]["by_component"]) == COMPONENTS
    assert set(found["dram_bytes_per_image"]) == {"read", "write", "wasted"}
    assert all(set(layer) == LAYER_KEYS for layer in found["layers"])
    assert set(found["host"]) == {"wall_s", "peak_rss_mb"}
    assert set(found["branches"]["early"]) == {"evaluated", "skipped_by_dbp", "exited"}
    assert (found["workload"], found["arch"], found["energy_table"]) == ("tiny", "locoexnet-65nm", "65nm")
    assert (found["images"], found["engine"], found["files"]) == (12, "tile", [])
    for key in ("config_hash", "energy_table_hash", "network_hash", "dram_preset_hash"):
        assert len(found[key]) == 64


def test_both_exits_are_taken_and_everything_adds_up(tiny: Path) -> None:
    found = run_json("simulate", tiny)
    exits, early = found["exits"], found["branches"]["early"]
    assert list(exits) == ["early", "final"]
    assert exits["early"] + exits["final"] == 12 and 0 < exits["early"] < 12
    assert early == {"evaluated": 12, "skipped_by_dbp": 0, "exited": exits["early"]}
    energy = found["energy_uj_per_image"]
    assert energy["total"] == math.fsum(energy["by_component"].values()) > 0
    layers = found["layers"]
    assert [layer["name"] for layer in layers] == ["conv1", "early", "conv2", "fc"]
    assert sum(layer["energy_uj"] for layer in layers) == pytest.approx(energy["total"], rel=1e-12)
    for direction in ("read", "write"):
        assert sum(layer[f"dram_{direction}_bytes"] for layer in layers) == pytest.approx(
            found["dram_bytes_per_image"][direction]
        )
    assert all(0 < layer["utilisation"] <= 1 for layer in layers)
    assert layers[0]["macs"] + layers[0]["skipped_macs"] == 8 * 8 * 4 * 9
    assert found["cycles"]["total"] / 12 == found["cycles"]["mean"]
    assert found["latency_us"]["max"] == found["cycles"]["max"] / 200
    assert found["throughput_ips"] == pytest.approx(200e6 / found["cycles"]["mean"])


def test_parameters_used_follow_from_the_exits(tiny: Path) -> None:
    found = run_json("simulate", tiny)
    conv1, conv2, fc, branch = 36, 216, 24, 16
    full = conv1 + conv2 + fc
    left_early = found["exits"]["early"]
    used = left_early * (conv1 + branch) + (12 - left_early) * (full + branch)
    assert found["params_used_fraction"] == pytest.approx(used / full / 12, rel=1e-15)


def test_without_exits_nothing_of_a_branch_is_left(tiny: Path) -> None:
    found = run_json("simulate", tiny, "--set", "exits.enabled=false")
    assert found["exits"] == {"early": 0, "final": 12}
    assert found["params_used_fraction"] == 1.0
    assert [layer["name"] for layer in found["layers"]] == ["conv1", "conv2", "fc"]
    assert found["energy_uj_per_image"]["by_component"]["branch_unit"] == 0
    assert found["overrides"] == ["exits.enabled=false"]


@pytest.mark.parametrize(("threshold", "early"), [(0, 12), (1 << 32, 0)])
def test_thresholds_can_be_overridden(tiny: Path, threshold: int, early: int) -> None:
    override = f"exits.early.threshold={threshold}"
    assert run_json("simulate", tiny, "--set", override)["exits"] == {"early": early, "final": 12 - early}
    assert run_json("evaluate", tiny, "--set", override)["exits"] == {"early": early, "final": 12 - early}


@pytest.mark.parametrize("engine", ["tile", "segment"])
def test_dbp_bounds_can_be_overridden(tiny: Path, engine: str) -> None:
    """Those of the accelerator do what the same bounds in the workload file do, cycle by cycle."""
    document = yaml.safe_load(tiny.read_text())
    assert "dbp" not in document["branches"][0]
    words = ("simulate", "--engine", engine)
    pruned = run_json(*words, tiny, "--set", "dbp.early.min_sum=1000", "--set", "dbp.early.max_sum=2400")
    document["branches"][0]["dbp"] = {"min_sum": 1000, "max_sum": 2400}
    tiny.write_text(yaml.safe_dump(document))
    written = run_json(*words, tiny)
    differs = ("host", "overrides", "config_hash")
    assert {key: value for key, value in pruned.items() if key not in differs} == {
        key: value for key, value in written.items() if key not in differs
    }
    assert 0 < pruned["branches"]["early"]["skipped_by_dbp"] < 12
    assert pruned["energy_uj_per_image"]["by_component"]["dbp_unit"] > 0
    evaluated = run_json("evaluate", tiny, "--set", "dbp.early.max_sum=0")
    assert evaluated["branches"]["early"] == {"evaluated": 0, "skipped_by_dbp": 12, "exited": 0}


def test_a_path_and_another_table_change_the_hashes(tiny: Path) -> None:
    base = run_json("simulate", tiny)
    narrow = run_json("simulate", tiny, "--set", "pe_array.rows=6")
    assert narrow["config_hash"] != base["config_hash"]
    assert narrow["network_hash"] == base["network_hash"]
    table = tiny.parent / "table.yaml"
    table.write_text("schema: archsim.energy/1\nextends: 65nm\nname: mine\nvoltage_v: 2.0\n")
    other = run_json("simulate", tiny, "--energy-table", table)
    assert other["energy_table"] == "mine"
    assert other["energy_table_hash"] != base["energy_table_hash"]
    assert other["energy_uj_per_image"]["total"] > base["energy_uj_per_image"]["total"]
    assert other["cycles"] == base["cycles"]


def test_the_same_run_twice_is_the_same_but_for_the_host(tiny: Path, tmp_path: Path) -> None:
    stored = []
    for _ in range(2):
        words = ["simulate", str(tiny), "--out", str(tmp_path / "out"), "--json", "--arrivals", "1000000"]
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0
        files = {path.name: path.read_bytes() for path in sorted((tmp_path / "out").iterdir())}
        assert list(files) == ["branches.csv", "images.csv", "layers.csv", "result.json"]
        printed, written = json.loads(result.stdout), json.loads(files.pop("result.json"))
        assert printed == written
        assert printed["files"] == [
            str(tmp_path / "out" / n) for n in ("result.json", "images.csv", "layers.csv", "branches.csv")
        ]
        assert all(f"wrote {path}\n" in result.stderr for path in printed["files"])
        stored.append((without_host(written), files))
    assert stored[0] == stored[1]


def test_the_csv_files_agree_with_the_result(tiny: Path, tmp_path: Path) -> None:
    found = run_json("simulate", tiny, "--out", tmp_path / "deep" / "out")
    with (tmp_path / "deep" / "out" / "images.csv").open() as stream:
        images = list(csv.DictReader(stream))
    assert [int(row["index"]) for row in images] == list(range(12))
    assert sum(int(row["cycles"]) for row in images) == found["cycles"]["total"]
    assert sum(float(row["energy_uj"]) for row in images) / 12 == pytest.approx(
        found["energy_uj_per_image"]["total"]
    )
    right = sum(row["label"] == row["prediction"] for row in images)
    assert right / 12 == found["accuracy"]
    wasted = sum(int(row["wasted_bytes"]) for row in images)
    assert wasted / 12 == found["dram_bytes_per_image"]["wasted"]
    with (tmp_path / "deep" / "out" / "layers.csv").open() as stream:
        layers = list(csv.DictReader(stream))
    assert [{key: str(value) for key, value in layer.items()} for layer in found["layers"]] == layers


def test_nothing_is_written_unasked(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    run_json("simulate", tiny)
    run_json("evaluate", tiny)
    assert sorted(tmp_path.rglob("*")) == before


def test_only_the_first_images(tiny: Path) -> None:
    every, few = api.simulate(tiny), api.simulate(tiny, images=5)
    assert few.images == 5
    assert few.per_image == every.per_image[:5]


def test_fewer_images_than_asked_for_is_said(tiny: Path) -> None:
    result = CliRunner().invoke(cli, ["evaluate", str(tiny), "--images", "99"])
    assert result.exit_code == 0
    assert result.stderr == "only 12 images are available, 99 were asked for\n"


def test_long_runs_are_batched_without_a_trace_of_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = api.simulate(tiny).to_json()
    monkeypatch.setattr("archsim.results.source._BATCH_IMAGES", 5)
    assert without_host(api.simulate(tiny).to_json()) == without_host(whole)


def test_other_images_of_another_kind(tiny: Path) -> None:
    data = tiny.parent / "other.npz"
    np.savez(data, images=np.zeros((3, 8, 8, 1), np.uint8), labels=np.array([0, 1, 2]))
    found = run_json("simulate", tiny, "--data", data)
    assert found["images"] == 3
    assert found["cycles"]["mean"] == found["cycles"]["max"] == found["cycles"]["p50"]


def test_evaluate_has_every_key_and_the_full_network(tiny: Path) -> None:
    found, full = run_json("evaluate", tiny), run_json("evaluate", tiny, "--set", "exits.enabled=false")
    assert set(found) >= EVALUATE_KEYS
    assert found["full_network_accuracy"] == full["accuracy"]
    assert found["delta_pp"] == pytest.approx(100 * (found["accuracy"] - full["accuracy"]))
    net = found["discordant"]["c"] - found["discordant"]["b"]
    assert net == round(12 * (found["accuracy"] - full["accuracy"]))
    assert found["delta_lower95_pp"] <= found["delta_pp"]
    assert found["exits"] == run_json("simulate", tiny)["exits"]


def test_a_saved_trace_stands_in_for_the_images(tiny: Path, tmp_path: Path) -> None:
    trace = tiny.parent / "tiny.trace.npz"
    saved = run_json("evaluate", tiny, "--save-trace", trace)
    assert saved["files"] == [str(trace)]
    traced = tiny.with_name("traced.yaml")
    traced.write_text(yaml.safe_dump({**tiny_document(images=None), "trace": trace.name}))
    with_images, with_trace = run_json("simulate", tiny), run_json("simulate", traced)
    assert without_host(with_trace) == without_host(with_images)
    assert run_json("simulate", traced, "--images", 4)["images"] == 4
    evaluated = run_json("evaluate", traced)
    assert without_host({**evaluated, "files": None}) == without_host({**saved, "files": None})


def test_a_workload_without_any_data_says_so(tmp_path: Path) -> None:
    path = write_workload(tmp_path, tiny_document(images=None))
    result = CliRunner().invoke(cli, ["simulate", str(path)])
    assert result.exit_code == 3
    assert result.stderr == (
        f"{path}: images: found neither a trace nor sample images in the workload (hint: give images with --data)\n"
    )


def test_the_text_says_what_the_json_says(tiny: Path) -> None:
    found = run_json("simulate", tiny)
    text = CliRunner().invoke(cli, ["simulate", str(tiny)])
    assert text.stderr == ""
    assert f"energy {found['energy_uj_per_image']['total']:.3f} uJ/image" in text.stdout
    assert [line.split()[0] for line in text.stdout.splitlines()[-4:]] == ["conv1", "early", "conv2", "fc"]
    assert "\x1b" not in text.stdout


def test_long_work_reports_progress_on_stderr(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_QUIET_S", 0.0)
    result = CliRunner().invoke(cli, ["simulate", str(tiny), "--json"])
    assert result.exit_code == 0
    assert re.match(rf"simulating: \d+ images, 0 s \({progress.COMPILES}\)\n", result.stderr)
    json.loads(result.stdout)


def test_the_python_interface(tiny: Path) -> None:
    workload = api.load(tiny)
    assert workload.spec.name == "tiny"
    assert workload.network.weights == 276
    seen: list[tuple[int, int]] = []
    result = api.simulate(workload, images=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert result.network_hash == workload.network_hash


def test_the_engine_that_ran_is_in_the_result_and_another_than_asked_is_noted(tiny: Path) -> None:
    words = ["simulate", str(tiny), "--images", "1", "--engine", "segment", "--json"]
    plain, banked = (
        CliRunner().invoke(cli, [*words, "--set", f"global_buffer.access={access}"])
        for access in ("port", "banks")
    )
    assert [json.loads(result.stdout)["engine"] for result in (plain, banked)] == ["segment", "tile"]
    assert plain.stderr == ""
    assert banked.stderr == "the segment engine does not have this hardware, the tile engine ran instead\n"
