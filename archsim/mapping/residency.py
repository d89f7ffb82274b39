"""Which feature maps stay in the global buffer between layers, decided for all that runs on the array.

The buffer without its filter part holds, while a layer runs: every kept tensor that this or a later layer reads, the
kept output, and what the layer itself needs. A tensor that does not stay is written to DRAM and read back by each of
its readers. The choice with the least cost over all layers is taken (:meth:`archsim.mapping.base.Dataflow.cost`);
whatever fits a buffer fits a larger one, which can therefore never cost more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from archsim.config.arch import ArchSpec
from archsim.mapping.base import Dataflow, Placement
from archsim.mapping.fusion import FusedLayer
from archsim.mapping.pool_pass import WithPools
from archsim.progress import Progress
from archsim.registry import get_dataflow

MAX_STATES = 256
"""Sets of kept tensors that are followed at a time; more are met only with very many long shortcuts."""
NOT_MAPPED_COST = 1 << 80
"""A layer that the buffer left to it cannot run costs more than any traffic."""

Kept = frozenset[int]
"""Runs whose outputs stay, by index."""


@dataclass(frozen=True)
class _Run:
    """One run of the array. reads: runs whose outputs it reads (-1: what lies in DRAM from the start), the input first.
    keeps: whether its output may stay, may leave, or either; last_reader: the last run that reads it, else its own
    index.
    """

    fused: FusedLayer
    output_bytes: int
    reads: tuple[int, ...]
    keeps: tuple[bool, ...]
    last_reader: int


def place(
    fused: Sequence[FusedLayer],
    arch: ArchSpec,
    dram_bytes_per_cycle: int = 32,
    progress: Progress | None = None,
    results: Collection[str] = (),
) -> dict[str, Placement]:
    """Placement of every layer that runs on the array, by its name.

    fused: all of them in the order in which they run. dram_bytes_per_cycle: nominal DRAM rate in core cycles, with
    which mappings are compared. results: tensors that must leave for DRAM. progress: called with (layers whose mappings
    have been searched, all layers). A layer that no mapping fits gets a placement all the same; planning it names what
    is in the way.
    """
    planner = _Planner(_runs(fused, arch, results), arch, dram_bytes_per_cycle)
    kept = planner.search(progress)
    return {run.fused.layer.name: planner.placement(index, kept) for index, run in enumerate(planner.runs)}


def output_bytes(run: FusedLayer, arch: ArchSpec) -> int:
    """Bytes of what a run writes."""
    bits = arch.precision.psum_bits if run.layer.is_classifier else arch.precision.activation_bits
    return -(-run.stored_shape.elements * bits // 8)


def _runs(fused: Sequence[FusedLayer], arch: ArchSpec, results: Collection[str]) -> list[_Run]:
    """Sizes and readers of every run."""
    producer = {run.output_tensor: index for index, run in enumerate(fused)}
    reads = [
        tuple(
            producer.get(name, -1)
            for name in (run.layer.inputs[0], *([run.summand[0]] if run.summand else []))
        )
        for run in fused
    ]
    runs = []
    for index, run in enumerate(fused):
        readers = [reader for reader, read in enumerate(reads) if index in read]
        keeps = (False,) if run.output_tensor in results else (True, False) if readers else (True,)
        last_reader = max(readers, default=index)
        runs.append(_Run(run, output_bytes(run, arch), reads[index], keeps, last_reader))
    return runs


class _Planner:
    """Dynamic programming over the runs; a state is the set of kept tensors that are still to be read."""

    def __init__(self, runs: Sequence[_Run], arch: ArchSpec, dram_bytes_per_cycle: int) -> None:
        self.runs = runs
        self._arch = arch
        self._dram_bytes_per_cycle = dram_bytes_per_cycle
        self._dataflow: Dataflow = WithPools(get_dataflow(arch.pe_array.dataflow))
        buffer = arch.global_buffer
        self._capacity_bytes = max(buffer.size_kib - buffer.filter_kib, 0) * 1024

    def search(self, progress: Progress | None) -> Kept:
        """The outputs that stay."""
        states: dict[Kept, tuple[int, Kept]] = {frozenset(): (0, frozenset())}
        for index, run in enumerate(self.runs):
            following: dict[Kept, tuple[int, Kept]] = {}
            for alive, (cost, kept) in states.items():
                for keeps in run.keeps:
                    held = alive | {index} if keeps else alive
                    total = cost + self._cost(index, held)
                    state = frozenset(number for number in held if self.runs[number].last_reader > index)
                    if state not in following or total < following[state][0]:
                        following[state] = (total, kept | {index} if keeps else kept)
            states = dict(sorted(following.items(), key=_rank)[:MAX_STATES])
            if progress is not None:
                progress(index + 1, len(self.runs))
        return min(states.items(), key=_rank)[1][1]

    def _cost(self, index: int, held: Kept) -> int:
        if self._held_bytes(index, held) > self._capacity_bytes:
            return NOT_MAPPED_COST
        cost = self._dataflow.cost(self.runs[index].fused.layer, self._arch, self.placement(index, held))
        return NOT_MAPPED_COST if cost is None else cost

    def _held_bytes(self, index: int, kept: Kept) -> int:
        """Bytes of the kept tensors that live while a run lasts."""
        alive = [self.runs[number] for number in kept if number <= index <= self.runs[number].last_reader]
        return sum(run.output_bytes for run in alive)

    def placement(self, index: int, kept: Kept) -> Placement:
        """Where the tensors of a run live. kept: at least those that live while it runs."""
        run = self.runs[index]
        summand = run.fused.summand
        return Placement(
            ifmap_on_chip=run.reads[0] in kept,
            ofmap_on_chip=index in kept,
            capacity_bytes=max(self._capacity_bytes - self._held_bytes(index, kept), 0),
            stored_shape=run.fused.stored_shape,
            summand_values=summand[1].elements if summand else 0,
            summand_on_chip=all(read in kept for read in run.reads[1:]),
            dram_bytes_per_cycle=self._dram_bytes_per_cycle,
        )


def _rank(item: tuple[Kept, tuple[int, Kept]]) -> tuple[int, list[int]]:
    """By cost, then in a fixed order."""
    return item[1][0], sorted(item[1][1])
