"""The FR-FCFS controller as a DRAM core; hardware and kernel are in :mod:`archsim.timing.dram_frfcfs_kernel`."""

from __future__ import annotations

import numpy as np

from archsim.config.dram import DramPresetSpec
from archsim.timing.dram_constraints import (
    ACT,
    NEVER,
    RD,
    REF,
    WR,
    AddressMapping,
    Int64Array,
    IssuedCommand,
    command_count,
    make_chip,
    make_memory,
    read_log,
)
from archsim.timing.dram_frfcfs_kernel import (
    ALL,
    COALESCED,
    CYCLE,
    FIRST,
    FIRST_DONE,
    FORWARDED,
    HEAD,
    NEXT_REFRESH,
    OLDEST,
    TAIL,
    TIME,
    TRANSFER_COLUMNS,
    UNFINISHED,
    collect,
    enqueue,
    make_controller,
    run,
)
from archsim.timing.dram_transfer import BoolArray, Completion, DramCommands, Intake


class FrFcfsDram:
    """State of one channel; the methods are those of :class:`archsim.timing.dram.DramCore`.

    queue_entries: places of the read buffer, and of the write buffer.

    To know the next completion the core runs ahead of the time it has been told, and goes back to a copy of its state
    when a transfer is submitted meanwhile.

    ``chip``, ``controller``, ``memory`` and ``transfers`` are what the kernels work on; a caller may run them itself.
    """

    def __init__(
        self,
        preset: DramPresetSpec,
        mapping: AddressMapping = "row_bank_column",
        queue_entries: int = 32,
        row_hit_first: bool = True,
        log_entries: int = 0,
    ) -> None:
        self._intake = Intake(preset.burst_bytes)
        self.chip = make_chip(preset, mapping, log_entries)
        self.controller = make_controller(self.chip, queue_entries, row_hit_first)
        self.memory = make_memory(preset, self.chip, self.controller.words)
        self._registers = self.memory[self.controller.registers :]
        self._registers[NEXT_REFRESH] = preset.timing.trefi
        self._registers[FIRST_DONE] = NEVER
        self.transfers = np.zeros((16, TRANSFER_COLUMNS), dtype=np.int64)
        self._saved: tuple[Int64Array, Int64Array] | None = None
        """Memory and transfers from before it ran ahead; None when it has not."""

    def bursts(self, address_bytes: int, transfer_bytes: int) -> int:
        """Number of bursts that cover a transfer."""
        return self._intake.cover(address_bytes, transfer_bytes)[1]

    def submit(self, arrival_cycle: int, address_bytes: int, transfer_bytes: int, is_write: bool) -> int:
        """Queue a transfer."""
        first, bursts = self._intake.cover(address_bytes, transfer_bytes)
        ticket = self._intake.take(arrival_cycle)
        self._make_room(1)
        enqueue(
            self.controller, self.memory, self.transfers, arrival_cycle, first, bursts, is_write
        )  # fmt: skip
        return ticket

    def submit_many(
        self,
        arrival_cycles: Int64Array,
        addresses_bytes: Int64Array,
        transfers_bytes: Int64Array,
        are_writes: BoolArray,
    ) -> int:
        """Queue many transfers."""
        first_ticket, firsts, bursts = self._intake.take_many(
            arrival_cycles, addresses_bytes, transfers_bytes
        )
        self._make_room(len(bursts))
        places = np.arange(first_ticket, first_ticket + len(bursts)) % len(self.transfers)
        self.transfers[places] = np.column_stack(
            (arrival_cycles, firsts, bursts, bursts, np.zeros_like(bursts), are_writes)
        )
        self._registers[TAIL] += len(bursts)
        self._registers[UNFINISHED] += len(bursts)
        return first_ticket

    def next_event(self) -> int | None:
        """Cycle of the next completion, found by running ahead."""
        registers = self._registers
        if registers[OLDEST] == registers[TAIL]:
            return None
        if self._saved is None:
            self._saved = self.memory.copy(), self.transfers.copy()
        self._run(NEVER, FIRST)
        return int(registers[FIRST_DONE])

    def advance(self, to_cycle: int) -> list[Completion]:
        """Run to the end of a cycle and report what has completed."""
        self._pass_time(to_cycle)
        return [Completion(ticket, cycle) for cycle, ticket in self._collect(to_cycle).tolist()]

    def drain(self) -> Int64Array:
        """Run until nothing is left."""
        self._run(NEVER, ALL)
        self._saved = None
        completed = self._collect(NEVER)
        self._pass_time(max(int(completed[:, 0].max(initial=0)), self._intake.now))
        return completed[:, ::-1]

    def commands(self, until_cycle: int) -> DramCommands:
        """Commands issued by the end of a cycle."""
        if until_cycle < self._registers[CYCLE]:
            self._go_back()
        self._pass_time(until_cycle)
        activates, reads, writes, refreshes = (
            command_count(self.chip, self.memory, command) for command in (ACT, RD, WR, REF)
        )
        return DramCommands(
            activates,
            reads,
            writes,
            refreshes,
            forwarded_reads=int(self._registers[FORWARDED]),
            coalesced_writes=int(self._registers[COALESCED]),
        )

    def log(self) -> tuple[IssuedCommand, ...]:
        """The first ``log_entries`` commands."""
        return read_log(self.chip, self.memory)

    def reserve(self, transfers: int) -> None:
        """Let the ring hold as many transfers at a time, for a caller that puts them there itself."""
        self._make_room(transfers - int(self._registers[TAIL] - self._registers[OLDEST]))

    def _run(self, to_cycle: int, until: int) -> None:
        run(self.chip, self.controller, self.memory, self.transfers, to_cycle, until)

    def _pass_time(self, to_cycle: int) -> None:
        self._intake.now = max(self._intake.now, to_cycle)
        if to_cycle >= self._registers[CYCLE]:
            self._run(to_cycle, TIME)
            self._saved = None

    def _collect(self, to_cycle: int) -> Int64Array:
        """Cycle and ticket, [transfers, 2], of what has completed and was not reported; in this order."""
        registers = self._registers
        if registers[FIRST_DONE] > to_cycle:
            return np.empty((0, 2), dtype=np.int64)
        completed = np.empty((int(registers[HEAD] - registers[OLDEST]) + 1, 2), dtype=np.int64)
        count = collect(self.controller, self.memory, self.transfers, to_cycle, completed)
        completed = completed[:count]
        return completed[np.lexsort((completed[:, 1], completed[:, 0]))]

    def _go_back(self) -> None:
        """Forget what was run ahead."""
        if self._saved is not None:
            self.memory[:], self.transfers[:] = self._saved
            self._saved = None

    def _make_room(self, count: int) -> None:
        """Room in the ring of transfers for ``count`` more, which make obsolete what was run ahead."""
        self._go_back()
        old, oldest, tail = self.transfers, int(self._registers[OLDEST]), int(self._registers[TAIL])
        needed = tail - oldest + count
        if needed > len(old):
            self.transfers = np.zeros((1 << (needed - 1).bit_length(), TRANSFER_COLUMNS), dtype=np.int64)
            kept = np.arange(oldest, tail)
            self.transfers[kept % len(self.transfers)] = old[kept % len(old)]
