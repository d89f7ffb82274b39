r"""The requantiser on the write path as RTL: bias, multiplier, rounding shift, clamp; one value a lane and cycle.

::

    cycle          t        t+1      t+2
    valid        __/^^^^^^^^\________________
    product      ---------- X exact X--------
    out_valid    _____________________/^^^^\_

Twin of :func:`archsim.kernels.requant.requantise`. The simulation counts no cycle for it: its two stages belong to the
write path, which is that much longer.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.rtl.parts import clamped, rounding_shift

MULTIPLIER_BITS = 31
SHIFT_BITS = 6
LATENCY_CYCLES = 2
ACTIVATION_BITS = 8
"""Values are computed in 8 bits whatever ``precision.activation_bits`` says."""


class Requantiser(Component):
    """clamp(((accumulator + bias) * multiplier + round) >> shift) of ``lanes`` channels.

    accumulators, biases: two's complement; their sum must fit ``psum_bits``, and the product with its rounding
    psum_bits + 32 bits. is_signed: int8 results, else uint8.
    """

    def __init__(self, lanes: int, psum_bits: int) -> None:
        self.lanes, self.psum_bits = lanes, psum_bits
        super().__init__(
            {
                "valid": In(1),
                "accumulators": In(lanes * psum_bits),
                "biases": In(lanes * psum_bits),
                "multipliers": In(lanes * MULTIPLIER_BITS),
                "shifts": In(lanes * SHIFT_BITS),
                "is_signed": In(1),
                "out_valid": Out(1),
                "out_values": Out(lanes * ACTIVATION_BITS),
            }
        )

    @classmethod
    def of(cls, arch: ArchSpec) -> Requantiser:
        """As many lanes as the NoC brings partial sums in a cycle."""
        bits = arch.precision.psum_bits
        return cls(max(1, 8 * arch.pe_array.noc.psum_bytes_per_cycle // bits), bits)

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        is_product_valid, is_signed = Signal(), Signal()
        m.d.sync += [
            is_product_valid.eq(self.valid),
            is_signed.eq(self.is_signed),
            self.out_valid.eq(is_product_valid),
        ]
        for lane in range(self.lanes):
            biased = Signal(signed(self.psum_bits), name=f"biased_{lane}")
            product = Signal(signed(self.psum_bits + MULTIPLIER_BITS + 1), name=f"product_{lane}")
            shift = Signal(SHIFT_BITS, name=f"shift_{lane}")
            m.d.comb += biased.eq(
                self.accumulators.word_select(lane, self.psum_bits)
                + self.biases.word_select(lane, self.psum_bits)
            )
            m.d.sync += [
                product.eq(biased * self.multipliers.word_select(lane, MULTIPLIER_BITS)),
                shift.eq(self.shifts.word_select(lane, SHIFT_BITS)),
                self.out_values.word_select(lane, ACTIVATION_BITS).eq(
                    clamped(rounding_shift(product, shift), ACTIVATION_BITS, is_signed)
                ),
            ]
        return m
