"""What binds the commands of a DRAM channel: one table of constraints, and the state in which a channel keeps them.

Constraints (from -> to, distance) are those of the JEDEC parameters listed in
:class:`archsim.config.dram.DramTimingSpec`:

========  ==================================  ==========================================
scope     from -> to                          distance
========  ==================================  ==========================================
bank      ACT -> RD/WR, ACT -> PRE            tRCD, tRAS
bank      PRE -> ACT                          tRP
bank      RD -> PRE, WR -> PRE                tRTP, CWL + BL/2 + tWR
rank      ACT -> ACT (same group)             tRRD_S (tRRD_L); fifth after the first tFAW
rank      RD -> RD, WR -> WR (same group)     max(BL/2, tCCD_S) (tCCD_L)
rank      RD -> WR                            CL + BL/2 + 2 - CWL
rank      WR -> RD (same group)               CWL + BL/2 + tWTR_S (tWTR_L)
rank      ACT/RD/WR -> PREA                   as to PRE
rank      PRE/PREA -> REF, PREA -> ACT        tRP
rank      REF -> ACT/REF                      tRFC
========  ==================================  ==========================================

PREA precharges all banks at once. tRC = tRAS + tRP follows from the others. A command may issue in the first cycle
that keeps every distance; one command a cycle shares the command bus, which the controllers see to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from archsim.config.dram import DramPresetSpec, DramTimingSpec
from archsim.kernels.compiler import kernel

Int64Array = npt.NDArray[np.int64]
AddressMapping = Literal["row_bank_column", "row_column_bank"]

FAR_PAST = -(1 << 40)
NEVER = 1 << 60

ACT, PRE, PREA, RD, WR, REF = range(6)
COMMAND_NAMES = ("ACT", "PRE", "PREA", "RD", "WR", "REF")
_COMMANDS = len(COMMAND_NAMES)
BANK, GROUP, RANK = range(3)
_SCOPES = 3
_FAW_ACTIVATES = 4
"""Activates within tFAW."""
NO_BANK = -1
"""Bank of a command that concerns all of them."""


class Constraint(NamedTuple):
    """``after`` may issue ``distance_cycles`` after the last ``before`` of the same ``scope``, or later."""

    before: int
    after: int
    scope: int
    distance_cycles: int


def constraints(timing: DramTimingSpec) -> tuple[Constraint, ...]:
    """All constraints but tFAW, which spans more than two commands."""
    t = timing
    write_to_precharge = t.cwl + t.burst_cycles + t.twr
    write_to_read = t.cwl + t.burst_cycles
    column_to_column = max(t.burst_cycles, t.tccd_s)
    rows = [
        (ACT, RD, BANK, t.trcd), (ACT, WR, BANK, t.trcd), (ACT, PRE, BANK, t.tras), (PRE, ACT, BANK, t.trp),
        (RD, PRE, BANK, t.trtp), (WR, PRE, BANK, write_to_precharge),
        (ACT, ACT, RANK, t.trrd_s), (ACT, ACT, GROUP, t.trrd_l),
        (RD, RD, RANK, column_to_column), (RD, RD, GROUP, t.tccd_l),
        (WR, WR, RANK, column_to_column), (WR, WR, GROUP, t.tccd_l),
        (RD, WR, RANK, t.cl + t.burst_cycles + 2 - t.cwl),
        (WR, RD, RANK, write_to_read + t.twtr_s), (WR, RD, GROUP, write_to_read + t.twtr_l),
        (ACT, PREA, RANK, t.tras), (RD, PREA, RANK, t.trtp), (WR, PREA, RANK, write_to_precharge),
        (PRE, REF, RANK, t.trp), (PREA, REF, RANK, t.trp), (PREA, ACT, RANK, t.trp),
        (REF, ACT, RANK, t.trfc), (REF, REF, RANK, t.trfc),
    ]  # fmt: skip
    return tuple(Constraint(*row) for row in rows)


class Chip(NamedTuple):
    """A channel as the kernels know it: its shape, its timing in DRAM clock cycles, and where its state lies.

    All state is in one int64 array, ``memory``; below a place in it is followed by the shape of what begins there.
    (Numba counts references whenever an array is taken out of a tuple; that took longer than the scheduling itself.)

    row_column_bank: consecutive bursts go to different banks (see :func:`locate`).
    read_cycles, write_cycles: from the column command to the end of the last data beat.
    limits: [before, scope, after], distances; FAR_PAST where there is no constraint.
    open_row: [bank], -1 when closed.
    ready: [rank, groups, banks; command], first cycle that the constraints of each scope allow.
    activates: [4] cycles of the last activates, a ring; then the place of the oldest in it.
    counts: [command], commands issued.
    log: [log_entries, 4], cycle, command, bank and row of the first commands.
    """

    banks: int
    groups: int
    bursts_per_row: int
    row_column_bank: bool
    tfaw: int
    trefi: int
    read_cycles: int
    write_cycles: int
    limits: int
    open_row: int
    ready: int
    activates: int
    counts: int
    log: int
    log_entries: int
    end: int
    """First place that is free for the state of a controller."""


@dataclass(frozen=True, slots=True)
class IssuedCommand:
    """One entry of the command log; bank NO_BANK for PREA and REF, row -1 where the command names none."""

    cycle: int
    name: str
    bank: int
    row: int


def make_chip(preset: DramPresetSpec, mapping: AddressMapping, log_entries: int) -> Chip:
    """Shape, timing and places of a channel."""
    timing = preset.timing
    open_row = _COMMANDS * _SCOPES * _COMMANDS
    ready = open_row + preset.banks
    activates = ready + (1 + preset.bank_groups + preset.banks) * _COMMANDS
    counts = activates + _FAW_ACTIVATES + 1
    log = counts + _COMMANDS
    return Chip(
        banks=preset.banks,
        groups=preset.bank_groups,
        bursts_per_row=preset.row_bytes // preset.burst_bytes,
        row_column_bank=mapping == "row_column_bank",
        tfaw=timing.tfaw,
        trefi=timing.trefi,
        read_cycles=timing.cl + timing.burst_cycles,
        write_cycles=timing.cwl + timing.burst_cycles,
        limits=0,
        open_row=open_row,
        ready=ready,
        activates=activates,
        counts=counts,
        log=log,
        log_entries=log_entries,
        end=log + 4 * log_entries,
    )


@kernel
def chip_of(words: Int64Array) -> Chip:
    """A channel whose fields come as an array: Python hands one over in a fraction of the time of a named tuple."""
    return Chip(
        words[0], words[1], words[2], words[3] != 0, words[4], words[5], words[6], words[7],
        words[8], words[9], words[10], words[11], words[12], words[13], words[14], words[15],
    )  # fmt: skip


def make_memory(preset: DramPresetSpec, chip: Chip, controller_words: int) -> Int64Array:
    """State of a channel with all rows closed and nothing in the past, and zeros for that of its controller."""
    memory = np.zeros(chip.end + controller_words, dtype=np.int64)
    limits = memory[chip.limits : chip.open_row].reshape(_COMMANDS, _SCOPES, _COMMANDS)
    limits[...] = FAR_PAST
    for before, after, scope, distance in constraints(preset.timing):
        limits[before, scope, after] = distance
    memory[chip.open_row : chip.ready] = -1
    memory[chip.ready : chip.activates + _FAW_ACTIVATES] = FAR_PAST
    return memory


def command_count(chip: Chip, memory: Int64Array, command: int) -> int:
    """Commands of one kind issued so far."""
    return int(memory[chip.counts + command])


def read_log(chip: Chip, memory: Int64Array) -> tuple[IssuedCommand, ...]:
    """The commands recorded so far, in the order of issue."""
    recorded = min(chip.log_entries, int(memory[chip.counts : chip.counts + _COMMANDS].sum()))
    entries = memory[chip.log : chip.log + 4 * recorded].reshape(-1, 4).tolist()
    return tuple(
        IssuedCommand(cycle, COMMAND_NAMES[command], bank, row) for cycle, command, bank, row in entries
    )


@kernel
def locate(chip: Chip, burst: int) -> tuple[int, int]:
    """Bank and row of a burst; the bank group is ``bank % groups``.

    row_bank_column: address bits row | bank | bank group | column; a stream stays in a row, then moves to the next
    bank. row_column_bank: row | column | bank | bank group; a stream visits all banks in turn.
    """
    if chip.row_column_bank:
        return burst % chip.banks, burst // chip.banks // chip.bursts_per_row
    page = burst // chip.bursts_per_row
    return page % chip.banks, page // chip.banks


@kernel
def bursts_in_row(chip: Chip, burst: int) -> int:
    """Bursts from this one on that lie in its row, one behind the other."""
    return 1 if chip.row_column_bank else chip.bursts_per_row - burst % chip.bursts_per_row


@kernel
def next_command(chip: Chip, memory: Int64Array, bank: int, row: int, column: int) -> int:
    """The command that a request for a row needs now: ``column`` (RD or WR) when the row is open, else ACT or PRE."""
    open_row = memory[chip.open_row + bank]
    if open_row == row:
        return column
    return ACT if open_row < 0 else PRE


@kernel
def _ready_of_bank(chip: Chip, bank: int) -> int:
    return chip.ready + (1 + chip.groups + bank) * _COMMANDS


@kernel
def _ready_of_group(chip: Chip, bank: int) -> int:
    return chip.ready + (1 + bank % chip.groups) * _COMMANDS


@kernel
def earliest(chip: Chip, memory: Int64Array, command: int, bank: int) -> int:
    """First cycle in which the constraints allow a command to one bank."""
    return max(
        memory[_ready_of_bank(chip, bank) + command],
        memory[_ready_of_group(chip, bank) + command],
        memory[chip.ready + command],
    )


@kernel
def earliest_of_all(chip: Chip, memory: Int64Array, command: int) -> int:
    """First cycle in which the constraints allow a command to all banks (PREA, REF)."""
    return memory[chip.ready + command]


@kernel
def issue(chip: Chip, memory: Int64Array, command: int, bank: int, row: int, cycle: int) -> None:
    """Issue a command: count it, open or close rows, and push back what has to keep its distance.

    bank: NO_BANK for PREA and REF. row: of ACT; -1 for the others.
    """
    _record(chip, memory, command, bank, row, cycle)
    limits = chip.limits + command * _SCOPES * _COMMANDS
    _push_back(memory, chip.ready, limits + RANK * _COMMANDS, cycle)
    if bank == NO_BANK:
        if command == PREA:
            for each in range(chip.banks):
                memory[chip.open_row + each] = -1
        return
    _push_back(memory, _ready_of_group(chip, bank), limits + GROUP * _COMMANDS, cycle)
    _push_back(memory, _ready_of_bank(chip, bank), limits + BANK * _COMMANDS, cycle)
    if command == ACT:
        _note_activate(chip, memory, cycle)
        memory[chip.open_row + bank] = row
    elif command == PRE:
        memory[chip.open_row + bank] = -1


@kernel
def issue_columns(
    chip: Chip, memory: Int64Array, column: int, bank: int, count: int, cycle: int, before: int
) -> tuple[int, int]:
    """Issue up to ``count`` equal column commands to an open row, the first in ``cycle``, all before ``before``.

    Returns how many, and the cycle of the last. Each follows the one ahead of it as soon as their own distance allows:
    whatever else held the first one back is past. They leave behind what the last of them does. A log has every
    command, so that with one they are issued one by one.
    """
    distance = 1
    for scope in range(_SCOPES):
        limit = chip.limits + (column * _SCOPES + scope) * _COMMANDS + column
        distance = max(distance, memory[limit])
    issued = 1 if chip.log_entries else min(count, (before - 1 - cycle) // distance + 1)
    last = cycle + (issued - 1) * distance
    issue(chip, memory, column, bank, -1, last)
    memory[chip.counts + column] += issued - 1
    return issued, last


@kernel
def _push_back(memory: Int64Array, ready: int, limits: int, cycle: int) -> None:
    for after in range(_COMMANDS):
        memory[ready + after] = max(memory[ready + after], cycle + memory[limits + after])


@kernel
def _note_activate(chip: Chip, memory: Int64Array, cycle: int) -> None:
    """No fifth activate within tFAW of the first."""
    oldest = memory[chip.activates + _FAW_ACTIVATES]
    memory[chip.activates + oldest] = cycle
    oldest = (oldest + 1) % _FAW_ACTIVATES
    memory[chip.activates + _FAW_ACTIVATES] = oldest
    first_of_four = memory[chip.activates + oldest]
    memory[chip.ready + ACT] = max(memory[chip.ready + ACT], first_of_four + chip.tfaw)


@kernel
def _record(chip: Chip, memory: Int64Array, command: int, bank: int, row: int, cycle: int) -> None:
    if chip.log_entries:
        issued = 0
        for each in range(_COMMANDS):
            issued += memory[chip.counts + each]
        if issued < chip.log_entries:
            entry = chip.log + 4 * issued
            memory[entry], memory[entry + 1], memory[entry + 2], memory[entry + 3] = cycle, command, bank, row
    memory[chip.counts + command] += 1
