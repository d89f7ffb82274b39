"""SimPy shell of the global buffer, its shared port or its banks: time only, capacity belongs to the mapping."""

from __future__ import annotations

from enum import IntEnum

import simpy

from archsim.config.arch import GlobalBufferSpec
from archsim.sim.clock import Clock, Done
from archsim.timing.banked_port import BankedPort
from archsim.timing.port import RoundRobinPort


class Client(IntEnum):
    """Who uses the port, in round-robin order."""

    ARRAY = 0
    LOAD = 1
    STORE = 2


class GlobalBuffer:
    """One port, shared by PE array, loads and stores, or a port each before shared banks."""

    def __init__(self, env: Clock, spec: GlobalBufferSpec) -> None:
        self._env = env
        width_bytes, burst_bytes = spec.port_bytes_per_cycle, spec.burst_bytes
        self._port: RoundRobinPort | BankedPort = (
            BankedPort(width_bytes, burst_bytes, len(Client), spec.banks)
            if spec.access == "banks"
            else RoundRobinPort(width_bytes, burst_bytes, len(Client))
        )
        self._on_done: dict[int, Done] = {}
        self._alarm_cycle: int | None = None

    def transfer(self, client: Client, transfer_bytes: int, on_done: Done) -> None:
        """Move bytes (> 0) through the port; ``on_done`` is called in the cycle in which the last one has moved."""
        now = self._env.cycle
        self._on_done[self._port.submit(now, client, transfer_bytes)] = on_done
        self._arm(now)

    def _arm(self, now: int) -> None:
        """Wake at the next completion; an arrival may have changed which one that is."""
        cycle = self._port.next_completion_cycle()
        if cycle is not None and cycle != self._alarm_cycle:
            self._alarm_cycle = cycle
            self._env.after(cycle - now, self._on_alarm)

    def _on_alarm(self, _: simpy.Event) -> None:
        now = self._env.cycle
        if now != self._alarm_cycle:
            return  # superseded by a later arrival
        self._alarm_cycle = None
        self._port.advance(now)
        for ticket in self._port.pop_completed(now):
            self._on_done.pop(ticket)()
        self._arm(now)
