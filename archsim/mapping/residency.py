"""Which feature maps stay in the global buffer between layers, decided for the whole network.

The buffer without its filter part holds, while a layer runs: every kept tensor that this or a later layer reads, the
kept output, a working set of partial sums and, if the input comes from DRAM, a streaming window of it. A tensor that
does not stay is written to DRAM once and read back by each of its readers. The choice with the least such traffic is
taken; more buffer can therefore never make it worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.config.arch import ArchSpec
from archsim.mapping.base import Placement
from archsim.mapping.fusion import FusedLayer, fuse
from archsim.mapping.geometry import geometry_of
from archsim.network.graph import IMAGE, Network

PSUM_FILTERS = 16
"""Filters whose partial sums the working set of a layer should hold, for a strip as wide as the array."""
RESERVE_FRACTION = 4
"""A working set is no reason to keep more than this fraction (one over it) of the buffer free."""
MAX_STATES = 256
"""Sets of kept tensors that are followed at a time; more are met only with very many long shortcuts."""


@dataclass(frozen=True)
class _Run:
    """What one run of the array asks of the buffer, in bytes. reads: indices of runs whose outputs it reads (-1:
    the image), the input first. last_reader: index of the last run that reads the output, its own without any.
    """

    ifmap: int
    output: int
    reads: tuple[int, ...]
    readers: int
    last_reader: int
    psum_working_set: int
    psum_reserve: int
    ifmap_reserve: int


def place(network: Network, arch: ArchSpec, dram_bytes_per_cycle: int = 32) -> dict[str, Placement]:
    """Placement of every layer of the trunk that runs on the array, by its name.

    dram_bytes_per_cycle: nominal DRAM rate in core cycles, with which mappings are compared.
    Raises :class:`~archsim.errors.InvalidInput` when pools or adds cannot be fused.
    """
    fused = fuse(network)
    capacity = max(arch.global_buffer.size_kib - arch.global_buffer.filter_kib, 0) * 1024
    runs = _runs(fused, arch, capacity)
    kept = _kept(runs, capacity)
    placements = {}
    for index, (run, layer) in enumerate(zip(runs, fused, strict=True)):
        held = sum(
            other.output
            for number, other in enumerate(runs)
            if number in kept and number <= index <= other.last_reader
        )
        on_chip = run.reads[0] in kept
        ifmap, psum = (0, capacity - held) if on_chip else _split(run, capacity - held)
        placements[layer.layer.name] = Placement(
            ifmap_on_chip=on_chip,
            ofmap_on_chip=index in kept,
            ifmap_capacity_bytes=max(ifmap, 0),
            psum_capacity_bytes=max(psum, 0),
            stored_shape=layer.stored_shape,
            summand_values=layer.summand[1].elements if layer.summand else 0,
            summand_on_chip=all(tensor in kept for tensor in run.reads[1:]),
            dram_bytes_per_cycle=dram_bytes_per_cycle,
        )
    return placements


def _split(run: _Run, free: int) -> tuple[int, int]:
    """(ifmap, psum) bytes of what is left: all of the input if the partial sums leave room for it."""
    if run.ifmap + run.psum_reserve <= free:
        return run.ifmap, free - run.ifmap
    psum = min(run.psum_working_set, free // 2)
    return free - psum, psum


def _runs(fused: Sequence[FusedLayer], arch: ArchSpec, capacity: int) -> list[_Run]:
    """Sizes and readers of every run."""
    producer = {IMAGE: -1} | {run.output_tensor: index for index, run in enumerate(fused)}
    reads = [
        tuple(producer[name] for name in (run.layer.inputs[0], *([run.summand[0]] if run.summand else [])))
        for run in fused
    ]
    activation_bits, psum_bits = arch.precision.activation_bits, arch.precision.psum_bits
    runs = []
    for index, run in enumerate(fused):
        geo = geometry_of(run.layer)
        readers = [reader for reader, read in enumerate(reads) for number in read if number == index]
        out_rows = min(geo.out_height, arch.pe_array.cols)
        psum_row = -(-geo.out_width * psum_bits // 8)
        psums = min(geo.filters, PSUM_FILTERS) * out_rows * psum_row
        map_row = -(-geo.width * activation_bits // 8)
        window = 2 * map_row * min(geo.span_rows(out_rows), geo.height)
        limit = capacity // RESERVE_FRACTION
        output_bits = psum_bits if geo.is_classifier else activation_bits
        runs.append(
            _Run(
                ifmap=-(-geo.channels * geo.height * geo.width * activation_bits // 8),
                output=-(-run.stored_shape.elements * output_bits // 8),
                reads=reads[index],
                readers=len(readers),
                last_reader=max(readers, default=index),
                psum_working_set=psums,
                psum_reserve=max(min(psums, limit), psum_row),
                ifmap_reserve=max(min(window, limit), 2 * map_row * min(geo.kernel_rows, geo.height)),
            )
        )
    return runs


def _kept(runs: Sequence[_Run], capacity: int) -> frozenset[int]:
    """Indices of the runs whose outputs stay, with the least DRAM traffic of feature maps.

    Dynamic programming over the runs; a state is the set of kept tensors that are still to be read. Lacking bytes
    (a buffer too small for a run alone) cost more than any traffic, so that they are avoided where possible.
    """
    lack = 1 + sum(run.output * (1 + run.readers) for run in runs)
    states: dict[frozenset[int], tuple[int, frozenset[int]]] = {frozenset(): (0, frozenset())}
    for index, run in enumerate(runs):
        following: dict[frozenset[int], tuple[int, frozenset[int]]] = {}
        for alive, (cost, kept) in sorted(states.items(), key=lambda item: (item[1][0], sorted(item[1][1]))):
            for keeps in (True, False) if run.readers else (True,):
                held = alive | {index} if keeps else alive
                streaming = 0 if run.reads[0] in alive else run.ifmap_reserve
                need = sum(runs[number].output for number in held) + run.psum_reserve + streaming
                total = (
                    cost + lack * max(need - capacity, 0) + (0 if keeps else run.output * (1 + run.readers))
                )
                state = frozenset(number for number in held if runs[number].last_reader > index)
                if state not in following or total < following[state][0]:
                    following[state] = (total, kept | {index} if keeps else kept)
        ranked = sorted(following.items(), key=lambda item: (item[1][0], sorted(item[1][1])))
        states = dict(ranked[:MAX_STATES])
    return min(states.values(), key=lambda found: (found[0], sorted(found[1])))[1]
