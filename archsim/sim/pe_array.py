"""SimPy shell of the PE array: runs the tiles of the step it is given, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import simpy

from archsim.mapping.base import Int64Array, TilePlan
from archsim.schedule.program import Step
from archsim.sim.channel import Channel, Wait
from archsim.sim.dma import Dma
from archsim.sim.global_buffer import Client, GlobalBuffer
from archsim.sim.messages import LayerDone, StoreTile
from archsim.sim.observe import NOT_KEPT
from archsim.sim.wiring import Wiring
from archsim.timing.tap import WritePathTap


@dataclass(frozen=True, slots=True)
class StepRun:
    """What the array did of one step: tiles started (the last one is paid in full) and when.

    map_cycles: within which it stood still for loads and stores of feature maps (``dma.overlap: weights``).
    """

    step: int
    tiles: int
    start_cycle: int
    end_cycle: int
    map_cycles: int


class _TileWork(NamedTuple):
    """What the array does for a tile: its own cycles, and bytes through the port, by phase; outputs to be stored."""

    fill_cycles: int
    filled_bytes: int
    compute_cycles: int
    streamed_bytes: int
    drain_cycles: int
    drained_bytes: int
    store_bytes: int


def _tile_works(plan: TilePlan, compute_cycles: Int64Array) -> list[_TileWork]:
    """By tile, as integers of Python: taking them out of arrays one by one would cost more than using them."""
    streamed_bytes = plan.stream_read_bytes + plan.stream_write_bytes
    columns = (
        plan.fill_cycles, plan.fill_read_bytes, compute_cycles, streamed_bytes,
        plan.drain_cycles, plan.drain_write_bytes, plan.store_bytes,
    )  # fmt: skip
    return [_TileWork(*row) for row in np.stack(columns, axis=1).tolist()]


class PeArray:
    """One tile at a time: wait for its data, fill the scratchpads, compute, drain, hand its outputs on.

    During fill, compute and drain the port transfer runs beside the array's own cycles; a phase ends with the
    slower of the two. With ``dma.overlap: weights`` it loads the activations of a tile before and stores its outputs
    behind it, and gives the weights' place in the buffer back as soon as the scratchpads are filled.
    """

    def __init__(
        self,
        wiring: Wiring,
        compute_cycles: Callable[[int], Int64Array],
        dma: Dma,
        glb: GlobalBuffer,
        dbp_tap: WritePathTap,
        branch_tap: WritePathTap,
    ) -> None:
        self._wiring = wiring
        self._clock = wiring.clock
        self._waits = wiring.waits
        self._compute_cycles = compute_cycles
        self._dma = dma
        self._glb = glb
        self._dbp_tap = dbp_tap
        self._branch_tap = branch_tap
        self._started: tuple[int, int] | None = None
        self._tiles_started = 0
        self._map_cycles = 0
        self.tiles_started = 0
        """Of all steps."""
        self._layer_key = NOT_KEPT
        self._is_moving = False
        """Bytes through the port of the buffer."""
        self._moved: simpy.Event | None = None
        """Of them, where the array waits for their end."""
        self.steps: Channel[Step] = Channel(wiring.clock)
        self.runs: list[StepRun] = []
        self._process = wiring.clock.process(self._run())

    def abort(self) -> None:
        """Stop in this cycle; what was started is paid for."""
        self._process.interrupt("aborted")

    def _run(self) -> Wait:
        try:
            while True:
                step = yield from self.steps.receive(self._waits, "pe_array", "a layer to run", "idle")
                yield from self._run_step(step)
                self._close()
                self._wiring.reports.send(LayerDone(step.index))
        except simpy.Interrupt:
            self._waits.reasons.pop("pe_array", None)
            if self._started is not None:
                self._wiring.log("pe_array", "abort", self._wiring.program.steps[self._started[0]].layer.name)
                self._close()

    def _close(self) -> None:
        assert self._started is not None
        index, start_cycle = self._started
        cycle, stood_still = self._clock.cycle, self._map_cycles
        self._wiring.end(self._layer_key)
        self.runs.append(StepRun(index, self._tiles_started, start_cycle, cycle, stood_still))
        self._started = None

    def _run_step(self, step: Step) -> Wait:
        name, plan = step.layer.name, step.plan
        self._started, self._tiles_started = (step.index, self._clock.cycle), 0
        self._map_cycles = 0
        self._wiring.log("pe_array", "dispatch", name)
        self._layer_key = self._wiring.begin("pe_array", "layer", name)
        key = self._wiring.begin("pe_array", "dispatch", name)
        yield self._clock.timeout(self._wiring.program.arch.controller.dispatch_cycles)
        self._wiring.end(key)
        for tile, work in enumerate(_tile_works(plan, self._compute_cycles(step.index))):
            loaded = yield from self._dma.tiles.receive(self._waits, "pe_array", f"tile {tile} of {name}")
            for transfer in loaded.transfers:
                if not transfer.is_done:
                    arrival = transfer.done(self._clock)
                    yield from self._waits.on("pe_array", f"the data of tile {tile} of {name}", arrival)
            if self._dma.stops_for_maps:
                yield from self._stand_still(self._dma.load_maps(step, tile))
            elif work.store_bytes:
                half = self._dma.store_halves.acquire(
                    self._waits, "pe_array", f"room for the outputs of {name}"
                )
                yield from half
            self._tiles_started = tile + 1
            self.tiles_started += 1
            self._wiring.log("pe_array", "tile", f"{name}/{tile}")
            key = self._wiring.begin("pe_array", "tile", name, tile)
            yield from self._phase(name, tile, "fill", work.fill_cycles, work.filled_bytes)
            if self._dma.stops_for_maps:
                self._dma.halves.release()
            yield from self._phase(name, tile, "compute", work.compute_cycles, work.streamed_bytes)
            yield from self._phase(name, tile, "drain", work.drain_cycles, work.drained_bytes)
            self._wiring.end(key)
            yield from self._hand_on(step, tile, work)

    def _stand_still(self, transfers: Wait) -> Wait:
        start_cycle = self._clock.cycle
        yield from transfers
        self._map_cycles += self._clock.cycle - start_cycle

    def _phase(self, name: str, tile: int, what: str, cycles: int, transfer_bytes: int) -> Wait:
        """The array's own cycles beside a port transfer."""
        if transfer_bytes:
            self._access_port(name, tile, transfer_bytes)
        if cycles:
            key = self._wiring.begin("pe_array", what, name, tile)
            yield self._clock.timeout(cycles)
            self._wiring.end(key)
        if self._is_moving:
            self._moved = self._clock.event()
            yield from self._waits.on("pe_array", "the port of the global buffer", self._moved)

    def _access_port(self, name: str, tile: int, transfer_bytes: int) -> None:
        key = self._wiring.begin("global_buffer", "array", name, tile, transfer_bytes)
        self._is_moving, self._moved = True, None
        self._glb.transfer(Client.ARRAY, transfer_bytes, self._wiring.ends(key, self._on_moved))

    def _on_moved(self) -> None:
        self._is_moving = False
        if self._moved is not None:
            self._moved.succeed()

    def _hand_on(self, step: Step, tile: int, work: _TileWork) -> Wait:
        """Free the buffer half; finished outputs pass the taps and go to the DMA if they leave the chip."""
        if not self._dma.stops_for_maps:
            self._dma.halves.release()
        if step.branch is not None:
            self._dbp_tap.absorb(self._clock.cycle, int(step.tap_values[tile]))
        if step.decides is not None and step.decides.pooled_values:
            self._branch_tap.absorb(self._clock.cycle, int(step.tap_values[tile]))
        if work.store_bytes:
            if self._dma.stops_for_maps:
                yield from self._stand_still(self._dma.store_maps(StoreTile(step.index, tile)))
            else:
                self._dma.store(StoreTile(step.index, tile))
