"""The shared port of a buffer: bursts, served round-robin among clients. Pure integers, no clock of its own.

The hardware. A port moves ``width_bytes`` in a cycle. A client asks for a transaction of n bytes, which is served in
bursts of ``burst_bytes`` (the last may be shorter); a burst of b bytes holds the port for ceil(b / width_bytes)
cycles and is never interrupted. Whenever the port is free, the next client in cyclic order after the one served last
that has a transaction waiting gets one burst. A transaction that arrives in the very cycle in which the port becomes
free takes part in that decision. Transactions of one client are served in the order of arrival.

Because a grant in cycle t must see every arrival of cycle t, :meth:`RoundRobinPort.advance` settles only the grants
*before* the cycle it is given; completions are never earlier than the cycle after their last grant, so nothing is
reported late.
"""

from __future__ import annotations

from collections import deque


class RoundRobinPort:
    """Arbiter of one port. Feed it arrivals in time order; ask it for completions."""

    def __init__(self, width_bytes: int, burst_bytes: int, clients: int) -> None:
        if width_bytes < 1 or burst_bytes < 1 or clients < 1:
            raise ValueError("a port needs a positive width, burst and number of clients")
        self.width_bytes = width_bytes
        self.burst_bytes = burst_bytes
        self.busy_cycles = 0
        self._full_cycles = -(-burst_bytes // width_bytes)
        # Per client: [ticket, bytes left] of each transaction, oldest first.
        self._waiting: list[deque[list[int]]] = [deque() for _ in range(clients)]
        self._free_at_cycle = 0
        self._last_client = clients - 1
        self._tickets = 0
        self._completed: list[tuple[int, int]] = []

    def submit(self, now_cycle: int, client: int, transfer_bytes: int) -> int:
        """Queue a transaction that arrives now; returns its ticket. transfer_bytes must be positive."""
        if transfer_bytes < 1:
            raise ValueError(f"a transaction moves at least one byte, not {transfer_bytes}")
        self.advance(now_cycle)
        ticket = self._tickets
        self._tickets += 1
        if not any(self._waiting):
            self._free_at_cycle = max(self._free_at_cycle, now_cycle)
        self._waiting[client].append([ticket, transfer_bytes])
        return ticket

    def advance(self, now_cycle: int) -> None:
        """Settle every grant of a cycle before ``now_cycle``."""
        while self._free_at_cycle < now_cycle and any(self._waiting):
            self._grant(now_cycle)

    def pop_completed(self, now_cycle: int) -> list[int]:
        """Tickets whose last byte has moved by ``now_cycle``, oldest first; call after :meth:`advance`."""
        done = [ticket for cycle, ticket in self._completed if cycle <= now_cycle]
        self._completed = [entry for entry in self._completed if entry[0] > now_cycle]
        return done

    def next_completion_cycle(self) -> int | None:
        """Cycle of the next completion if nothing else arrives; None when nothing is queued."""
        if self._completed:
            return self._completed[0][0]
        if not any(self._waiting):
            return None
        return self._look_ahead()

    def _look_ahead(self) -> int:
        """Grants up to the next completion, computed on the side: an arrival may still change them."""
        left = [queue[0][1] if queue else 0 for queue in self._waiting]
        time, client = self._free_at_cycle, self._last_client
        if sum(1 for amount in left if amount) == 1:
            return time + self._burst_run_cycles(max(left))
        while True:
            client = self._next_client(client, left)
            burst = min(left[client], self.burst_bytes)
            time += -(-burst // self.width_bytes)
            left[client] -= burst
            if left[client] == 0:
                return time

    def _burst_run_cycles(self, transfer_bytes: int) -> int:
        """Cycles of a whole transaction without competition."""
        full, rest = divmod(transfer_bytes, self.burst_bytes)
        return full * self._full_cycles + -(-rest // self.width_bytes)

    @staticmethod
    def _next_client(last: int, left: list[int]) -> int:
        count = len(left)
        for step in range(1, count + 1):
            if left[(last + step) % count]:
                return (last + step) % count
        raise AssertionError("no client is waiting")

    def _grant(self, before_cycle: int) -> None:
        """Serve one burst, or as many as start before ``before_cycle`` when a single client waits."""
        client = self._next_client(self._last_client, [len(queue) for queue in self._waiting])
        entry = self._waiting[client][0]
        bursts = 1
        if all(not queue for index, queue in enumerate(self._waiting) if index != client):
            starting = -(-(before_cycle - self._free_at_cycle) // self._full_cycles)
            bursts = max(1, min(starting, entry[1] // self.burst_bytes))
        moved = min(entry[1], bursts * self.burst_bytes)
        cycles = self._burst_run_cycles(moved)
        entry[1] -= moved
        self._free_at_cycle += cycles
        self.busy_cycles += cycles
        self._last_client = client
        if entry[1] == 0:
            self._waiting[client].popleft()
            self._completed.append((self._free_at_cycle, entry[0]))
