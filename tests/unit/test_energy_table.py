"""The 65 nm table on an accelerator: complete, sized, scaled, and honest about what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from archsim.config.arch import ArchSpec
from archsim.config.load import load_energy_table
from archsim.counters import ACTIONS, Counters
from archsim.energy.account import account
from archsim.energy.quantities import Quantities
from archsim.energy.table import ResolvedTable
from archsim.errors import InvalidInput
from tests.unit.energy_cases import DRAM, TABLE, arch, edited, eyeriss, resolved


def mac_with_spads_pj(table: ResolvedTable) -> float:
    """One executed MAC of a row-stationary PE: the MAC and its four scratchpad accesses."""
    names = ("mac", "ifmap_spad_read", "filter_spad_read", "psum_spad_read", "psum_spad_write")
    return sum(table.energy_pj["pe_array", name] for name in names)


def test_every_action_costs_something_on_the_default_accelerator() -> None:
    table = resolved()
    assert list(table.energy_pj) == [(action.component, action.name) for action in ACTIONS]
    assert [key for key, energy in table.energy_pj.items() if energy <= 0] == []
    assert table.extrapolated == ()
    for component, action in table.energy_pj:
        known_to_an_order_of_magnitude = action in ("gated_cycle", "off_cycle")
        most = 10.0 if known_to_an_order_of_magnitude else 1.0
        assert 0.15 < table.uncertainty(component, action) <= most


def test_known_values() -> None:
    table = resolved()
    # 0.2 pJ x 1.783 + 0.1 pJ x 1.783 + 16 bits x 0.1354
    assert table.energy_pj["pe_array", "mac"] == pytest.approx(
        0.2 * 1.78326 + 0.1 * 1.78326 + 2.1664, rel=1e-5
    )
    # sqrt(3.546 x 8.288) / 8 at 1.2 V; FIFO 8 x 0.0361; 0.645 mm of wire at 8 x 0.2021 per mm
    assert table.energy_pj["global_buffer", "read_byte"] == pytest.approx(0.4706 + 0.2889 + 1.0422, abs=0.001)
    assert table.energy_pj["dram", "read_burst"] == pytest.approx(1317.0 + 256 * 2.5)
    # 168 x 928 + (440 + 16 x 29) + 44 + 43 flip-flops of 6.48 fJ each, 100 pJ; 200 MHz, 108 + 24 + 36.75 KiB of SRAM
    logic_pj, sram_pj = 156_895 * 0.0112 / 200, 168.75 * 0.172 / 200
    clocked_pj = 156_895 * 0.00648 + 100
    assert table.energy_pj["leakage", "core_cycle"] == pytest.approx(clocked_pj + logic_pj + sram_pj)
    assert table.energy_pj["leakage", "gated_cycle"] == pytest.approx(logic_pj + sram_pj)
    assert table.energy_pj["leakage", "off_cycle"] == pytest.approx(sram_pj)


def test_sanity_against_the_field() -> None:
    table, wide = resolved(), resolved(eyeriss())
    uncalibrated = resolved(table=edited({"pe_array_mac_datapath": None}))
    assert 1 < mac_with_spads_pj(uncalibrated) < 3  # what tools that know no PE overhead report for 8 bits
    assert 3 < mac_with_spads_pj(table) < 6
    for action in ("read_byte", "write_byte"):
        assert 1 < table.energy_pj["global_buffer", action] < 8
    # ISCA 2016, Table IV: buffer and array together (6 + 2) x a 16-bit MAC of 2.0 pJ; nn_dataflow has 15 + 4 pJ.
    buffer_word_pj = 2 * (wide.energy_pj["global_buffer", "read_byte"] + wide.energy_pj["noc", "ifmap_byte"])
    assert 14 < buffer_word_pj < 19
    # JSSC 2017: ALUs take less than a tenth of the power; CONV1 runs at 16.5 pJ per MAC.
    assert wide.energy_pj["pe_array", "mac"] - 32 * 0.1354 < 1.65


def test_the_way_into_an_array_is_half_of_both_buses() -> None:
    quantities = Quantities(arch(pe_array={"rows": 3, "cols": 4}), TABLE)
    assert quantities.array_span_mm == pytest.approx(3.5 * quantities.pe_pitch_mm)


def test_eyeriss_has_the_memory_that_its_paper_states() -> None:
    quantities = Quantities(eyeriss(), TABLE)
    assert quantities.sram_kib == 181.5
    assert quantities.pe_pitch_mm * 14 < 3.7
    assert quantities.clocked_bits == 168 * (12 * 16 + 24 * 16 + 2 * 32 + 16)


@pytest.mark.parametrize(
    ("small", "large", "actions"),
    [
        (
            arch(global_buffer={"size_kib": 108}),
            arch(global_buffer={"size_kib": 432}),
            [("global_buffer", "read_byte"), ("global_buffer", "write_byte"), ("leakage", "core_cycle")],
        ),
        (
            arch(global_buffer={"banks": 27}),
            arch(global_buffer={"banks": 9}),
            [("global_buffer", "read_byte"), ("global_buffer", "write_byte")],
        ),
        (
            arch(pe_array={"rows": 12}),
            arch(pe_array={"rows": 24}),
            [
                ("noc", "ifmap_byte"),
                ("noc", "psum_byte"),
                ("leakage", "core_cycle"),
                ("controller", "decision"),
            ],
        ),
        (
            arch(pe_array={"scratchpad": {"filter_words": 224}}),
            arch(pe_array={"scratchpad": {"filter_words": 448}}),
            [("pe_array", "filter_spad_read"), ("pe_array", "filter_spad_write"), ("noc", "local_psum_byte")],
        ),
        (
            arch(pe_array={"scratchpad": {"psum_words": 24}}),
            arch(pe_array={"scratchpad": {"psum_words": 32}}),
            [("pe_array", "psum_spad_read"), ("leakage", "core_cycle")],
        ),
        (
            arch(branch_unit={"weight_sram_kib": 24}),
            arch(branch_unit={"weight_sram_kib": 96}),
            [
                ("branch_unit", "weight_read_byte"),
                ("branch_unit", "weight_write_byte"),
                ("leakage", "core_cycle"),
            ],
        ),
        (
            arch(precision={"psum_bits": 16}),
            arch(precision={"psum_bits": 32}),
            [
                ("pe_array", "mac"),
                ("pe_array", "psum_spad_write"),
                ("pe_array", "requantise"),
                ("branch_unit", "mac"),
            ],
        ),
    ],
)
def test_larger_parts_cost_more(small: ArchSpec, large: ArchSpec, actions: list[tuple[str, str]]) -> None:
    before, after = resolved(small), resolved(large)
    for key in actions:
        assert after.energy_pj[key] > before.energy_pj[key], key


def test_supporting_units_pay_for_their_clock_only_when_they_are_there() -> None:
    with_units, without_dbp = Quantities(arch(), TABLE), Quantities(arch(dbp={"enabled": False}), TABLE)
    without_exits = Quantities(arch(exits={"enabled": False}), TABLE)
    assert with_units.clocked_bits - without_dbp.clocked_bits == 44
    assert without_dbp.clocked_bits - without_exits.clocked_bits == 440 + 16 * 29 + 43
    assert with_units.sram_kib - without_exits.sram_kib == 24


def test_sram_leaks_power_not_energy_per_cycle() -> None:
    def sram_pj(core_mhz: int) -> float:
        table = resolved(arch(clock={"core_mhz": core_mhz}))
        return next(part.energy_pj for part in table.parts if part.row == "leakage_sram")

    assert sram_pj(100) == pytest.approx(2 * sram_pj(200))
    assert sram_pj(200) == pytest.approx(0.172 * (108 + 24 + 168 * 224 / 1024) / 200)


def test_scratchpads_change_from_registers_to_sram() -> None:
    registers, sram = resolved(), resolved(arch(pe_array={"scratchpad": {"psum_words": 33}}))
    used = {part.row for part in registers.parts if part.action == "psum_spad_read"}
    assert used == {"pe_array_spad_register_cell", "pe_array_spad_register_word_select"}
    used = {part.row for part in sram.parts if part.action == "psum_spad_read"}
    assert used == {f"pe_array_spad_sram_read_{part}" for part in ("decoder", "bitlines")}
    assert "pe_array_spad_register_cell: pe_array.filter_spad_read" in registers.unused
    assert "pe_array_spad_sram_read_decoder: pe_array.filter_spad_read" not in registers.unused


def test_use_beyond_a_law_is_reported() -> None:
    table = resolved(arch(global_buffer={"size_kib": 4096, "banks": 2}))
    assert table.extrapolated == (
        "global_buffer_read_bank: global_buffer.read_byte: 2.09715e+06 bytes, fitted to 512..524288",
        "global_buffer_write_bank: global_buffer.write_byte: 2.09715e+06 bytes, fitted to 512..524288",
        "floorplan: global_buffer: 2.09715e+06 bytes a bank, fitted to 1024..524288",
    )


def test_a_branch_unit_without_memory_still_resolves() -> None:
    table = resolved(arch(branch_unit={"weight_sram_kib": 0}))
    assert table.energy_pj["branch_unit", "weight_read_byte"] == pytest.approx(2.687 / 8 / 1.44)


def test_voltage_and_node_scale_switching_energy() -> None:
    base, low = resolved(), resolved(table=edited(voltage_v=0.5, node_nm=32.5))
    assert low.energy_pj["pe_array", "mac"] == pytest.approx(base.energy_pj["pe_array", "mac"] / 8)
    assert low.energy_pj["dram", "activate"] == base.energy_pj["dram", "activate"]


def test_every_missing_action_is_listed() -> None:
    dropped = {name: None for name in TABLE.rows if name.startswith(("noc", "dbp_unit_compare"))}
    with pytest.raises(InvalidInput) as caught:
        resolved(table=edited(dropped))
    assert [problem.message for problem in caught.value.problems] == [
        "no row for noc.ifmap_byte on case",
        "no row for noc.filter_byte on case",
        "no row for noc.psum_byte on case",
        "no row for noc.local_psum_byte on case",
        "no row for dbp_unit.compare on case",
    ]


def test_rows_alone_can_price_the_dram() -> None:
    with pytest.raises(InvalidInput, match=r"no row for dram\.activate"):
        resolved(table=edited(dram_commands="rows"))
    flat = {"component": "dram", "value": 8.0, "source": "LPDDR4 constant of the Accelergy CACTI plug-in"}
    rows = {
        "dram_io": {"value": 0.0},
        "dram_bit": flat | {"actions": ["read_burst", "write_burst"], "per": "bit", "uncertainty": 0.5},
        "dram_row": flat
        | {"actions": ["activate", "refresh"], "value": 0.0, "per": "command", "uncertainty": 0.0},
        "dram_idle": flat
        | {
            "actions": ["standby_cycle", "idle_cycle", "power_down_cycle"],
            "value": 0.0,
            "per": "cycle",
            "uncertainty": 0.0,
        },
    }
    table = resolved(table=edited(rows, dram_commands="rows"))
    assert table.energy_pj["dram", "read_burst"] == 8.0 * 256
    assert table.energy_pj["dram", "standby_cycle"] == 0.0
    assert table.uncertainty("dram", "standby_cycle") == 0.0


def test_any_changed_row_changes_the_hash() -> None:
    hashes = {resolved().table_hash}
    for name, row in TABLE.rows.items():
        hashes.add(resolved(table=edited({name: {"value": row.value * 1.01}})).table_hash)
    hashes.add(resolved(table=edited({"dram_io": {"source": "another"}})).table_hash)
    assert len(hashes) == len(TABLE.rows) + 2
    assert resolved().table_hash == resolved(arch(pe_array={"rows": 3})).table_hash


def test_doubling_the_table_doubles_the_total() -> None:
    double = edited({name: {"value": 2 * row.value} for name, row in TABLE.rows.items()})
    counters = Counters()
    for index, action in enumerate(ACTIONS):
        if action.component != "dram":  # the currents of the preset are no part of the table
            counters.add(action.component, action.name, "conv1", 1000 + index)
    total_pj = account(counters, resolved()).total_pj
    assert account(counters, resolved(table=double)).total_pj == pytest.approx(2 * total_pj, rel=1e-14)


def test_a_table_may_extend_the_built_in_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: 65nm\nschema: archsim.energy/1\nname: mine\nrows:\n  dram_io: {value: 0.0}\n")
    table = resolved(table=load_energy_table(file))
    assert table.energy_pj["dram", "read_burst"] == pytest.approx(1317.0)
    assert table.name == "mine"


def test_bad_rows_are_all_reported_with_their_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "extends: 65nm\nschema: archsim.energy/1\nname: bad\nrows:\n"
        "  a: {component: dram, actions: [read_burts], value: 1.0, per: bit, source: x, uncertainty: 0.1}\n"
        "  b: {component: noc, actions: [psum_byte], value: -1.0, per: byte, source: x, uncertainty: 0.1}\n"
        "  c: {component: noc, actions: [psum_byte], value: 1.0, per: cycle, source: x, uncertainty: 0.1}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        load_energy_table(file)
    assert [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems] == [
        '5:33: rows.a.actions: "read_burts" is no action of dram; did you mean "read_burst"?',
        "6:52: rows.b.value: found -1.0, expected a number from 0 to 1000000000.0",
        "7:6: rows.c: noc.psum_byte is counted per byte or bit, not cycle",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"actions": ["mac", "mac"]}, "listed twice"),
        ({"scales_with": {"wire_mm": 1.0}}, "has no quantity wire_mm"),
        ({"scales_with": {"psum_bit": 1.0}}, 'did you mean "psum_bits"'),
        ({"storage": "sram"}, "storage is for scratchpads"),
        ({"unit": "uW"}, "uW is for leakage"),
        ({"node_nm": None}, "belong together"),
        ({"valid_bytes": [1.0]}, "at least 2"),
        ({"source": ""}, "at least 1 character"),
    ],
)
def test_rows_that_make_no_sense_are_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        edited({"pe_array_mac_adder": keys})


def test_at_45_nm_a_mac_is_between_what_others_publish() -> None:
    """The scaling rule on Eyeriss at 45 nm against the Sparseloop artifact's table of that node, 16 bits."""
    table = resolved(eyeriss(), load_energy_table("45nm"))
    bare = table.energy_pj["pe_array", "mac"] - 32 * 0.1354 * (45 / 65) * 0.81
    assert bare == pytest.approx(256 * 0.003125 + 16 * 0.003125)
    assert bare < 2.20035 < table.energy_pj["pe_array", "mac"]
    assert table.energy_pj["pe_array", "gated_mac"] == pytest.approx(0.06595, rel=1e-3)
    assert table.energy_pj["pe_array", "psum_spad_read"] == pytest.approx(0.25281, rel=1e-3)
    assert table.area.total_mm2 == pytest.approx(resolved(eyeriss()).area.total_mm2 * (45 / 65) ** 2)


def test_relative_costs_are_those_of_the_paper() -> None:
    """ISCA 2016, Table IV: 1, 2, 6 and 200 MACs for 16 bits, whatever the sizes."""
    table = load_energy_table("relative")
    for accelerator in (eyeriss(), eyeriss().model_copy(update={"pe_array": arch().pe_array})):
        costs = resolved(accelerator, table).energy_pj
        assert costs["pe_array", "mac"] == costs["pe_array", "psum_spad_write"] == 1.0
        assert 2 * costs["noc", "psum_byte"] == 2.0
        assert 2 * costs["global_buffer", "write_byte"] == 6.0
        assert costs["dram", "read_burst"] == 200.0 * DRAM.burst_bytes / 2
        assert costs["leakage", "core_cycle"] == 0.0


def test_a_constant_for_a_bit_replaces_the_commands_of_the_dram() -> None:
    table = resolved(table=load_energy_table("65nm-dram-8pj-per-bit"))
    assert table.energy_pj["dram", "read_burst"] == 8.0 * 8 * DRAM.burst_bytes
    assert table.energy_pj["dram", "standby_cycle"] == table.energy_pj["dram", "activate"] == 0.0
    others = [key for key in table.energy_pj if key[0] != "dram"]
    assert all(table.energy_pj[key] == resolved().energy_pj[key] for key in others)


def test_a_row_that_nothing_uses_is_named() -> None:
    assert resolved().unused_rows == ()
    no_registers = resolved(table=edited(register_spad_max_bytes=0))
    assert no_registers.unused_rows == ("pe_array_spad_register_cell", "pe_array_spad_register_word_select")
    wide = resolved(arch(global_buffer={"size_kib": 108, "banks": 216}))
    assert wide.extrapolated == ("floorplan: global_buffer: 512 bytes a bank, fitted to 1024..524288",)


def test_a_law_has_points_in_order() -> None:
    for law in (
        {"storage_bytes": [2, 1], "energy_pj": [1, 1]},
        {"storage_bytes": [1, 2, 3], "energy_pj": [1, 1]},
    ):
        with pytest.raises(ValidationError, match=r"must ascend|differ in length"):
            edited({"global_buffer_read_bank": {"law": law}})
    with pytest.raises(ValidationError, match="accesses no storage"):
        edited({"noc_wire": {"law": {"storage_bytes": [1, 2], "energy_pj": [1, 1]}}})


@pytest.mark.parametrize(
    "change",
    [
        {"value": 1e9, "scales_with": {"operand_bits": 4.0, "psum_bits": 4.0}},
        {"law": {"storage_bytes": [1.0, 2.0], "energy_pj": [5e-324, 1e9]}},
        {"law": {"storage_bytes": [1.0, 1.0000000000000002], "energy_pj": [1.0, 1e9]}},
    ],
)
def test_an_energy_that_nothing_can_have_is_refused(change: dict[str, object]) -> None:
    name = "pe_array_mac_multiplier" if "scales_with" in change else "global_buffer_huge"
    row = {
        "component": "global_buffer",
        "actions": ["read_byte"],
        "value": 1.0,
        "per": "byte",
        "source": "made up",
        "uncertainty": 0.1,
    }
    table = edited({name: change if "scales_with" in change else row | change})
    with pytest.raises(InvalidInput, match=rf"rows\.{name}: .* pJ on case, expected less than 1e\+15"):
        resolved(table=table)
