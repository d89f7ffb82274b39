"""A program as the tables of integers that the segment engine runs (:mod:`archsim.timing.segment_state`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsim.mapping.base import Int64Array, MapTransfers, TileWork
from archsim.mapping.compression import map_transfers
from archsim.schedule.branches import BranchStep
from archsim.schedule.program import Program, Step
from archsim.timing import segment_state as at
from archsim.timing.segment_state import NOBODY, Machine, place_state


@dataclass(frozen=True)
class SegmentTables:
    """Tables of a program. tiles: int64 [tile, column]; what the zeros of an image decide is set image by image.

    steps, branches: int64 [row, column]. first_tiles: int64 (steps + 1,).
    """

    program: Program
    machine: Machine
    tiles: Int64Array
    steps: Int64Array
    branches: Int64Array
    first_tiles: Int64Array

    @classmethod
    def of(cls, program: Program, *, needs_work: bool, needs_maps: bool) -> SegmentTables:
        """needs_work, needs_maps: columns that :meth:`set_work` and :meth:`set_maps` will fill."""
        tiles = np.concatenate([_tile_rows(step) for step in program.steps])
        counts = [step.plan.tiles for step in program.steps]
        first_tiles = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        steps = np.array([_step_row(step) for step in program.steps], np.int64)
        steps[:, at.FIRST_TILE], steps[:, at.TILES] = first_tiles[:-1], counts
        rows = [_branch_row(branch) for branch in program.branches]
        branches = np.array(rows, np.int64).reshape(-1, at.BRANCH_COLUMNS)
        machine = _machine(program, needs_work, needs_maps)
        return cls(program, machine, tiles, steps, branches, first_tiles)

    def set_work(self, step: int, work: TileWork) -> None:
        """What the zeros of an image make of a step."""
        rows = self._rows(step)
        rows[:, at.COMPUTE_CYCLES] = work.compute_cycles
        if self.machine.needs_maps:
            _set_maps(rows, self.program.steps[step], work.maps)

    def _rows(self, step: int) -> Int64Array:
        return self.tiles[self.first_tiles[step] : self.first_tiles[step + 1]]


def _tile_rows(step: Step) -> Int64Array:
    plan = step.plan
    rows = np.zeros((plan.tiles, at.TILE_COLUMNS), np.int64)
    rows[:, at.WEIGHT_BYTES] = plan.weight_load_bytes
    rows[:, at.WEIGHT_ADDRESS] = step.weight_address + plan.weight_load_offset_bytes
    rows[:, at.FILL_CYCLES] = plan.fill_cycles
    rows[:, at.FILL_BYTES] = plan.fill_read_bytes
    rows[:, at.COMPUTE_CYCLES] = plan.compute_cycles
    rows[:, at.STREAM_BYTES] = plan.stream_read_bytes + plan.stream_write_bytes
    rows[:, at.DRAIN_CYCLES] = plan.drain_cycles
    rows[:, at.DRAIN_BYTES] = plan.drain_write_bytes
    rows[:, at.TAP_VALUES] = step.tap_values
    _set_maps(rows, step, None)
    return rows


def _set_maps(rows: Int64Array, step: Step, maps: MapTransfers | None) -> None:
    """Sizes, addresses and plain bytes of feature maps; maps None: they are not coded."""
    plan = step.plan
    moved = maps or map_transfers(plan, None, None, None)
    plain = (plan.ifmap_load_bytes, plan.summand_load_bytes, plan.store_bytes)
    rows[:, [at.IFMAP_PLAIN, at.SUMMAND_PLAIN, at.STORE_PLAIN]] = (
        NOBODY if maps is None else np.stack(plain, axis=1)
    )
    rows[:, at.IFMAP_BYTES] = moved.ifmap_bytes
    rows[:, at.IFMAP_ADDRESS] = step.ifmap.address + moved.ifmap_offset_bytes
    rows[:, at.STORE_BYTES] = moved.store_bytes
    rows[:, at.STORE_ADDRESS] = step.store_address + moved.store_offset_bytes
    if step.summand is not None:
        rows[:, at.SUMMAND_BYTES] = moved.summand_bytes
        rows[:, at.SUMMAND_ADDRESS] = step.summand.address + moved.summand_offset_bytes


def _step_row(step: Step) -> list[int]:
    producers = [
        NOBODY if source is None or source.producer is None else source.producer
        for source in (step.ifmap, step.summand)
    ]
    pruned = step.part_of is not None and step.part_of.is_pruned
    row = [0] * at.STEP_COLUMNS
    row[at.IFMAP_PRODUCER], row[at.SUMMAND_PRODUCER] = producers
    row[at.STORES] = int((step.plan.store_bytes > 0).sum())
    row[at.TAPPED_BY] = _index(step.branch)
    row[at.DECIDES] = _index(step.decides)
    row[at.VERDICT_OF] = _index(step.part_of) if pruned else NOBODY
    return row


def _index(branch: BranchStep | None) -> int:
    return NOBODY if branch is None else branch.index


def _branch_row(branch: BranchStep) -> list[int]:
    row = [0] * at.BRANCH_COLUMNS
    row[at.LAST_STEP], row[at.IS_PRUNED] = branch.last_step, int(branch.is_pruned)
    row[at.ON_ARRAY], row[at.POOLED] = int(bool(branch.steps)), int(branch.pooled_values > 0)
    row[at.MAC_CYCLES], row[at.RESIDENT] = branch.mac_cycles, int(branch.resident)
    row[at.CLASSIFIER_ADDRESS], row[at.CLASSIFIER_BYTES] = branch.weight_address, branch.weight_bytes
    return row


def _machine(program: Program, needs_work: bool, needs_maps: bool) -> Machine:
    arch, steps, branches = program.arch, len(program.steps), len(program.branches)
    return Machine(
        steps=steps,
        branches=branches,
        chunk_bytes=arch.dma.chunk_bytes,
        outstanding=arch.dma.outstanding_chunks,
        burst_bytes=program.dram.burst_bytes,
        ratio=program.dram_cycles_per_core_cycle,
        dispatch_cycles=arch.controller.dispatch_cycles,
        result_cycles=arch.controller.result_cycles,
        is_speculative=arch.branch_unit.overlap == "speculative",
        dbp_lanes=arch.dbp_unit.lanes,
        decision_cycles=arch.dbp_unit.decision_cycles,
        tap_lanes=arch.branch_unit.tap_lanes,
        pipeline_cycles=arch.branch_unit.pipeline_cycles,
        is_in_order=arch.dram.policy == "in_order",
        needs_work=needs_work,
        needs_maps=needs_maps,
        stops_for_maps=arch.dma.overlap == "weights",
        **place_state(steps, branches, arch.dma.outstanding_chunks),
    )
