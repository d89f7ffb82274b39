"""AlexNet on the array of Eyeriss's first paper, priced with relative costs (ISCA 2016, Fig. 10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.energy.account import EnergyReport
from archsim.errors import InvalidInput
from archsim.validation.eyeriss import Chip
from archsim.validation.eyeriss_layers import eyeriss_layers
from archsim.validation.golden_csv import read_golden
from archsim.validation.isca16 import ARCH, SHIPPED, energy_macs, validate_isca16
from archsim.validation.report import ValidationReport


def check(report: ValidationReport) -> None:
    """Within 5 % but where the published value is too short for that, or the search finds a mapping with less DRAM."""
    for row in report.rows:
        for metric in ("alu", "rf"):
            half_a_digit = 0.005
            error = abs(row.predicted[metric] - row.golden[metric])
            assert error <= 0.05 * row.golden[metric] or error <= half_a_digit, (row.name, metric)
        assert -7 < row.error_pct("dram") < 1, row.name


@pytest.mark.slow
def test_all_layers() -> None:
    report = validate_isca16(None)
    check(report)
    errors = {
        row.name: [metric for metric in row.golden if abs(row.error_pct(metric)) > 5] for row in report.rows
    }
    assert {name: found for name, found in errors.items() if found} == {"conv1": ["dram"], "fc3": ["alu"]}
    assert report.totals is not None
    assert all(abs(report.totals.error_pct(metric)) < 2.5 for metric in ("alu", "dram", "rf"))


@pytest.mark.slow
def test_ratios_over_the_convolutions() -> None:
    chip = Chip.of(ARCH)
    energies = [energy_macs(layer, 16, chip) for layer in eyeriss_layers()["alexnet"]]
    alu = sum(energy.by_action["pe_array", "mac"] for energy in energies)
    scratchpads = sum(energy.by_component["pe_array"] for energy in energies) - alu
    moving = sum(energy.by_component[name] for energy in energies for name in ("global_buffer", "noc"))
    assert scratchpads / alu == pytest.approx(4.1, abs=0.05)
    assert scratchpads / moving == pytest.approx(9.8, abs=0.3)
    assert scratchpads / (alu + moving) == pytest.approx(2.9, abs=0.05)


def test_a_convolution_and_what_dominates_it() -> None:
    (layer,) = (each for each in eyeriss_layers()["alexnet"] if each.name == "CONV3")
    energy: EnergyReport = energy_macs(layer, 16, Chip.of(ARCH))
    golden = next(row for row in read_golden(SHIPPED, {}) if row.cells["layer"] == "conv3").cells
    alu = energy.by_action["pe_array", "mac"]
    scratchpads = energy.by_component["pe_array"] - alu
    moving = energy.by_component["global_buffer"] + energy.by_component["noc"]
    assert alu / 1e9 == pytest.approx(float(golden["alu"]), rel=0.05)
    assert scratchpads / 1e9 == pytest.approx(float(golden["rf"]), rel=0.05)
    assert energy.by_component["dram"] / 1e9 == pytest.approx(float(golden["dram"]), rel=0.05)
    assert 4.0 <= scratchpads / alu < 4.2
    assert 2.5 < scratchpads / (alu + moving) < 4 < scratchpads / moving
    assert energy.total_pj == pytest.approx(
        alu + scratchpads + moving + energy.by_component["dram"], rel=1e-12
    )


def test_an_unknown_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("layer,batch,alu,dram,rf\nconv9,16,1,1,1\n")
    with pytest.raises(InvalidInput, match='found "conv9", no layer of AlexNet'):
        validate_isca16(path)
