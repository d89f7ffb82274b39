"""From what happened to one image to its integer counters and records. Pure: no time passes here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from archsim.counters import Counters
from archsim.mapping.base import TileWork
from archsim.mapping.zeros import mac_counts
from archsim.network.graph import FINAL
from archsim.schedule.program import Program
from archsim.sim.branch_unit import BranchRun
from archsim.sim.pe_array import StepRun
from archsim.sim.records import BranchRecord, ImageRecord, LayerRecord
from archsim.sim.stream import StreamId
from archsim.sim.system import Outcome

WorkOf = Callable[[int], TileWork]
"""Data-dependent part of a step's plan by step index."""


def tally(program: Program, outcome: Outcome, work_of: WorkOf) -> ImageRecord:
    """Count one image. Every count of energy, bytes and MACs of the project is made here or in the plan."""
    counters = Counters()
    layers = [_count_step(program, outcome, run, work_of(run.step), counters) for run in outcome.array]
    branches = _count_branches(program, outcome, counters)
    _count_dram(program, outcome, counters)
    _count_leakage(program, outcome, layers, counters)
    burst_bytes = program.dram.burst_bytes
    layers += [_branch_layer(program, run) for run in outcome.branches]
    left = outcome.left_at
    return ImageRecord(
        exit_name=FINAL if left is None else _branch_name(program, left),
        cycles=outcome.cycles,
        layers=tuple(layers),
        branches=tuple(branches),
        dram_read_bytes=counters.total("dram", "read_burst") * burst_bytes,
        dram_write_bytes=counters.total("dram", "write_burst") * burst_bytes,
        wasted_bytes=_wasted_bytes(program, outcome),
        counters=counters,
    )


def _branch_name(program: Program, branch: int) -> str:
    return program.branches[branch].branch.name


def _useful(program: Program, outcome: Outcome, run: StepRun) -> bool:
    return outcome.left_at is None or run.step <= program.branches[outcome.left_at].last_step


def _count_step(
    program: Program, outcome: Outcome, run: StepRun, work: TileWork, counters: Counters
) -> LayerRecord:
    step, tiles = program.steps[run.step], slice(0, run.tiles)
    plan, name = step.plan, step.layer.name
    zero = program.arch.pe_array.zero
    for (component, action), amount in zip(plan.actions, plan.counts[tiles].sum(axis=0), strict=True):
        counters.add(component, action, name, int(amount))
    for (component, action), amounts in mac_counts(plan, work, zero).items():
        counters.add(component, action, name, int(amounts[tiles].sum()))
    counters.add("global_buffer", "read_byte", name, int(plan.fill_read_bytes[tiles].sum()))
    counters.add("global_buffer", "read_byte", name, int(plan.stream_read_bytes[tiles].sum()))
    counters.add("global_buffer", "write_byte", name, int(plan.stream_write_bytes[tiles].sum()))
    counters.add("global_buffer", "write_byte", name, int(plan.drain_write_bytes[tiles].sum()))
    counters.add("controller", "dispatch", name, 1)
    outputs = int(plan.outputs[tiles].sum())
    if step.layer.is_compute and not step.layer.is_classifier:
        counters.add("pe_array", "requantise", name, outputs)
    pooled = step.fused.pool_values * outputs // int(plan.outputs.sum())
    counters.add("pe_array", "pool", name, pooled)
    macs = int(plan.macs[tiles].sum())
    skipped = macs - int(work.nonzero_macs[tiles].sum()) if zero == "skip" else 0
    phases = plan.fill_cycles[tiles] + work.compute_cycles[tiles] + plan.drain_cycles[tiles]
    cycles = run.end_cycle - run.start_cycle
    return LayerRecord(
        name=name,
        unit="pe_array",
        start_cycle=run.start_cycle,
        end_cycle=run.end_cycle,
        stall_cycles=max(0, cycles - int(phases.sum()) - program.arch.controller.dispatch_cycles),
        macs=macs - skipped,
        skipped_macs=skipped,
        pe_cycles=program.arch.pe_array.rows * program.arch.pe_array.cols * cycles,
        useful=_useful(program, outcome, run),
        map_cycles=run.map_cycles,
    )


def _count_branches(program: Program, outcome: Outcome, counters: Counters) -> list[BranchRecord]:
    records = []
    evaluated = {run.branch for run in outcome.branches}
    for index, (skipped, cycle) in sorted(outcome.decisions.items()):
        branch, name = program.branches[index], _branch_name(program, index)
        records.append(BranchRecord(name, skipped, outcome.left_at == index, cycle))
        if index in evaluated or not branch.steps:
            counters.add("branch_unit", "pool_add", name, branch.pooled_values)
        if branch.is_pruned:
            assert branch.branch.dbp is not None
            bounds = 1 if branch.branch.dbp.max_sum is None else 2
            counters.add("dbp_unit", "add", name, branch.tapped_values)
            counters.add("dbp_unit", "compare", name, bounds)
            counters.add("controller", "decision", name, 1)
        if index in evaluated:
            counters.add("branch_unit", "mac", name, branch.macs)
            counters.add("branch_unit", "weight_read_byte", name, branch.weight_bytes)
            counters.add("branch_unit", "compare", name, branch.units)
            counters.add("controller", "decision", name, 1)
            if not branch.resident:
                fetched = outcome.moved_bytes[StreamId.BRANCH][name]
                counters.add("branch_unit", "weight_write_byte", name, fetched)
    return records


def _branch_layer(program: Program, run: BranchRun) -> LayerRecord:
    cycles = run.end_cycle - run.start_cycle
    return LayerRecord(
        name=_branch_name(program, run.branch),
        unit="branch_unit",
        start_cycle=run.start_cycle,
        end_cycle=run.end_cycle,
        stall_cycles=0,
        macs=program.branches[run.branch].macs,
        skipped_macs=0,
        pe_cycles=program.arch.branch_unit.macs * cycles,
    )


def _count_dram(program: Program, outcome: Outcome, counters: Counters) -> None:
    """Bursts by owner; commands that cannot be told apart are shared among owners in proportion to their bursts.

    What was fetched for a layer that never started belongs to the exit that made it useless.
    """
    burst_bytes = program.dram.burst_bytes
    started = {program.steps[run.step].layer.name for run in outcome.array}
    bursts: dict[str, int] = {}
    for stream, by_owner in outcome.moved_bytes.items():
        for fetched_for, moved_bytes in by_owner.items():
            owner = fetched_for
            if stream is StreamId.LOAD and fetched_for not in started:
                assert outcome.left_at is not None
                owner = _branch_name(program, outcome.left_at)
            count = moved_bytes // burst_bytes
            bursts[owner] = bursts.get(owner, 0) + count
            counters.add("dram", "write_burst" if stream is StreamId.STORE else "read_burst", owner, count)
            passed_bytes = outcome.buffer_bytes[stream][fetched_for]
            if stream is StreamId.LOAD:
                counters.add("global_buffer", "write_byte", owner, passed_bytes)
            elif stream is StreamId.STORE:
                counters.add("global_buffer", "read_byte", owner, passed_bytes)
    owners = sorted(bursts)
    weights = [bursts[owner] for owner in owners]
    for action, amount in (("activate", outcome.commands.activates), ("refresh", outcome.commands.refreshes)):
        for owner, share in zip(owners, _shares(amount, weights), strict=True):
            counters.add("dram", action, owner, share)


def _count_leakage(program: Program, outcome: Outcome, layers: list[LayerRecord], counters: Counters) -> None:
    """Every cycle belongs to the layer on the array, or to the one before it; the last one keeps the tail."""
    starts = [0, *(layer.start_cycle for layer in layers[1:]), outcome.cycles]
    for layer, (start, end) in zip(layers, pairwise(starts), strict=True):
        counters.add("leakage", "core_cycle", layer.name, end - start)
        counters.add("dram", "standby_cycle", layer.name, (end - start) * program.dram_cycles_per_core_cycle)


def _wasted_bytes(program: Program, outcome: Outcome) -> int:
    """DRAM bytes read for tiles that never ran, or ran for an image that had left."""
    runs = {run.step: run for run in outcome.array}
    wasted = 0
    for step in program.steps:
        moved = outcome.moved_bytes[StreamId.LOAD].get(step.layer.name, 0)
        run = runs.get(step.index)
        if run is None or not _useful(program, outcome, run):
            wasted += moved
        elif run.tiles < step.plan.tiles:
            raise AssertionError(f"{step.layer.name} counted but not finished")
    return wasted


def _shares(amount: int, weights: list[int]) -> list[int]:
    """Split an integer in proportion to weights, exactly.

    >>> _shares(10, [1, 1, 2])
    [2, 3, 5]
    """
    if not weights:
        return []
    ends = np.cumsum(weights) * amount // sum(weights)
    return [int(share) for share in np.diff(ends, prepend=0)]
