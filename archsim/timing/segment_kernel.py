"""The whole machine between two decisions, as one compiled event loop.

Every cycle in which anything can happen is visited once::

    what has arrived -> units go as far as they can -> an exit stops them -> the DRAM gets its requests -> next cycle

The units are those of :mod:`archsim.sim`, one function each; within a cycle their order does not matter, because they
are called until none of them can go on. What the kernel must not know, it asks for: it returns when DBP or branch unit
reach the cycle of a decision, or when a step needs what the zeros of the image make of it, and is called again when
the answer is in the state.
"""

from __future__ import annotations

from archsim.kernels.arrays import Int64Array
from archsim.kernels.compiler import kernel
from archsim.timing.dram_constraints import NEVER
from archsim.timing.segment_memory import (
    Memories,
    arrive,
    array_transfer,
    begin_transfer,
    hand_over,
    has_room,
    is_quiet,
    next_arrival,
    stream_at,
    submit_asked,
)
from archsim.timing.segment_state import (
    ARRAY_CLIENT,
    ARRAY_PHASE,
    ARRAY_PORT,
    ARRAY_START,
    ARRAY_STEP,
    ARRAY_TILE,
    ARRAY_UNTIL,
    BRANCH,
    CANCELLED,
    CLASSIFIER_ADDRESS,
    CLASSIFIER_BYTES,
    COMPUTE_CYCLES,
    DBP_FREE,
    DECIDES,
    DRAIN_BYTES,
    DRAIN_CYCLES,
    EVAL_BRANCH,
    EVAL_FROM,
    EVAL_HEAD,
    EVAL_READY,
    EVAL_STAGE,
    EVAL_START,
    EVAL_TAIL,
    EVAL_TO,
    EVAL_UNTIL,
    EVAL_WORDS,
    EVALUATED,
    EVALUATIONS,
    FILL_BYTES,
    FILL_CYCLES,
    FIRST_TILE,
    HALVES,
    IFMAP_ADDRESS,
    IFMAP_BYTES,
    IFMAP_PLAIN,
    IFMAP_PRODUCER,
    IS_ACTIVE,
    IS_PRUNED,
    JUDGE_HEAD,
    JUDGE_TAIL,
    JUDGE_UNTIL,
    JUDGED,
    LAST_STEP,
    LEFT,
    LEFT_AT,
    LOAD,
    LOAD_COUNT,
    LOAD_STAGE,
    LOAD_STEP,
    LOAD_TILE,
    MAC_CYCLES,
    NEXT_STEP,
    NO,
    NOBODY,
    NOW,
    ON_ARRAY,
    OPEN,
    POOLED,
    RESIDENT,
    RESULT_AT,
    RUN_END,
    RUN_START,
    RUN_STEP,
    RUN_TILES,
    RUN_WORDS,
    RUNS,
    SLOT_LEFT,
    SLOT_STATE,
    SLOT_WORDS,
    SLOTS,
    STORE,
    STORE_ADDRESS,
    STORE_BYTES,
    STORE_HALVES,
    STORE_HEAD,
    STORE_PLAIN,
    STORE_TAIL,
    STREAM_BYTES,
    SUBJECT,
    SUMMAND_ADDRESS,
    SUMMAND_BYTES,
    SUMMAND_PLAIN,
    SUMMAND_PRODUCER,
    TAKEN,
    TAP_FREE,
    TAP_VALUES,
    TAPPED_BY,
    TILES,
    TILES_STARTED,
    UNKNOWN,
    VERDICT_OF,
    WEIGHT_ADDRESS,
    WEIGHT_BYTES,
    YES,
    Machine,
)
from archsim.timing.tap import free_after

IDLE, MOVED, DONE, ASK_RUN, ASK_EXIT, NEED_STEP, NEED_ROOM, STUCK = range(8)
"""What a unit did, and why the kernel returns: the image is done; DBP and branch unit want to know of the branch
SUBJECT whether it runs and whether the image leaves there; the data-dependent columns of the step SUBJECT are needed;
the ring of the DRAM controller is too small; nothing is due although work is left."""

_DISPATCHED, _WAITING, _FILLING, _COMPUTING, _DRAINING = range(5)
"""Phases of the array."""
_TAKE_HALF, _WEIGHTS, _IFMAP, _SUMMAND, _PUBLISH = range(5)
"""What the DMA does next."""
_FETCHING, _COMPARING = 1, 2
"""Stages of an evaluation; 0 without one."""


@kernel
def run_segment(
    m: Machine,
    parts: Memories,
    tiles: Int64Array,
    steps: Int64Array,
    branches: Int64Array,
    state: Int64Array,
    port_memory: Int64Array,
    memory: Int64Array,
    transfers: Int64Array,
    completed: Int64Array,
) -> int:
    """Go on until an answer is needed or the image is done; returns which.

    tiles, steps, branches: tables, int64 [row, column]. state, port_memory, memory: int64 [words] of the machine, the
    port and the DRAM. transfers: ring of a FR-FCFS controller; completed: int64 [as many, 2], scratch.
    """
    while True:
        if not m.is_in_order and not has_room(m, parts.controller, memory, transfers):
            return NEED_ROOM
        arrive(m, parts, state, port_memory, memory, transfers, completed)
        said = _settle(m, parts, tiles, steps, branches, state, port_memory)
        if said != IDLE:
            return said
        now = state[NOW]
        if state[LEFT_AT] != NOBODY and not state[CANCELLED]:
            state[CANCELLED] = 1  # after everything that starts in this cycle
            if state[ARRAY_STEP] != NOBODY:
                _end_run(m, state)
        if state[RESULT_AT] == NOBODY and _is_finished(m, state):
            state[RESULT_AT] = now + m.result_cycles
        if state[RESULT_AT] != NOBODY and now >= state[RESULT_AT] and is_quiet(m, state):
            return DONE
        submit_asked(m, parts, state, memory, transfers)
        following = next_arrival(
            m, parts, state, port_memory, memory, transfers, _next_own_event(m, state)
        )
        if following == NEVER:
            return STUCK
        state[NOW] = following


@kernel
def _settle(
    m: Machine,
    parts: Memories,
    tiles: Int64Array,
    steps: Int64Array,
    branches: Int64Array,
    state: Int64Array,
    port_memory: Int64Array,
) -> int:
    """Let all units go on until none can; returns IDLE or what is asked for."""
    while True:
        moved = False
        said = _judge(m, branches, state)
        if said > MOVED:
            return said
        moved |= said == MOVED
        said = _evaluate(m, branches, state)
        if said > MOVED:
            return said
        moved |= said == MOVED
        said = _dispatch(m, branches, state)
        if said > MOVED:
            return said
        moved |= said == MOVED
        moved |= _array(m, parts, tiles, steps, branches, state, port_memory)
        said = _load(m, tiles, steps, state)
        if said > MOVED:
            return said
        moved |= said == MOVED
        moved |= _store(m, tiles, steps, state)
        for stream in range(3):
            moved |= hand_over(m, parts, state, port_memory, stream)
        if not moved:
            return IDLE


@kernel
def _is_finished(m: Machine, state: Int64Array) -> bool:
    done = state[NEXT_STEP] == m.steps and state[ARRAY_STEP] == NOBODY and state[OPEN] == 0
    return state[LEFT_AT] != NOBODY or done


@kernel
def _next_own_event(m: Machine, state: Int64Array) -> int:
    """The first cycle after this one in which a unit has something due, memory apart."""
    now, first = state[NOW], NEVER
    if state[ARRAY_STEP] != NOBODY and not state[CANCELLED] and state[ARRAY_PHASE] != _WAITING:
        if state[ARRAY_UNTIL] > now:
            first = min(first, state[ARRAY_UNTIL])
    if state[LEFT_AT] == NOBODY:
        if state[JUDGED] != NOBODY:
            first = min(first, state[JUDGE_UNTIL])
        if state[EVAL_STAGE] == _COMPARING:
            first = min(first, state[EVAL_UNTIL])
    if state[RESULT_AT] > now:
        first = min(first, state[RESULT_AT])
    return first


# -- decisions --------------------------------------------------------------------------------------------------------
@kernel
def _open(m: Machine, state: Int64Array, branch: int) -> None:
    state[m.is_open + branch] = 1
    state[OPEN] += 1


@kernel
def _close(m: Machine, state: Int64Array, branch: int) -> None:
    state[m.is_open + branch] = 0
    state[OPEN] -= 1


@kernel
def _ask_branch_unit(m: Machine, state: Int64Array, branch: int) -> None:
    state[m.eval_queue + state[EVAL_TAIL]] = branch
    state[EVAL_TAIL] += 1


@kernel
def _judge(m: Machine, branches: Int64Array, state: Int64Array) -> int:
    """DBP unit, and what the controller makes of its answer."""
    if state[LEFT_AT] != NOBODY:
        return IDLE
    if state[JUDGED] == NOBODY:
        if state[JUDGE_HEAD] == state[JUDGE_TAIL]:
            return IDLE
        state[JUDGED] = state[m.judge_queue + state[JUDGE_HEAD]]
        state[JUDGE_HEAD] += 1
        state[JUDGE_UNTIL] = max(state[NOW], state[DBP_FREE]) + m.decision_cycles
        return MOVED
    branch = state[JUDGED]
    if state[NOW] < state[JUDGE_UNTIL]:
        return IDLE
    if state[m.runs_branch + branch] == UNKNOWN:
        state[SUBJECT] = branch
        return ASK_RUN
    state[JUDGED] = NOBODY
    if state[m.runs_branch + branch] == NO:
        _close(m, state, branch)
        state[m.skipped_at + branch] = state[NOW]
        state[NEXT_STEP] = max(state[NEXT_STEP], branches[branch, LAST_STEP] + 1)
    elif branches[branch, ON_ARRAY]:
        _close(m, state, branch)  # open again at the end of its last step
    else:
        _ask_branch_unit(m, state, branch)
    return MOVED


@kernel
def _evaluate(m: Machine, branches: Int64Array, state: Int64Array) -> int:
    """Branch unit, and what the controller makes of its answer."""
    now = state[NOW]
    if state[LEFT_AT] != NOBODY:
        return IDLE
    if state[EVAL_STAGE] == 0:
        if state[EVAL_HEAD] == state[EVAL_TAIL]:
            return IDLE
        branch = state[m.eval_queue + state[EVAL_HEAD]]
        state[EVAL_HEAD] += 1
        state[EVALUATED], state[EVAL_STAGE], state[EVAL_START] = branch, _FETCHING, now
        state[EVAL_READY] = max(now, state[TAP_FREE]) + branches[branch, MAC_CYCLES]
        if not branches[branch, RESIDENT]:
            address, size = branches[branch, CLASSIFIER_ADDRESS], branches[branch, CLASSIFIER_BYTES]
            begin_transfer(m, state, BRANCH, branch, 0, address, size, NOBODY)
        return MOVED
    branch = state[EVALUATED]
    if state[EVAL_STAGE] == _FETCHING:
        if not branches[branch, RESIDENT] and state[stream_at(m, BRANCH) + LEFT]:
            return IDLE
        state[EVAL_UNTIL] = max(state[EVAL_READY], now) + m.pipeline_cycles
        state[EVAL_STAGE] = _COMPARING
        return MOVED
    if now < state[EVAL_UNTIL]:
        return IDLE
    if state[m.leaves + branch] == UNKNOWN:
        state[SUBJECT] = branch
        return ASK_EXIT
    at = m.evaluations + state[EVALUATIONS] * EVAL_WORDS
    state[at + EVAL_BRANCH], state[at + EVAL_FROM], state[at + EVAL_TO] = branch, state[EVAL_START], now
    state[EVALUATIONS] += 1
    state[EVAL_STAGE] = 0
    _close(m, state, branch)
    state[m.settled_at + branch] = now
    if state[m.leaves + branch] == YES:
        state[LEFT_AT] = branch
    return MOVED


@kernel
def _dispatch(m: Machine, branches: Int64Array, state: Int64Array) -> int:
    """Controller: the next step, if the array is free and no decision is in its way."""
    step = state[NEXT_STEP]
    if state[ARRAY_STEP] != NOBODY or state[LEFT_AT] != NOBODY or step == m.steps:
        return IDLE
    if state[OPEN]:
        for branch in range(m.branches):
            overtakes = m.is_speculative and branches[branch, LAST_STEP] == step - 1
            if state[m.is_open + branch] and not overtakes:
                return IDLE
    if m.needs_work and not state[m.is_ready + step]:
        state[SUBJECT] = step
        return NEED_STEP
    state[ARRAY_STEP], state[ARRAY_TILE], state[TILES_STARTED] = step, 0, 0
    state[ARRAY_START], state[ARRAY_PHASE] = state[NOW], _DISPATCHED
    state[ARRAY_UNTIL] = state[NOW] + m.dispatch_cycles
    state[NEXT_STEP] = step + 1
    return MOVED


# -- array ------------------------------------------------------------------------------------------------------------
@kernel
def _array(
    m: Machine,
    parts: Memories,
    tiles: Int64Array,
    steps: Int64Array,
    branches: Int64Array,
    state: Int64Array,
    port_memory: Int64Array,
) -> bool:
    """Tiles of the step on the array, phase by phase; whether it got anywhere."""
    step = state[ARRAY_STEP]
    if step == NOBODY or state[CANCELLED]:
        return False
    now, tile = state[NOW], steps[step, FIRST_TILE] + state[ARRAY_TILE]
    phase = state[ARRAY_PHASE]
    if phase == _WAITING:
        slot = m.load_slots + state[TAKEN] % SLOTS * SLOT_WORDS
        if not state[slot + SLOT_STATE] or state[slot + SLOT_LEFT]:
            return False
        if tiles[tile, STORE_BYTES]:
            if not state[STORE_HALVES]:
                return False
            state[STORE_HALVES] -= 1
        state[slot + SLOT_STATE] = 0
        state[TAKEN] += 1
        state[TILES_STARTED] += 1
        _begin(m, parts, state, port_memory, _FILLING, tiles[tile, FILL_CYCLES], tiles[tile, FILL_BYTES])
        return True
    if now < state[ARRAY_UNTIL] or state[ARRAY_PORT]:
        return False
    if phase == _DISPATCHED:
        state[ARRAY_PHASE] = _WAITING
    elif phase == _FILLING:
        cycles, size = tiles[tile, COMPUTE_CYCLES], tiles[tile, STREAM_BYTES]
        _begin(m, parts, state, port_memory, _COMPUTING, cycles, size)
    elif phase == _COMPUTING:
        _begin(m, parts, state, port_memory, _DRAINING, tiles[tile, DRAIN_CYCLES], tiles[tile, DRAIN_BYTES])
    else:
        _end_tile(m, tiles, steps, branches, state, step, tile)
    return True


@kernel
def _begin(
    m: Machine, parts: Memories, state: Int64Array, port_memory: Int64Array, phase: int, cycles: int, size: int
) -> None:  # fmt: skip
    state[ARRAY_PHASE], state[ARRAY_UNTIL] = phase, state[NOW] + cycles
    if size:
        array_transfer(m, parts, state, port_memory, ARRAY_CLIENT, size)


@kernel
def _end_tile(
    m: Machine, tiles: Int64Array, steps: Int64Array, branches: Int64Array, state: Int64Array, step: int, tile: int
) -> None:  # fmt: skip
    """Free the half, feed the taps, hand outputs on; at the end of a step, ask what it decides."""
    now, values = state[NOW], tiles[tile, TAP_VALUES]
    tapped, decides = steps[step, TAPPED_BY], steps[step, DECIDES]
    state[HALVES] += 1
    if tapped != NOBODY:
        state[DBP_FREE] = free_after(m.dbp_lanes, state[DBP_FREE], now, values)
    if decides != NOBODY and branches[decides, POOLED]:
        state[TAP_FREE] = free_after(m.tap_lanes, state[TAP_FREE], now, values)
    if tiles[tile, STORE_BYTES]:
        state[m.store_queue + 2 * (state[STORE_TAIL] % SLOTS)] = tile
        state[m.store_queue + 2 * (state[STORE_TAIL] % SLOTS) + 1] = step
        state[STORE_TAIL] += 1
    state[ARRAY_TILE] += 1
    state[ARRAY_PHASE] = _WAITING
    if state[ARRAY_TILE] < steps[step, TILES]:
        return
    _end_run(m, state)
    state[ARRAY_STEP] = NOBODY
    if tapped != NOBODY and branches[tapped, IS_PRUNED]:
        _open(m, state, tapped)
        state[m.judge_queue + state[JUDGE_TAIL]] = tapped
        state[JUDGE_TAIL] += 1
    elif decides != NOBODY:
        _open(m, state, decides)
        _ask_branch_unit(m, state, decides)


@kernel
def _end_run(m: Machine, state: Int64Array) -> None:
    at = m.runs + state[RUNS] * RUN_WORDS
    state[at + RUN_STEP], state[at + RUN_TILES] = state[ARRAY_STEP], state[TILES_STARTED]
    state[at + RUN_START], state[at + RUN_END] = state[ARRAY_START], state[NOW]
    state[RUNS] += 1


# -- DMA --------------------------------------------------------------------------------------------------------------
@kernel
def _load(m: Machine, tiles: Int64Array, steps: Int64Array, state: Int64Array) -> int:
    """Take a half for the next tile, then start its loads one after the other."""
    step = state[LOAD_STEP]
    if state[CANCELLED] or step == m.steps:
        return IDLE
    stage, tile = state[LOAD_STAGE], steps[step, FIRST_TILE] + state[LOAD_TILE]
    slot = state[LOAD_COUNT] % SLOTS
    if stage == _TAKE_HALF:
        verdict = steps[step, VERDICT_OF]
        if verdict != NOBODY and state[m.runs_branch + verdict] != YES:
            if state[m.runs_branch + verdict] == UNKNOWN:
                return IDLE
            state[LOAD_STEP] += 1
            return MOVED
        if not state[HALVES]:
            return IDLE
        if m.needs_maps and not state[m.is_ready + step]:
            state[SUBJECT] = step
            return NEED_STEP
        state[HALVES] -= 1
        state[LOAD_STAGE] = _WEIGHTS
        return MOVED
    if state[stream_at(m, LOAD) + IS_ACTIVE]:
        return IDLE  # the load before it is not handed over completely
    if stage == _PUBLISH:
        state[m.load_slots + slot * SLOT_WORDS + SLOT_STATE] = 1
        state[LOAD_COUNT] += 1
        state[LOAD_STAGE] = _TAKE_HALF
        state[LOAD_TILE] += 1
        if state[LOAD_TILE] == steps[step, TILES]:
            state[LOAD_TILE] = 0
            state[LOAD_STEP] += 1
        return MOVED
    producer, address, size, plain = NOBODY, tiles[tile, WEIGHT_ADDRESS], tiles[tile, WEIGHT_BYTES], NOBODY
    if stage == _IFMAP:
        producer, size = steps[step, IFMAP_PRODUCER], tiles[tile, IFMAP_BYTES]
        address, plain = tiles[tile, IFMAP_ADDRESS], tiles[tile, IFMAP_PLAIN]
    elif stage == _SUMMAND:
        producer, size = steps[step, SUMMAND_PRODUCER], tiles[tile, SUMMAND_BYTES]
        address, plain = tiles[tile, SUMMAND_ADDRESS], tiles[tile, SUMMAND_PLAIN]
    if size:
        if producer != NOBODY and state[m.unstored + producer]:
            return IDLE
        begin_transfer(m, state, LOAD, step, slot, address, size, plain)
    state[LOAD_STAGE] += 1
    return MOVED


@kernel
def _store(m: Machine, tiles: Int64Array, steps: Int64Array, state: Int64Array) -> bool:
    """Start the storing of the next outputs."""
    if state[STORE_HEAD] == state[STORE_TAIL] or state[stream_at(m, STORE) + IS_ACTIVE] or state[CANCELLED]:
        return False
    at = m.store_queue + 2 * (state[STORE_HEAD] % SLOTS)
    tile, step = state[at], state[at + 1]
    slot = 0
    while state[m.store_slots + slot * SLOT_WORDS + SLOT_STATE]:
        slot += 1
    state[m.store_slots + slot * SLOT_WORDS + SLOT_STATE] = 1 + step
    begin_transfer(
        m, state, STORE, step, slot, tiles[tile, STORE_ADDRESS], tiles[tile, STORE_BYTES], tiles[tile, STORE_PLAIN]
    )  # fmt: skip
    state[STORE_HEAD] += 1
    return True
