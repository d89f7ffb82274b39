"""From sums, decisions and energies to the result of a run. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.energy.account import account, energy_terms
from archsim.energy.table import ResolvedTable
from archsim.energy.uncertainty import EnergyTerm, half_width_uj
from archsim.results.aggregate import LayerSums, RunSums, nearest_rank
from archsim.results.idle import idle_counts
from archsim.results.queueing import Queue
from archsim.results.run_result import (
    CycleStatistics,
    EnergyPerImage,
    EnergyUncertainty,
    ImageResult,
    LatencyStatistics,
    LayerResult,
)
from archsim.units import cycles_to_us, pj_to_uj

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measurements:
    """The measured part of a result; fields as in :class:`~archsim.results.run_result.RunResult`."""

    cycles: CycleStatistics
    latency_us: LatencyStatistics
    throughput_ips: float
    energy_uj_per_image: EnergyPerImage
    energy_uncertainty_uj: EnergyUncertainty
    energy_by_cause_uj: dict[str, float]
    energy_terms: tuple[EnergyTerm, ...]
    layers: tuple[LayerResult, ...]
    per_image: tuple[ImageResult, ...]


def measure(
    sums: RunSums,
    per_image: list[ImageResult],
    queue: Queue | None,
    resolved: ResolvedTable,
    arch: ArchSpec,
    dram: DramPresetSpec,
) -> Measurements:
    """Means, percentiles and energies of at least one image.

    queue: None when each image runs alone; its latency then is its service, the throughput one over the mean, and no
    cycle idles. The idle cycles of a queue are charged to no layer.
    """
    core_mhz = arch.clock.core_mhz
    service_cycles = np.array([image.cycles for image in per_image], np.int64)
    if queue is not None:
        sums.add_idle(idle_counts(queue.idle_cycles, arch, dram))
        waiting = queue.waiting_cycles.tolist()
        per_image = [
            dataclasses.replace(image, waiting_cycles=cycles)
            for image, cycles in zip(per_image, waiting, strict=True)
        ]
    latency_cycles = service_cycles if queue is None else queue.latency_cycles
    makespan_cycles = int(service_cycles.sum()) if queue is None else queue.makespan_cycles
    energy, terms = _energy(sums, resolved), energy_terms(sums.counters, resolved, sums.images)
    return Measurements(
        cycles=_cycle_statistics(service_cycles),
        latency_us=_latency_statistics(latency_cycles, core_mhz),
        throughput_ips=sums.images / (cycles_to_us(makespan_cycles, core_mhz) / 1e6),
        energy_uj_per_image=energy,
        energy_uncertainty_uj=_uncertainty(terms, energy),
        energy_by_cause_uj={
            cause: pj_to_uj(account(counters, resolved).total_pj / sums.images)
            for cause, counters in sums.causes.items()
        },
        energy_terms=terms,
        layers=_layers(sums, resolved),
        per_image=tuple(per_image),
    )


def _energy(sums: RunSums, resolved: ResolvedTable) -> EnergyPerImage:
    report = account(sums.counters, resolved)
    by_component = {name: pj_to_uj(energy / sums.images) for name, energy in report.by_component.items()}
    return EnergyPerImage(math.fsum(by_component.values()), by_component)


def _uncertainty(terms: Sequence[EnergyTerm], energy: EnergyPerImage) -> EnergyUncertainty:
    by_component = {
        name: half_width_uj(term for term in terms if term.component == name) for name in energy.by_component
    }
    return EnergyUncertainty(half_width_uj(terms), by_component)


def _cycle_statistics(cycles: Int64Array) -> CycleStatistics:
    ascending = np.sort(cycles).tolist()
    total = sum(ascending)
    return CycleStatistics(total / len(ascending), *_percentiles(ascending), ascending[-1], total)


def _percentiles(ascending: list[int]) -> tuple[int, int, int]:
    """The 50th, 95th and 99th."""
    return nearest_rank(ascending, 50), nearest_rank(ascending, 95), nearest_rank(ascending, 99)


def _latency_statistics(cycles: Int64Array, core_mhz: int) -> LatencyStatistics:
    ascending = np.sort(cycles).tolist()
    mean_cycles = sum(ascending) / len(ascending)
    marks = (*_percentiles(ascending), ascending[-1])
    return LatencyStatistics(
        cycles_to_us(mean_cycles, core_mhz), *(cycles_to_us(mark, core_mhz) for mark in marks)
    )


def _layers(sums: RunSums, resolved: ResolvedTable) -> tuple[LayerResult, ...]:
    """Entry by entry the mean over all images."""
    images = sums.images
    bytes_of = {
        "dram_read_bytes": _scaled(sums.count_of("dram", "read_burst"), sums.burst_bytes),
        "dram_write_bytes": _scaled(sums.count_of("dram", "write_burst"), sums.burst_bytes),
        "glb_read_bytes": sums.count_of("global_buffer", "read_byte"),
        "glb_write_bytes": sums.count_of("global_buffer", "write_byte"),
    }
    energy_pj = _energy_by_entry(sums, resolved)
    results = []
    for name in sums.entries():
        layer = sums.layers.get(name, LayerSums())
        results.append(
            LayerResult(
                name=name,
                cycles=layer.cycles / images,
                stall_cycles=layer.stall_cycles / images,
                macs=layer.macs / images,
                skipped_macs=layer.skipped_macs / images,
                utilisation=layer.macs / layer.pe_cycles if layer.pe_cycles else 0.0,
                **{key: by_entry.get(name, 0) / images for key, by_entry in bytes_of.items()},
                energy_uj=pj_to_uj(energy_pj.get(name, 0.0) / images),
            )
        )
    return tuple(results)


def _energy_by_entry(sums: RunSums, resolved: ResolvedTable) -> dict[str, float]:
    parts: dict[str, list[float]] = {}
    for layer, energy in account(sums.counters, resolved).by_layer.items():
        parts.setdefault(sums.entry_name(layer), []).append(energy)
    return {name: math.fsum(energies) for name, energies in parts.items()}


def _scaled(counts: dict[str, int], factor: int) -> dict[str, int]:
    return {name: count * factor for name, count in counts.items()}
