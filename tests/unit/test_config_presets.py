"""The presets that ship: complete, consistent with each other and with their sources."""

from __future__ import annotations

import pytest

from archsim.config.load import load_arch, load_dram_preset
from archsim.errors import InvalidInput
from archsim.resources import Kind, builtin_names

# JESD79-3/-4 and JESD209-3 parameters in cycles as the memory simulators that archsim is validated against use them:
# burst, cl, cwl, trcd, trp, tras, trrd_s, trrd_l, tfaw, tccd_s, tccd_l, twr, trtp, twtr_s, twtr_l, trfc, trefi.
TIMINGS = {
    "ddr3-1600-x8": (4, 11, 8, 11, 11, 28, 5, 5, 24, 4, 4, 12, 6, 6, 6, 208, 6240),
    "ddr3-1600-x16": (4, 11, 8, 11, 11, 28, 6, 6, 32, 4, 4, 12, 6, 6, 6, 208, 6240),
    "ddr4-2400-x8": (4, 17, 12, 17, 17, 39, 4, 6, 26, 4, 6, 18, 9, 3, 9, 420, 9360),
    "lpddr4-3200-like": (8, 28, 14, 29, 29, 68, 16, 16, 64, 8, 8, 29, 12, 16, 16, 448, 6246),
    "lpddr3-1600-x32": (4, 12, 9, 15, 15, 36, 8, 8, 40, 4, 4, 12, 8, 8, 8, 104, 3120),
}
CHANNELS = {  # clock_mhz, channel_bits, devices, banks, row_bytes, burst_bytes
    "ddr3-1600-x8": (800, 64, 8, 8, 8192, 64),
    "ddr3-1600-x16": (800, 64, 4, 8, 8192, 64),
    "ddr4-2400-x8": (1200, 64, 8, 16, 8192, 64),
    "lpddr4-3200-like": (1600, 32, 2, 8, 4096, 64),
    "lpddr3-1600-x32": (800, 32, 1, 8, 4096, 32),
}
CURRENTS = {  # per rail: V, then IDD 0, 2N, 2P, 3N, 4R, 4W, 5 in mA
    "ddr3-1600-x8": [(1.35, 55, 32, 18, 38, 157, 125, 235)],
    "ddr3-1600-x16": [(1.35, 66, 32, 18, 47, 235, 171, 235)],
    "ddr4-2400-x8": [(1.2, 48, 34, 25, 43, 135, 123, 250)],
    "lpddr4-3200-like": [(1.2, 80, 34, 25, 47, 243, 228, 280)],
    "lpddr3-1600-x32": [(1.8, 15, 2, 0.6, 2, 5, 10, 40), (1.2, 80, 38, 0.87, 45, 260, 284, 160)],
}


def test_the_presets_that_the_documentation_names_are_there() -> None:
    assert set(builtin_names(Kind.ARCH)) >= {"locoexnet-65nm", "dense-rs", "gated-rs", "skip-rs"}
    assert set(builtin_names(Kind.DRAM)) == {*TIMINGS, "eyeriss-link"}  # the latter is no memory but a rate


@pytest.mark.parametrize("name", sorted(TIMINGS))
def test_dram_presets_hold_the_values_of_their_sources(name: str) -> None:
    preset = load_dram_preset(name)
    assert preset.name == name
    assert tuple(preset.timing.model_dump().values()) == TIMINGS[name]
    channel = (preset.clock_mhz, preset.channel_bits, preset.devices, preset.banks, preset.row_bytes)
    assert (*channel, preset.burst_bytes) == CHANNELS[name]
    assert [tuple(rail.model_dump().values()) for rail in preset.rails] == CURRENTS[name]
    assert preset.source


@pytest.mark.parametrize("name", builtin_names(Kind.ARCH))
@pytest.mark.parametrize("dram", builtin_names(Kind.DRAM))
def test_every_accelerator_works_with_every_dram(name: str, dram: str) -> None:
    arch = load_arch(name, [f"dram.preset={dram}"])
    assert (arch.name, arch.dram.preset) == (name, dram)
    assert arch.description


def test_the_baselines_differ_from_the_accelerator_in_decisions_and_zeros_alone() -> None:
    ours = load_arch("locoexnet-65nm")
    assert (ours.pe_array.rows, ours.pe_array.cols, ours.pe_array.zero) == (12, 14, "skip")
    for name, zero in (("dense-rs", "none"), ("gated-rs", "gate"), ("skip-rs", "skip")):
        baseline = load_arch(name)
        assert (baseline.pe_array.zero, baseline.exits.enabled, baseline.dbp.enabled) == (zero, False, False)
        same = {"pe_array": ours.pe_array, "exits": ours.exits, "dbp": ours.dbp}
        named = {"name": ours.name, "description": ours.description}
        assert baseline.model_copy(update=same | named) == ours
        assert baseline.pe_array.model_copy(update={"zero": "skip"}) == ours.pe_array


def test_conventional_early_exits_differ_in_what_supports_them_alone() -> None:
    ours, baseline = load_arch("locoexnet-65nm"), load_arch("conventional-ee")
    assert (baseline.branch_unit.macs, baseline.branch_unit.weight_sram_kib) == (0, 0)
    assert (baseline.dbp.enabled, baseline.exits.enabled) == (False, True)
    unit = {"macs": ours.branch_unit.macs, "weight_sram_kib": ours.branch_unit.weight_sram_kib}
    same = {"dbp": ours.dbp, "branch_unit": baseline.branch_unit.model_copy(update=unit)}
    named = {"name": ours.name, "description": ours.description}
    assert baseline.model_copy(update=same | named) == ours


def test_weights_need_lanes_that_use_them() -> None:
    with pytest.raises(InvalidInput, match="without MAC lanes"):
        load_arch("locoexnet-65nm", ["branch_unit.macs=0"])
    assert load_arch("locoexnet-65nm", ["branch_unit.macs=0", "branch_unit.weight_sram_kib=0"])
