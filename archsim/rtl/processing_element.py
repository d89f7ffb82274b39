r"""A processing element of the row-stationary array as RTL: scratchpads, one MAC a cycle, gating or skipping of zeros.

::

    cycle           t      t+1     t+2     t+3     t+4     t+5      window of 2 words, 2 filters
    running       __/^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    executes      __/^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\___________      word 0 x filters 0, 1; word 1 x filters 0, 1
    psum_valid    _________________________________/^^^^^^^^^^^      partial sums of filters 0, 1; the window slides

Words of a row arrive in the order (column, channel) and wait in a ring, scratchpad and FIFO; filters are written in
the order (column, channel, filter). A zero word costs its MACs (``none``), their cycles alone (``gate``) or nothing
(``skip``). Twin of :attr:`archsim.mapping.passes.Passes.column_cycles`, of the work of a PE in
:func:`archsim.mapping.zeros.set_work` and of the counts of :func:`archsim.mapping.zeros.mac_counts`.
"""

from __future__ import annotations

from typing import Any, Literal

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.rtl.parts import lowest_bit, widen, wrapped

FIFO_WORDS = 4
"""Activations that may wait in front of the scratchpad."""


class ProcessingElement(Component):
    """Convolves one row of activations with a row of each of its filters.

    ring_words: of activations, scratchpad and FIFO. psum_words: filters at most.
    start: a pass begins; what is left of the one before is forgotten, the filters unless clear_filters.
    window, slide: words that an output column needs, and by which it moves on. filters. running: MACs may be done.
    has_window, filter_count: what has arrived. psum: of the next filter, valid once the MACs of the column are done;
    it goes on when psum_taken. executes, gates: a MAC is done in this cycle, or its zero found and nothing done.
    """

    def __init__(
        self,
        ring_words: int,
        filter_words: int,
        psum_words: int,
        bits: tuple[int, int, int],
        zero: Literal["none", "gate", "skip"],
    ) -> None:
        self.ring_words, self.filter_words, self.psum_words, self.zero = (
            ring_words,
            filter_words,
            psum_words,
            zero,
        )
        self.activation_bits, self.weight_bits, self.psum_bits = bits
        super().__init__(
            {
                "start": In(1),
                "clear_filters": In(1),
                "window": In(range(ring_words + 1)),
                "slide": In(range(ring_words + 1)),
                "filters": In(range(psum_words + 1)),
                "is_signed": In(1),
                "running": In(1),
                "word_valid": In(1),
                "word": In(self.activation_bits),
                "word_ready": Out(1),
                "filter_valid": In(1),
                "filter": In(self.weight_bits),
                "filter_count": Out(range(filter_words + 1)),
                "has_window": Out(1),
                "executes": Out(1),
                "gates": Out(1),
                "psum_valid": Out(1),
                "psum": Out(signed(self.psum_bits)),
                "psum_taken": In(1),
            }
        )

    @classmethod
    def of(cls, arch: ArchSpec) -> ProcessingElement:
        """With the parameters of an architecture."""
        spad, bits = arch.pe_array.scratchpad, arch.precision
        widths = (bits.activation_bits, bits.weight_bits, bits.psum_bits)
        ring = spad.ifmap_words + FIFO_WORDS
        return cls(ring, spad.filter_words, spad.psum_words, widths, arch.pe_array.zero)

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        position, filter_index = Signal.like(self.window), Signal(range(max(2, self.psum_words)))
        ring = [Signal(self.activation_bits, name=f"ring_{place}") for place in range(self.ring_words)]
        ends_column = Signal()
        head = self._ring(m, ring, ends_column)
        place, found = self._next_word(m, ring, head, position)
        value = Array(ring)[wrapped(head + place, self.ring_words)]
        is_zero = (value == 0) & (self.zero != "none")
        works = self.running & self.has_window
        is_last = filter_index + 1 == self.filters
        m.d.comb += [
            self.executes.eq(works & found & ~is_zero),
            self.gates.eq(works & found & is_zero),
            self.psum_valid.eq(works & ~found),
            ends_column.eq(self.psum_valid & self.psum_taken & is_last),
        ]
        goes_on = (works & found) | (self.psum_valid & self.psum_taken)
        with m.If(self.start):
            m.d.sync += [position.eq(0), filter_index.eq(0)]
        with m.Elif(goes_on):
            m.d.sync += [
                filter_index.eq(Mux(is_last, 0, filter_index + 1)),
                position.eq(Mux(found, place + is_last, Mux(is_last, 0, position))),
            ]
        weight = self._weight(m, place, filter_index)
        self._accumulate(m, filter_index, widen(value, self.is_signed), weight)
        return m

    def _ring(self, m: Module, ring: list[Any], ends_column: Any) -> Any:
        """Words in the order of arrival; returns the place of the oldest."""
        size = self.ring_words
        head, count = Signal(range(max(2, size))), Signal(range(size + 1))
        held = Mux(self.start, 0, count)
        takes = self.word_valid & self.word_ready
        m.d.comb += [
            self.word_ready.eq(self.start | (count < size)),
            self.has_window.eq((count >= self.window) & ~self.start),
        ]
        with m.If(takes):
            m.d.sync += Array(ring)[wrapped(head + held, size)].eq(self.word)
        m.d.sync += count.eq(held + takes - Mux(ends_column, self.slide, 0))
        with m.If(ends_column):
            m.d.sync += head.eq(wrapped(head + self.slide, size))
        return head

    def _next_word(self, m: Module, ring: list[Any], head: Any, position: Any) -> tuple[Any, Any]:
        """Place in the window of the next word that has MACs to do, and whether there is one."""
        if self.zero != "skip":
            return position, position < self.window
        nonzero = Cat(word.any() for word in ring)
        turned = (Cat(nonzero, nonzero) >> head)[: self.ring_words]
        before, inside = Signal(self.ring_words), Signal(self.ring_words)
        m.d.comb += [before.eq((1 << position) - 1), inside.eq((1 << self.window) - 1)]
        left = Signal(self.ring_words)
        m.d.comb += left.eq(turned & inside & ~before)
        return lowest_bit(left), left.any()

    def _weight(self, m: Module, place: Any, filter_index: Any) -> Any:
        """The filter scratchpad: written in order, read in the cycle of the MAC."""
        # As many words as addresses: no word that is read is undefined.
        depth = 1 << max(1, (self.filter_words - 1).bit_length())
        m.submodules.filters_memory = memory = Memory(shape=self.weight_bits, depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        held = Mux(self.start & self.clear_filters, 0, self.filter_count)
        m.d.comb += [
            write.addr.eq(held),
            write.data.eq(self.filter),
            write.en.eq(self.filter_valid),
            read.addr.eq(place * self.filters + filter_index),
        ]
        m.d.sync += self.filter_count.eq(held + self.filter_valid)
        # Operands stand still unless a MAC is done.
        return Mux(self.executes, read.data, 0).as_signed()

    def _accumulate(self, m: Module, filter_index: Any, value: Any, weight: Any) -> None:
        """Partial sums, cleared as they leave."""
        psums = Array(
            Signal(signed(self.psum_bits), name=f"psum_{index}") for index in range(self.psum_words)
        )
        m.d.comb += self.psum.eq(psums[filter_index])
        with m.If(self.executes):
            m.d.sync += psums[filter_index].eq(self.psum + value * weight)
        with m.Elif(self.psum_valid & self.psum_taken):
            m.d.sync += psums[filter_index].eq(0)
        with m.If(self.start):
            m.d.sync += [psum.eq(0) for psum in psums]
