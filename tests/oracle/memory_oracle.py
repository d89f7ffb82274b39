"""DRAM, its streams and the buffer port of the accelerator oracle, cycle by cycle."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from archsim.schedule.program import Program
from archsim.timing.dram import make_dram
from tests.oracle.port_oracle import BankedPortOracle, PortOracle

BRANCH, LOAD, STORE = range(3)
ARRAY_PORT, LOAD_PORT, STORE_PORT = range(3)


@dataclass
class Chunk:
    """A piece of a transfer on its way; ``finish`` is called when it has arrived."""

    stream: int
    address: int
    size: int
    finish: Callable[[], None]


@dataclass
class Transfer:
    """Chunks (address, bytes, bytes at the port if coded) still to be handed over, and how many have not arrived."""

    stream: int
    owner: str
    chunks: deque[tuple[int, int, int | None]]
    left: int


class MemoryOracle:
    """What is on its way; ``moved`` and ``buffered`` have the bytes over DRAM channel and port by (stream, owner)."""

    def __init__(self, program: Program) -> None:
        self.program, self.arch = program, program.arch
        self.stops_for_maps = self.arch.dma.overlap == "weights"
        self.ratio = program.dram_cycles_per_core_cycle
        self.dram = make_dram(program.dram, program.arch.dram)
        buffer = self.arch.global_buffer
        width, burst = buffer.port_bytes_per_cycle, buffer.burst_bytes
        banked = buffer.access == "banks"
        self.port = BankedPortOracle(width, burst, 3, buffer.banks) if banked else PortOracle(width, burst, 3)
        self.t = 0
        self.free_chunks = [self.arch.dma.outstanding_chunks] * 3
        self.asked: list[Chunk] = []
        self.tickets: dict[int, Chunk] = {}
        self.moved: Counter[tuple[int, str]] = Counter()
        self.buffered: Counter[tuple[int, str]] = Counter()
        self.handing_over: list[deque[Transfer]] = [deque(), deque(), deque()]
        self.store_halves = 2
        self.unstored = {s.index: int((s.plan.store_bytes > 0).sum()) for s in program.steps}
        self.cancelled = False

    def transfer(
        self, stream: int, owner: str, address: int, size: int, plain: int | None = None
    ) -> Transfer:
        """plain: bytes before coding; each chunk brings its part of them, rounded down from the start, at least one."""
        chunk, begin, end, pieces = self.arch.dma.chunk_bytes, address, address + size, deque()
        while address < end:
            stop = min(end, (address // chunk + 1) * chunk)
            until = [None if plain is None else plain * (at - begin) // size for at in (address, stop)]
            pieces.append((address, stop - address, None if plain is None else max(until[1] - until[0], 1)))
            address = stop
        transfer = Transfer(stream, owner, pieces, len(pieces))
        self.handing_over[stream].append(transfer)
        return transfer

    def hand_over(self, stream: int) -> bool:
        if not self.handing_over[stream] or self.free_chunks[stream] == 0 or self.cancelled:
            return False
        transfer = self.handing_over[stream][0]
        address, size, plain = transfer.chunks.popleft()
        if not transfer.chunks:
            self.handing_over[stream].popleft()
        self.free_chunks[stream] -= 1
        whole = self.dram.bursts(address, size) * self.program.dram.burst_bytes
        at_port = whole if plain is None else plain
        self.moved[stream, transfer.owner] += whole
        self.buffered[stream, transfer.owner] += at_port

        def arrive() -> None:
            self.free_chunks[stream] += 1
            transfer.left -= 1
            if transfer.left == 0 and stream == STORE:
                self.store_halves += not self.stops_for_maps
                self.unstored[int(transfer.owner)] -= 1

        if stream == BRANCH:
            self.asked.append(Chunk(stream, address, size, arrive))
        elif stream == LOAD:
            then = lambda: self.port.submit(LOAD_PORT, at_port, arrive)  # noqa: E731
            self.asked.append(Chunk(stream, address, size, then))
        else:
            chunk = Chunk(stream, address, size, arrive)
            self.port.submit(STORE_PORT, at_port, lambda: self.asked.append(chunk))
        return True

    def receive(self) -> None:
        """What has arrived by this cycle."""
        for ticket, _ in self.dram.advance(self.t * self.ratio):
            self.tickets.pop(ticket).finish()
        for callback in self.port.complete():
            callback()

    def ask(self) -> None:
        """Hand what was asked for in this cycle to the DRAM, branch before load before store."""
        for chunk in sorted(self.asked, key=lambda chunk: chunk.stream):
            is_write = chunk.stream == STORE
            ticket = self.dram.submit(self.t * self.ratio, chunk.address, chunk.size, is_write)
            self.tickets[ticket] = chunk
        self.asked.clear()

    def is_quiet(self) -> bool:
        return all(free == self.arch.dma.outstanding_chunks for free in self.free_chunks)
