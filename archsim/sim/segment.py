"""The segment engine: straight runs between decisions in compiled code, no event of SimPy at all.

It replays the program with the kernels of :mod:`archsim.timing`, and takes the decisions from the sealed path when the
kernel has reached the cycle of each. The outcome is that of :class:`archsim.sim.system.System`, number by number
(``tests/exactness/test_engines.py``).
"""

from __future__ import annotations

import numpy as np

from archsim.errors import SimulationFailed
from archsim.mapping.base import Int64Array
from archsim.schedule.program import Program
from archsim.schedule.segments import SegmentTables
from archsim.sim.branch_unit import BranchRun
from archsim.sim.decisions import ImagePath, SealedDecisions
from archsim.sim.pe_array import StepRun
from archsim.sim.stream import StreamId
from archsim.sim.system import Outcome
from archsim.sim.tally import WorkOf
from archsim.timing import segment_state as at
from archsim.timing.dram import make_dram
from archsim.timing.dram_frfcfs import FrFcfsDram
from archsim.timing.dram_frfcfs_kernel import TRANSFER_COLUMNS, Controller
from archsim.timing.port import make_port, make_port_memory
from archsim.timing.segment_kernel import run_segment
from archsim.timing.segment_memory import Memories

RING_TRANSFERS = 256
"""Transfers that the ring of a FR-FCFS controller holds at first."""


class SegmentEngine:
    """Runs images through one program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._tables = SegmentTables.of(
            program,
            needs_work=program.arch.pe_array.zero == "skip",
            needs_maps=program.arch.dma.compression == "rlc",
        )
        buffer, outstanding = program.arch.global_buffer, program.arch.dma.outstanding_chunks
        capacity = 1 << (outstanding + 1).bit_length()
        self._port = make_port(buffer.port_bytes_per_cycle, buffer.burst_bytes, len(StreamId), capacity)

    @staticmethod
    def runs(program: Program) -> bool:
        """Whether the engine has the hardware of a program."""
        return program.arch.global_buffer.access == "port"

    def run(self, path: ImagePath, work_of: WorkOf) -> Outcome:
        """One image along a path. Raises SimulationFailed when work is left and nothing can happen."""
        tables, sealed = self._tables, SealedDecisions(path)
        machine = tables.machine
        state = at.idle_state(machine, tables.steps[:, at.STORES])
        port_memory = make_port_memory(self._port)
        dram = make_dram(self._program.dram, self._program.arch.dram)
        queue: FrFcfsDram | _NoQueue = dram if isinstance(dram, FrFcfsDram) else _NoQueue()
        queue.reserve(RING_TRANSFERS)
        while True:
            parts = Memories(self._port, dram.chip, queue.controller)
            completed = np.empty((len(queue.transfers), 2), np.int64)
            said = run_segment(
                machine, parts, tables.tiles, tables.steps, tables.branches, state, port_memory, dram.memory,
                queue.transfers, completed,
            )  # fmt: skip
            subject = int(state[at.SUBJECT])
            if said == at.DONE:
                break
            if said == at.ASK_RUN:
                state[machine.runs_branch + subject] = _told(sealed.reveal_run(subject))
            elif said == at.ASK_EXIT:
                state[machine.leaves + subject] = _told(sealed.reveal_exit(subject))
            elif said == at.NEED_STEP:
                tables.set_work(subject, work_of(subject))
                state[machine.is_ready + subject] = 1
            elif said == at.NEED_ROOM:
                queue.reserve(2 * len(queue.transfers))
            else:
                cycle = int(state[at.NOW])
                raise SimulationFailed(
                    f"nothing is due in cycle {cycle}; the tile engine names who waits for whom"
                )
        cycles = int(state[at.NOW])
        return Outcome(
            cycles=cycles,
            array=_runs(machine, state),
            branches=_evaluations(machine, state),
            decisions=_decisions(machine, state),
            left_at=None if state[at.LEFT_AT] == at.NOBODY else int(state[at.LEFT_AT]),
            moved_bytes=self._by_owner(state, machine.moved),
            buffer_bytes=self._by_owner(state, machine.buffered),
            commands=dram.commands(cycles * machine.ratio),
        )

    def _by_owner(self, state: Int64Array, place: int) -> dict[StreamId, dict[str, int]]:
        owners = self._tables.machine.owners
        steps = [step.layer.name for step in self._program.steps]
        branches = [branch.branch.name for branch in self._program.branches]
        amounts = state[place : place + 3 * owners].reshape(3, owners).tolist()
        return {
            stream: {
                name: amount
                for name, amount in zip(
                    branches if stream is StreamId.BRANCH else steps, amounts[stream], strict=False
                )
                if amount
            }
            for stream in StreamId
        }


class _NoQueue:
    """What the kernels are given in place of the queue that an in-order controller does not have."""

    controller = Controller(0, False, 0, 0, 0, 0, 0, 0)
    transfers = np.zeros((1, TRANSFER_COLUMNS), np.int64)

    def reserve(self, transfers: int) -> None:
        """Nothing is queued."""


def _told(answer: bool) -> int:
    return at.YES if answer else at.NO


def _rows(state: Int64Array, place: int, count: int, words: int) -> list[list[int]]:
    rows: list[list[int]] = state[place : place + count * words].reshape(count, words).tolist()
    return rows


def _runs(machine: at.Machine, state: Int64Array) -> tuple[StepRun, ...]:
    rows = _rows(state, machine.runs, int(state[at.RUNS]), at.RUN_WORDS)
    return tuple(StepRun(*row) for row in rows)


def _evaluations(machine: at.Machine, state: Int64Array) -> tuple[BranchRun, ...]:
    rows = _rows(state, machine.evaluations, int(state[at.EVALUATIONS]), at.EVAL_WORDS)
    return tuple(
        BranchRun(branch, start, end, leave=bool(state[machine.leaves + branch] == at.YES))
        for branch, start, end in rows
    )


def _decisions(machine: at.Machine, state: Int64Array) -> dict[int, tuple[bool, int]]:
    decisions = {}
    for branch in range(machine.branches):
        for is_skipped, place in ((True, machine.skipped_at), (False, machine.settled_at)):
            cycle = int(state[place + branch])
            if cycle != at.NOBODY:
                decisions[branch] = (is_skipped, cycle)
    return decisions
