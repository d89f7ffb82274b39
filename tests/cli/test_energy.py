"""What users see of energy tables: the table behind a result, its rows on an accelerator, what is wrong with it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from archsim.cli.main import cli
from archsim.config.load import load_energy_table
from archsim.counters import ACTIONS
from archsim.energy.uncertainty import EnergyTerm, half_width_uj, saving_range
from archsim.resources import Kind, builtin_names


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, words)])


def run_json(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def write_table(folder: Path, name: str, factor: float = 1.0, **rows: Any) -> Path:
    """A table without DRAM currents whose values are ``factor`` times those of 65nm, some rows changed."""
    base = load_energy_table("65nm-dram-8pj-per-bit").model_dump(mode="json", by_alias=True)
    for row in base["rows"].values():
        row["value"] *= factor
    for row, keys in rows.items():
        base["rows"][row] |= keys
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(base | {"name": name}))
    return path


def test_doubling_a_table_doubles_every_energy(tiny: Path) -> None:
    once, twice = (
        run_json("simulate", tiny, "--energy-table", write_table(tiny.parent, name, factor))
        for name, factor in (("once", 1.0), ("twice", 2.0))
    )
    for key in ("energy_uj_per_image", "energy_uncertainty_uj"):
        assert twice[key]["total"] == pytest.approx(2 * once[key]["total"], rel=1e-12)
        assert twice[key]["by_component"] == pytest.approx(
            {name: 2 * energy for name, energy in once[key]["by_component"].items()}, rel=1e-12
        )
    assert twice["energy_by_cause_uj"] == pytest.approx(
        {cause: 2 * energy for cause, energy in once["energy_by_cause_uj"].items()}, rel=1e-12
    )


def test_a_changed_row_changes_the_result_and_the_hash_printed_with_it(tiny: Path) -> None:
    def printed(name: str, **rows: Any) -> tuple[str, str]:
        table = write_table(tiny.parent, name, **rows)
        title, *lines = run("simulate", tiny, "--energy-table", table).stdout.splitlines()
        found = re.fullmatch(
            rf"tiny on locoexnet-65nm, 12 images, energy table {name} \(([0-9a-f]{{8}})\)", title
        )
        assert found, title
        return found[1], next(line for line in lines if line.startswith("throughput"))

    plain = printed("same")
    assert printed("same") == plain
    changed = printed("same", noc_wire={"value": 0.4})
    assert changed[0] != plain[0] and changed[1] != plain[1]
    assert printed("same", noc_wire={"source": "elsewhere"})[1] == plain[1]
    assert printed("same", noc_wire={"source": "elsewhere"})[0] != plain[0]


def test_a_result_says_how_wrong_it_may_be_and_what_it_was_spent_on(tiny: Path) -> None:
    found = run_json("simulate", tiny)
    total = found["energy_uj_per_image"]["total"]
    terms = [EnergyTerm(**term) for term in found["energy_terms"]]
    assert math.fsum(term.energy_uj for term in terms) == pytest.approx(total, rel=1e-12)
    widths = found["energy_uncertainty_uj"]
    assert widths["total"] == half_width_uj(terms) < sum(widths["by_component"].values())
    assert 0.05 * total < widths["total"] < 0.5 * total
    causes = found["energy_by_cause_uj"]
    assert list(causes) == ["useful", "wasted", "branch", "dbp", "stalled", "idle"]
    assert math.fsum(causes.values()) == pytest.approx(total, rel=1e-12)
    assert causes["wasted"] > 0 and causes["branch"] > 0 and causes["idle"] == 0
    dense = run_json("simulate", tiny, "--arch", "dense-rs")
    saving = saving_range(terms, [EnergyTerm(**term) for term in dense["energy_terms"]])
    assert saving.value == pytest.approx(1 - total / dense["energy_uj_per_image"]["total"])
    assert saving.low < saving.value < saving.high
    assert saving.high - saving.low < widths["total"] / total, "most unknowns are shared and cancel"
    assert dense["area_mm2"]["total"] < found["area_mm2"]["total"]
    assert found["area_mm2"]["total"] == math.fsum(found["area_mm2"]["by_component"].values())


def test_rows_out_of_use_and_out_of_range_are_told(tiny: Path) -> None:
    sets = ["--set", "global_buffer.size_kib=2000", "--set", "global_buffer.banks=1"]
    table = tiny.parent / "sram.yaml"
    table.write_text("extends: 65nm\nschema: archsim.energy/1\nname: sram\nregister_spad_max_bytes: 0\n")
    words = ["simulate", tiny, *sets, "--energy-table", table]
    registers = "pe_array_spad_register_cell, pe_array_spad_register_word_select"
    notes = run(*words).stderr
    assert f"energy table sram: rows that locoexnet-65nm has no use for: {registers}\n" in notes
    assert "beyond its range: global_buffer_read_bank: global_buffer.read_byte: 2.048e+06 bytes" in notes
    assert "beyond its range: floorplan: global_buffer: 2.048e+06 bytes a bank" in notes
    found = run_json(*words)
    assert ", ".join(found["energy_rows_unused"]) == registers
    # Two laws of banks, the area of one, and two terms each for reads and writes of scratchpads of 12 and of 96 bytes
    assert len(found["energy_rows_extrapolated"]) == 2 + 1 + 2 * 2 * 2
    assert "energy table" not in run("simulate", tiny).stderr


def test_describe_energy_shows_every_action_and_where_it_comes_from() -> None:
    found = run_json("describe", "energy", "--arch", "eyeriss-65nm")
    actions = {row["action"]: row for row in found["actions"]}
    assert list(actions) == [f"{action.component}.{action.name}" for action in ACTIONS]
    for name, row in actions.items():
        parts = [term["pJ"] for term in found["terms"] if term["action"] == name]
        assert row["pJ"] == pytest.approx(math.fsum(parts))
    assert all(term["source"] for term in found["terms"])
    assert found["area"][-1]["component"] == "total"
    assert found["description"].startswith("table eyeriss-65nm (")
    eight_bits = run_json("describe", "energy", "--set", "precision.weight_bits=16")
    assert eight_bits["actions"] != run_json("describe", "energy")["actions"]


@pytest.mark.parametrize("table", builtin_names(Kind.ENERGY_TABLE))
def test_every_table_that_ships_prices_every_action(table: str) -> None:
    found = run_json("describe", "energy", "--energy-table", table)
    assert len(found["actions"]) == len(ACTIONS)
    assert found["rows without use here"] == []


def test_an_action_without_a_row_is_refused(tmp_path: Path) -> None:
    table = load_energy_table("65nm").model_dump(mode="json", by_alias=True)
    for row in ("noc_fifo", "noc_wire"):
        del table["rows"][row]
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(table | {"name": "short"}))
    refused = run("describe", "energy", "--energy-table", path)
    assert refused.exit_code == 3
    for action in ("ifmap_byte", "filter_byte", "psum_byte", "local_psum_byte"):
        assert f'energy table "short": rows: no row for noc.{action} on locoexnet-65nm' in refused.stderr


def test_an_architecture_is_described_with_its_area() -> None:
    area = {row["component"]: row["mm2"] for row in run_json("describe", "eyeriss-65nm")["area"]}
    assert area["total"] == pytest.approx(12.28, abs=0.01)
    assert run("describe", "65nm", "--energy-table", "45nm").exit_code == 2


def test_a_calibration_is_for_the_chip_with_measured_energies(tmp_path: Path) -> None:
    assert run("validate", "systolic", "--calibrate").exit_code == 2
    assert run("validate", "eyeriss", "--out", tmp_path / "x.yaml").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_power_down_needs_a_current(tmp_path: Path) -> None:
    wrong = run("describe", "energy", "--set", "dram.preset=eyeriss-link", "--set", "dram.idle=power_down")
    assert wrong.exit_code == 3
    assert "eyeriss-link has a rail without idd2p_ma" in wrong.stderr
