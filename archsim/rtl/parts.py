"""Arithmetic that several units share."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value


def adder_tree(values: Sequence[Value]) -> Value:
    """Exact sum in a balanced tree: ceil(log2(n)) adders deep.

    >>> len(adder_tree([Const(255, 8)] * 16))
    12
    """
    level = list(values)
    while len(level) > 1:
        pairs = [level[index] + level[index + 1] for index in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def magnitude(value: Value, is_signed: Value) -> Value:
    """|value| of the same width, of a two's complement number or of an unsigned one; |-128| is 128."""
    return Mux(is_signed & value[-1], (-value.as_signed())[: len(value)], value)


def widen(value: Value, is_signed: Value) -> Value:
    """The value as a signed number, one bit wider, of a two's complement number or of an unsigned one.

    >>> len(widen(Const(255, 8), Const(1)))
    9
    """
    return Cat(value, is_signed & value[-1]).as_signed()


def rounding_shift(value: Value, shift: Value) -> Value:
    """(value + round) >> shift, arithmetic, round = 2^(shift - 1), 0 where shift is 0; as the requantisation kernel."""
    half = (Const(1, 1) << shift) >> 1
    rounded: Value = (value + half.as_unsigned()) >> shift
    return rounded


def clamped(value: Value, bits: int, is_signed: Value) -> Value:
    """A signed value clamped to int``bits`` or uint``bits``; the result has ``bits`` bits."""
    low = Mux(is_signed, Const(-(1 << (bits - 1)), bits + 1), Const(0, bits + 1))
    high = Mux(is_signed, Const((1 << (bits - 1)) - 1, bits + 2), Const((1 << bits) - 1, bits + 2))
    low, high = low.as_signed(), high.as_signed()
    return Mux(value < low, low, Mux(value > high, high, value))[:bits]


def wrapped(place: Value, size: int) -> Value:
    """A place in a ring of ``size``, at most once around: ``place - size`` where that is not negative.

    >>> len(wrapped(Const(9, 4), 6))
    3
    """
    around: Value = Mux(place >= size, place - size, place)
    return around[: max(1, (size - 1).bit_length())]


def lowest_bit(bits: Value) -> Value:
    """Number of the lowest bit that is set; 0 without one.

    >>> len(lowest_bit(Const(0, 12)))
    4
    """
    found: Value = Const(0, max(1, (len(bits) - 1).bit_length()))
    for place in reversed(range(len(bits))):
        found = Mux(bits[place], place, found)
    return found
