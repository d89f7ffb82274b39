"""Run-length coded feature maps in DRAM (Eyeriss; Chen et al., JSSC 52(1), 2017, section III).

A pair is a run of up to 31 zeros (5 bits) and the value behind it; a longer run takes pairs whose value is a zero.
As many pairs as fit, and a flag, make a word of 64 bits: three pairs of 16-bit values, four of 8-bit values.

A tensor is one coded stream in the order (image, row, column, channel). A transfer of some of its elements moves the
words that hold them; where a stream may be entered is known for free (the chip codes pieces, whose starts it knows).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsim.kernels.compiler import kernel
from archsim.mapping.base import BoolArray, Int64Array, MapTransfers, TilePlan

RUN_BITS = 5
WORD_BYTES = 8


def pairs_a_word(value_bits: int) -> int:
    """Pairs in a word of 64 bits, one of which is a flag.

    >>> pairs_a_word(16), pairs_a_word(8)
    (3, 4)
    """
    return (8 * WORD_BYTES - 1) // (RUN_BITS + value_bits)


@kernel
def word_of_elements(nonzero, pairs_in_word, longest_run):  # type: ignore[no-untyped-def]
    """Index of the word that holds each element. nonzero: bool (elements,). Returns int32 (elements,)."""
    words = np.empty(nonzero.shape[0], np.int32)
    pair, run = 0, 0
    for index in range(nonzero.shape[0]):
        words[index] = pair // pairs_in_word
        if nonzero[index] or run == longest_run:
            pair += 1
            run = 0
        else:
            run += 1
    return words


@dataclass(frozen=True)
class CodedMap:
    """One tensor of a batch as it lies in DRAM. words: int32 (elements,), the word that holds each element."""

    words: Int64Array
    value_bits: int

    @classmethod
    def of(cls, nonzero: BoolArray, value_bits: int) -> CodedMap:
        """Code a tensor. nonzero: bool, any shape, in the order of the stream.

        >>> coded = CodedMap.of(np.arange(90) % 10 == 0, 16)  # a value and then runs of nine zeros
        >>> coded.size_bytes  # 9 pairs, and one for the zeros at the end
        32
        >>> CodedMap.of(np.zeros(96, bool), 16).size_bytes  # 31 zeros and a zero make a pair
        8
        """
        return cls(
            word_of_elements(nonzero.ravel(), pairs_a_word(value_bits), (1 << RUN_BITS) - 1), value_bits
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole stream."""
        return (int(self.words[-1]) + 1) * WORD_BYTES

    def ranges(self, load_bytes: Int64Array, offset_bytes: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Bytes and offsets in DRAM of transfers that are given in bytes of the plain tensor; none stays none."""
        begin = offset_bytes * 8 // self.value_bits
        last = np.maximum((offset_bytes + load_bytes) * 8 // self.value_bits - 1, begin)
        limit = len(self.words) - 1
        first_word = self.words[np.minimum(begin, limit)].astype(np.int64)
        last_word = self.words[np.minimum(last, limit)].astype(np.int64)
        size: Int64Array = np.where(load_bytes > 0, (last_word - first_word + 1) * WORD_BYTES, 0)
        return size, first_word * WORD_BYTES


def map_transfers(
    plan: TilePlan, ifmap: CodedMap | None, summand: CodedMap | None, stored: CodedMap | None
) -> MapTransfers:
    """What the feature maps of a plan take in DRAM; None: a tensor that lies there plain."""

    def ranges(coded: CodedMap | None, size: Int64Array, offset: Int64Array) -> tuple[Int64Array, Int64Array]:
        return (size, offset) if coded is None else coded.ranges(size, offset)

    return MapTransfers(
        *ranges(ifmap, plan.ifmap_load_bytes, plan.ifmap_load_offset_bytes),
        *ranges(summand, plan.summand_load_bytes, plan.summand_load_offset_bytes),
        *ranges(stored, plan.store_bytes, plan.store_offset_bytes),
    )
