r"""The exit controller as RTL: dispatches steps, asks for decisions, stops everything at an exit.

::

    cycle           t        t+1 ...    d        d+1 ...  d+R
    layer_done    __/^^\____________________________________
    judge         __/^^\____________________________________   the step has a branch that DBP decides about
    dbp_decided   ______________/^^\________________________
    evaluate      ______________/^^\________________________   run: ask the branch unit
    branch_decided, branch_leave ____/^^\___________________
    abort         ___________________/^^\___________________   array stops, DMA cancels, units flush
    done          ______________________________________/^^\   result written, memory quiet

Every answer is given in the cycle of the question. Twin of :class:`archsim.sim.controller.Controller`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from archsim.config.arch import ArchSpec
from archsim.rtl.branch_unit import BRANCH_BITS

STEP_BITS = 8
BRANCHES = 1 << BRANCH_BITS


class ExitController(Component):
    """Walks through a program of ``steps`` steps, one image at a time.

    start: an image begins. The program lies in a memory outside: step -> judges (DBP decides about the branch of the
    tensor that the step writes), decides (the branch unit is asked at its end, unless DBP says no), branch, on_array
    (of a branch that is judged: its layers follow on the array), skip_to (the step behind them). These five are of the
    step that was dispatched last; the memory is asked for step_address and answers in the next cycle.
    dispatch, dispatch_step; judge, evaluate with their branch; abort; done: each for one cycle. A branch on the array
    that DBP has decided about is told to the DMA with fetch_decided, fetch_run.
    """

    def __init__(self, result_cycles: int, is_speculative: bool) -> None:
        self.result_cycles, self.is_speculative = result_cycles, is_speculative
        super().__init__(
            {
                "start": In(1),
                "steps": In(STEP_BITS),
                "step_address": Out(STEP_BITS),
                "judges": In(1),
                "decides": In(1),
                "branch": In(BRANCH_BITS),
                "on_array": In(1),
                "skip_to": In(STEP_BITS),
                "layer_done": In(1),
                "dbp_decided": In(1),
                "dbp_branch": In(BRANCH_BITS),
                "dbp_run": In(1),
                "branch_decided": In(1),
                "branch_decided_branch": In(BRANCH_BITS),
                "branch_leave": In(1),
                "memory_quiet": In(1),
                "dispatch": Out(1),
                "dispatch_step": Out(STEP_BITS),
                "judge": Out(1),
                "judge_branch": Out(BRANCH_BITS),
                "evaluate": Out(1),
                "evaluate_branch": Out(BRANCH_BITS),
                "fetch_decided": Out(1),
                "fetch_run": Out(1),
                "abort": Out(1),
                "done": Out(1),
            }
        )

    @classmethod
    def of(cls, arch: ArchSpec) -> ExitController:
        """With the parameters of an architecture."""
        return cls(arch.controller.result_cycles, arch.branch_unit.overlap == "speculative")

    def elaborate(self, platform: Any) -> Any:
        """The circuit."""
        m = Module()
        self._step, self._next_step = Signal(STEP_BITS), Signal(STEP_BITS)
        self._running, self._is_free = Signal(), Signal()
        running = self._running | self.start
        leaves = self.branch_decided & self.branch_leave & running
        next_step = self._skip(m)
        open_now = self._open_decisions(m, leaves)
        is_free = self._is_free | self.layer_done | self.start
        may_overtake = self._may_overtake(next_step)
        is_blocked = (open_now & ~may_overtake).any()
        at_end = next_step == self.steps
        dispatch = running & ~leaves & is_free & ~at_end & ~is_blocked
        m.d.comb += [
            self.dispatch.eq(dispatch),
            self.dispatch_step.eq(next_step),
            self.step_address.eq(Mux(dispatch, next_step, self._step)),
        ]
        m.d.sync += [
            self._step.eq(self.step_address),
            self._next_step.eq(Mux(dispatch, next_step + 1, next_step)),
        ]
        m.d.sync += self._is_free.eq(is_free & ~dispatch)
        self._finish(m, leaves, running & ~leaves & is_free & at_end & ~open_now.any())
        return m

    def _is_of_step(self, branch: Any) -> Any:
        """Is this branch the one that DBP judges behind the last step, with layers on the array?"""
        return self.judges & self.on_array & (branch == self.branch)

    def _skip(self, m: Module) -> Any:
        """The next step: behind the layers of a branch that DBP skips."""
        skips = self.dbp_decided & ~self.dbp_run & self._is_of_step(self.dbp_branch)
        first = Mux(self.start, 0, self._next_step)
        return Mux(skips, self.skip_to, first)[:STEP_BITS]

    def _open_decisions(self, m: Module, leaves: Any) -> Any:
        """Decisions that are open after the messages of this cycle, and the questions that follow from them."""
        is_open = Signal(BRANCHES)
        asks = self.layer_done & (self.judges | self.decides) & ~leaves
        runs_on_array = self.dbp_run & self._is_of_step(self.dbp_branch)
        closes = self.dbp_decided & (~self.dbp_run | runs_on_array)
        one = Const(1, 1)
        closed = (Mux(closes, one << self.dbp_branch, 0)
                  | Mux(self.branch_decided, one << self.branch_decided_branch, 0))  # fmt: skip
        opened = Mux(asks, one << self.branch, 0)
        open_now = (is_open & ~closed | opened)[:BRANCHES]
        m.d.sync += is_open.eq(Mux(leaves, 0, open_now))
        # Of two evaluations in a cycle, that which DBP has asked for goes first; the other one waits for it anyway.
        waits, waiting_branch = Signal(), Signal(BRANCH_BITS)
        from_dbp = self.dbp_decided & self.dbp_run & ~runs_on_array & ~leaves
        from_layer = asks & ~self.judges
        m.d.sync += [
            waits.eq(from_dbp & (from_layer | waits)),
            waiting_branch.eq(Mux(waits, waiting_branch, self.branch)),
        ]
        m.d.comb += [
            self.judge.eq(asks & self.judges),
            self.judge_branch.eq(self.branch),
            self.evaluate.eq(from_dbp | from_layer | waits),
            self.evaluate_branch.eq(Mux(from_dbp, self.dbp_branch, Mux(waits, waiting_branch, self.branch))),
            self.fetch_decided.eq(self.dbp_decided & self._is_of_step(self.dbp_branch)),
            self.fetch_run.eq(self.dbp_run),
        ]
        return open_now

    def _may_overtake(self, next_step: Any) -> Any:
        """With speculation the layer behind a branch starts while the decision of that branch, alone, is open."""
        if not self.is_speculative:
            return Const(0, BRANCHES)
        is_behind = self.decides & (self._step + 1 == next_step)
        return Mux(is_behind, Const(1, 1) << self.branch, 0)[:BRANCHES]

    def _finish(self, m: Module, leaves: Any, reaches_end: Any) -> None:
        """Abort at an exit; write the result, wait for the memory, say done."""
        finishing, left = Signal(), Signal(range(self.result_cycles + 1))
        ends = leaves | reaches_end
        is_written = Mux(finishing, left == 0, ends if self.result_cycles == 0 else 0)
        m.d.comb += [self.abort.eq(leaves), self.done.eq(is_written & self.memory_quiet)]
        with m.If(self.start):
            m.d.sync += self._running.eq(1)
        with m.If(ends):
            m.d.sync += [
                self._running.eq(0),
                finishing.eq(~self.done),
                left.eq(max(0, self.result_cycles - 1)),
            ]
        with m.Elif(finishing):
            m.d.sync += finishing.eq(~self.done)
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
