"""What a tile of a systolic fold moves and how long it takes.

R rows, C columns, T time steps. Operands enter at the left and the upper edge, skewed by one cycle a row or column, and
move on by one PE a cycle. With weights standing (T = M) or inputs standing (T = N), from the start of the streaming::

    cycle        0                    T-1        T+R-2   T+C-2         T+R+C-3
    row 0        x x x x ... x x x x x
    row R-1              x x x x ... x x x x x x           moving operand enters row r in cycles r .. r+T-1
    column C-1               p p p ... p p p p p p p       partial sums enter column c in cycles c .. c+T-1
    bottom                       o o o ... o o o o o o o   sums leave column c in cycles R-1+c .. R-1+c+T-1

With outputs standing (T = K) both operands enter, rows at the left and columns at the top, and PE (r, c) finishes in
cycle K-1+r+c. It drives the output bus of its column in that cycle, alone: the next row finishes a cycle later.

*fill*     R cycles: the standing operand moves down the columns, one row of it a cycle. None where outputs stand.
*compute*  T + max(R, C) - 1 cycles: operands and earlier partial sums enter.
*drain*    min(R, C) - 1 cycles: the rest of the wavefront crosses the array; its MACs end here, its sums leave.

A fold takes 2R + C + T - 2 cycles with a standing operand and R + C + T - 2 with standing outputs, as SCALE-Sim 3.0.0
counts (Samajdar et al., ISPASS 2020, section III, where outputs take R cycles more to leave). A fold that does not fill
the array takes as long. The tiles of a fold share it out: the first one has the fill, each of them one compute cycle a
time step, the last one the skew ``max(R, C) - 1`` and the drain.

These are the cycles with all operands at hand. Buses that are too narrow for the edges stretch a phase: each carries
its bytes in ceil(bytes / width) cycles, the partial-sum bus in both directions at a time. Padding takes its time on the
ifmap bus but is not read from the buffer.

Counting. A word that passes a PE is stored in that PE's register (``ifmap_spad_write``, ``filter_spad_write``) and was
sent by the neighbour before it (``local_psum_byte``, which stands for every link between PEs) or over the bus. Idle
columns are not clocked; partial sums cross the idle rows below them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsim.mapping.base import Int64Array
from archsim.mapping.geometry import Hardware, byte_count
from archsim.mapping.passes import Fetches, Phases
from archsim.mapping.systolic_folds import Axis, Folding, Tiles

ACTIONS: tuple[tuple[str, str], ...] = (
    ("noc", "ifmap_byte"),
    ("noc", "filter_byte"),
    ("noc", "psum_byte"),
    ("noc", "local_psum_byte"),
    ("pe_array", "ifmap_spad_write"),
    ("pe_array", "filter_spad_write"),
)
"""Counted per tile whatever the data, in the order of ``Phases.counts``."""


def fill_steps(folding: Folding) -> int:
    """Cycles in which the standing operand moves into the array."""
    return folding.hardware.rows if folding.form.outputs_move else 0


def skew_steps(hw: Hardware) -> tuple[int, int]:
    """Cycles beyond the time steps until the last operand has entered, and from there until the last sum has left.

    Rows R and columns C: (max(R, C) - 1, min(R, C) - 1).
    """
    return max(hw.rows, hw.cols) - 1, min(hw.rows, hw.cols) - 1


def left_before(cycles: Int64Array, rows: Int64Array, cols: Int64Array) -> Int64Array:
    """Pairs (i, j) with i < rows, j < cols and i + j < cycles: what has left of a wavefront, one a diagonal.

    >>> left_before(np.array([0, 1, 2, 3, 4, 9]), np.array(3), np.array(2)).tolist()
    [0, 1, 3, 5, 6, 6]
    """

    def triangle(side: Int64Array) -> Int64Array:
        positive: Int64Array = np.maximum(side, 0)
        return positive * (positive + 1) // 2

    left: Int64Array = (
        triangle(cycles) - triangle(cycles - rows) - triangle(cycles - cols) + triangle(cycles - rows - cols)
    )
    return left


def leaving(tiles: Tiles, hw: Hardware) -> tuple[Int64Array, Int64Array]:
    """Partial sums or outputs that leave the array during compute and during drain."""
    form, size = tiles.form, tiles.size
    if form.outputs_move:
        rows, cols = tiles.fold_size[form.time], size[form.cols]
        latency = np.full_like(rows, hw.rows - 1)
    else:
        rows, cols, latency = size[form.rows], size[form.cols], tiles.fold_size[form.time] - 1
    skew, _ = skew_steps(hw)
    end = tiles.step + size[form.time] + np.where(tiles.last, skew, 0)
    left = left_before(end - latency, rows, cols)
    streamed: Int64Array = left - left_before(tiles.step - latency, rows, cols)
    return streamed, np.where(tiles.last, rows * cols - left, 0)


@dataclass(frozen=True)
class _Operand:
    """Activations or weights. words: over the edge of the array. stores: registers of PEs that take one.

    edge_bytes: of the words. hop_bytes: of the stores, those from a neighbouring PE.
    """

    stands: bool
    words: Int64Array
    stores: Int64Array
    edge_bytes: Int64Array
    hop_bytes: Int64Array

    @classmethod
    def of(cls, tiles: Tiles, axes: tuple[Axis, Axis], bits: int) -> _Operand:
        """The operand with these axes; one that does not move enters with the first tile of a fold."""
        form, size = tiles.form, tiles.size
        stands = form.time not in axes
        words, stores = size[axes[0]] * size[axes[1]], tiles.macs
        if stands:
            rows, cols = size[form.rows], size[form.cols]
            words, stores = words * tiles.first, rows * (rows + 1) // 2 * cols * tiles.first
        return cls(stands, words, stores, byte_count(words, bits), byte_count(stores - words, bits))

    def split(self, amount: Int64Array) -> tuple[Int64Array, Int64Array]:
        """What of an amount belongs to the fill and what to the streaming."""
        nothing = np.zeros_like(amount)
        return (amount, nothing) if self.stands else (nothing, amount)


@dataclass(frozen=True)
class _Sums:
    """Partial sums and outputs in bytes: into the array, out of it during compute and during drain; hops from PE to PE.

    write_stream, write_drain: what of it reaches the buffer, finished outputs as they are stored.
    """

    read: Int64Array
    out_stream: Int64Array
    out_drain: Int64Array
    write_stream: Int64Array
    write_drain: Int64Array
    hops: Int64Array

    @classmethod
    def of(cls, folding: Folding, stored_bytes: Int64Array) -> _Sums:
        hw, tiles = folding.hardware, folding.tiles
        values = tiles.size["m"] * tiles.size["n"]
        stream, drain = leaving(tiles, hw)
        bits = np.where(
            tiles.final, hw.psum_bits if folding.geometry.is_classifier else hw.activation_bits, hw.psum_bits
        )
        out_stream, out_drain = -(-stream * bits // 8), -(-drain * bits // 8)
        stored_stream = stored_bytes * stream // np.maximum(stream + drain, 1)
        return cls(
            read=byte_count(np.where(tiles.block["k"] > 0, values, 0), hw.psum_bits),
            out_stream=out_stream,
            out_drain=out_drain,
            write_stream=np.where(tiles.final, stored_stream, out_stream),
            write_drain=np.where(tiles.final, stored_bytes - stored_stream, out_drain),
            hops=byte_count(values * (hw.rows - 1) * folding.form.outputs_move, hw.psum_bits),
        )


def _operands(folding: Folding) -> tuple[_Operand, _Operand]:
    """Activations and weights."""
    hw, tiles = folding.hardware, folding.tiles
    return _Operand.of(tiles, ("m", "k"), hw.activation_bits), _Operand.of(tiles, ("k", "n"), hw.weight_bits)


def phases_of(
    folding: Folding, real_words: Int64Array, stored_bytes: Int64Array, summand_bytes: Int64Array
) -> Phases:
    """Durations and traffic of all tiles.

    real_words: activations of the tiles that are not padding. stored_bytes: written by tiles that finish outputs;
    summand_bytes: read by a fused ``add``.
    """
    hw, tiles = folding.hardware, folding.tiles
    (ifmap, filters), sums = _operands(folding), _Sums.of(folding, stored_bytes)
    ifmap_fill, ifmap_stream = ifmap.split(ifmap.edge_bytes)
    filter_fill, filter_stream = filters.split(filters.edge_bytes)
    read_fill, read_stream = ifmap.split(
        byte_count(np.where(ifmap.words > 0, real_words, 0), hw.activation_bits)
    )
    bus = np.maximum.reduce([
        _bus_cycles(ifmap_stream, hw.ifmap_bus),
        _bus_cycles(filter_stream, hw.filter_bus),
        _bus_cycles(sums.read, hw.psum_bus),
        _bus_cycles(sums.out_stream, hw.psum_bus),
    ])  # fmt: skip
    fill = np.maximum(_bus_cycles(ifmap_fill, hw.ifmap_bus), _bus_cycles(filter_fill, hw.filter_bus))
    skew, rest = skew_steps(hw)
    return Phases(
        fill_cycles=np.maximum(fill, np.where(tiles.first, fill_steps(folding), 0)),
        fill_read_bytes=read_fill + filter_fill,
        compute_cycles=np.maximum(bus, tiles.size[folding.form.time] + np.where(tiles.last, skew, 0)),
        bus_cycles=bus,
        stream_read_bytes=read_stream + filter_stream + sums.read + summand_bytes,
        stream_write_bytes=sums.write_stream,
        drain_cycles=np.maximum(_bus_cycles(sums.out_drain, hw.psum_bus), np.where(tiles.last, rest, 0)),
        drain_write_bytes=sums.write_drain,
        counts=(
            ifmap.edge_bytes,
            filters.edge_bytes,
            sums.read + sums.out_stream + sums.out_drain,
            ifmap.hop_bytes + filters.hop_bytes + sums.hops,
            ifmap.stores,
            filters.stores,
        ),
    )


def _bus_cycles(size_bytes: Int64Array, bytes_per_cycle: int) -> Int64Array:
    return -(-size_bytes // bytes_per_cycle)


def fetches_of(folding: Folding, ifmap_on_chip: bool) -> Fetches:
    """DRAM reads of all tiles.

    Weights lie in DRAM in the order in which tiles use them. The input lies as (channels that a block of window
    elements is the first to touch, image, row, column, channel), so that what a tile fetches is contiguous. Of a
    channel that two blocks share, the rows stay in the buffer in between.
    """
    geo, tiles, lengths = folding.geometry, folding.tiles, folding.lengths
    ifmap, filters = _operands(folding)
    within = tiles.begin("n") - tiles.fold_begin["n"]
    weight_offset = tiles.group * lengths["k"] * lengths["n"] + tiles.fold_begin["n"] * lengths["k"]
    weight_offset = weight_offset + tiles.begin("k") * tiles.fold_size["n"] + within * tiles.size["k"]
    fetch_weights = (tiles.block["m"] == 0) | (not folding.weights_stay)

    row_begin, row_end = rows_of(folding, tiles.begin("m"), tiles.end("m"))
    needed = (ifmap.words > 0) & (not ifmap_on_chip)
    if folding.mapping.ifmap_stays:
        needed &= tiles.block["n"] == 0
    first_channel = -(-tiles.begin("k") // folding.taps)
    channels = -(-tiles.end("k") // folding.taps) - first_channel
    first_channel = first_channel + tiles.group
    return Fetches(
        weight_words=np.where(fetch_weights, filters.words, 0),
        weight_offset_words=weight_offset,
        ifmap_words=np.where(needed, (row_end - row_begin) * channels * geo.width, 0),
        ifmap_offset_words=(first_channel * folding.rows + row_begin * channels) * geo.width,
    )


def rows_of(folding: Folding, begin: Int64Array, end: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Input rows (first, behind the last) that are loaded for positions ``begin`` to ``end`` of tiles.

    Rows of a batch are numbered on from image to image. Rows that stay: those behind the last one that an earlier
    position reads; the last position of an image loads the rest of its map. Rows that do not stay: all that are read,
    except that the tiles of a fold keep rows for each other.
    """
    geo, positions, stays = folding.geometry, folding.positions, folding.mapping.ifmap_stays

    def read_until(position: Int64Array) -> Int64Array:
        image, inside = (position - 1) // positions, (position - 1) % positions
        padded = inside // geo.out_width * geo.stride_rows + geo.kernel_rows
        rows = image * geo.height + np.clip(padded - geo.pad_rows, 0, geo.height)
        return np.where(stays & (position % positions == 0), position // positions * geo.height, rows)

    if stays:
        return read_until(begin), read_until(end)
    first = begin % positions // geo.out_width * geo.stride_rows
    first_read = begin // positions * geo.height + np.clip(first - geo.pad_rows, 0, geo.height)
    continues = begin % folding.blocks["m"] > 0
    row_begin = np.where(continues, read_until(begin), first_read)
    return row_begin, np.maximum(read_until(end), row_begin)
