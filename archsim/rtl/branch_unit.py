r"""The branch unit as RTL: pooling registers, MAC lanes, running top-2, margin comparison.

::

    cycle           c        c+1      c+2       c+3       c+4      c+5      c+6
    weight_address  X last X
    weight_data     -------- X last X
    features        ------------------ X last X                                    sums rescaled
    products        ---------------------------- X last X
    logit           --------------------------------------- X last X               tree, bias, accumulator
    top-2           -------------------------------------------------- X all X
    decided         ________________________________________________________/^^\    margin compared with the threshold

The last word of weights is asked for in cycle c; the decision is visible in c + 1 + ``pipeline_cycles``, of which
five are needed. Twin of :class:`archsim.sim.branch_unit.BranchUnit`, :func:`archsim.kernels.margin.top_two` and the
kernels of the branch's layers.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, Problem
from archsim.rtl.parts import adder_tree
from archsim.rtl.pooling import SHIFT_BITS, SUM_BITS, Pooling, feature

STAGES = 5
ADDRESS_BITS = 16
UNIT_BITS = 8
BRANCH_BITS = 4


class BranchUnit(Component):
    """Evaluates one branch at a time, in the order in which they are asked for; one more may wait.

    group_*: the write path, see :class:`archsim.rtl.pooling.Pooling`.
    request, request_branch: evaluate this branch, whose tensor is complete or under way. serving: the branch that the
    configuration has to be of: words (of weights, for one logit), units (logits), weight_base, shift (of the pool),
    is_signed, threshold, never (no threshold).
    weight_words: words of its weights that are there. weight_address, bias_address -> weight_data, bias_data one cycle
    later. decided: for one cycle, with decided_branch, leave, prediction, margin. flush: forget everything.
    """

    def __init__(
        self, lanes: int, activation_bits: int, weight_bits: int, logit_bits: int, pipeline_cycles: int
    ) -> None:
        self.lanes, self.activation_bits, self.weight_bits = lanes, activation_bits, weight_bits
        self.logit_bits, self.pipeline_cycles = logit_bits, pipeline_cycles
        self.pooling = Pooling(lanes, activation_bits)
        super().__init__(
            {
                "group_valid": In(1),
                "group_last": In(1),
                "group_word": In(self.pooling.word_bits),
                "group_keep": In(lanes),
                "group_values": In(lanes * activation_bits),
                "group_signed": In(1),
                "request": In(1),
                "request_branch": In(BRANCH_BITS),
                "serving": Out(BRANCH_BITS),
                "words": In(self.pooling.word_bits + 1),
                "units": In(UNIT_BITS),
                "weight_base": In(ADDRESS_BITS),
                "weight_words": In(ADDRESS_BITS),
                "shift": In(SHIFT_BITS),
                "is_signed": In(1),
                "threshold": In(logit_bits),
                "never": In(1),
                "flush": In(1),
                "issue": Out(1),
                "weight_address": Out(ADDRESS_BITS),
                "weight_data": In(lanes * weight_bits),
                "bias_address": Out(UNIT_BITS),
                "bias_data": In(logit_bits),
                "decided": Out(1),
                "decided_branch": Out(BRANCH_BITS),
                "leave": Out(1),
                "prediction": Out(UNIT_BITS),
                "margin": Out(logit_bits + 1),
            }
        )

    @classmethod
    def of(cls, arch: ArchSpec) -> BranchUnit:
        """With the parameters of an architecture. Raises InvalidInput for those that are not in RTL."""
        unit, bits, problems = arch.branch_unit, arch.precision, []
        if unit.macs == 0:
            problems.append(("macs", "0, there is no branch unit", "choose an architecture that has one"))
        elif unit.tap_lanes != unit.macs:
            message = f"{unit.tap_lanes}, but branch_unit.macs is {unit.macs}"
            problems.append(("tap_lanes", message, "the RTL writes and reads the same word of sums"))
        if unit.pipeline_cycles < STAGES:
            hint = f"the RTL has {STAGES} stages: rescale, multiply, accumulate, top-2, compare"
            problems.append(("pipeline_cycles", f"{unit.pipeline_cycles}, expected {STAGES} or more", hint))
        if problems:
            raise InvalidInput(
                Problem(arch.name, f"branch_unit.{key}", f"found {text}", hint)
                for key, text, hint in problems
            )
        return cls(unit.macs, bits.activation_bits, bits.weight_bits, bits.psum_bits, unit.pipeline_cycles)

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        m.submodules.pooling = pooling = self.pooling
        m.d.comb += [
            pooling.group_valid.eq(self.group_valid),
            pooling.group_last.eq(self.group_last),
            pooling.group_word.eq(self.group_word),
            pooling.group_keep.eq(self.group_keep),
            pooling.group_values.eq(self.group_values),
            pooling.is_signed.eq(self.group_signed),
        ]
        flags = self._sequencer(m)
        total, is_logit, tail = self._multiply(m, flags)
        self._compare(m, total, is_logit, tail)
        return ResetInserter(self.flush)(m)

    def _sequencer(self, m: Module) -> Any:
        """Which branch is served, and which word of its weights comes next; flags of the word one cycle later."""
        running, has_next, is_issued = Signal(), Signal(), Signal()
        branch, next_branch = Signal(BRANCH_BITS), Signal(BRANCH_BITS)
        bank, next_bank = Signal(), Signal()
        word, unit, address = Signal(self.pooling.word_bits), Signal(UNIT_BITS), Signal(ADDRESS_BITS)
        # The tensor of a request is the one under way, or the last one that was completed: its first group was taken
        # in the cycle before the request at the latest.
        under_way = Signal()
        with m.If(self.group_valid):
            m.d.sync += under_way.eq(~self.group_last)
        tensor_bank = self.pooling.filling ^ ~under_way
        is_idle = ~running | (self.decided & ~self.leave)
        starts = is_idle & (has_next | self.request)
        serves_next = is_idle & has_next
        serving_bank = Signal()
        m.d.comb += [
            self.serving.eq(
                Mux(serves_next, next_branch, Mux(is_idle & self.request, self.request_branch, branch))
            ),
            serving_bank.eq(Mux(serves_next, next_bank, Mux(is_idle & self.request, tensor_bank, bank))),
        ]
        m.d.comb += self.decided_branch.eq(branch)
        m.d.sync += [branch.eq(self.serving), bank.eq(serving_bank)]
        with m.If(starts):
            m.d.sync += [running.eq(1), is_issued.eq(0)]
        with m.Elif(self.decided):
            m.d.sync += running.eq(0)
        with m.If(self.request & ~(is_idle & ~has_next)):
            m.d.sync += [has_next.eq(1), next_branch.eq(self.request_branch), next_bank.eq(tensor_bank)]
        with m.Elif(serves_next):
            m.d.sync += has_next.eq(0)
        is_last_word, is_last_unit = word + 1 == self.words, unit + 1 == self.units
        m.d.comb += [
            self.issue.eq(
                (starts | (running & ~is_idle & ~is_issued))
                & self.pooling.is_complete.bit_select(serving_bank, 1)
                & (address < self.weight_words)
            ),
            self.weight_address.eq(self.weight_base + address),
            self.bias_address.eq(unit),
            self.pooling.read_bank.eq(serving_bank),
            self.pooling.read_word.eq(word),
        ]
        with m.If(self.issue):
            m.d.sync += [address.eq(address + 1), word.eq(Mux(is_last_word, 0, word + 1))]
            with m.If(is_last_word):
                m.d.sync += unit.eq(Mux(is_last_unit, 0, unit + 1))
                with m.If(is_last_unit):
                    m.d.sync += [address.eq(0), is_issued.eq(1)]
        # Valid, first and last word of a logit, first and last logit, number of the logit.
        flags = Signal(5 + UNIT_BITS)
        m.d.sync += flags.eq(Cat(self.issue, word == 0, is_last_word, unit == 0, is_last_unit, unit))
        return flags

    def _multiply(self, m: Module, flags: Any) -> Any:
        """Features, products, sum: three stages. Returns the logit, whether it is one, and the rest of its flags."""
        bits, lanes = self.activation_bits + 1, range(self.lanes)
        products = []
        for lane in lanes:
            value = Signal(signed(bits), name=f"feature_{lane}")
            weight = Signal(signed(self.weight_bits), name=f"weight_{lane}")
            product = Signal(signed(bits + self.weight_bits - 1), name=f"product_{lane}")
            total = self.pooling.sums.word_select(lane, SUM_BITS)
            m.d.sync += [
                value.eq(feature(total, self.shift, self.is_signed, self.activation_bits)),
                weight.eq(self.weight_data.word_select(lane, self.weight_bits)),
                product.eq(value * weight),
            ]
            products.append(product)
        bias, bias_later = Signal(signed(self.logit_bits)), Signal(signed(self.logit_bits))
        flags_features, flags_products, flags_logit = (
            Signal(len(flags), name=f"flags_{i}") for i in range(3)
        )
        logit = Signal(signed(self.logit_bits))
        m.d.sync += [bias.eq(self.bias_data), bias_later.eq(bias)]
        m.d.sync += [
            flags_features.eq(flags),
            flags_products.eq(flags_features),
            flags_logit.eq(flags_products),
        ]
        with m.If(flags_products[0]):
            m.d.sync += logit.eq(Mux(flags_products[1], bias_later, logit) + adder_tree(products))
        return logit, flags_logit[0] & flags_logit[2], flags_logit[3:]

    def _compare(self, m: Module, logit: Any, is_logit: Any, flags: Any) -> None:
        """Running top-2, then the margin: two stages, and as many more as the architecture has."""
        is_first, is_last, unit = flags[0], flags[1], flags[2:]
        first, second = Signal(signed(self.logit_bits)), Signal(signed(self.logit_bits))
        winner, is_ranked = Signal(UNIT_BITS), Signal()
        lowest = -(1 << (self.logit_bits - 1))
        m.d.sync += is_ranked.eq(is_logit & is_last)
        with m.If(is_logit):
            with m.If(is_first):
                m.d.sync += [first.eq(logit), second.eq(lowest), winner.eq(unit)]
            with m.Elif(logit > first):
                m.d.sync += [first.eq(logit), second.eq(first), winner.eq(unit)]
            with m.Elif(logit > second):
                m.d.sync += second.eq(logit)
        margin = (first - second)[: self.logit_bits + 1]
        leaves = (margin.as_signed() >= self.threshold.as_signed()) & ~self.never
        outcome = Cat(is_ranked, leaves & is_ranked, winner, margin)
        for _ in range(1 + self.pipeline_cycles - STAGES):
            later = Signal(len(outcome), name="outcome")
            m.d.sync += later.eq(outcome)
            outcome = later
        m.d.comb += Cat(self.decided, self.leave, self.prediction, self.margin).eq(outcome)
