"""Kernels of the segment engine for decisions: DBP unit, branch unit, and what the controller makes of them.

Each function is one unit, called in every cycle that is visited until none of them can go on. It returns whether it
moved, or what it must be told first.
"""

from __future__ import annotations

from archsim.kernels.arrays import Int64Array
from archsim.kernels.compiler import inlined, kernel
from archsim.timing import segment_state as at
from archsim.timing.segment_memory import begin_transfer, stream_at
from archsim.timing.segment_state import Machine


@kernel
def open_decision(m: Machine, state: Int64Array, branch: int) -> None:
    state[m.is_open + branch] = 1
    state[at.OPEN] += 1


@kernel
def close_decision(m: Machine, state: Int64Array, branch: int) -> None:
    state[m.is_open + branch] = 0
    state[at.OPEN] -= 1


@kernel
def ask_branch_unit(m: Machine, state: Int64Array, branch: int) -> None:
    state[m.eval_queue + state[at.EVAL_TAIL]] = branch
    state[at.EVAL_TAIL] += 1


@kernel
def judge(m: Machine, branches: Int64Array, state: Int64Array) -> int:
    """DBP unit, which has a branch or one to begin with, and what the controller makes of its answer."""
    if state[at.LEFT_AT] != at.NOBODY:
        return at.IDLE
    if state[at.JUDGED] == at.NOBODY:
        state[at.JUDGED] = state[m.judge_queue + state[at.JUDGE_HEAD]]
        state[at.JUDGE_HEAD] += 1
        state[at.JUDGE_UNTIL] = max(state[at.NOW], state[at.DBP_FREE]) + m.decision_cycles
        return at.MOVED
    branch = state[at.JUDGED]
    if state[at.NOW] < state[at.JUDGE_UNTIL]:
        return at.IDLE
    if state[m.runs_branch + branch] == at.UNKNOWN:
        state[at.SUBJECT] = branch
        return at.ASK_RUN
    state[at.JUDGED] = at.NOBODY
    if state[m.runs_branch + branch] == at.NO:
        close_decision(m, state, branch)
        state[m.skipped_at + branch] = state[at.NOW]
        state[at.NEXT_STEP] = max(state[at.NEXT_STEP], branches[branch, at.LAST_STEP] + 1)
    elif branches[branch, at.ON_ARRAY]:
        close_decision(m, state, branch)  # open again at the end of its last step
    else:
        ask_branch_unit(m, state, branch)
    return at.MOVED


@kernel
def evaluate(m: Machine, branches: Int64Array, state: Int64Array) -> int:  # noqa: PLR0911
    """Branch unit, which has a branch or one to begin with, and what the controller makes of its answer."""
    now = state[at.NOW]
    if state[at.LEFT_AT] != at.NOBODY:
        return at.IDLE
    if state[at.EVAL_STAGE] == 0:
        branch = state[m.eval_queue + state[at.EVAL_HEAD]]
        state[at.EVAL_HEAD] += 1
        state[at.EVALUATED], state[at.EVAL_STAGE], state[at.EVAL_START] = branch, at.FETCHING, now
        state[at.EVAL_READY] = max(now, state[at.TAP_FREE]) + branches[branch, at.MAC_CYCLES]
        if not branches[branch, at.RESIDENT]:
            address, size = branches[branch, at.CLASSIFIER_ADDRESS], branches[branch, at.CLASSIFIER_BYTES]
            begin_transfer(m, state, at.BRANCH, branch, 0, address, size, at.NOBODY)
        return at.MOVED
    branch = state[at.EVALUATED]
    if state[at.EVAL_STAGE] == at.FETCHING:
        if not branches[branch, at.RESIDENT] and state[stream_at(m, at.BRANCH) + at.LEFT]:
            return at.IDLE
        state[at.EVAL_UNTIL] = max(state[at.EVAL_READY], now) + m.pipeline_cycles
        state[at.EVAL_STAGE] = at.COMPARING
        return at.MOVED
    if now < state[at.EVAL_UNTIL]:
        return at.IDLE
    if state[m.leaves + branch] == at.UNKNOWN:
        state[at.SUBJECT] = branch
        return at.ASK_EXIT
    words = m.evaluations + state[at.EVALUATIONS] * at.EVAL_WORDS
    state[words + at.EVAL_BRANCH], state[words + at.EVAL_FROM], state[words + at.EVAL_TO] = (
        branch,
        state[at.EVAL_START],
        now,
    )
    state[at.EVALUATIONS] += 1
    state[at.EVAL_STAGE] = 0
    close_decision(m, state, branch)
    state[m.settled_at + branch] = now
    if state[m.leaves + branch] == at.YES:
        state[at.LEFT_AT] = branch
    return at.MOVED


@inlined
def dispatch(m: Machine, branches: Int64Array, state: Int64Array) -> int:
    """Controller: the next step for the array, which is free, if no decision is in its way."""
    step = state[at.NEXT_STEP]
    if state[at.LEFT_AT] != at.NOBODY or step == m.steps:
        return at.IDLE
    if state[at.OPEN]:
        for branch in range(m.branches):
            overtakes = m.is_speculative and branches[branch, at.LAST_STEP] == step - 1
            if state[m.is_open + branch] and not overtakes:
                return at.IDLE
    if m.needs_work and not state[m.is_ready + step]:
        state[at.SUBJECT] = step
        return at.NEED_STEP
    state[at.ARRAY_STEP], state[at.ARRAY_TILE], state[at.TILES_STARTED] = step, 0, 0
    state[at.ARRAY_START], state[at.ARRAY_PHASE] = state[at.NOW], at.DISPATCHED
    state[at.MAP_CYCLES] = 0
    state[at.ARRAY_UNTIL] = state[at.NOW] + m.dispatch_cycles
    state[at.NEXT_STEP] = step + 1
    return at.MOVED
