"""Every fit that ``energy_tables/65nm.yaml`` states, done again from the golden rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from archsim.energy.quantities import Quantities
from tests.unit.energy_cases import TABLE, eyeriss, golden, resolved

Floats = npt.NDArray[np.float64]
WORD_BYTES = 8
"""Of the 64-bit port of a bank, for which CACTI was run."""


def least_squares(terms: Sequence[Floats], energy: Floats) -> tuple[Floats, Floats]:
    """Coefficients that minimise the relative error, and the relative residuals."""
    matrix = np.stack(terms, axis=1)
    coefficients = np.linalg.lstsq(matrix / energy[:, None], np.ones_like(energy), rcond=None)[0]
    return coefficients, matrix @ coefficients / energy - 1


def cacti(
    column: str, widths_bits: Sequence[int], objectives: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    """(bytes, width in bits, pJ), the cheapest of the objectives."""
    cheapest: dict[tuple[int, int], float] = {}
    for row in golden("cacti_65nm_lstp.csv"):
        key = (int(row["size_bytes"]), int(row["width_bits"]))
        if key[1] in widths_bits and row["objective"] in objectives:
            cheapest[key] = min(float(row[column]), cheapest.get(key, np.inf))
    sizes, widths = np.array(list(cheapest), dtype=float).T
    return sizes, widths, np.array(list(cheapest.values()))


def values(*rows: str) -> Floats:
    return np.array([TABLE.rows[row].value for row in rows])


def test_bank_read_law() -> None:
    sizes, _, energy = cacti("read_pj", [64], ["min_dyn_energy"])
    found, residuals = least_squares([np.ones_like(sizes), sizes**0.7], energy)
    rows = values("global_buffer_read_bank", "global_buffer_read_bank_size")
    assert rows * WORD_BYTES == pytest.approx(found, rel=1e-3)
    assert np.abs(residuals).max() == pytest.approx(0.18, abs=0.005)
    assert (sizes.min(), sizes.max(), len(sizes)) == (512, 524288, 13)
    branch = values("branch_unit_weight_read_sram", "branch_unit_weight_read_sram_size")
    assert branch.tolist() == rows.tolist()


def test_bank_write_law() -> None:
    sizes, _, energy = cacti("write_pj", [64], ["min_dyn_energy", "ED2"])
    found, residuals = least_squares([np.ones_like(sizes), sizes**0.5], energy)
    rows = values("global_buffer_write_bank", "global_buffer_write_bank_size")
    assert rows * WORD_BYTES == pytest.approx(found, rel=1e-3)
    assert np.abs(residuals).max() == pytest.approx(0.23, abs=0.005)
    branch = values("branch_unit_weight_write_sram", "branch_unit_weight_write_sram_size")
    assert branch.tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("column", "prefix", "objectives", "worst", "mean"),
    [
        ("read_pj", "pe_array_spad_sram_read", ["min_dyn_energy", "ED2"], 0.22, 0.10),
        ("write_pj", "pe_array_spad_sram_write", ["min_dyn_energy", "ED2"], 0.22, 0.09),
    ],
)
def test_scratchpad_sram_law(
    column: str, prefix: str, objectives: list[str], worst: float, mean: float
) -> None:
    sizes, widths, energy = cacti(column, [8, 16, 32], objectives)
    found, residuals = least_squares([widths, sizes**0.5, widths * sizes**0.5], energy)
    assert values(*(f"{prefix}_{part}" for part in ("columns", "decoder", "bitlines"))) == pytest.approx(
        found, rel=1e-3
    )
    assert np.abs(residuals).max() == pytest.approx(worst, abs=0.005)
    assert np.abs(residuals).mean() == pytest.approx(mean, abs=0.005)


def test_register_scratchpad_law() -> None:
    # Sparseloop: 12 words of 17 bits 0.19652 pJ, 24 words of 16 bits 0.25281 pJ.
    found = np.linalg.solve([[17, 17 * 12], [16, 16 * 24]], [0.19652, 0.25281])
    assert values("pe_array_spad_register_cell", "pe_array_spad_register_word_select") == pytest.approx(
        found, rel=1e-3
    )


def test_sram_leakage_and_area() -> None:
    rows = [row for row in golden("cacti_65nm_lstp.csv") if row["width_bits"] == "64"]
    rows = [row for row in rows if row["objective"] == "min_dyn_energy" and int(row["size_bytes"]) >= 4096]
    kib = np.array([int(row["size_bytes"]) / 1024 for row in rows])
    leak_uw = np.array([1000 * float(row["leak_mw_total"]) for row in rows])
    found, residuals = least_squares([kib], leak_uw)
    assert values("leakage_sram") == pytest.approx(found / 1.2, rel=0.03)
    assert np.abs(residuals).max() < 0.10
    bank = next(row for row in rows if row["size_bytes"] == "4096")
    assert TABLE.floorplan.sram_um2_per_byte == pytest.approx(1e6 * float(bank["area_mm2"]) / 4096, rel=1e-3)


def test_pe_area_from_the_die_of_eyeriss() -> None:
    buffer_um2 = 108 * 1024 * TABLE.floorplan.sram_um2_per_byte
    cells = 168 * ((12 + 224 + 24) * 16 + 16 * 16 + 16)
    assert TABLE.floorplan.pe_um2_per_bit == pytest.approx((3500.0**2 - buffer_um2) / cells, rel=0.01)


class EyerissModel:
    """Energy of the AlexNet layers on Eyeriss (JSSC 2017, Table V) from measured time, zeros and buffer traffic."""

    def __init__(self) -> None:
        rows = golden("eyeriss_alexnet.csv")
        column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "layer"}
        self.table = resolved(eyeriss())
        self.measured_pj = column["power_mw"] * column["total_latency_ms"] * 1e6
        self.cycles = column["total_latency_ms"] * 200_000
        self.macs = column["macs"]
        self.nonzero_macs = self.macs * (1 - column["ifmap_zero_frac"])
        self.buffer_bytes = column["glb_mb"] * 1e6
        # A sum over q channels and a kernel row stays in the PE; then 16 bits go to the neighbour.
        self.local_bytes = 2 * self.macs / (column["kernel_w"] * column["q"])

    def without_pj(self, *rows: str) -> Floats:
        """Predicted energy of each layer less the contribution of some rows; a third of the traffic are writes."""
        energy = {key: 0.0 for key in self.table.energy_pj}
        for part in self.table.parts:
            if part.row not in rows:
                energy[part.component, part.action] += part.energy_pj
        spads = ("filter_spad_read", "psum_spad_read", "psum_spad_write")
        executed_pj = energy["pe_array", "mac"] + sum(energy["pe_array", name] for name in spads)
        buffer_pj = (2 * energy["global_buffer", "read_byte"] + energy["global_buffer", "write_byte"]) / 3
        return np.asarray(
            self.nonzero_macs * executed_pj
            + self.macs * energy["pe_array", "ifmap_spad_read"]
            + (self.macs - self.nonzero_macs) * energy["pe_array", "gated_mac"]
            + self.buffer_bytes * (buffer_pj + energy["noc", "psum_byte"])
            + self.local_bytes * energy["noc", "local_psum_byte"]
            + self.cycles * energy["leakage", "core_cycle"]
        )


def test_calibration_to_eyeriss_silicon() -> None:
    model = EyerissModel()
    calibrated = ("pe_array_mac_datapath", "leakage_clock")
    clocked_bits = Quantities(eyeriss(), TABLE).clocked_bits
    terms = np.stack([model.nonzero_macs * 32, model.cycles * clocked_bits], axis=1)
    rest = (model.measured_pj - model.without_pj(*calibrated)) / model.measured_pj
    found = np.linalg.lstsq(terms / model.measured_pj[:, None], rest, rcond=None)[0]
    assert values(*calibrated) == pytest.approx(found, rel=0.01)


def test_alexnet_on_eyeriss_within_stated_error() -> None:
    model = EyerissModel()
    errors = model.without_pj() / model.measured_pj - 1
    assert np.abs(errors).max() < 0.07
    assert np.abs(errors).mean() < 0.03
    assert abs(model.without_pj().sum() / model.measured_pj.sum() - 1) < 0.01
