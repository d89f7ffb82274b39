"""SimPy shell of the DMA: streams between DRAM and chip, cut into chunks.

Arbitration. Three streams (branch weights, loads, stores) each keep at most ``dma.outstanding_chunks`` chunks under
way. The DRAM serves chunks in the order of arrival; chunks of one core cycle in the order branch, load, store.
A load takes DRAM, then the buffer port; a store takes the port, then DRAM. Cancelling drops the chunks that were not
handed over yet; those under way finish and are paid for.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from functools import partial

import simpy

from archsim.schedule.program import TensorSource
from archsim.sim.channel import Channel, Credits, Wait
from archsim.sim.clock import Callback, on_event
from archsim.sim.dram import Dram
from archsim.sim.global_buffer import Client, GlobalBuffer
from archsim.sim.messages import StoreTile, TileLoaded
from archsim.sim.wiring import Wiring

BUFFER_HALVES = 2
"""Tiles that may be in the buffer at a time: one computes, one loads."""


class StreamId(IntEnum):
    """Streams in the order of their priority within a core cycle."""

    BRANCH = 0
    LOAD = 1
    STORE = 2


class Stream:
    """One direction of traffic with its own limit of chunks under way; ``moved`` counts bytes by owner."""

    def __init__(self, wiring: Wiring, stream: StreamId, dram: Dram, glb: GlobalBuffer) -> None:
        self._wiring = wiring
        self._dram = dram
        self._glb = glb
        self._chunk_bytes = wiring.program.arch.dma.chunk_bytes
        self.stream = stream
        self.credits = Credits(wiring.clock, wiring.program.arch.dma.outstanding_chunks)
        self._on_quiet: simpy.Event | None = None
        self.moved: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Chunks handed over and not finished."""
        return self.credits.places - self.credits.free

    def quiet(self) -> Wait:
        """Wait until nothing is under way; only after cancelling, or when nothing more will be asked for."""
        if self.under_way:
            self._on_quiet = self._wiring.clock.event()
            yield from self._wiring.waits.on(
                "controller", f"chunks under way on {self.stream.name.lower()}", self._on_quiet
            )

    def transfer(self, owner: str, address: int, transfer_bytes: int) -> Wait:
        """Hand over all chunks of a transfer, as places get free; returns the event of its completion."""
        done, waits = self._wiring.clock.event(), self._wiring.waits
        end = address + transfer_bytes
        while address < end:
            chunk_end = min(end, (address // self._chunk_bytes + 1) * self._chunk_bytes)
            yield from self.credits.acquire(
                waits, f"dma.{self.stream.name.lower()}", f"a free chunk for {owner}"
            )
            self._issue(owner, address, chunk_end - address, done if chunk_end == end else None)
            address = chunk_end
        return done

    def _issue(self, owner: str, address: int, chunk_bytes: int, done: simpy.Event | None) -> None:
        moved_bytes = self._dram.whole_bursts_bytes(address, chunk_bytes)
        self.moved[owner] += moved_bytes
        self._wiring.log(f"dma.{self.stream.name.lower()}", "chunk", f"{owner}@{address}")

        def finish(_: simpy.Event) -> None:
            self.credits.release()
            if self._on_quiet is not None and not self.under_way:
                self._on_quiet.succeed()
            if done is not None:
                done.succeed()

        def dram_access(on_done: Callback) -> None:
            is_write = self.stream is StreamId.STORE
            self._dram.access(self.stream, address, chunk_bytes, is_write, on_done)

        if self.stream is StreamId.BRANCH:
            dram_access(finish)
        elif self.stream is StreamId.LOAD:
            dram_access(lambda _: on_event(self._glb.transfer(Client.LOAD, moved_bytes), finish))
        else:
            on_event(self._glb.transfer(Client.STORE, moved_bytes), lambda _: dram_access(finish))


class Dma:
    """Loads tiles ahead of the array in program order, stores finished outputs, fetches branch weights on demand."""

    def __init__(self, wiring: Wiring, dram: Dram, glb: GlobalBuffer) -> None:
        self._wiring = wiring
        self._waits = wiring.waits
        self._steps = wiring.program.steps
        self.streams = {stream: Stream(wiring, stream, dram, glb) for stream in StreamId}
        self.tiles: Channel[TileLoaded] = Channel(wiring.clock)
        self.halves = Credits(wiring.clock, BUFFER_HALVES)
        self.store_halves = Credits(wiring.clock, BUFFER_HALVES)
        self._stores: Channel[StoreTile] = Channel(wiring.clock)
        self._stored = {step.index: wiring.clock.event() for step in self._steps}
        self._unstored = {step.index: int((step.plan.store_bytes > 0).sum()) for step in self._steps}
        self._processes = (wiring.clock.process(self._load()), wiring.clock.process(self._store()))

    def store(self, message: StoreTile) -> None:
        """Take finished outputs; the caller holds one of ``store_halves``, which is given back when they are out."""
        self._stores.send(message)

    def fetch_branch(self, owner: str, address: int, fetch_bytes: int) -> Wait:
        """Fetch branch weights; returns when the last byte is in the branch unit."""
        done = yield from self.streams[StreamId.BRANCH].transfer(owner, address, fetch_bytes)
        yield from self._waits.on("branch_unit", f"the weights of {owner}", done)

    def cancel(self) -> None:
        """Drop everything that was not handed over to the DRAM or the port yet."""
        for process in self._processes:
            if process.is_alive:
                process.interrupt("cancelled")
        for stream in self.streams.values():
            stream.credits.forget_waiters()
        self._wiring.log("dma", "cancel", self._wiring.program.network.name)

    def quiet(self) -> Wait:
        """Wait until the last chunk under way has finished."""
        for stream in self.streams.values():
            yield from stream.quiet()

    def _load(self) -> Wait:
        try:
            for step in self._steps:
                yield from self._load_step(step.index)
        except simpy.Interrupt:
            self._waits.reasons.pop("dma.load", None)

    def _load_step(self, index: int) -> Wait:
        step, stream = self._steps[index], self.streams[StreamId.LOAD]
        plan, name = step.plan, step.layer.name
        for tile in range(plan.tiles):
            yield from self.halves.acquire(
                self._waits, "dma.load", f"a buffer half for tile {tile} of {name}"
            )
            transfers = []
            for source, load_bytes, offset_bytes in (
                (
                    TensorSource(step.weight_address, None),
                    plan.weight_load_bytes,
                    plan.weight_load_offset_bytes,
                ),
                (step.ifmap, plan.ifmap_load_bytes, plan.ifmap_load_offset_bytes),
                (step.summand, plan.summand_load_bytes, plan.summand_load_offset_bytes),
            ):
                if source is None or not load_bytes[tile]:
                    continue
                if source.producer is not None and not self._stored[source.producer].processed:
                    reason = f"the stored input of {name}"
                    yield from self._waits.on("dma.load", reason, self._stored[source.producer])
                address = source.address + int(offset_bytes[tile])
                transfers.append((yield from stream.transfer(name, address, int(load_bytes[tile]))))
            self.tiles.send(TileLoaded(index, tile, tuple(transfers)))

    def _store(self) -> Wait:
        stream = self.streams[StreamId.STORE]
        try:
            while True:
                message = yield from self._stores.receive(self._waits, "dma.store", "outputs to store")
                name = self._steps[message.step].layer.name
                done = yield from stream.transfer(name, message.address, message.store_bytes)
                on_event(done, partial(self._on_stored, message.step))
        except simpy.Interrupt:
            self._waits.reasons.pop("dma.store", None)

    def _on_stored(self, step: int, _: simpy.Event) -> None:
        self.store_halves.release()
        self._unstored[step] -= 1
        if self._unstored[step] == 0:
            self._stored[step].succeed()
