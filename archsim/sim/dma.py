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

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import simpy

from archsim.mapping.base import MapTransfers
from archsim.mapping.compression import map_transfers
from archsim.schedule.program import Step, TensorSource
from archsim.sim.channel import Channel, Credits, Wait
from archsim.sim.clock import on_event
from archsim.sim.dram import Dram
from archsim.sim.global_buffer import GlobalBuffer
from archsim.sim.messages import StoreTile, TileLoaded
from archsim.sim.stream import Stream, StreamId
from archsim.sim.transfer import Transfer
from archsim.sim.wiring import Wiring

BUFFER_HALVES = 2
"""Tiles that may be in the buffer at a time: one computes, one loads."""


MapsOf = Callable[[int], MapTransfers | None]
"""What feature maps take in DRAM by step; None: the bytes of the plan."""


class _MapLoad(NamedTuple):
    """Bytes of a feature map in DRAM that a tile needs; plain_bytes: what they are where they are coded, else None."""

    source: TensorSource
    address: int
    size_bytes: int
    plain_bytes: int | None


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
        self._loads: dict[int, list[list[_MapLoad]]] = {}
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
        for source, address, size, plain in self._map_loads(step)[tile]:
            yield from self._wait_for_producer(source, step.layer.name, "pe_array")
            transfer = yield from self.streams[StreamId.LOAD].transfer(
                step.layer.name, address, size, plain, "pe_array", tile
            )
            yield from self._arrival(transfer, "pe_array", f"the activations of {step.layer.name}")

    def store_maps(self, message: StoreTile) -> Wait:
        """Store outputs of the array, which stands still meanwhile."""
        transfer = yield from self._transfer_store(message, "pe_array")
        yield from self._arrival(transfer, "pe_array", "the storing of its outputs")
        self._count_stored(message.step)

    def fetch_branch(self, owner: str, address: int, fetch_bytes: int) -> Wait:
        """Fetch branch weights; returns when the last byte is in the branch unit."""
        transfer = yield from self.streams[StreamId.BRANCH].transfer(owner, address, fetch_bytes)
        yield from self._arrival(transfer, "branch_unit", f"the weights of {owner}")

    def _arrival(self, transfer: Transfer, process: str, reason: str) -> Wait:
        """Wait for a transfer of which the last chunk is under way."""
        yield from self._waits.on(process, reason, transfer.done(self._wiring.clock))

    def cancel(self) -> None:
        """Drop everything that was not handed over to the DRAM or the port yet."""
        for process in self._processes:
            if process.is_alive:
                process.interrupt("cancelled")
        for stream in self.streams.values():
            stream.cancel()
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
        weight_addresses = (step.weight_address + plan.weight_load_offset_bytes).tolist()
        weights = zip(weight_addresses, plan.weight_load_bytes.tolist(), strict=True)
        for tile, (weight, maps) in enumerate(zip(weights, self._map_loads(step), strict=True)):
            yield from self.halves.acquire(
                self._waits, "dma.load", f"a buffer half for tile {tile} of {name}"
            )
            transfers = []
            key = self._wiring.begin("dma.load", "fetch", name, tile)
            if weight[1]:
                transfers.append((yield from stream.transfer(name, *weight, tile=tile)))
            for source, address, size, plain in () if self.stops_for_maps else maps:
                yield from self._wait_for_producer(source, name, "dma.load")
                transfers.append((yield from stream.transfer(name, address, size, plain, tile=tile)))
            self._wiring.end(key)
            self.tiles.send(TileLoaded(index, tile, tuple(transfers)))

    def _map_loads(self, step: Step) -> list[list[_MapLoad]]:
        """What each tile of a step loads besides weights."""
        if step.index not in self._loads:
            self._loads[step.index] = _map_loads(step, self._maps_of(step.index))
        return self._loads[step.index]

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
                transfer = yield from self._transfer_store(message, "")
                self._wiring.end(key)
                on_event(transfer.done(self._wiring.clock), partial(self._on_stored, message.step))
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


def _map_loads(step: Step, maps: MapTransfers | None) -> list[list[_MapLoad]]:
    """By tile; maps None: they are not coded."""
    plan = step.plan
    found: list[list[_MapLoad]] = [[] for _ in range(plan.tiles)]
    moved = maps or map_transfers(plan, None, None, None)
    for source, sizes, offsets, plain in (
        (step.ifmap, moved.ifmap_bytes, moved.ifmap_offset_bytes, plan.ifmap_load_bytes),
        (step.summand, moved.summand_bytes, moved.summand_offset_bytes, plan.summand_load_bytes),
    ):
        if source is None:
            continue
        plains = [None] * plan.tiles if maps is None else plain.tolist()
        addresses = (source.address + offsets).tolist()
        for loads, address, size, plain_bytes in zip(found, addresses, sizes.tolist(), plains, strict=True):
            if size:
                loads.append(_MapLoad(source, address, size, plain_bytes))
    return found
