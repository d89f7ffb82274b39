"""Energy of AlexNet on the row-stationary array of Eyeriss's first paper (ISCA 2016, Fig. 10), in units of a MAC.

Each row is a layer and the images of its batch. It runs on the preset ``eyeriss-isca16`` with the mapping that the
search finds, its input and output in DRAM, and is priced with the table ``relative``. The golden values are those to
which nn_dataflow, which searches mappings of its own, holds itself (``test_eyeriss_isca16``, each within 0.1e9); those
of the global buffer and of the array are not published as numbers.

*alu*: MACs. *rf*: scratchpad accesses. *dram*: DRAM traffic. In 1e9 MACs.
"""

from __future__ import annotations

from pathlib import Path

from archsim.energy.account import EnergyReport, account
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.validation.eyeriss import Chip, EyerissCase, run_layer
from archsim.validation.eyeriss_layers import EyerissLayer, eyeriss_layers
from archsim.validation.golden_csv import Parse, number, read_golden, whole_number
from archsim.validation.report import RowComparison, ValidationReport

SHIPPED = Path(__file__).parent / "golden" / "eyeriss_isca16_fig10.csv"
ARCH = "eyeriss-isca16"
METRICS = ("alu", "dram", "rf")
_COLUMNS: dict[str, Parse] = {"layer": str, "batch": whole_number(1, 64), **dict.fromkeys(METRICS, number)}
_FULLY_CONNECTED = (
    EyerissLayer("FC1", size=6, channels=256, filters=4096, kernel=6),
    EyerissLayer("FC2", size=1, channels=4096, filters=4096, kernel=1),
    EyerissLayer("FC3", size=1, channels=4096, filters=1000, kernel=1),
)


def validate_isca16(golden: Path | None) -> ValidationReport:
    """Compare all rows of a golden file; a :class:`~archsim.validation.report.Validate`.

    Raises InvalidInput for a bad file or an unknown layer.
    """
    path = golden or SHIPPED
    rows = read_golden(path, _COLUMNS)
    layers = {layer.name.lower(): layer for layer in (*eyeriss_layers()["alexnet"], *_FULLY_CONNECTED)}
    unknown = [
        Problem(
            f"{path}:{row.line}", "layer", f'found "{name}", no layer of AlexNet', did_you_mean(name, layers)
        )
        for row in rows
        if (name := row.values["layer"]) not in layers
    ]
    if unknown:
        raise InvalidInput(unknown)
    chip = Chip.of(ARCH)
    comparisons = []
    for row in rows:
        energy = energy_macs(layers[row.values["layer"]], row.values["batch"], chip)
        predicted = {
            "alu": energy.by_action["pe_array", "mac"] / 1e9,
            "dram": energy.by_component["dram"] / 1e9,
            "rf": (energy.by_component["pe_array"] - energy.by_action["pe_array", "mac"]) / 1e9,
        }
        measured = {metric: row.values[metric] for metric in METRICS}
        comparisons.append(RowComparison(row.values["layer"], measured, predicted))
    return ValidationReport("isca16", comparisons, additive=METRICS)


def energy_macs(layer: EyerissLayer, batch: int, chip: Chip) -> EnergyReport:
    """Energy of a layer, all of its groups, in MACs of the table ``relative``."""
    _, record = run_layer(EyerissCase(layer, batch, zeros_in=0.0, zeros_out=0.0), chip)
    return account(record.counters.times(layer.groups), chip.table)
