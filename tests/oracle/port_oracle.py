"""The buffer port, shared or before interleaved banks, cycle by cycle: slow and obvious."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

Then = Callable[[], Any]


class PortOracle:
    """Bursts round-robin: what each client still has to move, and the burst that is moving.

    Each cycle: ``submit``, then ``cycle``; what ``complete`` returns at the start of the next one has moved.
    """

    def __init__(self, width_bytes: int, burst_bytes: int, clients: int) -> None:
        self.width_bytes, self.burst_bytes = width_bytes, burst_bytes
        self.queues: list[deque[tuple[list[int], Then]]] = [deque() for _ in range(clients)]
        self.last = clients - 1
        self.burst_left = 0

    def submit(self, client: int, size: int, then: Then) -> None:
        self.queues[client].append(([size], then))

    def cycle(self) -> None:
        """Grant if free, then move for one cycle."""
        if self.burst_left == 0:
            self.last = next_client(self.last, len(self.queues), lambda client: bool(self.queues[client]))
            if self.queues[self.last]:
                self.burst_left = min(self.burst_bytes, self.queues[self.last][0][0][0])
        if self.burst_left:
            moved = min(self.width_bytes, self.burst_left)
            self.burst_left -= moved
            self.queues[self.last][0][0][0] -= moved

    def complete(self) -> list[Then]:
        done = []
        for queue in self.queues:
            while queue and queue[0][0][0] == 0:
                done.append(queue.popleft()[1])
        return done


class BankedPortOracle(PortOracle):
    """A port for each client; the bursts of a client visit the banks in turn, and a bank serves one burst at a time."""

    def __init__(self, width_bytes: int, burst_bytes: int, clients: int, banks: int) -> None:
        super().__init__(width_bytes, burst_bytes, clients)
        self.wants = [client * banks // clients for client in range(clients)]
        self.last_of = [clients - 1] * banks
        self.serving: list[int | None] = [None] * banks
        self.left = [0] * clients

    def cycle(self) -> None:
        for bank, client in enumerate(self.serving):
            if client is None:
                self.serving[bank] = self.granted(bank)
        for bank, client in enumerate(self.serving):
            if client is None:
                continue
            moved = min(self.width_bytes, self.left[client])
            self.left[client] -= moved
            self.queues[client][0][0][0] -= moved
            if self.left[client] == 0:
                self.serving[bank] = None
                self.wants[client] = (self.wants[client] + 1) % len(self.serving)

    def granted(self, bank: int) -> int | None:
        def waits(client: int) -> bool:
            return bool(self.queues[client]) and client not in self.serving and self.wants[client] == bank

        client = next_client(self.last_of[bank], len(self.queues), waits)
        if not waits(client):
            return None
        self.last_of[bank] = client
        self.left[client] = min(self.burst_bytes, self.queues[client][0][0][0])
        return client


def next_client(last: int, clients: int, waits: Callable[[int], bool]) -> int:
    """The first behind ``last`` that waits, or ``last`` if none does."""
    turns = [(last + step) % clients for step in range(1, clients + 1)]
    return next((client for client in turns if waits(client)), last)


def completions(port: PortOracle, arrivals: list[tuple[int, int, int]]) -> list[int]:
    """Completion cycle of each transaction. arrivals: (cycle, client, bytes), sorted by cycle."""
    done: dict[int, int] = {}
    pending = deque(enumerate(arrivals))
    cycle = 0
    while len(done) < len(arrivals):
        while pending and pending[0][1][0] == cycle:
            index, (_, client, size) = pending.popleft()
            port.submit(client, size, lambda index=index: index)
        port.cycle()
        cycle += 1
        done |= {then(): cycle for then in port.complete()}
    return [done[index] for index in range(len(arrivals))]
