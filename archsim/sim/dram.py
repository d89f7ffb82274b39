"""SimPy shell of the DRAM channel: takes requests, passes them to the timing core, answers when the data has moved."""

from __future__ import annotations

import simpy

from archsim.config.dram import DramPresetSpec
from archsim.sim.clock import Callback, Clock
from archsim.timing.dram import DramCommands, InOrderDram


class Dram:
    """First come, first served; requests of one core cycle are taken in the order of their stream's priority."""

    def __init__(self, env: Clock, preset: DramPresetSpec, cycles_per_core_cycle: int) -> None:
        self._env = env
        self._core = InOrderDram(preset)
        self._ratio = cycles_per_core_cycle
        self._arrivals: list[tuple[int, int, int, bool, Callback]] = []
        self.burst_bytes = preset.burst_bytes

    def whole_bursts_bytes(self, address: int, transfer_bytes: int) -> int:
        """Bytes that really move for a transfer."""
        return self._core.bursts(address, transfer_bytes) * self.burst_bytes

    def access(
        self, priority: int, address: int, transfer_bytes: int, is_write: bool, on_done: Callback
    ) -> None:
        """Request consecutive bytes; ``on_done`` is called in the core cycle in which the last one has moved."""
        if not self._arrivals:
            self._env.at_end_of_cycle(self._arbitrate)
        self._arrivals.append((priority, address, transfer_bytes, is_write, on_done))

    def _arbitrate(self, _: simpy.Event) -> None:
        arrivals, self._arrivals = sorted(self._arrivals, key=lambda arrival: arrival[0]), []
        for _priority, address, transfer_bytes, is_write, on_done in arrivals:
            done = self._core.access(self._env.cycle * self._ratio, address, transfer_bytes, is_write)
            self._env.after(-(-done // self._ratio) - self._env.cycle, on_done)

    def commands(self) -> DramCommands:
        """Commands issued so far, refreshes included."""
        return self._core.commands(self._env.cycle * self._ratio)
