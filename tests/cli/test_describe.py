"""list, describe and doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archsim.cli import checks
from archsim.cli.descriptions import parameters_of
from archsim.cli.main import cli
from archsim.config.load import load_arch
from archsim.counters import ACTIONS, COMPONENTS
from archsim.resources import Kind, builtin_names


def run_json(*words: object) -> Any:
    result = CliRunner().invoke(cli, [*(str(word) for word in words)])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_list_names_everything_built_in_with_a_description() -> None:
    found = run_json("list", "--json")
    assert list(found) == ["workloads", "architectures", "dram_presets", "energy_tables", "dataflows"]
    for section, kind in (
        ("workloads", Kind.WORKLOAD),
        ("architectures", Kind.ARCH),
        ("dram_presets", Kind.DRAM),
        ("energy_tables", Kind.ENERGY_TABLE),
    ):
        assert [entry["name"] for entry in found[section]] == list(builtin_names(kind))
    assert "row_stationary" in [entry["name"] for entry in found["dataflows"]]
    entries = [entry for section in found.values() for entry in section]
    assert all(entry["description"] and "cannot be read" not in entry["description"] for entry in entries)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_has_parameters_and_all_its_actions(component: str) -> None:
    found = run_json("describe", component, "--json")
    parameters = next(table for title, table in found.items() if title.startswith("parameters"))
    assert parameters
    actions = [(row["action"], row["unit"], row["counted when"]) for row in found["counted actions"]]
    assert actions == [(a.name, a.unit, a.sentence) for a in ACTIONS if a.component == component]


def test_every_parameter_of_an_architecture_belongs_to_a_component() -> None:
    owned: list[str] = []
    for component in COMPONENTS:
        for title, table in run_json("describe", component, "--json").items():
            if title.startswith("parameters"):
                owned += [row["parameter"] for row in table]
    every = [row["parameter"] for row in parameters_of(load_arch("locoexnet-65nm"))]
    assert sorted(owned) == sorted(name for name in every if name != "energy_table")


def test_parameters_have_values_units_and_meanings() -> None:
    found = run_json("describe", "locoexnet-65nm", "--json")
    rows = {row["parameter"]: row for row in found["parameters"]}
    assert (rows["global_buffer.size_kib"]["value"], rows["global_buffer.size_kib"]["unit"]) == (108, "KiB")
    assert rows["pe_array.noc.psum_bytes_per_cycle"]["unit"] == "bytes/cycle"
    assert rows["branch_unit.macs"]["meaning"].startswith("MAC lanes")


def test_a_workload_is_a_table_of_layers(tiny: Path) -> None:
    found = run_json("describe", tiny, "--json")
    layers = [(row["layer"], row["output"], row["weights"], row["MACs"]) for row in found["layers"]]
    assert layers == [
        ("conv1", "8x8x4", 36, 2304),
        ("pool1", "4x4x4", 0, 0),
        ("conv2", "4x4x6", 216, 3456),
        ("gap", "1x1x6", 0, 0),
        ("fc", "1x1x4", 24, 24),
    ]
    shares = [(row["weights up to here %"], row["MACs up to here %"]) for row in found["layers"]]
    assert shares[0] == (13.04, 39.83) and shares[-1] == (100.0, 100.0)
    (branch,) = found["branches"]
    assert (branch["branch"], branch["after"], branch["weights"], branch["MACs"]) == (
        "early",
        "pool1",
        16,
        16,
    )
    assert (branch["trunk weights before it %"], branch["threshold (logit)"]) == (13.04, 1500)


@pytest.mark.parametrize("kind", [Kind.WORKLOAD, Kind.ARCH, Kind.DRAM, Kind.ENERGY_TABLE])
def test_every_built_in_can_be_described(kind: Kind) -> None:
    for name in builtin_names(kind):
        result = CliRunner().invoke(cli, ["describe", name])
        assert result.exit_code == 0, result.stderr
        first, *others = result.stdout.splitlines()
        # A name may be that of several kinds: the first is described, the others are mentioned.
        assert first == f"{name} ({kind.value})" or any(
            line.startswith(f"{kind.value} of this name: archsim describe ") for line in others
        )


def test_doctor_says_what_is_in_order() -> None:
    found = run_json("doctor", "--json")
    assert found["ok"] is True
    assert {"archsim", "python", "numpy", "extra data", "built-in files", "small simulation"} <= {
        check["name"] for check in found["checks"]
    }


def test_doctor_fails_where_the_simulation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_EXAMPLE", "no-such-workload")
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("small simulation")]
    assert "FAILED" in line and "no-such-workload" in line
