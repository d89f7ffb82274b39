"""Every fit that ``energy_tables/65nm.yaml`` states, done again from the golden rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from archsim.energy.law import power_law
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


def law(row: str) -> tuple[Floats, Floats]:
    """(bytes, pJ) of a law's points, the value of its row multiplied in."""
    spec = TABLE.rows[row]
    assert spec.law is not None
    return np.array(spec.law.storage_bytes), spec.value * np.array(spec.law.energy_pj)


def hats(knots: Floats, sizes: Floats) -> Floats:
    """Weights of the points at each size, linear in the logarithm."""
    identity = np.eye(len(knots))
    return np.stack([np.interp(np.log(sizes), np.log(knots), row) for row in identity], axis=1)


@pytest.mark.parametrize(
    ("column", "rows", "objectives", "worst"),
    [
        ("read_pj", ["global_buffer_read_bank", "branch_unit_weight_read_sram"], ["min_dyn_energy"], 0.063),
        (
            "write_pj",
            ["global_buffer_write_bank", "branch_unit_weight_write_sram"],
            ["min_dyn_energy", "ED2"],
            0.045,
        ),
    ],
)
def test_bank_law(column: str, rows: list[str], objectives: list[str], worst: float) -> None:
    sizes, _, energy = cacti(column, [64], objectives)
    assert (sizes.min(), sizes.max(), len(sizes)) == (512, 524288, 13)
    knots, found_pj = law(rows[0])
    fitted = np.exp(np.linalg.lstsq(hats(knots, sizes), np.log(energy), rcond=None)[0])
    assert found_pj * WORD_BYTES == pytest.approx(fitted, rel=1e-3)
    predicted = np.array([WORD_BYTES * power_law(knots, found_pj, size) for size in sizes])
    assert np.abs(predicted / energy - 1).max() == pytest.approx(worst, abs=0.001)
    assert [law(row)[1].tolist() for row in rows[1:]] == [found_pj.tolist()]


@pytest.mark.parametrize(("kind", "worst"), [("read", 0.096), ("write", 0.054)])
def test_scratchpad_sram_law(kind: str, worst: float) -> None:
    sizes, widths, energy = cacti(f"{kind}_pj", [8, 16, 32], ["min_dyn_energy", "ED2"])
    assert len(sizes) == 15
    (knots, constant_pj), (_, bit_pj) = (
        law(f"pe_array_spad_sram_{kind}_{part}") for part in ("decoder", "bitlines")
    )
    for size, *points_pj in zip(knots, constant_pj, bit_pj, strict=True):
        at = sizes == size
        found, _ = least_squares([np.ones(3), widths[at]], energy[at])
        assert points_pj == pytest.approx(found, rel=1e-3)
    predicted = [
        power_law(knots, constant_pj, size) + width * power_law(knots, bit_pj, size)
        for size, width in zip(sizes, widths, strict=True)
    ]
    assert np.abs(np.array(predicted) / energy - 1).max() == pytest.approx(worst, abs=0.001)


def test_register_scratchpad_law() -> None:
    # Sparseloop: 12 words of 17 bits 0.19652 pJ, 24 words of 16 bits 0.25281 pJ.
    found = np.linalg.solve([[17, 17 * 12], [16, 16 * 24]], [0.19652, 0.25281])
    assert values("pe_array_spad_register_cell", "pe_array_spad_register_word_select") == pytest.approx(
        found, rel=1e-3
    )


def banks(smallest_bytes: int) -> list[dict[str, str]]:
    rows = golden("cacti_65nm_lstp.csv")
    rows = [row for row in rows if (row["width_bits"], row["objective"]) == ("64", "min_dyn_energy")]
    return [row for row in rows if int(row["size_bytes"]) >= smallest_bytes]


def test_sram_leakage() -> None:
    rows = banks(4096)
    kib = np.array([int(row["size_bytes"]) / 1024 for row in rows])
    leak_uw = np.array([1000 * float(row["leak_mw_total"]) for row in rows])
    found, residuals = least_squares([kib], leak_uw)
    assert values("leakage_sram") == pytest.approx(found / 1.2, rel=0.03)
    assert np.abs(residuals).max() < 0.10


def test_sram_area_within_its_range() -> None:
    valid_bytes = TABLE.floorplan.valid_bytes
    assert valid_bytes == [1024, 524288]
    rows = banks(int(valid_bytes[0]))
    um2_per_byte = np.array([1e6 * float(row["area_mm2"]) / int(row["size_bytes"]) for row in rows])
    assert TABLE.floorplan.sram_um2_per_byte == pytest.approx(um2_per_byte[2], rel=1e-3)  # of 4 KiB
    assert np.abs(TABLE.floorplan.sram_um2_per_byte / um2_per_byte - 1).max() < 0.10


def test_leakage_of_logic_from_two_supplies() -> None:
    # pJ a MAC = a V^2 + b V / f, from 83.1 GMAC/s/W at 1.0 V, 200 MHz and 122.8 at 0.82 V, 100 MHz
    switching, leaking = np.linalg.solve([[1, 1], [0.82**2, 2 * 0.82]], [1 / 83.1, 1 / 122.8])
    share = leaking / (switching + leaking)
    assert share == pytest.approx(0.0045, abs=0.0001)
    flip_flops = Quantities(eyeriss(), TABLE).clocked_bits
    assert values("leakage_logic") == pytest.approx(share * 278e3 / flip_flops, rel=0.02)
    # The supply is known to half a percent: from nothing to three times as much
    for supply_v, low, high in ((0.8159, 0.010, 0.020), (0.8241, -0.006, 0.0)):
        a, b = np.linalg.solve([[1, 1], [supply_v**2, 2 * supply_v]], [1 / 83.1, 1 / 122.8])
        assert low < b / (a + b) < high


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
