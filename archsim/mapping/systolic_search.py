"""Choice of a systolic mapping: loop order, time steps of folds and tiles, by what fits the buffer and costs least."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from functools import lru_cache

import numpy as np

from archsim.errors import Problem
from archsim.mapping.base import Placement
from archsim.mapping.cache import cached
from archsim.mapping.cost import (
    MAC_COST,
    stored_bytes_of,
    summand_bytes_of,
    weighted_cost,
)
from archsim.mapping.geometry import Geometry, Hardware
from archsim.mapping.systolic_folds import Folding, Form, SystolicMapping
from archsim.mapping.systolic_phases import fill_steps, rows_of, skew_steps


@dataclass(frozen=True)
class Candidate:
    """A mapping with the buffer bytes that it needs and its relative cost."""

    mapping: SystolicMapping
    needed_bytes: int
    cost: int


def best_candidate(
    geo: Geometry, hw: Hardware, form: Form, placement: Placement, given: SystolicMapping | None = None
) -> Candidate | None:
    """The cheapest mapping that fits, of equals the first; None when none does. given: the only one to consider.

    All mappings of a layer are costed whatever the capacity, so that more of it can never cost more.
    """
    fitting = [
        found
        for found in _all_candidates(geo, hw, form, placement, given)
        if found.needed_bytes <= placement.capacity_bytes
    ]
    return min(fitting, key=lambda found: found.cost, default=None)


def problems_of(geo: Geometry, hw: Hardware, form: Form, placement: Placement) -> list[Problem]:
    """The limits that no mapping keeps, in words."""
    smallest = Folding(geo, hw, form, SystolicMapping(1, 1), placement.batch)
    problems = _filter_problems(smallest)
    if problems:
        return problems
    found = _all_candidates(geo, hw, form, placement, None)
    return _size_problems(geo, hw, placement, min(candidate.needed_bytes for candidate in found))


def problems_with(
    geo: Geometry, hw: Hardware, form: Form, placement: Placement, given: SystolicMapping
) -> list[Problem]:
    """The limits that a mapping breaks, in words."""
    folding = Folding(geo, hw, form, given, placement.batch)
    problems = _filter_problems(folding) + _size_problems(
        geo, hw, placement, needed_bytes(folding, placement)
    )
    steps = folding.lengths[form.time]
    if not form.outputs_move and given.steps_a_fold < steps:
        message = (
            f"found steps_a_fold = {given.steps_a_fold}, expected {steps}: sums stay until they are finished"
        )
        problems.append(Problem(_where(geo, hw), "mappings", message))
    return problems


def _where(geo: Geometry, hw: Hardware) -> str:
    return f'layer "{geo.name}" on "{hw.name}"'


def _filter_problems(folding: Folding) -> list[Problem]:
    geo, hw, need = folding.geometry, folding.hardware, _two_tiles_of_weights_bytes(folding)
    if need <= hw.filter_bytes:
        return []
    message = f"needs {need} bytes for the weights of two tiles, found {hw.filter_bytes}"
    hint = "give the filters a larger part of the buffer"
    return [Problem(_where(geo, hw), "global_buffer.filter_kib", message, hint)]


def _size_problems(geo: Geometry, hw: Hardware, placement: Placement, need: int) -> list[Problem]:
    if need <= placement.capacity_bytes:
        return []
    held = "partial sums" if placement.ifmap_on_chip else "partial sums and two tiles of the input"
    message = f"needs {need} bytes for {held}, found {placement.capacity_bytes}"
    return [Problem(_where(geo, hw), "global_buffer.size_kib", message, "use a larger buffer")]


def _all_candidates(
    geo: Geometry, hw: Hardware, form: Form, placement: Placement, given: SystolicMapping | None
) -> tuple[Candidate, ...]:
    """Layers and accelerators that differ in their names alone share a search."""
    anywhere = replace(placement, capacity_bytes=0)
    return _candidates(replace(geo, name=""), replace(hw, name=""), form, anywhere, given)


@lru_cache(maxsize=1024)
def _candidates(
    geo: Geometry, hw: Hardware, form: Form, placement: Placement, given: SystolicMapping | None
) -> tuple[Candidate, ...]:
    smallest = Folding(geo, hw, form, SystolicMapping(1, 1), placement.batch)
    if given is not None:
        fits = not problems_with(geo, hw, form, replace(placement, capacity_bytes=1 << 62), given)
        return _costed(smallest, placement, [given] if fits else [])
    return cached(
        ("systolic", geo, hw, form, placement),
        lambda: _costed(smallest, placement, _mappings(smallest, placement.ifmap_on_chip)),
        lambda found: [[*astuple(one.mapping), one.needed_bytes, one.cost] for one in found],
        lambda rows: tuple(Candidate(SystolicMapping(*row[:4]), int(row[4]), int(row[5])) for row in rows),
    )


def _costed(
    smallest: Folding, placement: Placement, mappings: Iterable[SystolicMapping]
) -> tuple[Candidate, ...]:
    found = []
    for mapping in mappings:
        folding = replace(smallest, mapping=mapping)
        if _two_tiles_of_weights_bytes(folding) <= folding.hardware.filter_bytes:
            need, cost = needed_bytes(folding, placement), _cost(folding, placement)
            found.append(Candidate(mapping, need, cost))
    return tuple(found)


def _mappings(smallest: Folding, ifmap_on_chip: bool) -> Iterator[SystolicMapping]:
    """Both loop orders and both ways of holding the input, with time steps halved again and again."""
    steps = smallest.lengths[smallest.form.time]
    sums_in_flight = smallest.form.outputs_move and smallest.counts["k"] > 1
    for steps_a_fold in _halvings(steps) if sums_in_flight else [steps]:
        for steps_a_tile in _halvings(steps_a_fold):
            for positions_outer in (False, True):
                for ifmap_stays in (True,) if ifmap_on_chip else (True, False):
                    yield SystolicMapping(steps_a_fold, steps_a_tile, positions_outer, ifmap_stays)


def _halvings(length: int) -> list[int]:
    """Sizes of 1, 2, 4, ... even parts.

    >>> _halvings(12)
    [12, 6, 3, 2, 1]
    """
    sizes = [length]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def _two_tiles_of_weights_bytes(folding: Folding) -> int:
    return 2 * -(-folding.tile_weights * folding.hardware.weight_bits // 8)


def needed_bytes(folding: Folding, placement: Placement) -> int:
    """Buffer bytes for partial sums in flight and for the input while it comes from DRAM."""
    hw, blocks = folding.hardware, folding.blocks
    psums = blocks["m"] * blocks["n"] if folding.form.outputs_move and folding.counts["k"] > 1 else 0
    psum_bytes = -(-psums * hw.psum_bits // 8)
    if placement.ifmap_on_chip:
        return psum_bytes
    words = _window_words(folding) if folding.mapping.ifmap_stays else _two_tiles_words(folding)
    return psum_bytes + -(-words * folding.geometry.width * hw.activation_bits // 8)


def _window_words(folding: Folding) -> int:
    """Words, per column of the input, with which a row stays until its last use.

    The rows of two blocks of positions in all channels if all filters are done with them before they leave, else the
    whole map. In a depthwise layer the next block may be that of another channel.
    """
    geo, block = folding.geometry, folding.blocks["m"]
    if geo.depthwise:
        return 2 * _span_rows(folding, block)
    rolls = folding.mapping.positions_outer or folding.counts["n"] == 1
    return geo.channels * (_span_rows(folding, 2 * block) if rolls else folding.rows)


def _two_tiles_words(folding: Folding) -> int:
    """Words, per column of the input, without which it cannot stream: a tile in use and the next one arriving.

    A channel that two blocks of window elements share stays for the block of positions.
    """
    geo, elements = folding.geometry, folding.tile_blocks["k"]
    channels = 1 if geo.depthwise else min(geo.channels, (elements + folding.taps - 2) // folding.taps + 1)
    shared = 0 if elements % folding.taps == 0 else _span_rows(folding, folding.blocks["m"])
    return 2 * channels * _span_rows(folding, folding.tile_blocks["m"]) + shared


def _span_rows(folding: Folding, positions: int) -> int:
    """Input rows under a tile, a block or two blocks of positions; of a batch, all of the images they may touch."""
    geo = folding.geometry
    if folding.batch > 1:
        return min((positions + folding.positions - 2) // folding.positions + 1, folding.batch) * geo.height
    out_rows = positions // geo.out_width
    if any(length % geo.out_width for length in (folding.blocks["m"], folding.tile_blocks["m"])):
        out_rows = (positions + geo.out_width - 2) // geo.out_width + 1
    return min(geo.span_rows(min(out_rows, geo.out_height)), geo.height)


def _cost(folding: Folding, placement: Placement) -> int:
    """Energy with the static share of the time, in units of :mod:`archsim.mapping.cost`.

    Folds are all taken as full ones. A tile more costs one unit: of equal mappings that with the fewest is taken.
    """
    geo, hw = folding.geometry, folding.hardware
    stored, summand = stored_bytes_of(geo, hw, placement), summand_bytes_of(hw, placement)
    dram_bytes = (
        _weight_load_bytes(folding)
        + (0 if placement.ifmap_on_chip else _ifmap_load_bytes(folding))
        + stored * (not placement.ofmap_on_chip)
        + summand * (not placement.summand_on_chip)
    )
    buffer_bytes, array_cycles = (
        _buffer_bytes(folding) + stored + summand,
        folding.folds * _fold_cycles(folding),
    )
    moved = int(weighted_cost(hw, placement, dram_bytes, buffer_bytes, array_cycles))
    return moved + MAC_COST * geo.macs * folding.batch + folding.folds * folding.tiles_a_fold


def _weight_load_bytes(folding: Folding) -> int:
    lengths, hw = folding.lengths, folding.hardware
    times = 1 if folding.weights_stay else folding.counts["m"]
    return -(-folding.groups * lengths["k"] * lengths["n"] * times * hw.weight_bits // 8)


def _ifmap_load_bytes(folding: Folding) -> int:
    """DRAM bytes of the input; the rows of a fold are the same however its tiles cut it."""
    geo = folding.geometry
    rows, times = folding.rows, 1
    if not folding.mapping.ifmap_stays:
        begin = np.arange(0, folding.lengths["m"], folding.blocks["m"], dtype=np.int64)
        row_begin, row_end = rows_of(
            folding, begin, np.minimum(begin + folding.blocks["m"], folding.lengths["m"])
        )
        rows, times = int((row_end - row_begin).sum()), folding.counts["n"]
    return -(-rows * geo.width * geo.channels * times * folding.hardware.activation_bits // 8)


def _buffer_bytes(folding: Folding) -> int:
    """Bytes between buffer and array but for finished outputs and summands, padding included."""
    hw, lengths, counts = folding.hardware, folding.lengths, folding.counts
    ifmap = lengths["m"] * lengths["k"] * counts["n"]
    filters = lengths["k"] * lengths["n"] * counts["m"]
    psums = 2 * (counts["k"] - 1) * lengths["m"] * lengths["n"]
    bits = ifmap * hw.activation_bits + filters * hw.weight_bits + psums * hw.psum_bits
    return -(-folding.groups * bits // 8)


def _fold_cycles(folding: Folding) -> int:
    """Cycles of a full fold: what the array takes, or the busiest bus."""
    hw, form, blocks = folding.hardware, folding.form, folding.blocks
    skew, rest = skew_steps(hw)
    ifmap = -(-blocks["m"] * blocks["k"] * hw.activation_bits // (8 * hw.ifmap_bus))
    filters = -(-blocks["k"] * blocks["n"] * hw.weight_bits // (8 * hw.filter_bus))
    standing = {"m": filters, "n": ifmap, "k": 0}[form.time]
    moving = {"m": ifmap, "n": filters, "k": max(ifmap, filters)}[form.time]
    sums = blocks["m"] * blocks["n"] if form.outputs_move else 0
    moving = max(moving, -(-sums * hw.psum_bits // (8 * hw.psum_bus)))
    return max(fill_steps(folding), standing) + max(blocks[form.time] + skew, moving) + rest
