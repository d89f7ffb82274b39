r"""The DBP unit as RTL: lanes of |a|, an adder tree, a sum, two comparators.

::

    cycle            f-2     f-1      f      f+1
    group_valid    __/^^^^^^^^^^^^^^\______________
    group_last     __________/^^^^^^\______________      the last group of a tensor is taken in cycle f - 1
    magnitude_sum  --X partial X complete X--------
    decided        __________________________/^^^\_      decision_cycles = 1
    run            --------------------------X ok X-

Twin of :class:`archsim.timing.tap.WritePathTap`, :class:`archsim.sim.dbp_unit.DbpUnit` and
:meth:`archsim.functional.decide.Policy.runs`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.rtl.parts import adder_tree, magnitude

SUM_BITS = 40
"""Of the sum and of each bound: 2^32 activations of 8 bits."""


class DbpUnit(Component):
    """Sums |a| of ``lanes`` activations a cycle and says, once a tensor is complete, whether its branch is to run.

    group_keep: lanes that hold a value. min_sum, max_sum: run iff min_sum <= sum <= max_sum; all ones for no maximum.
    magnitude_sum: of the groups so far. decided: for one cycle, with run. flush: forget everything.
    """

    def __init__(self, lanes: int, activation_bits: int, decision_cycles: int) -> None:
        self.lanes, self.activation_bits, self.decision_cycles = lanes, activation_bits, decision_cycles
        super().__init__(
            {
                "group_valid": In(1),
                "group_last": In(1),
                "group_keep": In(lanes),
                "group_values": In(lanes * activation_bits),
                "is_signed": In(1),
                "min_sum": In(SUM_BITS),
                "max_sum": In(SUM_BITS),
                "flush": In(1),
                "magnitude_sum": Out(SUM_BITS),
                "decided": Out(1),
                "run": Out(1),
            }
        )

    @classmethod
    def of(cls, arch: ArchSpec) -> DbpUnit:
        """With the parameters of an architecture."""
        unit = arch.dbp_unit
        return cls(unit.lanes, arch.precision.activation_bits, unit.decision_cycles)

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        is_new, is_complete = Signal(init=1), Signal()
        words = [self.group_values.word_select(lane, self.activation_bits) for lane in range(self.lanes)]
        magnitudes = [
            Mux(self.group_keep[lane], magnitude(word, self.is_signed), 0) for lane, word in enumerate(words)
        ]
        m.d.sync += is_complete.eq(self.group_valid & self.group_last)
        with m.If(self.group_valid):
            m.d.sync += [
                self.magnitude_sum.eq(Mux(is_new, 0, self.magnitude_sum) + adder_tree(magnitudes)),
                is_new.eq(self.group_last),
            ]
        decided: Any = is_complete
        run: Any = (self.magnitude_sum >= self.min_sum) & (self.magnitude_sum <= self.max_sum)
        for _ in range(self.decision_cycles):
            decided_next, run_next = Signal(), Signal()
            m.d.sync += [decided_next.eq(decided), run_next.eq(run)]
            decided, run = decided_next, run_next
        m.d.comb += [self.decided.eq(decided), self.run.eq(run)]
        return ResetInserter(self.flush)(m)
