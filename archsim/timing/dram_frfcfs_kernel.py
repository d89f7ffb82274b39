"""A first-ready, first-come-first-served DRAM controller (FR-FCFS), timed in DRAM clock cycles.

The hardware is that of the generic DDR controller of Ramulator 2.1 (Luo et al., IEEE CAL 23(1), 2024; scheduling by
Rixner et al., ISCA 2000). In every cycle, in this order:

1. The burst at the head of the queue enters the read or the write buffer if there is room. A read of a burst that is
   in the write buffer is answered in the next cycle, a write to it is merged; neither takes a place.
2. A refresh falls due every tREFI.
3. One command issues, if one is ready, from the first of these that has one:

   a. active bursts (their row was opened for them): the column command of the oldest that is ready;
   b. a refresh that is due: PREA when no burst is active and a bank is open, REF when all banks are closed.
      While a refresh is due, (c) is not reached;
   c. the write buffer in write mode, else the read buffer: the oldest burst whose next command (ACT, PRE or column)
      is ready. A row is not closed under an active burst nor, with ``row_hit_first``, while an older burst of the same
      buffer hits it. A burst whose ACT issues becomes active and leaves its place in the buffer.

Write mode begins when the write buffer is more than 4/5 full or the read buffer empty, and ends when the write
buffer is less than 1/5 full and there are reads; it is looked at only when (c) is reached.

Between events nothing can change, so cycles in which nothing can issue, arrive or fall due are not visited.
"""

from __future__ import annotations

from typing import NamedTuple

from archsim.kernels.compiler import kernel
from archsim.timing.dram_constraints import (
    ACT,
    NEVER,
    NO_BANK,
    PRE,
    PREA,
    RD,
    REF,
    WR,
    Chip,
    Int64Array,
    earliest,
    earliest_of_all,
    issue,
    locate,
    next_command,
)

_READ, _WRITE = range(2)
"""The two buffers."""

# Words of a buffered or active burst. ORDER counts up with acceptance.
_BANK, _ROW, _BURST, _TICKET, _ORDER, _COLUMN, _BURST_WORDS = range(7)

# Columns of a transfer.
_ARRIVAL, _NEXT_BURST, _TO_ACCEPT, _TO_FINISH, _DONE, _IS_WRITE, TRANSFER_COLUMNS = range(7)
_COLLECTED = -1
"""In _TO_FINISH, of a transfer whose completion was reported."""

# Registers of the controller. _SIZE + _READ and _SIZE + _WRITE: bursts in the two buffers.
# _PLAN_*: the command that issues next from the buffers unless something changes first; _PLANNED: it is up to date.
# TAIL, HEAD, OLDEST: ticket of the next transfer, of the one at the head of the queue, of the oldest not reported.
# FIRST_DONE: cycle of the first completion not reported; UNFINISHED: transfers with bursts to finish.
(
    CYCLE, NEXT_REFRESH, _REFRESHES_DUE, _WRITE_MODE, _SIZE, _, _ACTIVE, _ACCEPTED, TAIL, HEAD, OLDEST, FIRST_DONE,
    UNFINISHED, _SCANS, _PLANNED, _PLAN_CYCLE, _PLAN_PLACE, _PLAN_COMMAND, FORWARDED, COALESCED, _REGISTERS,
) = range(21)  # fmt: skip

TIME, FIRST, ALL = range(3)
"""How far to run; see :func:`_limit`."""


class Controller(NamedTuple):
    """Parameters of the controller, and where its state lies in the memory behind that of the channel.

    registers: see above.
    buffers: [read or write, entries, word], bursts in the order of arrival.
    active: [banks, word], bursts whose row was opened for them, in the order of their ACT.
    hit_scan, other_scan: [bank], the last scan of a buffer that met a row hit, or another burst, of the bank.
    words: how many words all of it takes.
    """

    entries: int
    row_hit_first: bool
    registers: int
    buffers: int
    active: int
    hit_scan: int
    other_scan: int
    words: int


def make_controller(chip: Chip, entries: int, row_hit_first: bool) -> Controller:
    """A controller with two buffers of ``entries`` bursts.

    Its memory begins as zeros, but for the registers NEXT_REFRESH and FIRST_DONE.
    """
    registers = chip.end
    buffers = registers + _REGISTERS
    active = buffers + 2 * entries * _BURST_WORDS
    hit_scan = active + chip.banks * _BURST_WORDS
    other_scan = hit_scan + chip.banks
    words = other_scan + chip.banks - registers
    return Controller(entries, row_hit_first, registers, buffers, active, hit_scan, other_scan, words)


@kernel
def run(
    chip: Chip, controller: Controller, memory: Int64Array, transfers: Int64Array, to_cycle: int, until: int
) -> None:  # fmt: skip
    """Run to the end of ``to_cycle``, and no further than ``until`` says (see :func:`_limit`).

    memory: int64 [words], see :class:`Chip` and :class:`Controller`.
    transfers: int64 [a power of two, column], ring of the transfers submitted, by ticket.
    """
    regs = controller.registers
    memory[regs + _PLANNED] = 0
    now = memory[regs + CYCLE] + 1
    while now <= _limit(controller, memory, to_cycle, until):
        next_offer = _accept(chip, controller, memory, transfers, now)
        if now >= memory[regs + NEXT_REFRESH]:
            memory[regs + _REFRESHES_DUE] += 1
            memory[regs + NEXT_REFRESH] += chip.trefi
        place, ready = _oldest_active(chip, controller, memory, now)
        wake = ready
        issued = ready <= now
        if issued:
            _issue_column(chip, controller, memory, transfers, place, now)
            _remove(memory, place, controller.active, memory[regs + _ACTIVE])
            memory[regs + _ACTIVE] -= 1
        elif memory[regs + _REFRESHES_DUE]:
            if not memory[regs + _ACTIVE]:
                wake = _refresh(chip, controller, memory, now)
                issued = wake <= now
        else:
            buffer = _buffer_to_serve(controller, memory)
            if not memory[regs + _PLANNED]:
                _plan(chip, controller, memory, buffer, now)
            wake = min(wake, memory[regs + _PLAN_CYCLE])
            issued = memory[regs + _PLAN_CYCLE] <= now
            if issued:
                _issue_plan(chip, controller, memory, transfers, buffer, now)
        if issued:
            memory[regs + _PLANNED] = 0
            now += 1
        else:
            now = min(wake, next_offer, memory[regs + NEXT_REFRESH])
    memory[regs + CYCLE] = max(memory[regs + CYCLE], _limit(controller, memory, to_cycle, until))


@kernel
def _limit(controller: Controller, memory: Int64Array, to_cycle: int, until: int) -> int:
    """Last cycle to run.

    TIME: ``to_cycle``. FIRST: that of the first completion not reported yet. ALL: that of the last column command of
    what was submitted, known only afterwards.
    """
    if until == FIRST:
        return min(to_cycle, memory[controller.registers + FIRST_DONE])
    if until == ALL and not memory[controller.registers + UNFINISHED]:
        return memory[controller.registers + CYCLE]
    return to_cycle


@kernel
def _buffer(controller: Controller, buffer: int) -> int:
    """First place of a buffer."""
    return controller.buffers + buffer * controller.entries * _BURST_WORDS


@kernel
def _accept(chip: Chip, controller: Controller, memory: Int64Array, transfers: Int64Array, now: int) -> int:
    """Take the burst at the head of the queue, if it has arrived and there is room.

    Returns the cycle of the next try; NEVER when that takes a command first.
    """
    regs, ring = controller.registers, len(transfers) - 1
    ticket = memory[regs + HEAD]
    if ticket == memory[regs + TAIL]:
        return NEVER
    if transfers[ticket & ring, _ARRIVAL] >= now:
        return transfers[ticket & ring, _ARRIVAL] + 1
    burst, is_write = transfers[ticket & ring, _NEXT_BURST], transfers[ticket & ring, _IS_WRITE]
    if _is_write_buffered(controller, memory, burst):
        memory[regs + (COALESCED if is_write else FORWARDED)] += 1
        _finish_burst(controller, memory, transfers, ticket, now)
    else:
        size = memory[regs + _SIZE + is_write]
        if size == controller.entries:
            return NEVER
        bank, row = locate(chip, burst)
        place = _buffer(controller, is_write) + size * _BURST_WORDS
        memory[place + _BANK], memory[place + _ROW], memory[place + _BURST] = bank, row, burst
        memory[place + _TICKET], memory[place + _ORDER] = ticket, memory[regs + _ACCEPTED]
        memory[place + _COLUMN] = WR if is_write else RD
        memory[regs + _SIZE + is_write] = size + 1
        memory[regs + _ACCEPTED] += 1
        memory[regs + _PLANNED] = 0
    transfers[ticket & ring, _NEXT_BURST] += 1
    transfers[ticket & ring, _TO_ACCEPT] -= 1
    if not transfers[ticket & ring, _TO_ACCEPT]:
        ticket += 1
        memory[regs + HEAD] = ticket
        if ticket == memory[regs + TAIL]:
            return NEVER
    return max(now, transfers[ticket & ring, _ARRIVAL]) + 1


@kernel
def _is_write_buffered(controller: Controller, memory: Int64Array, burst: int) -> bool:
    place = _buffer(controller, _WRITE)
    for _ in range(memory[controller.registers + _SIZE + _WRITE]):
        if memory[place + _BURST] == burst:
            return True
        place += _BURST_WORDS
    return False


@kernel
def _finish_burst(
    controller: Controller, memory: Int64Array, transfers: Int64Array, ticket: int, done: int
) -> None:  # fmt: skip
    """The data of a burst have moved by the end of cycle ``done``."""
    place = ticket & (len(transfers) - 1)
    transfers[place, _TO_FINISH] -= 1
    transfers[place, _DONE] = max(transfers[place, _DONE], done)
    if transfers[place, _TO_FINISH] == 0:
        first_done = controller.registers + FIRST_DONE
        memory[first_done] = min(memory[first_done], transfers[place, _DONE])
        memory[controller.registers + UNFINISHED] -= 1


@kernel
def _oldest_active(chip: Chip, controller: Controller, memory: Int64Array, now: int) -> tuple[int, int]:
    """Place of the oldest active burst that is ready, and the cycle in which one is ready; NEVER without any."""
    first_place, first_ready, first_order = -1, NEVER, NEVER
    place = controller.active
    for _ in range(memory[controller.registers + _ACTIVE]):
        ready = max(now, earliest(chip, memory, memory[place + _COLUMN], memory[place + _BANK]))
        order = memory[place + _ORDER]
        if ready < first_ready or (ready == first_ready and order < first_order):
            first_place, first_ready, first_order = place, ready, order
        place += _BURST_WORDS
    return first_place, first_ready


@kernel
def _refresh(chip: Chip, controller: Controller, memory: Int64Array, now: int) -> int:
    """Issue PREA or REF when it is ready; returns the cycle in which it is."""
    command = REF
    for bank in range(chip.banks):
        if memory[chip.open_row + bank] >= 0:
            command = PREA
    ready = max(now, earliest_of_all(chip, memory, command))
    if ready == now:
        issue(chip, memory, command, NO_BANK, -1, now)
        if command == REF:
            memory[controller.registers + _REFRESHES_DUE] -= 1
    return ready


@kernel
def _buffer_to_serve(controller: Controller, memory: Int64Array) -> int:
    """Enter or leave write mode."""
    regs = controller.registers
    reads, writes = memory[regs + _SIZE + _READ], memory[regs + _SIZE + _WRITE]
    mode = memory[regs + _WRITE_MODE]
    if mode == _WRITE and reads and 5 * writes < controller.entries:
        mode = _READ
    elif mode == _READ and (not reads or 5 * writes > 4 * controller.entries):
        mode = _WRITE
    if mode != memory[regs + _WRITE_MODE]:
        memory[regs + _WRITE_MODE] = mode
        memory[regs + _PLANNED] = 0
    return mode


@kernel
def _plan(chip: Chip, controller: Controller, memory: Int64Array, buffer: int, now: int) -> None:
    """Find the command that a buffer issues first: of those ready in the same cycle, that of the oldest burst."""
    regs = controller.registers
    memory[regs + _SCANS] += 1
    scan = memory[regs + _SCANS]
    first_ready, first_place, first_command = NEVER, -1, -1
    place = _buffer(controller, buffer) - _BURST_WORDS
    for _ in range(memory[regs + _SIZE + buffer]):
        place += _BURST_WORDS
        bank = memory[place + _BANK]
        hit_scan, other_scan = controller.hit_scan + bank, controller.other_scan + bank
        command = next_command(chip, memory, bank, memory[place + _ROW], memory[place + _COLUMN])
        met = hit_scan if command == memory[place + _COLUMN] else other_scan
        if memory[met] == scan:
            continue  # an older burst needs the same command
        memory[met] = scan
        if command == PRE:
            if controller.row_hit_first and memory[hit_scan] == scan:
                continue
            if _is_active(controller, memory, bank):
                continue
        ready = max(now, earliest(chip, memory, command, bank))
        if ready < first_ready:
            first_ready, first_place, first_command = ready, place, command
            if ready == now:
                break
    memory[regs + _PLAN_CYCLE], memory[regs + _PLAN_PLACE] = first_ready, first_place
    memory[regs + _PLAN_COMMAND] = first_command
    memory[regs + _PLANNED] = 1


@kernel
def _is_active(controller: Controller, memory: Int64Array, bank: int) -> bool:
    place = controller.active
    for _ in range(memory[controller.registers + _ACTIVE]):
        if memory[place + _BANK] == bank:
            return True
        place += _BURST_WORDS
    return False


@kernel
def _issue_plan(
    chip: Chip, controller: Controller, memory: Int64Array, transfers: Int64Array, buffer: int, now: int
) -> None:  # fmt: skip
    """Issue the planned command; a burst whose row it opens becomes active."""
    regs = controller.registers
    place, command = memory[regs + _PLAN_PLACE], memory[regs + _PLAN_COMMAND]
    bank = memory[place + _BANK]
    if command == PRE:
        issue(chip, memory, PRE, bank, -1, now)
        return
    if command == ACT:
        issue(chip, memory, ACT, bank, memory[place + _ROW], now)
        active = controller.active + memory[regs + _ACTIVE] * _BURST_WORDS
        for word in range(_BURST_WORDS):
            memory[active + word] = memory[place + word]
        memory[regs + _ACTIVE] += 1
    else:
        _issue_column(chip, controller, memory, transfers, place, now)
    _remove(memory, place, _buffer(controller, buffer), memory[regs + _SIZE + buffer])
    memory[regs + _SIZE + buffer] -= 1


@kernel
def _issue_column(
    chip: Chip, controller: Controller, memory: Int64Array, transfers: Int64Array, place: int, now: int
) -> None:  # fmt: skip
    """Issue the column command of the burst at a place."""
    column = memory[place + _COLUMN]
    issue(chip, memory, column, memory[place + _BANK], -1, now)
    done = now + (chip.write_cycles if column == WR else chip.read_cycles)
    _finish_burst(controller, memory, transfers, memory[place + _TICKET], done)


@kernel
def _remove(memory: Int64Array, place: int, first: int, size: int) -> None:
    """Close the gap at a place among the ``size`` bursts from ``first`` on; the order stays."""
    for word in range(place, first + (size - 1) * _BURST_WORDS):
        memory[word] = memory[word + _BURST_WORDS]


@kernel
def enqueue(
    controller: Controller, memory: Int64Array, transfers: Int64Array, arrival: int, first_burst: int, bursts: int,
    is_write: bool,
) -> None:  # fmt: skip
    """Put a transfer behind those in the ring, which has room for it."""
    place = memory[controller.registers + TAIL] & (len(transfers) - 1)
    transfers[place, _ARRIVAL], transfers[place, _NEXT_BURST] = arrival, first_burst
    transfers[place, _TO_ACCEPT], transfers[place, _TO_FINISH] = bursts, bursts
    transfers[place, _DONE], transfers[place, _IS_WRITE] = 0, is_write
    memory[controller.registers + TAIL] += 1
    memory[controller.registers + UNFINISHED] += 1


@kernel
def collect(
    controller: Controller, memory: Int64Array, transfers: Int64Array, to_cycle: int, completed: Int64Array
) -> int:  # fmt: skip
    """Write cycle and ticket of what has completed by a cycle into ``completed``; returns how many."""
    regs, ring = controller.registers, len(transfers) - 1
    count, first_done = 0, NEVER
    for ticket in range(memory[regs + OLDEST], min(memory[regs + HEAD] + 1, memory[regs + TAIL])):
        if transfers[ticket & ring, _TO_FINISH]:
            continue
        done = transfers[ticket & ring, _DONE]
        if done > to_cycle:
            first_done = min(first_done, done)
            continue
        completed[count, 0], completed[count, 1] = done, ticket
        count += 1
        transfers[ticket & ring, _TO_FINISH] = _COLLECTED
    while memory[regs + OLDEST] < memory[regs + TAIL] and (
        transfers[memory[regs + OLDEST] & ring, _TO_FINISH] == _COLLECTED
    ):
        memory[regs + OLDEST] += 1
    memory[regs + FIRST_DONE] = first_done
    return count
