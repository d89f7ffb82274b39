"""DRAM controllers cycle by cycle, checking every command against the last of every kind before it.

The constraints are a table of (from, to, scope, distance); a command is legal when all of them are kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import count

from archsim.config.dram import DramPresetSpec

SINGLE_BANK = ("ACT", "PRE", "RD", "WR")


@dataclass(frozen=True)
class Command:
    cycle: int
    name: str
    bank: int
    row: int


def constraints(preset: DramPresetSpec) -> list[tuple[str, str, str, int]]:
    t = preset.timing
    read_to_write = t.cl + t.burst_cycles + 2 - t.cwl
    write_to_read = t.cwl + t.burst_cycles
    write_to_precharge = t.cwl + t.burst_cycles + t.twr
    return [
        ("ACT", "RD", "bank", t.trcd), ("ACT", "WR", "bank", t.trcd), ("ACT", "PRE", "bank", t.tras),
        ("PRE", "ACT", "bank", t.trp), ("RD", "PRE", "bank", t.trtp), ("WR", "PRE", "bank", write_to_precharge),
        ("ACT", "ACT", "rank", t.trrd_s), ("ACT", "ACT", "group", t.trrd_l),
        ("RD", "RD", "rank", max(t.burst_cycles, t.tccd_s)), ("RD", "RD", "group", t.tccd_l),
        ("WR", "WR", "rank", max(t.burst_cycles, t.tccd_s)), ("WR", "WR", "group", t.tccd_l),
        ("RD", "WR", "rank", read_to_write), ("WR", "RD", "rank", write_to_read + t.twtr_s),
        ("WR", "RD", "group", write_to_read + t.twtr_l),
        ("ACT", "PREA", "rank", t.tras), ("RD", "PREA", "rank", t.trtp), ("WR", "PREA", "rank", write_to_precharge),
        ("PREA", "ACT", "rank", t.trp), ("PREA", "REF", "rank", t.trp),
        ("PRE", "REF", "rank", t.trp), ("REF", "ACT", "rank", t.trfc), ("REF", "REF", "rank", t.trfc),
    ]  # fmt: skip


@dataclass
class Burst:
    transfer: int
    index: int
    bank: int
    row: int
    column: str
    accepted: int = -1


@dataclass
class Transfer:
    arrival: int
    left: int
    done: int = 0


@dataclass
class DramOracle:
    """What both controllers share: the queue of bursts, legality, the log, and the rows that are open."""

    preset: DramPresetSpec
    mapping: str = "row_bank_column"
    log: list[Command] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    queue: deque[Burst] = field(default_factory=deque)
    refreshes_due: int = 0

    def __post_init__(self) -> None:
        self.open_row = [-1] * self.preset.banks

    def submit(self, arrival: int, address: int, size: int, is_write: bool) -> None:
        burst_bytes = self.preset.burst_bytes
        indices = range(address // burst_bytes, (address + size - 1) // burst_bytes + 1)
        for index in indices:
            bank, row = self.locate(index)
            self.queue.append(Burst(len(self.transfers), index, bank, row, "WR" if is_write else "RD"))
        self.transfers.append(Transfer(arrival, len(indices)))

    def locate(self, index: int) -> tuple[int, int]:
        per_row, banks = self.preset.row_bytes // self.preset.burst_bytes, self.preset.banks
        if self.mapping == "row_bank_column":
            return index // per_row % banks, index // per_row // banks
        return index % banks, index // banks // per_row

    def run(self) -> list[int]:
        """Cycle in which the last data beat of each transfer has moved."""
        for cycle in count(1):
            if all(transfer.left == 0 for transfer in self.transfers):
                break
            if cycle % self.preset.timing.trefi == 0:
                self.refreshes_due += 1
            self.tick(cycle)
        return [transfer.done for transfer in self.transfers]

    def tick(self, cycle: int) -> None:
        """One cycle; issues at most one command."""
        raise NotImplementedError

    def legal(self, name: str, bank: int, cycle: int) -> bool:
        groups = self.preset.bank_groups
        for before, after, scope, distance in constraints(self.preset):
            if after != name:
                continue
            for command in reversed(self.log):
                same = {
                    "bank": command.bank == bank, "group": command.bank % groups == bank % groups, "rank": True
                }[scope]  # fmt: skip
                if command.name == before and same:
                    if cycle < command.cycle + distance:
                        return False
                    break
        activates = [command.cycle for command in self.log if command.name == "ACT"]
        return not (name == "ACT" and len(activates) >= 4 and cycle < activates[-4] + self.preset.timing.tfaw)

    def needed(self, burst: Burst) -> str:
        """Next command of a burst."""
        if self.open_row[burst.bank] == burst.row:
            return burst.column
        return "ACT" if self.open_row[burst.bank] < 0 else "PRE"

    def issue(self, cycle: int, name: str, burst: Burst) -> None:
        self.log.append(Command(cycle, name, burst.bank, burst.row if name == "ACT" else -1))
        if name == "ACT":
            self.open_row[burst.bank] = burst.row
        elif name == "PRE":
            self.open_row[burst.bank] = -1
        else:
            t = self.preset.timing
            self.finish(burst, cycle + (t.cwl if name == "WR" else t.cl) + t.burst_cycles)

    def issue_to_all(self, cycle: int, name: str) -> None:
        self.log.append(Command(cycle, name, -1, -1))
        if name == "PREA":
            self.open_row = [-1] * self.preset.banks
        else:
            self.refreshes_due -= 1

    def finish(self, burst: Burst, done: int) -> None:
        transfer = self.transfers[burst.transfer]
        transfer.left -= 1
        transfer.done = max(transfer.done, done)


class InOrderOracle(DramOracle):
    def tick(self, cycle: int) -> None:
        if self.refreshes_due:
            self.refresh(cycle)
        elif self.queue and self.transfers[self.queue[0].transfer].arrival < cycle:
            burst = self.queue[0]
            name = self.needed(burst)
            if self.legal(name, burst.bank, cycle):
                self.issue(cycle, name, burst)
                if name == burst.column:
                    self.queue.popleft()

    def refresh(self, cycle: int) -> None:
        banks = sorted(range(self.preset.banks), key=lambda bank: (bank % self.preset.bank_groups, bank))
        to_close = [bank for bank in banks if self.open_row[bank] >= 0]
        for bank in to_close:
            if self.legal("PRE", bank, cycle):
                self.issue(cycle, "PRE", Burst(-1, -1, bank, -1, ""))
                return
        if not to_close and self.legal("REF", -1, cycle):
            self.issue_to_all(cycle, "REF")


@dataclass
class FrFcfsOracle(DramOracle):
    entries: int = 32
    row_hit_first: bool = True
    reads: list[Burst] = field(default_factory=list)
    writes: list[Burst] = field(default_factory=list)
    active: list[Burst] = field(default_factory=list)
    is_write_mode: bool = False
    forwarded: int = 0
    coalesced: int = 0

    def tick(self, cycle: int) -> None:
        self.accept(cycle)
        ready = [burst for burst in self.active if self.legal(burst.column, burst.bank, cycle)]
        if ready:
            oldest = min(ready, key=lambda burst: burst.accepted)
            self.issue(cycle, oldest.column, oldest)
            self.active.remove(oldest)
        elif self.refreshes_due:
            self.refresh(cycle)
        else:
            self.serve(cycle, self.buffer())

    def accept(self, cycle: int) -> None:
        if not self.queue or self.transfers[self.queue[0].transfer].arrival >= cycle:
            return
        burst = self.queue[0]
        if any(write.index == burst.index for write in self.writes):
            if burst.column == "RD":
                self.forwarded += 1
            else:
                self.coalesced += 1
            self.finish(burst, cycle)
        else:
            buffer = self.reads if burst.column == "RD" else self.writes
            if len(buffer) == self.entries:
                return
            burst.accepted = cycle
            buffer.append(burst)
        self.queue.popleft()

    def refresh(self, cycle: int) -> None:
        if self.active:
            return
        name = "PREA" if any(row >= 0 for row in self.open_row) else "REF"
        if self.legal(name, -1, cycle):
            self.issue_to_all(cycle, name)

    def buffer(self) -> list[Burst]:
        fill = len(self.writes) / self.entries
        if self.is_write_mode:
            if fill < 0.2 and self.reads:
                self.is_write_mode = False
        elif fill > 0.8 or not self.reads:
            self.is_write_mode = True
        return self.writes if self.is_write_mode else self.reads

    def serve(self, cycle: int, buffer: list[Burst]) -> None:
        for place, burst in enumerate(buffer):
            name = self.needed(burst)
            if name == "PRE":
                if any(other.bank == burst.bank for other in self.active):
                    continue
                older = buffer[:place]
                if self.row_hit_first and any(
                    other.bank == burst.bank and self.needed(other) == other.column for other in older
                ):
                    continue
            if self.legal(name, burst.bank, cycle):
                self.issue(cycle, name, burst)
                if name != "PRE":
                    buffer.remove(burst)
                if name == "ACT":
                    self.active.append(burst)
                return
