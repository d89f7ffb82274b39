r"""The arbiter of the buffer port as RTL: queues of transactions, bursts, round-robin among the clients.

::

    cycle            t       t+1      t+2      t+3
    submit_valid   __/^^^\_____________________________   client 0: 3 words of the port
    owner          --X  0  X  0     X  0     X----------   granted in the cycle of the request when the port is free
    moved_bytes    --X  w  X  w     X  w     X----------
    done           _____________________________/^^^\__   client 0: its last byte has moved

A burst is at most ``burst_bytes`` and is never interrupted; whenever none is moving, the next client in cyclic order
behind the one served last gets one. Twin of :class:`archsim.timing.port.RoundRobinPort` and
:class:`archsim.sim.global_buffer.GlobalBuffer`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, Problem
from archsim.sim.global_buffer import Client

BYTES_BITS = 20
"""Of the size of a transaction."""
QUEUE_DEPTH = 2
"""Transactions that a client may have waiting: one in service, one behind it."""


class BufferPort(Component):
    """Serves ``clients`` with a port that moves ``width_bytes`` a cycle.

    submit_valid, submit_bytes: a transaction of each client; it is taken in a cycle in which submit_ready says so.
    owner, is_moving, moved_bytes: whose bytes move in this cycle, and how many. done: for one cycle, by client.
    """

    def __init__(self, width_bytes: int, burst_bytes: int, clients: int, depth: int) -> None:
        self.width_bytes, self.burst_bytes = width_bytes, burst_bytes
        self.clients, self.depth = clients, depth
        super().__init__(
            {
                "submit_valid": In(clients),
                "submit_bytes": In(clients * BYTES_BITS),
                "submit_ready": Out(clients),
                "owner": Out(range(max(2, clients))),
                "is_moving": Out(1),
                "moved_bytes": Out(range(width_bytes + 1)),
                "done": Out(clients),
            }
        )

    @classmethod
    def of(cls, arch: ArchSpec) -> BufferPort:
        """With the parameters of an architecture. Raises InvalidInput for ports before shared banks."""
        buffer = arch.global_buffer
        if buffer.access != "port":
            found = f'found "{buffer.access}", expected "port"'
            hint = "the RTL has the one port that array, loads and stores share"
            raise InvalidInput([Problem(arch.name, "global_buffer.access", found, hint)])
        return cls(buffer.port_bytes_per_cycle, buffer.burst_bytes, len(Client), QUEUE_DEPTH)

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        left, last = Signal(range(self.burst_bytes + 1)), Signal.like(self.owner, init=self.clients - 1)
        waiting = Signal(self.clients)
        sizes = [Signal(BYTES_BITS, name=f"size_{client}") for client in range(self.clients)]
        is_free = left == 0
        size = Array(sizes)[self.owner]
        burst = Signal.like(left)
        m.d.comb += [
            self.owner.eq(Mux(is_free, self._next(last, waiting), last)),
            self.is_moving.eq(~is_free | waiting.any()),
            burst.eq(Mux(is_free, _smaller(size, self.burst_bytes), left)),
            self.moved_bytes.eq(Mux(self.is_moving, _smaller(burst, self.width_bytes), 0)),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(self.is_moving):
            m.d.sync += [left.eq(burst - self.moved_bytes), last.eq(self.owner)]
        for client in range(self.clients):
            self._queue(m, client, waiting, sizes[client])
        return m

    def _next(self, last: Any, waiting: Any) -> Any:
        """The first client behind the last one that waits."""
        chosen: Any = last
        for step in range(self.clients, 0, -1):
            turns = Array((client + step) % self.clients for client in range(self.clients))
            chosen = Mux(waiting.bit_select(turns[last], 1), turns[last], chosen)
        return chosen

    def _queue(self, m: Module, client: int, waiting: Any, size: Any) -> None:
        """Transactions of a client in order; one that arrives at an empty queue is served in the same cycle."""
        count = Signal(range(self.depth + 1), name=f"count_{client}")
        entries = [Signal(BYTES_BITS, name=f"entry_{client}_{place}") for place in range(self.depth)]
        ready, is_empty = count < self.depth, count == 0
        submitted = self.submit_bytes.word_select(client, BYTES_BITS)
        is_taken = self.submit_valid[client] & ready
        m.d.comb += [
            self.submit_ready[client].eq(ready),
            waiting[client].eq(~is_empty | is_taken),
            size.eq(Mux(is_empty, submitted, entries[0])),
        ]
        is_served = self.is_moving & (self.owner == client)
        rest = size - Mux(is_served, self.moved_bytes, 0)
        is_done = is_served & (rest[:BYTES_BITS] == 0)
        m.d.sync += [self.done[client].eq(is_done), count.eq(count + is_taken - is_done)]
        # As it looks after this cycle's arrival: then the head moves, or everything moves up.
        arrived = [Mux(is_taken & (count == place), submitted, entry) for place, entry in enumerate(entries)]
        arrived[0] = Mux(waiting[client], rest[:BYTES_BITS], arrived[0])
        m.d.sync += Cat(*entries).eq(Mux(is_done, Cat(*arrived[1:]), Cat(*arrived)))


def _smaller(value: Any, limit: int) -> Any:
    """The smaller of a value and a constant."""
    return Mux(value > limit, limit, value)
