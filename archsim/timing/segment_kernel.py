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
from archsim.kernels.compiler import inlined, kernel
from archsim.timing import segment_state as at
from archsim.timing.dram_constraints import NEVER
from archsim.timing.segment_decisions import ask_branch_unit, dispatch, evaluate, judge, open_decision
from archsim.timing.segment_memory import (
    Memories,
    array_transfer,
    arrive,
    begin_transfer,
    hand_over,
    has_room,
    is_quiet,
    next_arrival,
    stream_at,
    submit_asked,
)
from archsim.timing.segment_state import Machine
from archsim.timing.tap import free_after

_TAKE_HALF, _WEIGHTS, _IFMAP, _SUMMAND, _PUBLISH = range(5)
"""What the DMA does next."""


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
            return at.NEED_ROOM
        arrive(m, parts, state, port_memory, memory, transfers, completed)
        said = _settle(m, parts, tiles, steps, branches, state, port_memory)
        if said != at.IDLE:
            return said
        now = state[at.NOW]
        if state[at.LEFT_AT] != at.NOBODY and not state[at.CANCELLED]:
            state[at.CANCELLED] = 1  # after everything that starts in this cycle
            if state[at.ARRAY_STEP] != at.NOBODY:
                _end_run(m, state)
        if state[at.RESULT_AT] == at.NOBODY and _is_finished(m, state):
            state[at.RESULT_AT] = now + m.result_cycles
        if state[at.RESULT_AT] != at.NOBODY and now >= state[at.RESULT_AT] and is_quiet(m, state):
            return at.DONE
        submit_asked(m, parts, state, memory, transfers)
        following = next_arrival(m, parts, state, port_memory, memory, transfers, _next_own_event(m, state))
        if following == NEVER:
            return at.STUCK
        state[at.NOW] = following


@inlined
def _settle(  # noqa: PLR0912
    m: Machine,
    parts: Memories,
    tiles: Int64Array,
    steps: Int64Array,
    branches: Int64Array,
    state: Int64Array,
    port_memory: Int64Array,
) -> int:
    """Let all units go on until none can; returns at.IDLE or what is asked for."""
    while True:
        # A unit that has nothing to do is not called: with all its arrays, a call costs more than the look.
        moved = False
        if state[at.JUDGED] != at.NOBODY or state[at.JUDGE_HEAD] < state[at.JUDGE_TAIL]:
            said = judge(m, branches, state)
            if said > at.MOVED:
                return said
            moved |= said == at.MOVED
        if state[at.EVAL_STAGE] or state[at.EVAL_HEAD] < state[at.EVAL_TAIL]:
            said = evaluate(m, branches, state)
            if said > at.MOVED:
                return said
            moved |= said == at.MOVED
        if state[at.ARRAY_STEP] == at.NOBODY:
            said = dispatch(m, branches, state)
            if said > at.MOVED:
                return said
            moved |= said == at.MOVED
        elif not state[at.ARRAY_PORT] and state[at.NOW] >= state[at.ARRAY_UNTIL]:
            moved |= _array(m, parts, tiles, steps, branches, state, port_memory)
        if not state[stream_at(m, at.LOAD) + at.IS_ACTIVE]:
            said = _load(m, tiles, steps, state)
            if said > at.MOVED:
                return said
            moved |= said == at.MOVED
        if state[at.STORE_HEAD] < state[at.STORE_TAIL]:
            moved |= _store(m, tiles, steps, state)
        for stream in range(3):
            if state[stream_at(m, stream) + at.IS_ACTIVE] and state[stream_at(m, stream) + at.FREE]:
                moved |= hand_over(m, parts, state, port_memory, stream)
        if not moved:
            return at.IDLE


@inlined
def _is_finished(m: Machine, state: Int64Array) -> bool:
    done = state[at.NEXT_STEP] == m.steps and state[at.ARRAY_STEP] == at.NOBODY and state[at.OPEN] == 0
    return state[at.LEFT_AT] != at.NOBODY or done


@inlined
def _next_own_event(m: Machine, state: Int64Array) -> int:
    """The first cycle after this one in which a unit has something due, memory apart."""
    now, first = state[at.NOW], NEVER
    on_array = state[at.ARRAY_STEP] != at.NOBODY and not state[at.CANCELLED]
    if on_array and state[at.ARRAY_PHASE] != at.WAITING and state[at.ARRAY_UNTIL] > now:
        first = min(first, state[at.ARRAY_UNTIL])
    if state[at.LEFT_AT] == at.NOBODY:
        if state[at.JUDGED] != at.NOBODY:
            first = min(first, state[at.JUDGE_UNTIL])
        if state[at.EVAL_STAGE] == at.COMPARING:
            first = min(first, state[at.EVAL_UNTIL])
    if state[at.RESULT_AT] > now:
        first = min(first, state[at.RESULT_AT])
    return first


# -- array ------------------------------------------------------------------------------------------------------------
@inlined
def _array(  # noqa: PLR0911, PLR0912
    m: Machine,
    parts: Memories,
    tiles: Int64Array,
    steps: Int64Array,
    branches: Int64Array,
    state: Int64Array,
    port_memory: Int64Array,
) -> bool:
    """Tiles of the step on the array, whose phase has ended; whether it got anywhere."""
    step = state[at.ARRAY_STEP]
    if state[at.CANCELLED]:
        return False
    tile = steps[step, at.FIRST_TILE] + state[at.ARRAY_TILE]
    phase = state[at.ARRAY_PHASE]
    if phase == at.WAITING:
        slot = m.load_slots + state[at.TAKEN] % at.SLOTS * at.SLOT_WORDS
        if not state[slot + at.SLOT_STATE] or state[slot + at.SLOT_LEFT]:
            return False
        if tiles[tile, at.STORE_BYTES] and not m.stops_for_maps:
            if not state[at.STORE_HALVES]:
                return False
            state[at.STORE_HALVES] -= 1
        state[slot + at.SLOT_STATE] = 0
        state[at.TAKEN] += 1
        if m.stops_for_maps:
            state[at.ARRAY_PHASE], state[at.MAP_SINCE] = at.ASKING_IFMAP, state[at.NOW]
        else:
            _begin_fill(m, parts, tiles, state, port_memory, tile)
        return True
    if phase == at.STORING:
        return _end_storing(m, steps, branches, state, step)
    if phase >= at.ASKING_IFMAP:
        return _load_maps(m, parts, tiles, steps, state, port_memory, step, tile)
    if phase == at.DISPATCHED:
        state[at.ARRAY_PHASE] = at.WAITING
    elif phase == at.FILLING:
        if m.stops_for_maps:
            state[at.HALVES] += 1
        cycles, size = tiles[tile, at.COMPUTE_CYCLES], tiles[tile, at.STREAM_BYTES]
        _begin(m, parts, state, port_memory, at.COMPUTING, cycles, size)
    elif phase == at.COMPUTING:
        cycles, size = tiles[tile, at.DRAIN_CYCLES], tiles[tile, at.DRAIN_BYTES]
        _begin(m, parts, state, port_memory, at.DRAINING, cycles, size)
    else:
        _end_tile(m, tiles, steps, branches, state, step, tile)
    return True


@inlined
def _begin(
    m: Machine, parts: Memories, state: Int64Array, port_memory: Int64Array, phase: int, cycles: int, size: int
) -> None:  # fmt: skip
    state[at.ARRAY_PHASE], state[at.ARRAY_UNTIL] = phase, state[at.NOW] + cycles
    if size:
        array_transfer(m, parts, state, port_memory, at.ARRAY_CLIENT, size)


@inlined
def _begin_fill(
    m: Machine, parts: Memories, tiles: Int64Array, state: Int64Array, port_memory: Int64Array, tile: int
) -> None:
    state[at.TILES_STARTED] += 1
    cycles, size = tiles[tile, at.FILL_CYCLES], tiles[tile, at.FILL_BYTES]
    _begin(m, parts, state, port_memory, at.FILLING, cycles, size)


@kernel
def _load_maps(
    m: Machine,
    parts: Memories,
    tiles: Int64Array,
    steps: Int64Array,
    state: Int64Array,
    port_memory: Int64Array,
    step: int,
    tile: int,
) -> bool:
    """The array loads its input, then its summand, and fills when both are there; whether it got anywhere.

    The stream is idle: weights of this tile have arrived, and the next ones wait until the scratchpads are filled.
    """
    phase = state[at.ARRAY_PHASE]
    if phase in (at.LOADING_IFMAP, at.LOADING_SUMMAND):
        if state[m.load_slots + at.SLOTS * at.SLOT_WORDS + at.SLOT_LEFT]:
            return False
        if phase == at.LOADING_IFMAP:
            state[at.ARRAY_PHASE] = at.ASKING_SUMMAND
        else:
            state[at.MAP_CYCLES] += state[at.NOW] - state[at.MAP_SINCE]
            _begin_fill(m, parts, tiles, state, port_memory, tile)
        return True
    producer, size = steps[step, at.IFMAP_PRODUCER], tiles[tile, at.IFMAP_BYTES]
    address, plain = tiles[tile, at.IFMAP_ADDRESS], tiles[tile, at.IFMAP_PLAIN]
    if phase == at.ASKING_SUMMAND:
        producer, size = steps[step, at.SUMMAND_PRODUCER], tiles[tile, at.SUMMAND_BYTES]
        address, plain = tiles[tile, at.SUMMAND_ADDRESS], tiles[tile, at.SUMMAND_PLAIN]
    if size:
        if producer != at.NOBODY and state[m.unstored + producer]:
            return False
        begin_transfer(m, state, at.LOAD, step, at.SLOTS, address, size, plain)
    state[at.ARRAY_PHASE] += 1
    return True


@kernel
def _end_storing(m: Machine, steps: Int64Array, branches: Int64Array, state: Int64Array, step: int) -> bool:
    """Go on when the outputs of the tile are in DRAM."""
    if state[m.store_slots + at.SLOTS * at.SLOT_WORDS + at.SLOT_STATE]:
        return False
    state[at.MAP_CYCLES] += state[at.NOW] - state[at.MAP_SINCE]
    _close_tile(m, steps, branches, state, step)
    return True


@inlined
def _end_tile(
    m: Machine, tiles: Int64Array, steps: Int64Array, branches: Int64Array, state: Int64Array, step: int, tile: int
) -> None:  # fmt: skip
    """Free the half, feed the taps, hand outputs on."""
    now, values = state[at.NOW], tiles[tile, at.TAP_VALUES]
    tapped, decides = steps[step, at.TAPPED_BY], steps[step, at.DECIDES]
    if not m.stops_for_maps:
        state[at.HALVES] += 1
    if tapped != at.NOBODY:
        state[at.DBP_FREE] = free_after(m.dbp_lanes, state[at.DBP_FREE], now, values)
    if decides != at.NOBODY and branches[decides, at.POOLED]:
        state[at.TAP_FREE] = free_after(m.tap_lanes, state[at.TAP_FREE], now, values)
    if tiles[tile, at.STORE_BYTES]:
        if m.stops_for_maps:
            _begin_store(m, tiles, state, step, tile, at.SLOTS)
            state[at.ARRAY_PHASE], state[at.MAP_SINCE] = at.STORING, now
            return
        state[m.store_queue + 2 * (state[at.STORE_TAIL] % at.SLOTS)] = tile
        state[m.store_queue + 2 * (state[at.STORE_TAIL] % at.SLOTS) + 1] = step
        state[at.STORE_TAIL] += 1
    _close_tile(m, steps, branches, state, step)


@inlined
def _close_tile(m: Machine, steps: Int64Array, branches: Int64Array, state: Int64Array, step: int) -> None:
    """On to the next tile; at the end of a step, ask what it decides."""
    tapped, decides = steps[step, at.TAPPED_BY], steps[step, at.DECIDES]
    state[at.ARRAY_TILE] += 1
    state[at.ARRAY_PHASE] = at.WAITING
    if state[at.ARRAY_TILE] < steps[step, at.TILES]:
        return
    _end_run(m, state)
    state[at.ARRAY_STEP] = at.NOBODY
    if tapped != at.NOBODY and branches[tapped, at.IS_PRUNED]:
        open_decision(m, state, tapped)
        state[m.judge_queue + state[at.JUDGE_TAIL]] = tapped
        state[at.JUDGE_TAIL] += 1
    elif decides != at.NOBODY:
        open_decision(m, state, decides)
        ask_branch_unit(m, state, decides)


@inlined
def _end_run(m: Machine, state: Int64Array) -> None:
    words = m.runs + state[at.RUNS] * at.RUN_WORDS
    state[words + at.RUN_STEP], state[words + at.RUN_TILES] = state[at.ARRAY_STEP], state[at.TILES_STARTED]
    state[words + at.RUN_START], state[words + at.RUN_END] = state[at.ARRAY_START], state[at.NOW]
    state[words + at.RUN_MAPS] = state[at.MAP_CYCLES]
    state[at.RUNS] += 1


# -- DMA --------------------------------------------------------------------------------------------------------------
@inlined
def _load(m: Machine, tiles: Int64Array, steps: Int64Array, state: Int64Array) -> int:  # noqa: PLR0911
    """Take a half for the next tile, then start its loads one after the other; the stream is idle."""
    step = state[at.LOAD_STEP]
    if state[at.CANCELLED] or step == m.steps:
        return at.IDLE
    stage, tile = state[at.LOAD_STAGE], steps[step, at.FIRST_TILE] + state[at.LOAD_TILE]
    slot = state[at.LOAD_COUNT] % at.SLOTS
    if stage == _TAKE_HALF:
        verdict = steps[step, at.VERDICT_OF]
        if verdict != at.NOBODY and state[m.runs_branch + verdict] != at.YES:
            if state[m.runs_branch + verdict] == at.UNKNOWN:
                return at.IDLE
            state[at.LOAD_STEP] += 1
            return at.MOVED
        if not state[at.HALVES]:
            return at.IDLE
        if m.needs_maps and not state[m.is_ready + step]:
            state[at.SUBJECT] = step
            return at.NEED_STEP
        state[at.HALVES] -= 1
        state[at.LOAD_STAGE] = _WEIGHTS
        return at.MOVED
    if stage == _PUBLISH:
        state[m.load_slots + slot * at.SLOT_WORDS + at.SLOT_STATE] = 1
        state[at.LOAD_COUNT] += 1
        state[at.LOAD_STAGE] = _TAKE_HALF
        state[at.LOAD_TILE] += 1
        if state[at.LOAD_TILE] == steps[step, at.TILES]:
            state[at.LOAD_TILE] = 0
            state[at.LOAD_STEP] += 1
        return at.MOVED
    producer, address, size, plain = (
        at.NOBODY,
        tiles[tile, at.WEIGHT_ADDRESS],
        tiles[tile, at.WEIGHT_BYTES],
        at.NOBODY,
    )
    if stage == _IFMAP:
        producer, size = steps[step, at.IFMAP_PRODUCER], tiles[tile, at.IFMAP_BYTES]
        address, plain = tiles[tile, at.IFMAP_ADDRESS], tiles[tile, at.IFMAP_PLAIN]
    elif stage == _SUMMAND:
        producer, size = steps[step, at.SUMMAND_PRODUCER], tiles[tile, at.SUMMAND_BYTES]
        address, plain = tiles[tile, at.SUMMAND_ADDRESS], tiles[tile, at.SUMMAND_PLAIN]
    if size:
        if producer != at.NOBODY and state[m.unstored + producer]:
            return at.IDLE
        begin_transfer(m, state, at.LOAD, step, slot, address, size, plain)
    state[at.LOAD_STAGE] = _PUBLISH if m.stops_for_maps else stage + 1
    return at.MOVED


@inlined
def _store(m: Machine, tiles: Int64Array, steps: Int64Array, state: Int64Array) -> bool:
    """Start the storing of the next outputs, of which there are some."""
    if state[stream_at(m, at.STORE) + at.IS_ACTIVE] or state[at.CANCELLED]:
        return False
    words = m.store_queue + 2 * (state[at.STORE_HEAD] % at.SLOTS)
    tile, step = state[words], state[words + 1]
    slot = 0
    while state[m.store_slots + slot * at.SLOT_WORDS + at.SLOT_STATE]:
        slot += 1
    _begin_store(m, tiles, state, step, tile, slot)
    state[at.STORE_HEAD] += 1
    return True


@inlined
def _begin_store(m: Machine, tiles: Int64Array, state: Int64Array, step: int, tile: int, slot: int) -> None:
    state[m.store_slots + slot * at.SLOT_WORDS + at.SLOT_STATE] = 1 + step
    address, size = tiles[tile, at.STORE_ADDRESS], tiles[tile, at.STORE_BYTES]
    begin_transfer(m, state, at.STORE, step, slot, address, size, tiles[tile, at.STORE_PLAIN])
