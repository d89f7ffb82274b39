"""Command energies against the golden rows: DRAMsim3 and DRAMPower currents worked out by an independent script."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from archsim.config.dram import DramPresetSpec
from archsim.config.load import load_dram_preset
from archsim.counters import Counters
from archsim.energy.account import account
from archsim.energy.dram import command_energy
from archsim.errors import InvalidInput
from tests.unit.energy_cases import DRAM, edited, golden, resolved

ROWS = golden("dram_command_energy.csv")
CURRENTS = ("idd0", "idd2n", "idd3n", "idd4r", "idd4w", "idd5")
OTHER_TIMING = (
    "cl",
    "cwl",
    "trcd",
    "trrd_s",
    "trrd_l",
    "tfaw",
    "tccd_s",
    "tccd_l",
    "twr",
    "trtp",
    "twtr_s",
    "twtr_l",
)


def preset(row: dict[str, str], devices: int = 1) -> DramPresetSpec:
    """A channel of ``devices`` of the golden row's chips, at 1 GHz: its energies times tCK in ns are the real ones."""
    timing: dict[str, Any] = dict.fromkeys(OTHER_TIMING, 1)
    timing |= {key: int(row[key]) for key in ("trp", "tras", "trfc", "trefi")}
    timing["burst_cycles"] = int(row["bl"]) // 2
    rails = [
        {"vdd_v": float(row[f"vdd{rail}_v"])}
        | {f"{name}_ma": float(row[f"{name}_{rail}"]) for name in CURRENTS}
        for rail in (1, 2)
        if row[f"vdd{rail}_v"]
    ]
    return DramPresetSpec.model_validate(
        {
            "schema": "archsim.dram/1",
            "name": "case",
            "source": "golden",
            "clock_mhz": 1000,
            "devices": devices,
        }
        | {"channel_bits": int(row["width_bits"]) * devices, "bank_groups": 1, "banks_per_group": 8}
        | {"row_bytes": 1024, "timing": timing, "rails": rails}
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_command_energies_equal_the_golden_columns(row: dict[str, str]) -> None:
    energy, tck_ns = command_energy(preset(row)), float(row["tck_ns"])
    assert energy.read_burst * tck_ns / 1000 == pytest.approx(float(row["e_rdburst_nj"]), abs=0.0006)
    assert energy.write_burst * tck_ns / 1000 == pytest.approx(float(row["e_wrburst_nj"]), abs=0.0006)
    assert energy.standby_cycle == pytest.approx(float(row["p_act_stby_mw"]), abs=0.051)
    refresh_mw = energy.refresh / int(row["trefi"])
    assert refresh_mw == pytest.approx(float(row["p_refresh_mw"]), abs=0.0051)
    assert energy.activate * tck_ns / 1000 == pytest.approx(float(row["e_actpre_nj"]), abs=0.0006)


def test_an_activate_by_hand() -> None:
    ddr3 = next(row for row in ROWS if row["id"] == "DDR3-1600-4Gb-x8")
    # 1.35 V x (55 mA x 39 - 38 mA x 28 - 32 mA x 11) x 1.25 ns = 1230.2 pJ
    assert command_energy(preset(ddr3)).activate * 1.25 == pytest.approx(1230.1875)


def test_devices_multiply_and_rails_add() -> None:
    row = next(row for row in ROWS if row["id"] == "LPDDR3-1600-4Gb-x32")
    single, double = command_energy(preset(row)), command_energy(preset(row, devices=2))
    assert asdict(double) == {name: 2 * energy for name, energy in asdict(single).items()}
    one_rail = row | {"vdd2_v": ""}
    other_rail = row | {"vdd1_v": ""}
    apart = [asdict(command_energy(preset(each))) for each in (one_rail, other_rail)]
    for name, energy in asdict(single).items():
        assert energy == pytest.approx(apart[0][name] + apart[1][name])


@pytest.mark.parametrize(
    ("name", "read_burst_pj", "standby_mw"),
    [
        ("lpddr3-1600-x32", 1317.0, 57.6),
        ("ddr3-1600-x8", 8 * 803.25, 8 * 51.3),
        ("ddr3-1600-x16", 4 * 1269.0, 4 * 63.45),
    ],
)
def test_built_in_presets(name: str, read_burst_pj: float, standby_mw: float) -> None:
    dram = load_dram_preset(name)
    energy = command_energy(dram)
    assert energy.read_burst == pytest.approx(read_burst_pj)
    assert energy.standby_cycle * dram.clock_mhz / 1000 == pytest.approx(standby_mw)


@pytest.mark.parametrize(
    ("name", "idle_mw", "power_down_mw"),
    [
        ("lpddr3-1600-x32", 1.8 * 2.0 + 1.2 * 38.0, 1.8 * 0.6 + 1.2 * 0.87),
        ("ddr3-1600-x8", 8 * 1.35 * 32.0, 8 * 1.35 * 18.0),
    ],
)
def test_background_between_images(name: str, idle_mw: float, power_down_mw: float) -> None:
    dram = load_dram_preset(name)
    energy = command_energy(dram)
    assert energy.idle_cycle * dram.clock_mhz / 1000 == pytest.approx(idle_mw)
    assert energy.power_down_cycle * dram.clock_mhz / 1000 == pytest.approx(power_down_mw)
    rails = [rail.model_copy(update={"idd2p_ma": None}) for rail in dram.rails]
    unknown = command_energy(dram.model_copy(update={"rails": rails}))
    assert unknown.power_down_cycle == unknown.idle_cycle


def test_currents_below_standby_are_refused_all_at_once() -> None:
    rail = DRAM.rails[0].model_copy(update={"vdd_v": 5.0, "idd3n_ma": 900.0})
    with pytest.raises(InvalidInput) as caught:
        command_energy(DRAM.model_copy(update={"rails": [rail]}))
    assert [problem.message.split()[0] for problem in caught.value.problems] == [
        "activate",
        "read_burst",
        "write_burst",
        "refresh",
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_totals_of_a_run_from_its_counters(row: dict[str, str]) -> None:
    """Counters x table against the published energy of each command and power of each state, to 0.1 %."""
    counts = {"activate": 1_000, "read_burst": 20_000, "write_burst": 5_000, "refresh": 40}
    cycles = 40 * int(row["trefi"])
    counters = Counters()
    for action, amount in (counts | {"standby_cycle": cycles}).items():
        counters.add("dram", action, "conv1", amount)
    table = resolved(dram=preset(row), table=edited({"dram_io": {"value": 0.0}}))
    tck_ns = float(row["tck_ns"])
    total_nj = account(counters, table).by_component["dram"] * tck_ns / 1000  # the preset runs at 1 GHz
    published_nj = (
        counts["activate"] * float(row["e_actpre_nj"])
        + counts["read_burst"] * float(row["e_rdburst_nj"])
        + counts["write_burst"] * float(row["e_wrburst_nj"])
        + cycles * tck_ns * (float(row["p_act_stby_mw"]) + float(row["p_refresh_mw"])) / 1000
    )
    assert total_nj == pytest.approx(published_nj, rel=1e-3)
