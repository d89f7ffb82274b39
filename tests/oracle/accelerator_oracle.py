"""The whole accelerator, cycle by cycle: every unit is looked at in every cycle. Slow and obvious.

It shares with the simulator the program (tiles and addresses) and the DRAM core, which has an oracle of its own;
everything that happens between units is written again here, after docs/explanation/hardware.md.
"""

# Units return as soon as they know that they cannot go on.
# ruff: noqa: PLR0911
from __future__ import annotations

from collections import deque
from collections.abc import Callable

from archsim.mapping.base import Int64Array, MapTransfers
from archsim.schedule.branches import BranchStep
from archsim.schedule.program import Program, Step
from archsim.sim.decisions import ImagePath
from tests.oracle.memory_oracle import ARRAY_PORT, BRANCH, LOAD, STORE, MemoryOracle, Transfer


class AcceleratorOracle(MemoryOracle):
    """One image; ``run`` returns its cycles, ``runs`` has (step, tiles, start, end, cycles of stops for maps) of all
    steps, ``moved`` and ``buffered`` the bytes over DRAM channel and buffer port by (stream, owner).

    maps_of: of coded feature maps, by step.
    """

    def __init__(
        self,
        program: Program,
        path: ImagePath,
        compute_cycles: Callable[[int], Int64Array],
        maps_of: Callable[[int], MapTransfers | None],
    ) -> None:
        super().__init__(program)
        self.path, self.compute_cycles, self.maps_of = path, compute_cycles, maps_of
        # DMA: the next (step, tile) to be given a half, the loads of the tile that is being handed over.
        self.halves = 1 if self.stops_for_maps else 2
        self.to_load = deque((step, tile) for step in program.steps for tile in range(step.plan.tiles))
        self.loading: tuple[Step, int, deque, list[Transfer]] | None = None
        self.loaded: deque[tuple[int, int, list[Transfer]]] = deque()
        # Array: step on it, tile, phase, cycle in which the phase's own cycles are over, port transfers open.
        self.step: Step | None = None
        self.tile = 0
        self.phase = "idle"
        self.until = 0
        self.transfers_open = 0
        self.tiles_started = 0
        self.start = 0
        self.runs: list[tuple[int, int, int, int, int]] = []
        # What the array does of the traffic of maps itself: loads of the tile to come, the transfer it waits for.
        self.map_loads: deque[tuple[int | None, int, int, int | None]] = deque()
        self.map_transfer: Transfer | None = None
        self.stopped_at, self.stopped_cycles = 0, 0
        self.tap_free = [0, 0]
        self.next_step = 0
        self.open: list[int] = []
        self.judging: deque[tuple[int, int]] = deque()
        self.verdicts: dict[int, bool] = {}
        self.asked_branches: deque[int] = deque()
        self.branch: tuple[int, int, Transfer | None] | None = None
        self.branch_until: int | None = None
        self.left_at: int | None = None

    # -- DMA ------------------------------------------------------------------------------------------------------
    def load(self) -> bool:
        """Take a half for the next tile, then start its loads one after the other."""
        if self.cancelled:
            return False
        if self.loading is None:
            if not self.to_load:
                return False
            run = self.verdict(self.to_load[0][0])
            if run is False:
                self.to_load.popleft()
                return True
            if run is None or self.halves == 0:
                return False
            self.halves -= 1
            step, tile = self.to_load.popleft()
            plan = step.plan
            wanted = deque()
            if plan.weight_load_bytes[tile]:
                offset = int(plan.weight_load_offset_bytes[tile])
                wanted.append((None, step.weight_address + offset, int(plan.weight_load_bytes[tile]), None))
            if not self.stops_for_maps:
                wanted += self.loads_of_maps(step, tile)
            self.loading = (step, tile, wanted, [])
            return True
        step, tile, wanted, started = self.loading
        if self.handing_over[LOAD]:
            return False  # the load before it is not handed over completely
        if wanted:
            producer, address, size, plain = wanted[0]
            if producer is not None and self.unstored[producer]:
                return False
            wanted.popleft()
            started.append(self.transfer(LOAD, step.layer.name, address, size, plain))
            return True
        self.loaded.append((step.index, tile, started))
        self.loading = None
        return True

    def loads_of_maps(self, step: Step, tile: int) -> list[tuple[int | None, int, int, int | None]]:
        """(step that writes it, address, bytes, plain bytes if coded) of the activations of a tile."""
        plan, maps, loads = step.plan, self.maps_of(step.index), []
        for source, name in ((step.ifmap, "ifmap"), (step.summand, "summand")):
            plain = int(getattr(plan, f"{name}_load_bytes")[tile])
            if plain and maps is None:
                offset = int(getattr(plan, f"{name}_load_offset_bytes")[tile])
                loads.append((source.producer, source.address + offset, plain, None))
            elif plain:
                size, offset = (int(getattr(maps, f"{name}{part}_bytes")[tile]) for part in ("", "_offset"))
                loads.append((source.producer, source.address + offset, size, plain))
        return loads

    def store(self, step: Step, tile: int) -> Transfer:
        plan, maps, plain = step.plan, self.maps_of(step.index), None
        size, offset = int(plan.store_bytes[tile]), int(plan.store_offset_bytes[tile])
        if maps is not None:
            plain, size, offset = size, int(maps.store_bytes[tile]), int(maps.store_offset_bytes[tile])
        return self.transfer(STORE, str(step.index), step.store_address + offset, size, plain)

    def verdict(self, step: Step) -> bool | None:
        """Whether the step runs; None before DBP has decided."""
        if step.part_of is None or not self.is_pruned(step.part_of):
            return True
        return self.verdicts.get(step.part_of.index)

    # -- array ----------------------------------------------------------------------------------------------------
    def begin(self, phase: str, cycles: int, port_bytes: int) -> None:
        self.phase, self.until = phase, self.t + cycles
        if port_bytes:
            self.transfers_open += 1

            def done() -> None:
                self.transfers_open -= 1

            self.port.submit(ARRAY_PORT, port_bytes, done)

    def array(self) -> bool:
        step = self.step
        if step is None or self.cancelled:
            return False
        if self.phase == "tile":
            return self.take_tile(step, self.tile)
        if self.phase == "maps":
            return self.load_maps(step, self.tile)
        if self.phase == "storing":
            return self.wait_for_store(step)
        if self.t < self.until or self.transfers_open:
            return False
        plan, tile = step.plan, self.tile
        if self.phase == "dispatch":
            self.phase = "tile"
        elif self.phase == "fill":
            self.halves += self.stops_for_maps
            streamed = int(plan.stream_read_bytes[tile] + plan.stream_write_bytes[tile])
            self.begin("compute", int(self.compute_cycles(step.index)[tile]), streamed)
        elif self.phase == "compute":
            self.begin("drain", int(plan.drain_cycles[tile]), int(plan.drain_write_bytes[tile]))
        else:
            self.finish_tile(step, tile)
        return True

    def take_tile(self, step: Step, tile: int) -> bool:
        ready = self.loaded and self.loaded[0][:2] == (step.index, tile)
        if not ready or any(transfer.left for transfer in self.loaded[0][2]):
            return False
        if step.plan.store_bytes[tile] and not self.stops_for_maps:
            if self.store_halves == 0:
                return False
            self.store_halves -= 1
        self.loaded.popleft()
        self.map_loads += self.loads_of_maps(step, tile) if self.stops_for_maps else []
        self.phase, self.stopped_at = "maps", self.t
        return True

    def wait_for_store(self, step: Step) -> bool:
        if self.map_transfer.left:
            return False
        self.stopped_cycles += self.t - self.stopped_at
        self.next_tile(step)
        return True

    def load_maps(self, step: Step, tile: int) -> bool:
        """One load after the other has to arrive before the array starts; none if the DMA has loaded them."""
        if self.map_transfer is not None and self.map_transfer.left:
            return False
        self.map_transfer = None
        if self.map_loads:
            producer, address, size, plain = self.map_loads[0]
            if producer is not None and self.unstored[producer]:
                return False
            self.map_loads.popleft()
            self.map_transfer = self.transfer(LOAD, step.layer.name, address, size, plain)
            return True
        self.stopped_cycles += self.t - self.stopped_at
        self.tiles_started = tile + 1
        self.begin("fill", int(step.plan.fill_cycles[tile]), int(step.plan.fill_read_bytes[tile]))
        return True

    def finish_tile(self, step: Step, tile: int) -> None:
        self.halves += not self.stops_for_maps
        if step.branch is not None:
            self.tap(0, self.arch.dbp_unit.lanes, int(step.tap_values[tile]))
        if self.arch.branch_unit.macs and (branch := self.ending(step)) is not None:
            assert branch.pooled_values == int(step.tap_values.sum())
            self.tap(1, self.arch.branch_unit.tap_lanes, int(step.tap_values[tile]))
        stores = bool(step.plan.store_bytes[tile])
        transfer = self.store(step, tile) if stores else None
        if stores and self.stops_for_maps:
            self.phase, self.map_transfer, self.stopped_at = "storing", transfer, self.t
        else:
            self.next_tile(step)

    def next_tile(self, step: Step) -> None:
        self.tile += 1
        self.phase, self.map_transfer = "tile", None
        if self.tile == step.plan.tiles:
            self.runs.append((step.index, self.tile, self.start, self.t, self.stopped_cycles))
            self.step, self.phase = None, "idle"
            branch = self.ending(step)
            if step.branch is not None and self.is_pruned(step.branch):
                self.open.append(step.branch.index)
                decided = max(self.tap_free[0], self.t) + self.arch.dbp_unit.decision_cycles
                self.judging.append((step.branch.index, decided))
            elif branch is not None:
                self.open.append(branch.index)
                self.asked_branches.append(branch.index)

    def tap(self, unit: int, lanes: int, values: int) -> None:
        if values:
            self.tap_free[unit] = max(self.tap_free[unit], self.t - 1) + -(-values // lanes)

    def is_pruned(self, branch: BranchStep) -> bool:
        return self.arch.dbp.enabled and branch.branch.dbp is not None

    def ending(self, step: Step) -> BranchStep | None:
        """The branch of which nothing is left to run on the array behind this step."""
        after = self.program.steps[step.index + 1 :]
        if step.part_of is not None:
            is_last = not any(later.part_of is step.part_of for later in after)
            return step.part_of if is_last else None
        has_steps = any(later.part_of is step.branch for later in after)
        return None if has_steps else step.branch

    # -- decisions ------------------------------------------------------------------------------------------------
    def dispatch(self) -> bool:
        steps = self.program.steps
        if self.step is not None or self.left_at is not None or self.next_step == len(steps):
            return False
        speculative = self.arch.branch_unit.overlap == "speculative"
        before = self.ending(steps[self.next_step - 1]) if self.next_step else None
        if any(not (speculative and before is not None and index == before.index) for index in self.open):
            return False
        self.step, self.tile, self.tiles_started, self.stopped_cycles = steps[self.next_step], 0, 0, 0
        self.start, self.phase = self.t, "dispatch"
        self.until = self.t + self.arch.controller.dispatch_cycles
        self.next_step += 1
        return True

    def judge(self) -> bool:
        if not self.judging or self.t < self.judging[0][1]:
            return False
        index, _ = self.judging.popleft()
        run = self.verdicts[index] = not self.path.skipped[index]
        on_array = [step for step in self.program.steps if step.part_of is self.program.branches[index]]
        if on_array or not run:
            self.open.remove(index)
            self.next_step += 0 if run else len(on_array)
        else:
            self.asked_branches.append(index)
        return True

    def evaluate(self) -> bool:
        if self.left_at is not None:
            return False
        if self.branch is None:
            if not self.asked_branches:
                return False
            index = self.asked_branches.popleft()
            spec = self.program.branches[index]
            ready = max(self.t, self.tap_free[1]) + spec.mac_cycles
            fetch = None
            if not spec.resident:
                fetch = self.transfer(BRANCH, spec.branch.name, spec.weight_address, spec.weight_bytes)
            self.branch, self.branch_until = (index, ready, fetch), None
            return True
        index, ready, fetch = self.branch
        if self.branch_until is None:
            if fetch is not None and fetch.left:
                return False
            self.branch_until = max(ready, self.t) + self.arch.branch_unit.pipeline_cycles
            return True
        if self.t < self.branch_until:
            return False
        self.branch = None
        self.open.remove(index)
        if self.path.exits_at == index:
            self.left_at = index
        return True

    # -- time -----------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        units = (self.judge, self.evaluate, self.dispatch, self.array, self.load)
        while any([unit() for unit in units] + [self.hand_over(stream) for stream in (BRANCH, LOAD, STORE)]):
            pass

    def finished(self) -> bool:
        done = self.next_step == len(self.program.steps) and self.step is None and not self.open
        return self.left_at is not None or done

    def run(self) -> int:
        result_at = None
        while True:
            self.receive()
            self.settle()
            if self.left_at is not None and not self.cancelled:
                self.cancelled = True  # after everything that starts in this cycle
                if self.step is not None:
                    self.runs.append(
                        (self.step.index, self.tiles_started, self.start, self.t, self.stopped_cycles)
                    )
            if result_at is None and self.finished():
                result_at = self.t + self.arch.controller.result_cycles
            if result_at is not None and self.t >= result_at and self.is_quiet():
                return self.t
            self.ask()
            self.port.cycle()
            self.t += 1
            assert self.t < 10_000_000, "the oracle hangs"
