r"""A small row-stationary array as RTL: PEs, multicast buses, sums up the columns, the phases of a pass.

::

    cycle        t       ...     f       ...     c       ...     d
    tile_ready __/^^^\_____________________________________________
    filling    __/^^^^^^^^^^^^^^^\_________________________________   first windows and filters, one word a lane
    computing  __________________/^^^^^^^^^^^^^^^\_________________   MACs, sums up the columns; other columns arrive
    draining   __________________________________/^^^^^^^^^^^^^^^\_   a phase also waits for the port (port_done)

PE (i, j) has row i of the filters and works on input row j * stride + i of the strip. The partial sums of an output are
added in one cycle over all rows of PEs, and to those of earlier channels. Twin of
:class:`archsim.mapping.passes.Phases` (cycles of fill and compute), of
:meth:`archsim.mapping.row_stationary.RowStationary.work` and of the phases of :class:`archsim.sim.pe_array.PeArray`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, Problem
from archsim.rtl.parts import adder_tree, wrapped
from archsim.rtl.processing_element import FIFO_WORDS, ProcessingElement

ROWS, COLS = 3, 3
"""Of the array that is made with the parameters of an architecture, which may have more."""
ROW_BITS, STRIDE_BITS, COUNT_BITS = 6, 3, 16


class PeArray(Component):
    """``rows`` x ``cols`` PEs that run a pass: a strip of at most ``cols`` output rows.

    word_lanes, filter_lanes: words that the buses bring in a cycle, each for another row, which word_rows and
    filter_rows name. words_taken: all lanes are, or none. psum_fifo_words: partial sums that a PE may be ahead of its
    column.
    Configuration of a pass, see :class:`~archsim.rtl.processing_element.ProcessingElement`: window, slide, filters,
    is_signed; stride (vertical), out_rows, weights (of a PE), outputs (partial sums of a column), drain_cycles.
    tile_ready, new_filters: a pass may begin; begins: it does. port_done: the transfer of the phase is through.
    psum_in: for each column the partial sum of earlier channels that the next one is added to, 0 without.
    psum_valid, psums: by column, in the order (output column, filter). macs, gated: PEs that do a MAC, or gate it.
    """

    def __init__(
        self,
        rows: int,
        cols: int,
        lanes: tuple[int, int],
        psum_fifo_words: int,
        spads: tuple[int, int, int],
        bits: tuple[int, int, int],
        zero: Any,
    ) -> None:
        self.rows, self.cols, self.psum_fifo_words = rows, cols, psum_fifo_words
        self.word_lanes, self.filter_lanes = lanes
        self.pes = [[ProcessingElement(*spads, bits, zero) for _ in range(cols)] for _ in range(rows)]
        super().__init__(self._configuration() | self._buses_and_sums())

    def _configuration(self) -> dict[str, Any]:
        """What is set for a pass, and its phases."""
        one = self.pes[0][0]
        return {
            "tile_ready": In(1),
            "new_filters": In(1),
            "port_done": In(1),
            "window": In(len(one.window)),
            "slide": In(len(one.slide)),
            "filters": In(len(one.filters)),
            "weights": In(len(one.filter_count)),
            "is_signed": In(1),
            "stride": In(STRIDE_BITS),
            "out_rows": In(range(self.cols + 1)),
            "outputs": In(COUNT_BITS),
            "drain_cycles": In(COUNT_BITS),
            "begins": Out(1),
            "filling": Out(1),
            "computing": Out(1),
            "draining": Out(1),
        }

    def _buses_and_sums(self) -> dict[str, Any]:
        """What comes and goes."""
        one, pes = self.pes[0][0], self.rows * self.cols
        return {
            "word_valid": In(self.word_lanes),
            "word_rows": In(self.word_lanes * ROW_BITS),
            "words": In(self.word_lanes * one.activation_bits),
            "words_taken": Out(1),
            "filter_valid": In(self.filter_lanes),
            "filter_rows": In(self.filter_lanes * ROW_BITS),
            "filter_words": In(self.filter_lanes * one.weight_bits),
            "psum_in": In(self.cols * one.psum_bits),
            "psum_valid": Out(self.cols),
            "psums": Out(self.cols * one.psum_bits),
            "macs": Out(range(pes + 1)),
            "gated": Out(range(pes + 1)),
        }

    @classmethod
    def of(cls, arch: ArchSpec) -> PeArray:
        """3 x 3 PEs with the parameters of an architecture; buses bring at most a word a row and cycle.

        Raises InvalidInput for another dataflow and for PEs that start on arrival.
        """
        array, bits = arch.pe_array, arch.precision
        problems = [
            Problem(
                arch.name, f"pe_array.{key}", f'found "{value}", expected "{right}"', "the RTL has no other"
            )
            for key, value, right in (
                ("dataflow", array.dataflow, "row_stationary"),
                ("start", array.start, "filled"),
            )
            if value != right
        ]
        if problems:
            raise InvalidInput(problems)
        spad = array.scratchpad
        word_lanes = 8 * array.noc.ifmap_bytes_per_cycle // bits.activation_bits
        filter_lanes = 8 * array.noc.filter_bytes_per_cycle // bits.weight_bits
        lanes = (max(1, min(word_lanes, ROWS)), max(1, min(filter_lanes, ROWS)))
        spads = (spad.ifmap_words + FIFO_WORDS, spad.filter_words, spad.psum_words)
        widths = (bits.activation_bits, bits.weight_bits, bits.psum_bits)
        return cls(ROWS, COLS, lanes, 0, spads, widths, array.zero)

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        for row, pes in enumerate(self.pes):
            for column, pe in enumerate(pes):
                m.submodules[f"pe_{row}_{column}"] = pe
                self._configure(m, pe)
        is_active = [column < self.out_rows for column in range(self.cols)]
        self._buses(m, is_active)
        delivered = [self._column(m, column) for column in range(self.cols)]
        is_filled, is_delivered = Signal(), Signal()
        flat = [(column, pe) for pes in self.pes for column, pe in enumerate(pes)]
        m.d.comb += [
            is_filled.eq(
                Cat(~is_active[column] | (pe.has_window & (pe.filter_count == self.weights))
                    for column, pe in flat).all()
            ),
            is_delivered.eq(
                Cat(~active | (count == self.outputs)
                    for active, count in zip(is_active, delivered, strict=True)).all()
            ),
            self.macs.eq(adder_tree([pe.executes for _, pe in flat])),
            self.gated.eq(adder_tree([pe.gates for _, pe in flat])),
        ]  # fmt: skip
        self._phases(m, is_filled, is_delivered)
        return m

    def _configure(self, m: Module, pe: ProcessingElement) -> None:
        m.d.comb += [
            pe.start.eq(self.begins),
            pe.clear_filters.eq(self.new_filters),
            pe.window.eq(self.window),
            pe.slide.eq(self.slide),
            pe.filters.eq(self.filters),
            pe.is_signed.eq(self.is_signed),
            pe.running.eq(self.computing),
        ]

    def _buses(self, m: Module, is_active: list[Any]) -> None:
        """A word is taken by every PE that its row concerns, in one cycle, when all of them have room."""
        bits, weight_bits = self.pes[0][0].activation_bits, self.pes[0][0].weight_bits
        have_room = []
        for row, pes in enumerate(self.pes):
            for column, pe in enumerate(pes):
                own_row = Signal(ROW_BITS, name=f"row_{row}_{column}")
                m.d.comb += own_row.eq(column * self.stride + row)
                wanted = Signal(name=f"wanted_{row}_{column}")
                for lane in range(self.word_lanes):
                    tag = self.word_rows.word_select(lane, ROW_BITS)
                    with m.If(self.word_valid[lane] & (tag == own_row) & is_active[column]):
                        m.d.comb += [wanted.eq(1), pe.word.eq(self.words.word_select(lane, bits))]
                for lane in range(self.filter_lanes):
                    tag = self.filter_rows.word_select(lane, ROW_BITS)
                    with m.If(self.filter_valid[lane] & (tag == row)):
                        word = self.filter_words.word_select(lane, weight_bits)
                        m.d.comb += [pe.filter_valid.eq(1), pe.filter.eq(word)]
                m.d.comb += pe.word_valid.eq(wanted & self.words_taken)
                have_room.append(~wanted | pe.word_ready)
        m.d.comb += self.words_taken.eq(Cat(*have_room).all())

    def _column(self, m: Module, column: int) -> Any:
        """Sums up a column of PEs, one a cycle as soon as every PE has its own; returns how many have left."""
        bits = self.pes[0][0].psum_bits
        delivered, sends = Signal(COUNT_BITS, name=f"delivered_{column}"), Signal(name=f"sends_{column}")
        total, ready = [self.psum_in.word_select(column, bits).as_signed()], []
        for row in range(self.rows):
            is_there, value = self._queue(m, row, column, sends)
            ready.append(is_there)
            total.append(value)
        m.d.comb += [
            sends.eq(Cat(*ready).all()),
            self.psum_valid[column].eq(sends),
            self.psums.word_select(column, bits).eq(adder_tree(total)[:bits]),
        ]
        m.d.sync += delivered.eq(Mux(self.begins, 0, delivered + sends))
        return delivered

    def _queue(self, m: Module, row: int, column: int, sends: Any) -> tuple[Any, Any]:
        """Partial sums of a PE that its column is not ready for."""
        pe, words = self.pes[row][column], self.psum_fifo_words
        if words == 0:
            m.d.comb += pe.psum_taken.eq(sends)
            return pe.psum_valid, pe.psum
        head = Signal(range(max(2, words)), name=f"head_{row}_{column}")
        count = Signal(range(words + 1), name=f"count_{row}_{column}")
        held = Array(Signal(signed(pe.psum_bits), name=f"held_{row}_{column}_{i}") for i in range(words))
        enters = Signal(name=f"enters_{row}_{column}")
        m.d.comb += [
            pe.psum_taken.eq((count < words) | sends),
            enters.eq(pe.psum_valid & pe.psum_taken),
        ]
        with m.If(enters):
            m.d.sync += held[wrapped(head + count, words)].eq(pe.psum)
        m.d.sync += count.eq(count + enters - sends)
        with m.If(sends):
            m.d.sync += head.eq(wrapped(head + 1, words))
        return (count != 0) | pe.psum_valid, Mux(count == 0, pe.psum, held[head])

    def _phases(self, m: Module, is_filled: Any, is_delivered: Any) -> None:
        """Fill, compute, drain; the next one begins in the cycle in which one has ended."""
        was_filling, was_computing, was_draining = Signal(), Signal(), Signal()
        left = Signal(COUNT_BITS)
        fill_ends = was_filling & is_filled & self.port_done
        compute_ends = was_computing & is_delivered & self.port_done
        drain_ends = was_draining & (left == 0) & self.port_done
        is_idle = ~(was_filling | was_computing | was_draining) | drain_ends
        m.d.comb += [
            self.begins.eq(is_idle & self.tile_ready),
            self.filling.eq(self.begins | (was_filling & ~fill_ends)),
            self.computing.eq(fill_ends | (was_computing & ~compute_ends)),
            self.draining.eq(compute_ends | (was_draining & ~drain_ends)),
        ]
        m.d.sync += [
            was_filling.eq(self.filling),
            was_computing.eq(self.computing),
            was_draining.eq(self.draining),
            left.eq(
                Mux(compute_ends, self.drain_cycles, left) - (self.draining & ((left != 0) | compute_ends))
            ),
        ]
