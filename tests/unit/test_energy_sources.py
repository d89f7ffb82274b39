"""Every number of the 65 nm table that is not a fit, worked out again from the published number it names."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest

from archsim.config.arch import ArchSpec
from archsim.config.load import load_energy_table
from archsim.energy.quantities import Quantities
from archsim.resources import Kind, folder
from tests.unit.energy_cases import TABLE, arch, eyeriss, golden, resolved

PUBLISHED = {row["id"]: row for row in golden("published.csv")}
PJ = {name: float(row["pj"]) for name, row in PUBLISHED.items()}
REGISTER, COMPARATOR = PJ["aladdin_register_bit"], PJ["aladdin_comparator_32"]
MULTIPLIER_CELL = PJ["horowitz_multiply_8"] / 64
COUNTED = Path(__file__).resolve().parents[1] / "golden" / "rtl" / "gates.csv"
GATES = {
    (row["unit"], row["lanes"]): (float(row["logic_ge"]), int(row["flip_flops"]))
    for row in csv.DictReader(COUNTED.read_text(encoding="utf-8").splitlines())
}
"""Gate equivalents of logic, and flip-flops, by unit and lanes."""
PJ_PER_GATE = math.prod(
    PJ[f"horowitz_{name}"] / GATES[name, ""][0] for name in ("multiply_8", "add_8", "add_32")
) ** (1 / 3)

EXPECTED: dict[str, tuple[float, str]] = {
    "global_buffer_fifo": (2 * REGISTER, "aladdin_register_bit"),
    "global_buffer_wire": (PJ["cacti_wire_mm"] / 2, "cacti_wire_mm"),
    "noc_fifo": (4 * REGISTER, "aladdin_register_bit"),
    "noc_wire": (PJ["cacti_wire_mm"] / 2, "cacti_wire_mm"),
    "pe_array_mac_multiplier": (MULTIPLIER_CELL, "horowitz_multiply_8"),
    "pe_array_mac_adder": (PJ["horowitz_add_32"] / 32, "horowitz_add_32"),
    "pe_array_gated_mac_datapath": (PJ["sparseloop_mac_gated_16"] / 32, "sparseloop_mac_gated_16"),
    "pe_array_requantise_logic": (GATES["requantiser", ""][0] / 4 / 32 * PJ_PER_GATE, "horowitz_multiply_8"),
    "pe_array_requantise_registers": (2 * REGISTER * GATES["requantiser", ""][1] / 4, "aladdin_register_bit"),
    "pe_array_pool_compare": (COMPARATOR / 32, "aladdin_comparator_32"),
    "pe_array_pool_register": (2 * REGISTER, "aladdin_register_bit"),
    "branch_unit_pool_add_adder": (18 * PJ["horowitz_add_32"] / 32, "horowitz_add_32"),
    "branch_unit_pool_add_accumulator": (
        PJ["cacti_spad_1024x16_read"] + PJ["cacti_spad_1024x16_write"],
        "cacti_spad_1024x16_read",
    ),
    "branch_unit_mac_multiplier": (MULTIPLIER_CELL, "horowitz_multiply_8"),
    "branch_unit_mac_adder": (
        (GATES["branch_unit", "16"][0] / 16 - GATES["multiply_8", ""][0]) * PJ_PER_GATE / 32,
        "horowitz_add_32",
    ),
    "branch_unit_mac_operands": (
        2 * REGISTER * GATES["branch_unit", "16"][1] / 16 / 16,
        "aladdin_register_bit",
    ),
    "branch_unit_compare_top2": (2 * COMPARATOR + 64 * REGISTER, "aladdin_comparator_32"),
    "dbp_unit_add_adder": (GATES["dbp_unit", "16"][0] / 16 * PJ_PER_GATE, "horowitz_add_8"),
    "dbp_unit_add_accumulator": (2 * REGISTER * GATES["dbp_unit", "16"][1] / 16, "aladdin_register_bit"),
    "dbp_unit_compare_comparator": (40 / 32 * COMPARATOR + 40 * REGISTER, "aladdin_comparator_32"),
    "controller_dispatch_configuration": (
        PJ["eyeriss_configuration_bits"] * REGISTER,
        "aladdin_register_bit",
    ),
    "controller_decision_message": (4 * 32 * REGISTER, "aladdin_register_bit"),
    "controller_decision_wire": (32 * PJ["cacti_wire_mm"] / 2, "cacti_wire_mm"),
}
"""Value by row, and the published number whose node and voltage it stands at."""
FITTED = {row for row in TABLE.rows if row.startswith(("pe_array_spad", "leakage"))} | {
    "global_buffer_read_bank",
    "global_buffer_write_bank",
    "branch_unit_weight_read_sram",
    "branch_unit_weight_write_sram",
    "pe_array_mac_datapath",
}
"""Fitted again by test_energy_calibration.py; leakage_top_level is an assumption."""


def test_no_row_is_left_out() -> None:
    assert EXPECTED.keys() | FITTED | {"dram_io"} == TABLE.rows.keys()


@pytest.mark.parametrize("row", EXPECTED)
def test_a_value_follows_from_its_source(row: str) -> None:
    expected_pj, source = EXPECTED[row]
    found = TABLE.rows[row]
    assert found.value == pytest.approx(expected_pj, rel=0.005)
    assert (found.node_nm, found.voltage_v) == tuple(
        float(PUBLISHED[source][key]) for key in ("node_nm", "voltage_v")
    )


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
def test_supporting_units_are_as_large_as_their_rtl(lanes: int) -> None:
    accelerator = arch(branch_unit={"macs": lanes, "tap_lanes": lanes}, dbp_unit={"lanes": lanes})
    units = Quantities(accelerator, TABLE).supporting_units
    for name, counted in (("branch_unit", str(lanes)), ("dbp_unit", str(lanes)), ("exit_controller", "")):
        logic, flip_flops = GATES[name, counted]
        found = units["controller" if name == "exit_controller" else name]
        assert found.equivalents == pytest.approx(logic + flip_flops * 17 / 3, rel=0.06)
        assert found.flip_flops == pytest.approx(flip_flops, rel=0.06)


def test_the_area_of_a_gate_is_that_of_eyeriss() -> None:
    assert TABLE.floorplan.logic_um2_per_gate == pytest.approx(
        (3500**2 - 181.5 * 1024 * 6.68) / 1_176_000, rel=0.001
    )


def test_assumptions_call_themselves_so() -> None:
    for row in ("dram_io", "leakage_top_level", "controller_decision_message"):
        assert "assumption" in TABLE.rows[row].source
    # a 7 pF line at 1.2 V, a quarter of C V^2 for a random bit
    assert TABLE.rows["dram_io"].value == pytest.approx(0.25 * 7.0 * 1.2**2, rel=0.01)
    assert TABLE.rows["leakage_top_level"].value == pytest.approx(205.3e3 / 200 / 10, rel=0.03)


def test_the_dram_constant_is_that_of_accelergy() -> None:
    constant = load_energy_table("65nm-dram-8pj-per-bit")
    assert constant.rows["dram_io"].value == PJ["accelergy_lpddr4_bit"]


def test_at_45_nm_published_values_of_45_nm_come_back() -> None:
    """The scaling rule is the only difference between 45nm and 65nm."""
    table = load_energy_table("45nm")
    assert (table.node_nm, table.voltage_v) == (45, 0.9)
    assert table.rows == TABLE.rows
    assert table.floorplan == TABLE.floorplan


def test_the_readme_shows_the_values_of_the_table() -> None:
    def row_of(accelerator: ArchSpec) -> list[float]:
        table = resolved(accelerator)
        costs, calibrated_pj = table.energy_pj, 0.0
        for part in table.parts_of("pe_array", "mac"):
            calibrated_pj += part.energy_pj if part.row == "pe_array_mac_datapath" else 0.0
        mac = costs["pe_array", "mac"]
        reads = ("ifmap_spad_read", "filter_spad_read", "psum_spad_read", "psum_spad_write")
        spads = sum(costs["pe_array", name] for name in reads)
        buffer = [costs["global_buffer", name] for name in ("read_byte", "write_byte")]
        return [
            mac - calibrated_pj,
            mac,
            mac + spads,
            *buffer,
            costs["noc", "psum_byte"],
            costs["leakage", "core_cycle"],
        ]

    text = (folder(Kind.ENERGY_TABLE) / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"\| action \| default \| Eyeriss \|\n\|.*\n((?:\|.*\n)+)", text)
    assert shown
    cells = [line.split("|")[2:4] for line in shown[1].splitlines()]
    for column, accelerator in enumerate((arch(), eyeriss())):
        numbers = [number for row in cells for number in row[column].split("/")]
        assert [float(number) for number in numbers] == [
            pytest.approx(value, rel=0.003, abs=0.0051) for value in row_of(accelerator)
        ]
