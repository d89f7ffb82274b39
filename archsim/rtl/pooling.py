"""Pooling registers on the write path: sums of windows, one word of ``lanes`` sums a cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from archsim.rtl.parts import clamped, rounding_shift, widen

SUM_BITS = 18
"""Exact for windows of 1,024 activations of 8 bits."""
SHIFT_BITS = 5
SUMS = 512
"""Of one tensor, as the energy table has it."""


class Pooling(Component):
    """Adds activations to the sums of the tensor that is written, and gives those of a tensor that is complete.

    Two banks: one fills while the other is read. group_word: the word of sums that the lanes of a group belong to; the
    first group of a tensor that reaches a word overwrites it. filling: bank of the tensor that is under way, or comes
    next. is_complete: by bank. read_word, read_bank -> sums, one cycle later.
    """

    def __init__(self, lanes: int, activation_bits: int) -> None:
        self.lanes, self.activation_bits = lanes, activation_bits
        self.words = max(1, SUMS // lanes)
        self.word_bits = max(1, (self.words - 1).bit_length())
        super().__init__(
            {
                "group_valid": In(1),
                "group_last": In(1),
                "group_word": In(self.word_bits),
                "group_keep": In(lanes),
                "group_values": In(lanes * activation_bits),
                "is_signed": In(1),
                "filling": Out(1),
                "is_complete": Out(2),
                "read_bank": In(1),
                "read_word": In(self.word_bits),
                "sums": Out(lanes * SUM_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        banks = 2 << self.word_bits
        m.submodules.memory = memory = Memory(shape=self.lanes * SUM_BITS, depth=banks, init=[])
        old = memory.read_port(domain="comb")
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        written = Signal(self.words)
        is_new = Signal(init=1)
        is_written = Array(written)[self.group_word] & ~is_new
        m.d.comb += [
            old.addr.eq(Cat(self.group_word, self.filling)),
            write.addr.eq(old.addr),
            write.en.eq(self.group_valid),
            write.data.eq(Cat(*(self._new_sum(lane, old.data, is_written) for lane in range(self.lanes)))),
            read.addr.eq(Cat(self.read_word, self.read_bank)),
            self.sums.eq(read.data),
        ]
        with m.If(self.group_valid):
            m.d.sync += [
                written.eq(Mux(is_new, 0, written) | (Const(1, 1) << self.group_word)[: self.words]),
                is_new.eq(self.group_last),
                self.is_complete.bit_select(self.filling, 1).eq(self.group_last),
                self.filling.eq(self.filling ^ self.group_last),
            ]
        return m

    def _new_sum(self, lane: int, old: Any, is_written: Any) -> Any:
        value = widen(self.group_values.word_select(lane, self.activation_bits), self.is_signed)
        summand = Mux(self.group_keep[lane], value, 0)
        return (Mux(is_written, old.word_select(lane, SUM_BITS), 0) + summand)[:SUM_BITS]


def feature(total: Any, shift: Any, is_signed: Any, activation_bits: int) -> Any:
    """A sum as the activation that average pooling makes of it, signed and one bit wider.

    The multiplier of the pool is a power of two: (sum + round) >> shift, clamped.
    """
    value = rounding_shift(widen(total, is_signed), shift)
    return widen(clamped(value, activation_bits, is_signed), is_signed)
