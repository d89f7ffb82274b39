"""SimPy shell of the DMA: streams between DRAM and chip, cut into chunks.

Arbitration. Three streams (branch weights, loads, stores) each keep at most ``dma.outstanding_chunks`` chunks under
way. The DRAM serves chunks in the order of arrival; chunks of one core cycle in the order branch, load, store.
A load takes DRAM, then the buffer port; a store takes the port, then DRAM. Cancelling drops the chunks that were not
handed over yet; those under way finish and are paid for. Feature maps are coded and decoded between DRAM and port.

Layers of a branch that DBP decides about are not loaded before it has, and not at all if the branch is skipped.

With ``dma.overlap: weights`` only weights are loaded ahead, those of a tile when the array has taken those of the tile
before. The array itself asks for its activations and for the storing of its outputs, and waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import NamedTuple

import simpy

from archsim.mapping.base import MapTransfers
from archsim.mapping.compression import map_transfers
from archsim.schedule.program import Step, TensorSource
from archsim.sim.channel import Channel, Credits, Wait
from archsim.sim.clock import Callback, on_event
from archsim.sim.dram import Dram
from archsim.sim.global_buffer import Client, GlobalBuffer
from archsim.sim.messages import StoreTile, TileLoaded
from archsim.sim.observe import NO_TILE
from archsim.sim.wiring import Wiring

BUFFER_HALVES = 2
"""Tiles that may be in the buffer at a time: one computes, one loads."""


MapsOf = Callable[[int], MapTransfers | None]
"""What feature maps take in DRAM by step; None: the bytes of the plan."""


class StreamId(IntEnum):
    """Streams in the order of their priority within a core cycle."""

    BRANCH = 0
    LOAD = 1
    STORE = 2


@dataclass
class _Transfer:
    """Chunks that have not finished yet, in whatever order the memory serves them."""

    done: simpy.Event
    chunks_left: int

    def finish_chunk(self) -> None:
        self.chunks_left -= 1
        if self.chunks_left == 0:
            self.done.succeed()


class _Chunk(NamedTuple):
    """A piece of a transfer: bytes asked for, and those that move over the DRAM channel and through the port."""

    owner: str
    tile: int
    address: int
    chunk_bytes: int
    moved_bytes: int
    port_bytes: int


class Stream:
    """One direction of traffic with its own limit of chunks under way.

    ``moved`` counts bytes over the DRAM channel by owner, ``buffered`` those over the port of the global buffer.
    """

    def __init__(self, wiring: Wiring, stream: StreamId, dram: Dram, glb: GlobalBuffer) -> None:
        self._wiring = wiring
        self._dram = dram
        self._glb = glb
        self._chunk_bytes = wiring.program.arch.dma.chunk_bytes
        self.stream = stream
        self.credits = Credits(wiring.clock, wiring.program.arch.dma.outstanding_chunks)
        self._on_quiet: simpy.Event | None = None
        self.moved: Counter[str] = Counter()
        self.buffered: Counter[str] = Counter()

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

    def transfer(
        self,
        owner: str,
        address: int,
        transfer_bytes: int,
        plain_bytes: int | None = None,
        asks: str = "",
        tile: int = NO_TILE,
    ) -> Wait:
        """Hand over all chunks of a transfer, as places get free; returns the event of its completion.

        plain_bytes: what is on the buffer's side of coded bytes, None where they are not coded. asks: who waits for
        free chunks, if not the stream itself. tile: of the layer ``owner``.
        """
        start, end, size = address, address + transfer_bytes, self._chunk_bytes
        transfer = _Transfer(self._wiring.clock.event(), (end - 1) // size - address // size + 1)
        name = f"dma.{self.stream.name.lower()}"
        while address < end:
            chunk_end = min(end, (address // size + 1) * size)
            yield from self.credits.acquire(self._wiring.waits, asks or name, f"a free chunk for {owner}")
            if self._wiring.observer is not None:
                self._wiring.log(name, "chunk", f"{owner}@{address}")
            moved_bytes = self._dram.whole_bursts_bytes(address, chunk_end - address)
            port_bytes = moved_bytes
            if plain_bytes is not None:
                shares = [plain_bytes * (until - start) // transfer_bytes for until in (address, chunk_end)]
                port_bytes = max(shares[1] - shares[0], 1)
            self.moved[owner] += moved_bytes
            self.buffered[owner] += port_bytes
            self._issue(_Chunk(owner, tile, address, chunk_end - address, moved_bytes, port_bytes), transfer)
            address = chunk_end
        return transfer.done

    def _issue(self, chunk: _Chunk, transfer: _Transfer) -> None:
        wiring, name = self._wiring, self.stream.name.lower()

        def finish(_: simpy.Event) -> None:
            self.credits.release()
            if self._on_quiet is not None and not self.under_way:
                self._on_quiet.succeed()
            transfer.finish_chunk()

        def dram_access(on_done: Callback) -> None:
            is_write = self.stream is StreamId.STORE
            key = wiring.begin("dram", name, chunk.owner, chunk.tile, chunk.moved_bytes)
            on_done = wiring.ends(key, on_done)
            self._dram.access(self.stream, chunk.address, chunk.chunk_bytes, is_write, on_done)

        def port_access(client: Client, on_done: Callback) -> None:
            key = wiring.begin("global_buffer", name, chunk.owner, chunk.tile, chunk.port_bytes)
            on_event(wiring.ends_with(key, self._glb.transfer(client, chunk.port_bytes)), on_done)

        if self.stream is StreamId.BRANCH:
            dram_access(finish)
        elif self.stream is StreamId.LOAD:
            dram_access(lambda _: port_access(Client.LOAD, finish))
        else:
            port_access(Client.STORE, lambda _: dram_access(finish))


class Dma:
    """Loads tiles ahead of the array in program order, stores finished outputs, fetches branch weights on demand."""

    def __init__(self, wiring: Wiring, dram: Dram, glb: GlobalBuffer, maps_of: MapsOf) -> None:
        self._wiring = wiring
        self._waits = wiring.waits
        self._steps = wiring.program.steps
        self._maps_of = maps_of
        self.stops_for_maps = wiring.program.arch.dma.overlap == "weights"
        self.streams = {stream: Stream(wiring, stream, dram, glb) for stream in StreamId}
        self.tiles: Channel[TileLoaded] = Channel(wiring.clock)
        self.halves = Credits(wiring.clock, 1 if self.stops_for_maps else BUFFER_HALVES)
        self.store_halves = Credits(wiring.clock, BUFFER_HALVES)
        self._stores: Channel[StoreTile] = Channel(wiring.clock)
        self._stored = {step.index: wiring.clock.event() for step in self._steps}
        self._verdicts = {
            branch.index: wiring.clock.event()
            for branch in wiring.program.branches
            if branch.steps and branch.is_pruned
        }
        self._unstored = {step.index: int((step.plan.store_bytes > 0).sum()) for step in self._steps}
        self._processes = (wiring.clock.process(self._load()), wiring.clock.process(self._store()))

    def store(self, message: StoreTile) -> None:
        """Take finished outputs; the caller holds one of ``store_halves``, which is given back when they are out."""
        self._stores.send(message)

    def decide(self, branch: int, run: bool) -> None:
        """The controller says that DBP lets a branch run, or skips it."""
        self._verdicts[branch].succeed(run)

    def load_maps(self, step: Step, tile: int) -> Wait:
        """Load the activations of a tile for the array, which stands still meanwhile."""
        for source, size, offset, plain in self._map_loads(step, tile):
            yield from self._wait_for_producer(source, step.layer.name, "pe_array")
            done = yield from self.streams[StreamId.LOAD].transfer(
                step.layer.name, source.address + offset, size, plain, "pe_array", tile
            )
            yield from self._waits.on("pe_array", f"the activations of {step.layer.name}", done)

    def store_maps(self, message: StoreTile) -> Wait:
        """Store outputs of the array, which stands still meanwhile."""
        done = yield from self._transfer_store(message, "pe_array")
        yield from self._waits.on("pe_array", "the storing of its outputs", done)
        self._count_stored(message.step)

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
                if (yield from self._is_run(step)):
                    yield from self._load_step(step.index)
        except simpy.Interrupt:
            self._waits.reasons.pop("dma.load", None)

    def _is_run(self, step: Step) -> Wait:
        """Wait until it is known whether a step runs."""
        verdict = None if step.part_of is None else self._verdicts.get(step.part_of.index)
        if verdict is None:
            return True
        if not verdict.processed:
            yield from self._waits.on("dma.load", f"DBP before {step.layer.name}", verdict)
        return verdict.value

    def _load_step(self, index: int) -> Wait:
        step, stream = self._steps[index], self.streams[StreamId.LOAD]
        plan, name = step.plan, step.layer.name
        for tile in range(plan.tiles):
            yield from self.halves.acquire(
                self._waits, "dma.load", f"a buffer half for tile {tile} of {name}"
            )
            transfers = []
            key = self._wiring.begin("dma.load", "fetch", name, tile)
            if plan.weight_load_bytes[tile]:
                address = step.weight_address + int(plan.weight_load_offset_bytes[tile])
                size = int(plan.weight_load_bytes[tile])
                transfers.append((yield from stream.transfer(name, address, size, tile=tile)))
            for source, size, offset, plain in () if self.stops_for_maps else self._map_loads(step, tile):
                yield from self._wait_for_producer(source, name, "dma.load")
                address = source.address + offset
                transfers.append((yield from stream.transfer(name, address, size, plain, tile=tile)))
            self._wiring.end(key)
            self.tiles.send(TileLoaded(index, tile, tuple(transfers)))

    def _map_loads(self, step: Step, tile: int) -> list[tuple[TensorSource, int, int, int | None]]:
        """(source, bytes and offset in DRAM, plain bytes if they are coded) of what a tile loads besides weights."""
        plan, maps = step.plan, self._maps_of(step.index)
        coded = maps is not None
        maps = maps or map_transfers(plan, None, None, None)
        loads = (
            (step.ifmap, maps.ifmap_bytes, maps.ifmap_offset_bytes, plan.ifmap_load_bytes),
            (step.summand, maps.summand_bytes, maps.summand_offset_bytes, plan.summand_load_bytes),
        )
        return [
            (source, int(sizes[tile]), int(offsets[tile]), int(plain[tile]) if coded else None)
            for source, sizes, offsets, plain in loads
            if source is not None and sizes[tile]
        ]

    def _wait_for_producer(self, source: TensorSource, reader: str, process: str) -> Wait:
        if source.producer is not None and not self._stored[source.producer].processed:
            yield from self._waits.on(process, f"the stored input of {reader}", self._stored[source.producer])

    def _store(self) -> Wait:
        try:
            while True:
                message = yield from self._stores.receive(
                    self._waits, "dma.store", "outputs to store", "idle"
                )
                key = self._wiring.begin(
                    "dma.store", "store", self._steps[message.step].layer.name, message.tile
                )
                done = yield from self._transfer_store(message, "")
                self._wiring.end(key)
                on_event(done, partial(self._on_stored, message.step))
        except simpy.Interrupt:
            self._waits.reasons.pop("dma.store", None)

    def _transfer_store(self, message: StoreTile, asks: str) -> Wait:
        step, maps = self._steps[message.step], self._maps_of(message.step)
        plain = int(step.plan.store_bytes[message.tile])
        size, offset = plain, int(step.plan.store_offset_bytes[message.tile])
        if maps is not None:
            size, offset = int(maps.store_bytes[message.tile]), int(maps.store_offset_bytes[message.tile])
        stream = self.streams[StreamId.STORE]
        address = step.store_address + offset
        coded = None if maps is None else plain
        return stream.transfer(step.layer.name, address, size, coded, asks, message.tile)

    def _on_stored(self, step: int, _: simpy.Event) -> None:
        self.store_halves.release()
        self._count_stored(step)

    def _count_stored(self, step: int) -> None:
        self._unstored[step] -= 1
        if self._unstored[step] == 0:
            self._stored[step].succeed()
