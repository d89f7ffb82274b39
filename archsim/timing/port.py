"""The shared port of a buffer: bursts, served round-robin among clients. Pure integers, no clock of its own.

The hardware. A port moves ``width_bytes`` in a cycle. A client asks for a transaction of n bytes, which is served in
bursts of ``burst_bytes`` (the last may be shorter); a burst of b bytes holds the port for ceil(b / width_bytes)
cycles and is never interrupted. Whenever the port is free, the next client in cyclic order after the one served last
that has a transaction waiting gets one burst. A transaction that arrives in the very cycle in which the port becomes
free takes part in that decision. Transactions of one client are served in the order of arrival.

Because a grant in cycle t must see every arrival of cycle t, :func:`advance` settles only the grants *before* the
cycle it is given; completions are never earlier than the cycle after their last grant, so nothing is reported late.

Both engines serve the port with the kernels of this module; :class:`RoundRobinPort` is how SimPy gets at them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from archsim.kernels.arrays import Int64Array
from archsim.kernels.compiler import kernel
from archsim.timing.dram_constraints import NEVER

NONE = -1
"""No tag: nothing has completed."""

# Registers: when the port is free, the client served last, cycles it was busy, completed transactions (first, number).
_FREE_AT, _LAST, _BUSY, _DONE_HEAD, _DONE, _REGISTERS = range(6)
_TAG, _BYTES, _ENTRY_WORDS = range(3)


class Port(NamedTuple):
    """A port as the kernels know it, and where its state lies in an int64 array; ``capacity`` is a power of two.

    queues: [client; head, size]. ahead: [client], bytes that a look ahead has served. entries: [client, capacity; tag,
    bytes left], rings of the transactions waiting. done: [clients * capacity; cycle, tag], a ring of those completed.
    """

    width_bytes: int
    burst_bytes: int
    clients: int
    capacity: int
    queues: int
    ahead: int
    entries: int
    done: int
    words: int


def make_port(width_bytes: int, burst_bytes: int, clients: int, capacity: int) -> Port:
    """A port whose clients may have ``capacity`` (a power of two) transactions waiting each."""
    if width_bytes < 1 or burst_bytes < 1 or clients < 1:
        raise ValueError("a port needs a positive width, burst and number of clients")
    ahead = _REGISTERS + 2 * clients
    entries = ahead + clients
    done = entries + clients * capacity * _ENTRY_WORDS
    words = done + clients * capacity * _ENTRY_WORDS
    return Port(width_bytes, burst_bytes, clients, capacity, _REGISTERS, ahead, entries, done, words)


def make_port_memory(port: Port) -> Int64Array:
    """State of an idle port that serves client 0 first."""
    memory = np.zeros(port.words, np.int64)
    memory[_LAST] = port.clients - 1
    return memory


class RoundRobinPort:
    """Arbiter of one port. Feed it arrivals in time order; ask it for completions."""

    def __init__(self, width_bytes: int, burst_bytes: int, clients: int) -> None:
        self._take(make_port(width_bytes, burst_bytes, clients, 16))
        self._tickets = 0
        self._unfinished = 0
        self._next_cycle = NEVER
        self._completed: list[int] = []

    def _take(self, port: Port) -> None:
        self._port = port
        self._words = np.array(port, np.int64)
        self._memory = make_port_memory(port)

    @property
    def busy_cycles(self) -> int:
        """Cycles of the bursts granted so far."""
        return int(self._memory[_BUSY])

    def submit(self, now_cycle: int, client: int, transfer_bytes: int) -> int:
        """Queue a transaction that arrives now; returns its ticket. transfer_bytes must be positive."""
        if transfer_bytes < 1:
            raise ValueError(f"a transaction moves at least one byte, not {transfer_bytes}")
        if self._unfinished == self._port.capacity:
            self._grow()
        ticket = self._tickets
        self._tickets += 1
        self._unfinished += 1
        # Numba takes longer to recognise a member of an enumeration than to serve the transaction.
        self._next_cycle = _submit_and_look(
            self._words, self._memory, now_cycle, int(client), ticket, transfer_bytes
        )
        return ticket

    def advance(self, now_cycle: int) -> None:
        """Settle every grant of a cycle before ``now_cycle``."""
        while True:
            ticket, self._next_cycle = _settle(self._words, self._memory, now_cycle)
            if ticket != NONE:
                self._completed.append(ticket)
            if self._next_cycle > now_cycle:
                return

    def pop_completed(self, now_cycle: int) -> list[int]:
        """Tickets whose last byte has moved by ``now_cycle``, oldest first; call after :meth:`advance`."""
        completed, self._completed = self._completed, []
        self._unfinished -= len(completed)
        return completed

    def next_completion_cycle(self) -> int | None:
        """Cycle of the next completion if nothing else arrives; None when nothing is queued."""
        return None if self._next_cycle == NEVER else self._next_cycle

    def _grow(self) -> None:
        old, memory = self._port, self._memory
        self._take(make_port(old.width_bytes, old.burst_bytes, old.clients, 2 * old.capacity))
        move(old, memory, self._port, self._memory)


@kernel
def _port_of(words: Int64Array) -> Port:
    """A port whose fields come as an array: Python hands one over in a fraction of the time of a named tuple."""
    return Port(words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7], words[8])


@kernel
def _submit_and_look(
    words: Int64Array, memory: Int64Array, now: int, client: int, tag: int, transfer_bytes: int
) -> int:
    """:func:`submit`; returns :func:`next_completion`."""
    port = _port_of(words)
    submit(port, memory, now, client, tag, transfer_bytes)
    return next_completion(port, memory)


@kernel
def _settle(words: Int64Array, memory: Int64Array, now: int) -> tuple[int, int]:
    """:func:`advance`; returns :func:`pop_completed` and :func:`next_completion`."""
    port = _port_of(words)
    advance(port, memory, now)
    return pop_completed(port, memory, now), next_completion(port, memory)


@kernel
def _entry(port: Port, memory: Int64Array, client: int, place: int) -> int:
    """Address of the transaction at a place of a client's queue."""
    slot = (memory[port.queues + 2 * client] + place) & (port.capacity - 1)
    return port.entries + (client * port.capacity + slot) * _ENTRY_WORDS


@kernel
def _done_entry(port: Port, memory: Int64Array, place: int) -> int:
    slot = (memory[_DONE_HEAD] + place) % (port.clients * port.capacity)
    return port.done + slot * _ENTRY_WORDS


@kernel
def move(old: Port, memory: Int64Array, new: Port, target: Int64Array) -> None:
    """Copy the state of a port into a larger one."""
    target[_FREE_AT], target[_LAST], target[_BUSY] = memory[_FREE_AT], memory[_LAST], memory[_BUSY]
    target[_DONE] = memory[_DONE]
    for place in range(memory[_DONE]):
        for word in range(_ENTRY_WORDS):
            target[_done_entry(new, target, place) + word] = memory[_done_entry(old, memory, place) + word]
    for client in range(old.clients):
        size = memory[old.queues + 2 * client + 1]
        target[new.queues + 2 * client + 1] = size
        for place in range(size):
            for word in range(_ENTRY_WORDS):
                target[_entry(new, target, client, place) + word] = memory[
                    _entry(old, memory, client, place) + word
                ]


@kernel
def submit(port: Port, memory: Int64Array, now: int, client: int, tag: int, transfer_bytes: int) -> None:
    """Queue a transaction that arrives now; there must be room. It is reported by its tag."""
    advance(port, memory, now)
    if _waiting(port, memory) == 0:
        memory[_FREE_AT] = max(memory[_FREE_AT], now)
    size = port.queues + 2 * client + 1
    entry = _entry(port, memory, client, memory[size])
    memory[entry + _TAG], memory[entry + _BYTES] = tag, transfer_bytes
    memory[size] += 1


@kernel
def advance(port: Port, memory: Int64Array, now: int) -> None:
    """Settle every grant of a cycle before ``now``."""
    while memory[_FREE_AT] < now:
        waiting = _waiting(port, memory)
        if waiting == 0:
            return
        _grant(port, memory, now, waiting == 1)


@kernel
def pop_completed(port: Port, memory: Int64Array, now: int) -> int:
    """Tag of the oldest transaction whose last byte has moved by ``now``; NONE without one."""
    if memory[_DONE] == 0:
        return NONE
    entry = _done_entry(port, memory, 0)
    if memory[entry] > now:
        return NONE
    memory[_DONE_HEAD] = (memory[_DONE_HEAD] + 1) % (port.clients * port.capacity)
    memory[_DONE] -= 1
    return memory[entry + 1]


@kernel
def next_completion(port: Port, memory: Int64Array) -> int:
    """Cycle of the next completion if nothing else arrives; NEVER when nothing is queued.

    Grants up to it are computed on the side: an arrival may still change them.
    """
    if memory[_DONE]:
        return memory[_done_entry(port, memory, 0)]
    waiting = _waiting(port, memory)
    if waiting == 0:
        return NEVER
    time, client = memory[_FREE_AT], memory[_LAST]
    for each in range(port.clients):
        memory[port.ahead + each] = 0
    while True:
        client = _next_client(port, memory, client)
        left = memory[_entry(port, memory, client, 0) + _BYTES] - memory[port.ahead + client]
        if waiting == 1:
            return time + _run_cycles(port, left)
        burst = min(left, port.burst_bytes)
        time += -(-burst // port.width_bytes)
        memory[port.ahead + client] += burst
        if burst == left:
            return time


@kernel
def _waiting(port: Port, memory: Int64Array) -> int:
    """Clients with a transaction waiting."""
    count = 0
    for client in range(port.clients):
        if memory[port.queues + 2 * client + 1]:
            count += 1
    return count


@kernel
def _next_client(port: Port, memory: Int64Array, last: int) -> int:
    client = last
    while True:
        client += 1
        if client == port.clients:
            client = 0
        if memory[port.queues + 2 * client + 1]:
            return client


@kernel
def _run_cycles(port: Port, transfer_bytes: int) -> int:
    """Cycles of consecutive bytes without competition."""
    bursts = transfer_bytes // port.burst_bytes
    rest = transfer_bytes - bursts * port.burst_bytes
    return bursts * -(-port.burst_bytes // port.width_bytes) + -(-rest // port.width_bytes)


@kernel
def _grant(port: Port, memory: Int64Array, before: int, is_alone: bool) -> None:
    """Serve one burst, or as many as start before a cycle when a single client waits."""
    client = _next_client(port, memory, memory[_LAST])
    entry = _entry(port, memory, client, 0)
    bursts = 1
    if is_alone:
        burst_cycles = -(-port.burst_bytes // port.width_bytes)
        starting = -(-(before - memory[_FREE_AT]) // burst_cycles)
        bursts = max(1, min(starting, memory[entry + _BYTES] // port.burst_bytes))
    moved = min(memory[entry + _BYTES], bursts * port.burst_bytes)
    cycles = _run_cycles(port, moved)
    memory[entry + _BYTES] -= moved
    memory[_FREE_AT] += cycles
    memory[_BUSY] += cycles
    memory[_LAST] = client
    if memory[entry + _BYTES] == 0:
        done = _done_entry(port, memory, memory[_DONE])
        memory[done], memory[done + 1] = memory[_FREE_AT], memory[entry + _TAG]
        memory[_DONE] += 1
        head = port.queues + 2 * client
        memory[head] = (memory[head] + 1) & (port.capacity - 1)
        memory[head + 1] -= 1
