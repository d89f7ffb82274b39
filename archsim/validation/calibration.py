"""Fits the few free constants of an energy table to the measured AlexNet layers of the Eyeriss chip.

Energy is linear in the value of a row. The free rows are those whose values no publication gives: what a MAC spends
beside its arithmetic and scratchpads, and the clock. They get the values with the least sum of squared relative errors
of the layers' energies, on *simulated* time and counts. One set of values holds for all layers. Only AlexNet is taken,
so that every other layer of the chip is a test.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.config.energy import EnergyTableSpec
from archsim.config.load import load_energy_table
from archsim.counters import Counters
from archsim.energy.table import resolve
from archsim.errors import InvalidInput, Problem
from archsim.validation.eyeriss import Chip, MeasuredRows, measured_rows, metrics_of, report_of, run_layer
from archsim.validation.eyeriss_layers import eyeriss_layers
from archsim.validation.report import ValidationReport

BASE_TABLE = "65nm"
TABLE = "eyeriss-65nm"
FREE_ROWS = ("pe_array_mac_datapath", "leakage_clock")
_NETWORK = "alexnet"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FittedValue:
    """One free row: its value in the base table, its fitted value, the range when any one layer is left out."""

    row: str
    before: float
    value: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Calibration:
    """The fit. report: the layers with the fitted values. table: the text of the table file."""

    values: tuple[FittedValue, ...]
    report: ValidationReport
    table: str

    def to_json(self) -> dict[str, Any]:
        """The keys of the report and ``calibration {row: {before, value, lowest, highest}}``."""
        fitted = {
            found.row: {
                "before": found.before,
                "value": found.value,
                "lowest": found.lowest,
                "highest": found.highest,
            }
            for found in self.values
        }
        return {**self.report.to_json(), "calibration": fitted}


def calibrate(golden: Path | None) -> Calibration:
    """Fit the free rows of :data:`BASE_TABLE` to the AlexNet rows of a golden file, the one that ships by default.

    Raises InvalidInput for a bad file, for layers of another network, for fewer layers than twice the free rows, and
    for a fit with a value below zero.
    """
    rows, chip, table = measured_rows(golden), Chip.eyeriss(), load_energy_table(BASE_TABLE)
    _check(rows)
    runs = [run_layer(case, chip) for case, _ in rows.cases]
    counters = [
        record.counters.times(case.layer.groups)
        for (case, _), (_, record) in zip(rows.cases, runs, strict=True)
    ]
    measured_pj = np.array([1e9 * measured["energy_mj"] for _, measured in rows.cases])
    free, fixed_pj = _linear_parts(counters, table, chip)
    values = _fit(free, fixed_pj, measured_pj)
    kept = [np.delete(np.arange(len(runs)), out) for out in range(len(runs))]
    without_one = np.array([_fit(free[rest], fixed_pj[rest], measured_pj[rest]) for rest in kept])
    if values.min() < 0:
        message = "the fit gives a value below zero: " + ", ".join(map("{} {:.3g}".format, FREE_ROWS, values))
        raise InvalidInput([Problem(str(rows.path), "energy_mj", message)])
    fitted = tuple(
        FittedValue(name, table.rows[name].value, float(f"{value:.4g}"), float(lowest), float(highest))
        for name, value, lowest, highest in zip(
            FREE_ROWS, values, without_one.min(axis=0), without_one.max(axis=0), strict=True
        )
    )
    refitted = replace(chip, table=resolve(_with_values(table, fitted), chip.arch, chip.dram))
    predictions = [metrics_of(case, refitted, *run) for (case, _), run in zip(rows.cases, runs, strict=True)]
    return Calibration(fitted, report_of(rows, predictions), _table_text(rows, fitted))


def _check(rows: MeasuredRows) -> None:
    allowed = {layer.name for layer in eyeriss_layers()[_NETWORK]}
    problems = [
        Problem(
            str(rows.path),
            "layer",
            f"found {case.layer.name}, expected layers of AlexNet: no other layer may be fitted to",
            "calibrate without --golden",
        )
        for case, _ in rows.cases
        if case.layer.name not in allowed
    ]
    problems += [
        Problem(str(rows.path), "energy_mj", f"found no energy of {case.layer.name}")
        for case, measured in rows.cases
        if not measured.get("energy_mj")
    ]
    if len(rows.cases) < 2 * len(FREE_ROWS):
        message = f"found {len(rows.cases)} layers, expected at least {2 * len(FREE_ROWS)}"
        problems.append(Problem(str(rows.path), "", message))
    if problems:
        raise InvalidInput(problems)


def _linear_parts(counters: Sequence[Counters], table: EnergyTableSpec, chip: Chip) -> tuple[Floats, Floats]:
    """(energy of each layer for a value of 1 in each free row (layers, rows), energy of all other rows); pJ.

    Without the DRAM, which the measured power leaves out.
    """
    parts = resolve(table, chip.arch, chip.dram).parts
    free, fixed = np.zeros((len(counters), len(FREE_ROWS))), np.zeros(len(counters))
    for index, counts in enumerate(counters):
        for part in parts:
            if part.component == "dram":
                continue
            energy_pj = counts.total(part.component, part.action) * part.energy_pj
            if part.row in FREE_ROWS:
                free[index, FREE_ROWS.index(part.row)] += energy_pj / table.rows[part.row].value
            else:
                fixed[index] += energy_pj
    return free, fixed


def _fit(free: Floats, fixed_pj: Floats, measured_pj: Floats) -> Floats:
    """Values of the least squares of relative errors.

    >>> _fit(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.full(3, 2.0), np.array([5.0, 6.0, 9.0])).round(6)
    array([3., 4.])
    """
    weighted, wanted = free / measured_pj[:, None], (measured_pj - fixed_pj) / measured_pj
    return np.asarray(np.linalg.lstsq(weighted, wanted, rcond=None)[0], dtype=np.float64)


def _with_values(table: EnergyTableSpec, fitted: Sequence[FittedValue]) -> EnergyTableSpec:
    changed = {found.row: table.rows[found.row].model_copy(update={"value": found.value}) for found in fitted}
    return table.model_copy(update={"rows": table.rows | changed})


def _table_text(rows: MeasuredRows, fitted: Sequence[FittedValue]) -> str:
    layers = ", ".join(case.layer.name for case, _ in rows.cases)
    lines = [
        "# Written by: archsim validate eyeriss --calibrate --out FILE. Do not edit; run it again.",
        "#",
        *(
            f"# {line}"
            for line in textwrap.wrap(
                f"The rows of {BASE_TABLE} with the free ones fitted to the energies of {layers} of AlexNet on the "
                "Eyeriss chip (Chen et al., JSSC 52(1), 2017, Table V), on simulated time and counts: one set of "
                "values for all layers, least squares of the relative errors.",
                114,
            )
        ),
        f"extends: {BASE_TABLE}",
        "schema: archsim.energy/1",
        f"name: {TABLE}",
        f"description: {BASE_TABLE} with the PE datapath and the clock fitted to Eyeriss silicon on simulated time",
        "rows:",
    ]
    for found in fitted:
        source = (
            f"calibrated: archsim validate eyeriss --calibrate, {layers} of AlexNet (JSSC 2017, Table V); "
            f"{found.before:g} in {BASE_TABLE}; {found.lowest:.4g} to {found.highest:.4g} when one layer is left out"
        )
        lines += [
            f"  {found.row}:",
            f"    value: {found.value:.4g}",
            "    source: >-",
            *(f"      {line}" for line in textwrap.wrap(source, 110)),
        ]
    return "\n".join(lines) + "\n"
