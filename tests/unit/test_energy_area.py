"""Area of an accelerator and baselines of equal area."""

from __future__ import annotations

import pytest

from archsim.config.load import load_arch
from archsim.energy.area import area_of, with_area
from archsim.errors import InvalidInput
from archsim.resources import Kind, builtin_names
from tests.unit.energy_cases import TABLE, arch, edited, eyeriss, resolved


def test_eyeriss_fills_its_core() -> None:
    area = area_of(eyeriss(), TABLE)
    assert area.total_mm2 == pytest.approx(3.5**2, rel=0.01)  # JSSC 2017, core area
    assert area.by_component["global_buffer"] == pytest.approx(108 * 1024 * 6.68e-6)
    assert set(area.by_component) == {"global_buffer", "pe_array"}


def test_array_and_buffer_by_hand() -> None:
    area = area_of(arch(), TABLE)
    # A PE: 12 activations, 224 weights, 24 partial sums, and a MAC of 8 x 8 cells and 32 bits
    pe_bits = 12 * 8 + 224 * 8 + 24 * 32 + 8 * 8 + 32
    assert area.by_component["pe_array"] == pytest.approx(12 * 14 * pe_bits * 15.5 / 1e6)
    assert area.by_component["global_buffer"] == pytest.approx(108 * 1024 * 6.68 / 1e6)


def test_supporting_units_by_hand() -> None:
    area = area_of(arch(), TABLE)
    # gates of the RTL, fixed and of each of 16 lanes; 24 + 1 KiB of SRAM
    branch_um2 = (5400 + 16 * 1495) * 9.36 + 25 * 1024 * 6.68
    assert area.by_component["branch_unit"] == pytest.approx(branch_um2 / 1e6)
    assert area.by_component["dbp_unit"] == pytest.approx((975 + 16 * 93) * 9.36 / 1e6)
    assert area.by_component["controller"] == pytest.approx(656 * 9.36 / 1e6)
    off = area_of(arch(exits={"enabled": False}), TABLE)
    assert set(off.by_component) == {"global_buffer", "pe_array"}
    assert "dbp_unit" not in area_of(arch(dbp={"enabled": False}), TABLE).by_component


def test_without_branch_unit_the_dbp_unit_is_left() -> None:
    area = area_of(arch(branch_unit={"macs": 0, "weight_sram_kib": 0}), TABLE)
    assert set(area.by_component) == {"global_buffer", "pe_array", "dbp_unit", "controller"}


def test_area_grows_with_what_it_is_made_of() -> None:
    small = area_of(arch(), TABLE).total_mm2
    for larger in (
        arch(global_buffer={"size_kib": 216}),
        arch(pe_array={"rows": 16}),
        arch(pe_array={"scratchpad": {"filter_words": 448}}),
        arch(precision={"weight_bits": 16}),
        arch(branch_unit={"macs": 32}),
    ):
        assert area_of(larger, TABLE).total_mm2 > 1.003 * small


def test_area_scales_with_the_square_of_the_node() -> None:
    there, here = area_of(arch(), edited(node_nm=32.5)), area_of(arch(), TABLE)
    assert there.total_mm2 == pytest.approx(here.total_mm2 / 4)


def test_a_known_area_wins() -> None:
    floorplan = TABLE.floorplan.model_dump() | {"components_mm2": {"pe_array": 2.5, "noc": 0.5}}
    area = area_of(arch(), edited(floorplan=floorplan))
    assert (area.by_component["pe_array"], area.by_component["noc"]) == (2.5, 0.5)


@pytest.mark.parametrize("name", builtin_names(Kind.ARCH))
def test_every_preset_has_an_area(name: str) -> None:
    arch = load_arch(name)
    # PEs of a systolic array have one register of each kind, those of a row-stationary one memories.
    least_mm2 = 5 if arch.pe_array.dataflow == "row_stationary" else 0.5
    assert least_mm2 < area_of(arch, TABLE).total_mm2 < 25


@pytest.mark.parametrize("baseline", ["dense-rs", "gated-rs", "skip-rs"])
def test_a_baseline_of_equal_area_is_as_large_as_a_bank_allows(baseline: str) -> None:
    wanted_mm2 = area_of(load_arch("locoexnet-65nm"), TABLE).total_mm2
    plain = load_arch(baseline)
    assert area_of(plain, TABLE).total_mm2 < wanted_mm2
    fair = with_area(plain, TABLE, wanted_mm2)
    bank_mm2 = 4096 * 6.68e-6
    assert wanted_mm2 - bank_mm2 < area_of(fair, TABLE).total_mm2 <= wanted_mm2
    assert fair.global_buffer.size_kib == 4 * fair.global_buffer.banks > 108
    assert resolved(fair).energy_pj["global_buffer", "read_byte"] > 0
    assert fair.model_copy(update={"global_buffer": plain.global_buffer}) == plain


def test_an_area_without_room_for_a_buffer_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"beside its global buffer, expected less than 3\.000"):
        with_area(load_arch("dense-rs"), TABLE, 3.0)


def test_sweeping_the_buffer_changes_energy_leakage_and_area() -> None:
    before = resolved(arch(global_buffer={"size_kib": 108}))
    after = resolved(arch(global_buffer={"size_kib": 216}))
    for key in (("global_buffer", "read_byte"), ("global_buffer", "write_byte"), ("leakage", "off_cycle")):
        assert after.energy_pj[key] > before.energy_pj[key]
    assert after.area.total_mm2 - before.area.total_mm2 == pytest.approx(108 * 1024 * 6.68e-6)
