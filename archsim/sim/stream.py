"""One direction of traffic between DRAM and chip: transfers, cut into chunks, under a limit of its own.

A chunk is an event of SimPy where DRAM and port say that they are done with it; in between, and from a chunk that
finishes to the one that takes its place, callbacks call each other.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

import simpy

from archsim.sim.channel import Wait
from archsim.sim.clock import Done
from archsim.sim.dram import Dram
from archsim.sim.global_buffer import Client, GlobalBuffer
from archsim.sim.observe import NO_TILE, NOT_KEPT
from archsim.sim.transfer import Transfer
from archsim.sim.wiring import Wiring


class StreamId(IntEnum):
    """Streams in the order of their priority within a core cycle."""

    BRANCH = 0
    LOAD = 1
    STORE = 2


@dataclass(slots=True)
class _Waiter:
    """A process that waits for free chunks; handed_over: when the last one will be; key: of the wait list."""

    transfer: Transfer
    process: str
    reason: str
    handed_over: simpy.Event
    key: int = NOT_KEPT


class Stream:
    """Hands over chunks as places get free; those that wait for one are served in turn.

    ``moved`` counts bytes over the DRAM channel by owner, ``buffered`` those over the port of the global buffer.
    """

    def __init__(self, wiring: Wiring, stream: StreamId, dram: Dram, glb: GlobalBuffer) -> None:
        self._wiring = wiring
        self._waits = wiring.waits
        self._clock = wiring.clock
        self._dram = dram
        self._glb = glb
        self._chunk_bytes = wiring.program.arch.dma.chunk_bytes
        self._name = stream.name.lower()
        self._process = f"dma.{self._name}"
        self._stream = stream
        self._is_load, self._is_store = stream is StreamId.LOAD, stream is StreamId.STORE
        self._places = self._free = wiring.program.arch.dma.outstanding_chunks
        self._waiting: deque[_Waiter] = deque()
        self._on_quiet: simpy.Event | None = None
        self.moved: Counter[str] = Counter()
        self.buffered: Counter[str] = Counter()

    def quiet(self) -> Wait:
        """Wait until nothing is under way; only after cancelling, or when nothing more will be asked for."""
        if self._free < self._places:
            self._on_quiet = self._clock.event()
            yield from self._waits.on("controller", f"chunks under way on {self._name}", self._on_quiet)

    def cancel(self) -> None:
        """Nobody wants a place any more (their processes were cancelled)."""
        self._waiting.clear()

    def transfer(
        self,
        owner: str,
        address: int,
        transfer_bytes: int,
        plain_bytes: int | None = None,
        asks: str = "",
        tile: int = NO_TILE,
    ) -> Wait:
        """Hand over all chunks of a transfer, as places get free; returns the :class:`Transfer`.

        plain_bytes: as there. asks: who waits for free chunks, if not the stream itself. tile: of the layer ``owner``.
        """
        size = self._chunk_bytes
        chunks = (address + transfer_bytes - 1) // size - address // size + 1
        transfer = Transfer(owner, tile, address, transfer_bytes, plain_bytes, chunks)
        while self._free and not self._waiting:
            self._free -= 1
            if self._hand_over_chunk(transfer):
                return transfer
        waiter = _Waiter(transfer, asks or self._process, f"a free chunk for {owner}", self._clock.event())
        self._wait(waiter)
        yield waiter.handed_over
        return transfer

    def _wait(self, waiter: _Waiter) -> None:
        self._waiting.append(waiter)
        waiter.key = self._waits.begin(waiter.process, waiter.reason)

    def _finish(self, transfer: Transfer) -> None:
        """A chunk has finished: its place is free."""
        if self._waiting:
            waiter = self._waiting.popleft()
            self._waits.end(waiter.process, waiter.key)
            if self._hand_over_chunk(waiter.transfer):
                waiter.handed_over.succeed()
            else:
                self._wait(waiter)
        else:
            self._free += 1
            if self._on_quiet is not None and self._free == self._places:
                self._on_quiet.succeed()
        transfer.finish_chunk()

    def _hand_over_chunk(self, transfer: Transfer) -> bool:
        """Hand over the next chunk, for which there is a place; whether it was the last one."""
        start, last_end = transfer.next_address, transfer.end
        end = min(start - start % self._chunk_bytes + self._chunk_bytes, last_end)
        transfer.next_address = end
        if self._wiring.observer is not None:
            self._wiring.log(self._process, "chunk", f"{transfer.owner}@{start}")
        moved_bytes = port_bytes = self._dram.whole_bursts_bytes(start, end - start)
        if transfer.plain_bytes is not None:
            port_bytes = max(transfer.plain_bytes_until(end) - transfer.plain_bytes_until(start), 1)
        self.moved[transfer.owner] += moved_bytes
        self.buffered[transfer.owner] += port_bytes
        finish = partial(self._finish, transfer)
        if self._is_load:
            through_port = partial(self._access_port, transfer, Client.LOAD, port_bytes, finish)
            self._access_dram(transfer, start, end - start, moved_bytes, through_port)
        elif self._is_store:
            to_dram = partial(self._access_dram, transfer, start, end - start, moved_bytes, finish)
            self._access_port(transfer, Client.STORE, port_bytes, to_dram)
        else:
            self._access_dram(transfer, start, end - start, moved_bytes, finish)
        return end == last_end

    def _access_dram(
        self, transfer: Transfer, address: int, chunk_bytes: int, moved_bytes: int, on_done: Done
    ) -> None:
        wiring = self._wiring
        if wiring.observer is not None:
            key = wiring.begin("dram", self._name, transfer.owner, transfer.tile, moved_bytes)
            on_done = wiring.ends(key, on_done)
        self._dram.access(self._stream, address, chunk_bytes, self._is_store, on_done)

    def _access_port(self, transfer: Transfer, client: Client, port_bytes: int, on_done: Done) -> None:
        wiring = self._wiring
        if wiring.observer is not None:
            key = wiring.begin("global_buffer", self._name, transfer.owner, transfer.tile, port_bytes)
            on_done = wiring.ends(key, on_done)
        self._glb.transfer(client, port_bytes, on_done)
