"""The strictly in-order DRAM controller, timed in DRAM clock cycles (as DRAMsim3 with queues of one entry).

One command a cycle, open page. No command of a request is issued before the column command of the request ahead of
it; a request for another row precharges and activates first. Every ``trefi`` cycles a refresh falls due. From then
on nothing else is issued: open banks are precharged, one a cycle and each as soon as it may be (of several that may,
the first bank of the first bank group), then all are refreshed. A request whose row was closed by it, even one
between its activate and its column command, activates again.

Nothing that arrives later can change what is decided, so the completion of a transfer is known when it is submitted.
"""

from __future__ import annotations

import heapq

import numpy as np

from archsim.config.dram import DramPresetSpec
from archsim.kernels.compiler import kernel
from archsim.timing.dram_constraints import (
    ACT,
    NEVER,
    NO_BANK,
    PRE,
    RD,
    REF,
    WR,
    AddressMapping,
    Chip,
    Int64Array,
    IssuedCommand,
    bursts_in_row,
    chip_of,
    command_count,
    earliest,
    earliest_of_all,
    issue,
    issue_columns,
    locate,
    make_chip,
    make_memory,
    next_command,
    read_log,
)
from archsim.timing.dram_transfer import BoolArray, Completion, DramCommands, Intake

# Registers of the controller, behind the state of the channel.
_LAST_COMMAND, _NEXT_REFRESH, _REGISTERS = range(3)


class InOrderDram:
    """State of one channel; the methods are those of :class:`archsim.timing.dram.DramCore`.

    ``chip`` and ``memory`` are what the kernels work on; a caller may run them itself.
    """

    def __init__(
        self, preset: DramPresetSpec, mapping: AddressMapping = "row_bank_column", log_entries: int = 0
    ) -> None:
        self._intake = Intake(preset.burst_bytes)
        self.chip = make_chip(preset, mapping, log_entries)
        self._words = np.array(self.chip, np.int64)
        self.memory = make_memory(preset, self.chip, _REGISTERS)
        self.memory[self.chip.end + _NEXT_REFRESH] = preset.timing.trefi
        self._finished: list[tuple[int, int]] = []

    def bursts(self, address_bytes: int, transfer_bytes: int) -> int:
        """Number of bursts that cover a transfer."""
        return self._intake.cover(address_bytes, transfer_bytes)[1]

    def submit(self, arrival_cycle: int, address_bytes: int, transfer_bytes: int, is_write: bool) -> int:
        """Take a transfer and serve it."""
        first, bursts = self._intake.cover(address_bytes, transfer_bytes)
        ticket = self._intake.take(arrival_cycle)
        done = _serve_one(self._words, self.memory, arrival_cycle, first, bursts, is_write)
        heapq.heappush(self._finished, (done, ticket))
        return ticket

    def submit_many(
        self,
        arrival_cycles: Int64Array,
        addresses_bytes: Int64Array,
        transfers_bytes: Int64Array,
        are_writes: BoolArray,
    ) -> int:
        """Take many transfers and serve them."""
        first_ticket, firsts, bursts = self._intake.take_many(
            arrival_cycles, addresses_bytes, transfers_bytes
        )
        done = np.empty(len(bursts), dtype=np.int64)
        serve_all(self.chip, self.memory, arrival_cycles, firsts, bursts, are_writes, done)
        self._finished += zip(done.tolist(), range(first_ticket, first_ticket + len(done)), strict=True)
        heapq.heapify(self._finished)
        return first_ticket

    def next_event(self) -> int | None:
        """Cycle of the next completion."""
        return self._finished[0][0] if self._finished else None

    def advance(self, to_cycle: int) -> list[Completion]:
        """Completions until a cycle."""
        self._intake.now = max(self._intake.now, to_cycle)
        completed = []
        while self._finished and self._finished[0][0] <= to_cycle:
            cycle, ticket = heapq.heappop(self._finished)
            completed.append(Completion(ticket, cycle))
        return completed

    def drain(self) -> Int64Array:
        """All completions left."""
        completed = np.array(sorted(self._finished), dtype=np.int64).reshape(-1, 2)
        self._finished.clear()
        self._intake.now = max(int(completed[:, 0].max(initial=0)), self._intake.now)
        return completed[:, ::-1]

    def commands(self, until_cycle: int) -> DramCommands:
        """Commands of all transfers submitted, and the refreshes that fall due until a cycle."""
        _idle(self.chip, self.memory, until_cycle)
        return DramCommands(
            *(command_count(self.chip, self.memory, command) for command in (ACT, RD, WR, REF))
        )

    def log(self) -> tuple[IssuedCommand, ...]:
        """The first ``log_entries`` commands."""
        return read_log(self.chip, self.memory)


@kernel
def _idle(chip: Chip, memory: Int64Array, until_cycle: int) -> None:
    """Issue the refreshes that fall due by a cycle."""
    while memory[chip.end + _NEXT_REFRESH] <= until_cycle:
        _refresh(chip, memory)


@kernel
def _refresh(chip: Chip, memory: Int64Array) -> None:
    """Precharge what is open, one bank a cycle, then refresh; it is due at memory[chip.end + _NEXT_REFRESH]."""
    now = max(memory[chip.end + _LAST_COMMAND] + 1, memory[chip.end + _NEXT_REFRESH])
    while True:
        first, first_cycle = NO_BANK, NEVER
        for group in range(chip.groups):
            for bank in range(group, chip.banks, chip.groups):
                if memory[chip.open_row + bank] >= 0:
                    cycle = max(now, earliest(chip, memory, PRE, bank))
                    if cycle < first_cycle:
                        first, first_cycle = bank, cycle
        if first == NO_BANK:
            break
        issue(chip, memory, PRE, first, -1, first_cycle)
        now = first_cycle + 1
    now = max(now, earliest_of_all(chip, memory, REF))
    issue(chip, memory, REF, NO_BANK, -1, now)
    memory[chip.end + _LAST_COMMAND] = now
    memory[chip.end + _NEXT_REFRESH] += chip.trefi


@kernel
def serve(chip: Chip, memory: Int64Array, arrival: int, first_burst: int, bursts: int, is_write: bool) -> int:
    """Issue every command of every burst; returns the cycle in which the last beat has moved."""
    column = WR if is_write else RD
    burst, end = first_burst, first_burst + bursts
    while burst < end:
        bank, row = locate(chip, burst)
        command = next_command(chip, memory, bank, row, column)
        cycle = max(arrival + 1, memory[chip.end + _LAST_COMMAND] + 1, earliest(chip, memory, command, bank))
        due = memory[chip.end + _NEXT_REFRESH]
        if cycle >= due:
            _refresh(chip, memory)
            continue
        if command == column:
            count = min(end - burst, bursts_in_row(chip, burst))
            issued, cycle = issue_columns(chip, memory, column, bank, count, cycle, due)
            burst += issued
        else:
            issue(chip, memory, command, bank, row if command == ACT else -1, cycle)
        memory[chip.end + _LAST_COMMAND] = cycle
    return memory[chip.end + _LAST_COMMAND] + (chip.write_cycles if is_write else chip.read_cycles)


@kernel
def _serve_one(
    words: Int64Array, memory: Int64Array, arrival: int, first_burst: int, bursts: int, is_write: bool
) -> int:
    """:func:`serve` on a channel given as words."""
    return serve(chip_of(words), memory, arrival, first_burst, bursts, is_write)


@kernel
def serve_all(
    chip: Chip, memory: Int64Array, arrivals: Int64Array, firsts: Int64Array, bursts: Int64Array,
    are_writes: BoolArray, done: Int64Array,
) -> None:  # fmt: skip
    """Serve transfers in turn; ``done`` takes the cycle of each."""
    for transfer in range(len(arrivals)):
        done[transfer] = serve(
            chip, memory, arrivals[transfer], firsts[transfer], bursts[transfer], are_writes[transfer]
        )
