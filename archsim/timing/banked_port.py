"""A buffer of interleaved banks: clients have ports of their own and meet where they want the same bank.

The hardware. Each client has a port that moves ``width_bytes`` in a cycle; a transaction is served in bursts of
``burst_bytes`` (the last may be shorter), one at a time. A burst of b bytes holds the port of its client and one bank
for ceil(b / width_bytes) cycles and is never interrupted. The bytes of a client lie in consecutive banks: each of its
bursts wants the bank behind that of the burst before, its first one bank ``client * banks // clients``, for tiles of
different clients lie apart. Whenever a bank is free, the next client in cyclic order after the one that the bank served
last and whose burst wants it gets it. Transactions of one client are served in the order of arrival.

With one bank this is the shared port of :mod:`archsim.timing.port`. As there, a grant in cycle t must see every arrival
of cycle t: :meth:`BankedPort.advance` settles only the grants *before* the cycle it is given.
"""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field


@dataclass
class _Client:
    """waiting: (ticket, arrival cycle, bytes left); free_cycle: of its port; bank: that its next burst wants."""

    bank: int
    free_cycle: int = 0
    waiting: deque[tuple[int, int, int]] = field(default_factory=deque)


@dataclass
class _Bank:
    """free_cycle: when it can begin a burst; last: the client that it served last."""

    last: int
    free_cycle: int = 0


class BankedPort:
    """Arbiters of all banks. Feed it arrivals in time order; ask it for completions."""

    def __init__(self, width_bytes: int, burst_bytes: int, clients: int, banks: int) -> None:
        if min(width_bytes, burst_bytes, clients, banks) < 1:
            raise ValueError("a buffer needs a positive width, burst and number of clients and banks")
        self._width_bytes = width_bytes
        self._burst_bytes = burst_bytes
        self._clients = [_Client(client * banks // clients) for client in range(clients)]
        self._banks = [_Bank(clients - 1) for _ in range(banks)]
        self._completed: list[tuple[int, int]] = []
        self._tickets = 0
        self.busy_cycles = 0
        self.conflict_cycles = 0

    def submit(self, now_cycle: int, client: int, transfer_bytes: int) -> int:
        """Queue a transaction that arrives now; returns its ticket. transfer_bytes must be positive."""
        if transfer_bytes < 1:
            raise ValueError(f"a transaction moves at least one byte, not {transfer_bytes}")
        self.advance(now_cycle)
        self._tickets += 1
        self._clients[client].waiting.append((self._tickets - 1, now_cycle, transfer_bytes))
        return self._tickets - 1

    def advance(self, now_cycle: int) -> None:
        """Settle every grant of a cycle before ``now_cycle``."""
        while True:
            cycle = self._next_grant_cycle()
            if cycle is None or cycle >= now_cycle:
                return
            self._grant(cycle)

    def pop_completed(self, now_cycle: int) -> list[int]:
        """Tickets whose last byte has moved by ``now_cycle``, oldest first; call after :meth:`advance`."""
        self._completed.sort()
        done = [ticket for cycle, ticket in self._completed if cycle <= now_cycle]
        del self._completed[: len(done)]
        return done

    def next_completion_cycle(self) -> int | None:
        """Cycle of the next completion if nothing else arrives; None when nothing is queued.

        Grants up to it are computed on the side: an arrival may still change them.
        """
        ahead = self
        while True:
            first = min(ahead._completed)[0] if ahead._completed else None
            cycle = ahead._next_grant_cycle()
            if cycle is None or (first is not None and first <= cycle + 1):
                # A burst takes a cycle at least: no later grant completes before.
                return first
            if ahead is self:
                ahead = deepcopy(self)
            ahead._grant(cycle)

    def _ready_cycle(self, client: _Client) -> int:
        """When the next burst of a client could begin, as far as the client and its bank are concerned."""
        return max(client.free_cycle, client.waiting[0][1], self._banks[client.bank].free_cycle)

    def _next_grant_cycle(self) -> int | None:
        return min((self._ready_cycle(client) for client in self._clients if client.waiting), default=None)

    def _grant(self, cycle: int) -> None:
        """Let every bank that can begin a burst in this cycle, the next one with a grant, begin it."""
        count = len(self._clients)
        wanting: dict[int, list[int]] = {}
        for index, client in enumerate(self._clients):
            if client.waiting and self._ready_cycle(client) == cycle:
                wanting.setdefault(client.bank, []).append(index)
        for bank_index, wanted_by in wanting.items():
            bank = self._banks[bank_index]
            chosen = min(wanted_by, key=lambda index: (index - bank.last - 1) % count)
            self._serve(self._clients[chosen], bank, cycle)
            bank.last = chosen

    def _serve(self, client: _Client, bank: _Bank, cycle: int) -> None:
        ticket, arrival_cycle, left_bytes = client.waiting[0]
        self.conflict_cycles += cycle - max(client.free_cycle, arrival_cycle)
        moved = min(left_bytes, self._burst_bytes)
        end_cycle = cycle + -(-moved // self._width_bytes)
        self.busy_cycles += end_cycle - cycle
        client.free_cycle = bank.free_cycle = end_cycle
        client.bank = (client.bank + 1) % len(self._banks)
        if moved < left_bytes:
            client.waiting[0] = (ticket, arrival_cycle, left_bytes - moved)
        else:
            client.waiting.popleft()
            self._completed.append((end_cycle, ticket))
