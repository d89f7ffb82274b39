"""An in-order DRAM controller, cycle by cycle, checking every command against every command before it.

The constraints are a table of (from, to, scope, distance); a command is legal when all of them are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from archsim.config.dram import DramPresetSpec


@dataclass(frozen=True)
class Command:
    cycle: int
    name: str
    bank: int
    group: int


def constraints(preset: DramPresetSpec) -> list[tuple[str, str, str, int]]:
    t = preset.timing
    read_to_write = t.cl + t.burst_cycles + 2 - t.cwl
    write_to_read = t.cwl + t.burst_cycles
    return [
        ("ACT", "RD", "bank", t.trcd), ("ACT", "WR", "bank", t.trcd), ("ACT", "PRE", "bank", t.tras),
        ("PRE", "ACT", "bank", t.trp), ("RD", "PRE", "bank", t.trtp),
        ("WR", "PRE", "bank", t.cwl + t.burst_cycles + t.twr),
        ("ACT", "ACT", "rank", t.trrd_s), ("ACT", "ACT", "group", t.trrd_l),
        ("RD", "RD", "rank", max(t.burst_cycles, t.tccd_s)), ("RD", "RD", "group", t.tccd_l),
        ("WR", "WR", "rank", max(t.burst_cycles, t.tccd_s)), ("WR", "WR", "group", t.tccd_l),
        ("RD", "WR", "rank", read_to_write), ("WR", "RD", "rank", write_to_read + t.twtr_s),
        ("WR", "RD", "group", write_to_read + t.twtr_l),
        ("PRE", "REF", "rank", t.trp), ("REF", "ACT", "rank", t.trfc),
    ]  # fmt: skip


class DramOracle:
    """Feed requests in order; ``log`` holds every command."""

    def __init__(self, preset: DramPresetSpec) -> None:
        self.preset = preset
        self.log: list[Command] = []
        self.cycle = 0
        self.open_row = [-1] * preset.banks
        self.next_refresh = preset.timing.trefi

    def legal(self, name: str, bank: int, cycle: int) -> bool:
        group = bank % self.preset.bank_groups
        for before, after, scope, distance in constraints(self.preset):
            if after != name:
                continue
            for command in self.log:
                same = {"bank": command.bank == bank, "group": command.group == group, "rank": True}[scope]
                if command.name == before and same and cycle < command.cycle + distance:
                    return False
        activates = [command.cycle for command in self.log if command.name == "ACT"]
        return not (name == "ACT" and len(activates) >= 4 and cycle < activates[-4] + self.preset.timing.tfaw)

    def issue(self, name: str, bank: int) -> int:
        """Issue as soon as it is legal, one command a cycle."""
        while not self.legal(name, bank, self.cycle):
            self.cycle += 1
        self.log.append(Command(self.cycle, name, bank, bank % self.preset.bank_groups))
        self.cycle += 1
        return self.cycle - 1

    def refresh(self) -> None:
        self.cycle = max(self.cycle, self.next_refresh)
        for bank, row in enumerate(self.open_row):
            if row >= 0:
                self.issue("PRE", bank)
                self.open_row[bank] = -1
        self.issue("REF", -1)
        self.next_refresh += self.preset.timing.trefi

    def access(self, arrival: int, address: int, size: int, is_write: bool) -> int:
        """Cycle in which the last data beat has moved."""
        preset, t, done = self.preset, self.preset.timing, -inf
        per_row = preset.row_bytes // preset.burst_bytes
        first, last = address // preset.burst_bytes, (address + size - 1) // preset.burst_bytes
        for burst in range(first, last + 1):
            while max(self.cycle, arrival + 1) >= self.next_refresh:
                self.refresh()
            self.cycle = max(self.cycle, arrival + 1)
            bank, row = burst // per_row % preset.banks, burst // per_row // preset.banks
            if self.open_row[bank] != row:
                if self.open_row[bank] >= 0:
                    self.issue("PRE", bank)
                self.issue("ACT", bank)
                self.open_row[bank] = row
            cycle = self.issue("WR" if is_write else "RD", bank)
            done = cycle + (t.cwl if is_write else t.cl) + t.burst_cycles
        return int(done)
