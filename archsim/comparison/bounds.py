"""What bounds a comparison: an oracle that knows where to leave, memory that never makes wait, weights for nothing.

Computed from counters and schedules of simulated runs, never from a preset that could not be built.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np
import numpy.typing as npt

from archsim.comparison.records import BatchLimit
from archsim.comparison.runs import Machine, Run, in_threads
from archsim.counters import Counters
from archsim.energy.account import account
from archsim.functional.decide import Decisions
from archsim.functional.trace import FunctionalTrace
from archsim.network.graph import Network
from archsim.results.defaults import ENGINES
from archsim.schedule.program import compile_program
from archsim.sim.engine import Engine, Simulator
from archsim.sim.records import ImageRecord
from archsim.units import pj_to_uj

Int64Array = npt.NDArray[np.int64]
_PER_CYCLE = (("leakage", "core_cycle"), ("dram", "standby_cycle"))


@dataclass(frozen=True)
class Bound:
    """Means over the images."""

    accuracy: float | None
    cycles_mean: float
    energy_uj_per_image: float


def oracle_exits(trace: FunctionalTrace) -> Int64Array:
    """Position of the first exit that is right, int64 (N,); 0 where none is: then no exit is better than the first."""
    right = trace.predictions == trace.labels[:, np.newaxis]
    return np.asarray(right.argmax(axis=1), np.int64)


def oracle(
    machine: Machine, network: Network, trace: FunctionalTrace, engine: str = ENGINES[0]
) -> tuple[Bound, Bound]:
    """(oracle exit, the same if nothing ever waited for data).

    machine: with DBP disabled; the oracle needs none. Each image runs on the network with the one branch that it leaves
    at, so it neither evaluates nor taps any other. Without waiting, an image takes the cycles in which its layers and
    its branch work, one after the other: what passes per cycle (leakage, clock, DRAM background) shrinks with them.
    """
    exits = oracle_exits(trace)
    counters, cycles, working_cycles = Counters(), 0, 0
    for record in _oracle_records(machine, network, trace, exits, engine):
        counters.merge(record.counters)
        cycles += record.cycles
        working_cycles += sum(layer.cycles - layer.stall_cycles for layer in record.layers)
    right = trace.predictions[np.arange(trace.images), exits] == trace.labels
    accuracy = None if trace.is_shape_only else float(right.mean())

    def bound(total_cycles: int, counts: Counters) -> Bound:
        energy_pj = account(counts, machine.energy).total_pj
        return Bound(accuracy, total_cycles / trace.images, pj_to_uj(energy_pj / trace.images))

    ideal = _without_waiting(counters, cycles, working_cycles)
    return bound(cycles, counters), bound(working_cycles, ideal)


def _oracle_records(
    machine: Machine, network: Network, trace: FunctionalTrace, exits: Int64Array, engine: str
) -> Iterator[ImageRecord]:
    def leaving_at(index: int) -> list[ImageRecord]:
        branches = network.branches[index : index + 1]
        images = _images_at(trace, np.flatnonzero(exits == index), index, len(branches))
        count, met = images.images, len(branches)
        decisions = Decisions(
            np.zeros(count, np.int64), np.ones((count, met), np.bool_), np.zeros((count, met), np.bool_)
        )
        alone = replace(network, branches=branches)
        simulator = Simulator(alone, machine.spec, machine.dram, cast(Engine, engine))
        return list(simulator.records(images, decisions))

    return chain.from_iterable(in_threads(leaving_at, np.unique(exits).tolist()))


def _images_at(trace: FunctionalTrace, rows: Int64Array, index: int, branches: int) -> FunctionalTrace:
    """Some images of a trace as those of a network with one branch or none: branch ``index`` and the end."""
    last = len(trace.exit_names) - 1
    columns = [index, last] if branches else [last]
    return FunctionalTrace(
        trace.workload,
        tuple(trace.exit_names[column] for column in columns),
        trace.labels[rows],
        trace.margins[rows][:, columns],
        trace.predictions[rows][:, columns],
        trace.magnitude_sums[rows][:, columns[:branches]],
        {name: bits[rows] for name, bits in trace.zero_maps.items()},
    )


def _without_waiting(counters: Counters, cycles: int, working_cycles: int) -> Counters:
    """The counts if so many of the cycles had passed."""
    return Counters(
        {
            key: amount * working_cycles // cycles if key[:2] in _PER_CYCLE else amount
            for key, amount in counters.counts.items()
        }
    )


def batch_limit(ours: Run, baseline: Run, network: Network) -> BatchLimit:
    """The baseline, which must not decide and have no queue, without the DRAM traffic and the waiting for weights.

    Taken away are the read bursts of its weights, their share of activations and refreshes, all cycles in which the
    array waits for whatever it may be, and what these cost. No batch can do more for it: activations are still
    fetched, and a batch needs more buffer.
    """
    machine, result = baseline.machine, baseline.result
    program = compile_program(network, machine.spec, machine.dram)
    weight_bytes = sum(int(step.plan.weight_load_bytes.sum()) for step in program.steps)
    burst_bytes, traffic = machine.dram.burst_bytes, result.dram_bytes_per_image
    weight_bursts = min(weight_bytes, traffic.read) / burst_bytes
    stalls = math.fsum(layer.stall_cycles for layer in result.layers)
    energy_pj, ratio = machine.energy.energy_pj, program.dram_cycles_per_core_cycle
    read_pj, write_pj = energy_pj["dram", "read_burst"], energy_pj["dram", "write_burst"]
    standby_pj = ratio * energy_pj["dram", "standby_cycle"]
    dram_pj = 1e6 * result.energy_uj_per_image.by_component["dram"]
    moving_pj = (traffic.read * read_pj + traffic.write * write_pj) / burst_bytes
    opening_pj = max(0.0, dram_pj - moving_pj - standby_pj * result.cycles.mean)
    share = weight_bursts * burst_bytes / (traffic.read + traffic.write)
    saved_pj = weight_bursts * read_pj + share * opening_pj
    saved_pj += stalls * (energy_pj["leakage", "core_cycle"] + standby_pj)
    cycles = result.cycles.mean - stalls
    energy_uj = result.energy_uj_per_image.total - pj_to_uj(saved_pj)
    clocks = ours.spec.clock.core_mhz / baseline.spec.clock.core_mhz
    return BatchLimit(
        weight_bytes_per_image=float(weight_bytes),
        weight_share=share,
        cycles_mean=cycles,
        energy_uj_per_image=energy_uj,
        speedup=clocks * cycles / ours.result.cycles.mean,
        energy_saving=1 - ours.result.energy_uj_per_image.total / energy_uj,
    )
