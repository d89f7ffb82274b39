"""SimPy shell of the DRAM channel: takes requests, passes them to the timing core, answers when the data has moved."""

from __future__ import annotations

from operator import itemgetter

import simpy

from archsim.config.arch import DramSpec
from archsim.config.dram import DramPresetSpec
from archsim.sim.clock import Clock, Done
from archsim.timing.dram import DramCommands, make_dram


class Dram:
    """Requests reach the controller as they arrive; those of one core cycle in the order of their stream's priority.

    The order in which they are served is up to the controller (``dram.policy``).
    """

    def __init__(
        self, env: Clock, preset: DramPresetSpec, spec: DramSpec, cycles_per_core_cycle: int
    ) -> None:
        self._env = env
        self._core = make_dram(preset, spec)
        self._ratio = cycles_per_core_cycle
        self._arrivals: list[tuple[int, int, int, bool, Done]] = []
        self._whole_bursts_bytes: dict[tuple[int, int], int] = {}
        self._on_done: dict[int, Done] = {}
        self._wake_cycle = -1
        self.burst_bytes = preset.burst_bytes

    def whole_bursts_bytes(self, address: int, transfer_bytes: int) -> int:
        """Bytes that really move for a transfer."""
        key = address % self.burst_bytes, transfer_bytes
        if key not in self._whole_bursts_bytes:
            self._whole_bursts_bytes[key] = self._core.bursts(*key) * self.burst_bytes
        return self._whole_bursts_bytes[key]

    def access(self, priority: int, address: int, transfer_bytes: int, is_write: bool, on_done: Done) -> None:
        """Request consecutive bytes; ``on_done`` is called in the core cycle in which the last one has moved."""
        if not self._arrivals:
            self._env.at_end_of_cycle(self._arbitrate)
        self._arrivals.append((priority, address, transfer_bytes, is_write, on_done))

    def _arbitrate(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        if len(arrivals) > 1:
            arrivals.sort(key=itemgetter(0))
        arrival_cycle = self._env.cycle * self._ratio
        for _priority, address, transfer_bytes, is_write, on_done in arrivals:
            ticket = self._core.submit(arrival_cycle, address, transfer_bytes, is_write)
            self._on_done[ticket] = on_done
        self._wake_at_next_completion()

    def _wake_at_next_completion(self) -> None:
        """A later request may move the next completion either way; a wake-up that it made obsolete does nothing."""
        completion = self._core.next_event()
        cycle = -1 if completion is None else -(-completion // self._ratio)
        if cycle != self._wake_cycle:
            self._wake_cycle = cycle
            if cycle != -1:
                self._env.after(cycle - self._env.cycle, self._wake)

    def _wake(self, _: simpy.Event) -> None:
        now = self._env.cycle
        if now != self._wake_cycle:
            return
        for ticket, _cycle in self._core.advance(now * self._ratio):
            self._on_done.pop(ticket)()
        self._wake_at_next_completion()

    def commands(self) -> DramCommands:
        """Commands issued so far, refreshes included."""
        return self._core.commands(self._env.cycle * self._ratio)
