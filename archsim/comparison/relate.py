"""Ratios between runs: of means, of the same image in two runs, with their ranges. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.comparison.records import Against, HardImages, Measured, Pair
from archsim.comparison.runs import Run
from archsim.energy.uncertainty import EnergyTerm, Range, saving_range
from archsim.functional.statistics import paired_test
from archsim.results.paired import PairedAccuracy
from archsim.units import cycles_to_us

Floats = npt.NDArray[np.float64]
TWO_SIDED_95 = 1.959963984540054
"""Standard normal quantile of 97.5 %."""


def measured(run: Run) -> Measured:
    """The means of a run, under the name and the overrides that it was asked for by."""
    result = run.result
    energy, uncertainty = result.energy_uj_per_image, result.energy_uncertainty_uj
    return Measured(
        name=run.spec.name,
        workload=result.workload,
        overrides=run.case.overrides,
        pes=run.spec.pe_array.rows * run.spec.pe_array.cols,
        area_mm2=run.energy.area.total_mm2,
        accuracy=result.accuracy,
        params_used_fraction=result.params_used_fraction,
        macs_used_fraction=result.macs_used_fraction,
        exits=result.exits,
        cycles_mean=result.cycles.mean,
        cycles=result.cycles,
        service_us_mean=cycles_to_us(result.cycles.mean, run.spec.clock.core_mhz),
        latency_us=result.latency_us,
        energy_uj_per_image=energy.total,
        energy_uncertainty_uj=uncertainty.total if uncertainty else 0.0,
        energy_by_component_uj=energy.by_component,
        energy_by_layer_uj={layer.name: layer.energy_uj for layer in result.layers},
        dram_bytes_per_image=result.dram_bytes_per_image,
        edp_uj_us=energy.total * result.latency_us.mean,
    )


def against(ours: Run, baseline: Run) -> Against:
    """A baseline and what ours is against it. The runs must be of the same images."""
    found, mine = measured(baseline), measured(ours)
    speedup = ratio_of_means(baseline.service_us, ours.service_us)
    energy = saving_range(ours.result.energy_terms, baseline.result.energy_terms)
    clocks = ours.spec.clock.core_mhz / baseline.spec.clock.core_mhz
    return Against(
        **vars(found),
        speedup=speedup.value,
        speedup_range=(speedup.low, speedup.high),
        speedup_p50=clocks * found.cycles.p50 / mine.cycles.p50,
        speedup_p99=clocks * found.cycles.p99 / mine.cycles.p99,
        speedup_max=clocks * found.cycles.max / mine.cycles.max,
        energy_saving=saving(mine.energy_uj_per_image, found.energy_uj_per_image),
        energy_saving_range=(energy.low, energy.high),
        energy_saving_without_dram=saving(_of_chip_uj(mine), _of_chip_uj(found)),
        edp_saving=saving(mine.edp_uj_us, found.edp_uj_us),
        paired=paired(ours, baseline),
        hard_images=hard_images(ours, baseline),
    )


def saving(ours: float, baseline: float) -> float:
    """1 - ours / baseline.

    >>> saving(1.0, 4.0)
    0.75
    """
    return 1 - ours / baseline


def saving_pair(ours: Sequence[EnergyTerm], baseline: Sequence[EnergyTerm]) -> Pair:
    """95 % range of an energy saving, from the uncertainties of the energy table."""
    found = saving_range(ours, baseline)
    return found.low, found.high


def ratio_pairs(run: Run, first: Run) -> tuple[Pair, Pair]:
    """95 % ranges of how fast a run is against the first, and of its energy over that of the first."""
    speed = ratio_of_means(first.service_us, run.service_us)
    saved = saving_pair(run.result.energy_terms, first.result.energy_terms)
    return (speed.low, speed.high), (1 - saved[1], 1 - saved[0])


def ratio_of_means(numerator: Floats, denominator: Floats) -> Range:
    """mean(numerator) / mean(denominator) of the same images, with the 95 % range of their sampling (delta method).

    float64 (N,). Var(R) = mean((a - R b)^2) / ((N - 1) mean(b)^2) (Cochran, Sampling Techniques, 1977, eq. 2.46). Below
    R = 4/3 and the squares add up to 16/9 + 0 + 16/9 over N = 3:

    >>> found = ratio_of_means(np.array([4.0, 4.0, 4.0]), np.array([2.0, 3.0, 4.0]))
    >>> round(found.value, 4), round((found.high - found.low) / 2 / TWO_SIDED_95, 4)
    (1.3333, 0.2566)
    """
    ratio = float(numerator.mean() / denominator.mean())
    count = len(numerator)
    if count < 2:
        return Range(ratio, ratio, ratio)
    squares = float(np.mean((numerator - ratio * denominator) ** 2))
    half = TWO_SIDED_95 * math.sqrt(squares / (count - 1)) / float(denominator.mean())
    return Range(ratio, ratio - half, ratio + half)


def paired(ours: Run, baseline: Run) -> PairedAccuracy | None:
    """Who is right on which image; None where one of the two classifies nothing."""
    if ours.result.accuracy is None or baseline.result.accuracy is None:
        return None
    return PairedAccuracy.of(paired_test(baseline.right, ours.right))


def hard_images(ours: Run, baseline: Run) -> HardImages:
    """Images for which ours takes longer, or more energy, than the baseline."""
    time_ratio, energy_ratio = ours.service_us / baseline.service_us, ours.energies_uj / baseline.energies_uj
    return HardImages(
        slower_fraction=float(np.mean(time_ratio > 1)),
        worst_time_ratio=float(time_ratio.max()),
        costlier_fraction=float(np.mean(energy_ratio > 1)),
        worst_energy_ratio=float(energy_ratio.max()),
    )


def differences(ours: Run, baseline: Run) -> dict[str, tuple[Any, Any]]:
    """Keys in which two architectures differ, as (ours, baseline's); of units that a baseline does not use, none."""
    mine, theirs = (_flat(run.spec.model_dump(mode="json", by_alias=True)) for run in (ours, baseline))
    unused = () if baseline.spec.exits.enabled else ("branch_unit.", "dbp_unit.", "dbp.")
    return {
        key: (mine.get(key), theirs.get(key))
        for key in dict.fromkeys((*mine, *theirs))
        if mine.get(key) != theirs.get(key)
        and key not in ("name", "description")
        and not key.startswith(unused)
    }


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves


def _of_chip_uj(run: Measured) -> float:
    return math.fsum(energy for name, energy in run.energy_by_component_uj.items() if name != "dram")
