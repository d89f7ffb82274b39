"""Kernels of the segment engine for all that moves bytes: streams, chunks, DRAM and the port of the buffer.

A transfer is cut into chunks; a stream hands them over one after the other, as places get free::

    load     stream -> DRAM -> port -> tile in the buffer
    store    stream -> port -> DRAM -> outputs are stored
    branch   stream -> DRAM -> weights are in the branch unit

What reaches the DRAM in a cycle is submitted at its end, in the order of the streams. Arbiter and controllers are
those of :mod:`archsim.timing.port`, :mod:`~archsim.timing.dram_in_order` and
:mod:`~archsim.timing.dram_frfcfs_kernel`, as in the tile engine.
"""

from __future__ import annotations

from typing import NamedTuple

from archsim.kernels.arrays import Int64Array
from archsim.kernels.compiler import inlined, kernel
from archsim.timing import segment_state as at
from archsim.timing.dram_constraints import NEVER, Chip
from archsim.timing.dram_frfcfs_kernel import (
    FIRST,
    FIRST_DONE,
    OLDEST,
    TAIL,
    TIME,
    Controller,
    collect,
    enqueue,
    run,
)
from archsim.timing.dram_in_order import serve
from archsim.timing.port import NONE, Port, advance, next_completion, pop_completed, submit
from archsim.timing.segment_state import Machine


class Memories(NamedTuple):
    """Port and DRAM of one image: what the kernels need besides their state."""

    port: Port
    chip: Chip
    controller: Controller


@inlined
def stream_at(m: Machine, stream: int) -> int:
    """Address of the words of a stream."""
    return m.streams + stream * at.STREAM_WORDS


@inlined
def begin_transfer(
    m: Machine, state: Int64Array, stream: int, owner: int, slot: int, address: int, size: int, plain: int
) -> None:
    """Let a stream, which is idle, hand over a transfer."""
    words = stream_at(m, stream)
    state[words + at.BEGIN], state[words + at.ADDRESS], state[words + at.END] = (
        address,
        address,
        address + size,
    )
    state[words + at.PLAIN], state[words + at.OWNER], state[words + at.SLOT] = plain, owner, slot
    state[words + at.IS_ACTIVE] = 1
    chunks = (address + size - 1) // m.chunk_bytes - address // m.chunk_bytes + 1
    if stream == at.BRANCH:
        state[words + at.LEFT] = chunks
    else:
        slots = m.load_slots if stream == at.LOAD else m.store_slots
        state[slots + slot * at.SLOT_WORDS + at.SLOT_LEFT] += chunks


@inlined
def hand_over(m: Machine, parts: Memories, state: Int64Array, port_memory: Int64Array, stream: int) -> bool:
    """Hand over chunks of an active stream while there are free places; whether it may."""
    words = stream_at(m, stream)
    if state[at.CANCELLED]:
        return False
    while state[words + at.IS_ACTIVE] and state[words + at.FREE]:
        address, begin, end = state[words + at.ADDRESS], state[words + at.BEGIN], state[words + at.END]
        stop = min(end, (address // m.chunk_bytes + 1) * m.chunk_bytes)
        moved = ((stop - 1) // m.burst_bytes - address // m.burst_bytes + 1) * m.burst_bytes
        buffered = moved
        if state[words + at.PLAIN] != at.NOBODY:
            plain, size = state[words + at.PLAIN], end - begin
            buffered = max(plain * (stop - begin) // size - plain * (address - begin) // size, 1)
        owner = stream * m.owners + state[words + at.OWNER]
        state[m.moved + owner] += moved
        state[m.buffered + owner] += buffered
        index = stream * m.outstanding
        while state[m.chunks + index * at.CHUNK_WORDS + at.CHUNK_STATE] != at.IS_FREE:
            index += 1
        chunk = m.chunks + index * at.CHUNK_WORDS
        state[chunk + at.CHUNK_STATE] = at.ON_ITS_WAY
        state[chunk + at.CHUNK_SLOT] = state[words + at.SLOT]
        state[chunk + at.CHUNK_ADDRESS], state[chunk + at.CHUNK_BYTES] = address, stop - address
        state[chunk + at.CHUNK_PORT_BYTES] = buffered
        if stream == at.STORE:
            submit(parts.port, port_memory, state[at.NOW], at.STORE_CLIENT, index, buffered)
        else:
            _ask(m, state, stream, index)
        state[words + at.FREE] -= 1
        state[words + at.ADDRESS] = stop
        if stop == end:
            state[words + at.IS_ACTIVE] = 0
    return True


@inlined
def _ask(m: Machine, state: Int64Array, stream: int, index: int) -> None:
    words = stream_at(m, stream)
    state[m.asked + stream * m.outstanding + state[words + at.ASKED]] = index
    state[words + at.ASKED] += 1


@inlined
def _finish(m: Machine, state: Int64Array, index: int) -> None:
    """A chunk has arrived."""
    chunk, stream = m.chunks + index * at.CHUNK_WORDS, index // m.outstanding
    words = stream_at(m, stream)
    state[chunk + at.CHUNK_STATE] = at.IS_FREE
    state[words + at.FREE] += 1
    if stream == at.BRANCH:
        state[words + at.LEFT] -= 1
        return
    slot = (m.load_slots if stream == at.LOAD else m.store_slots) + state[
        chunk + at.CHUNK_SLOT
    ] * at.SLOT_WORDS
    state[slot + at.SLOT_LEFT] -= 1
    if stream == at.STORE and state[slot + at.SLOT_LEFT] == 0:
        state[m.unstored + state[slot + at.SLOT_STATE] - 1] -= 1
        state[slot + at.SLOT_STATE] = 0
        state[at.STORE_HALVES] += 1


@inlined
def arrive(
    m: Machine,
    parts: Memories,
    state: Int64Array,
    port_memory: Int64Array,
    memory: Int64Array,
    transfers: Int64Array,
    completed: Int64Array,
) -> None:
    """What has arrived by now: first from the DRAM, then through the port."""
    now = state[at.NOW]
    limit = now * m.ratio
    if not m.is_in_order:
        run(parts.chip, parts.controller, memory, transfers, limit, TIME)
        _collect(m, parts.controller, state, memory, transfers, limit, completed)
    while True:
        index = _first_done(m, state)
        if index == at.NOBODY or state[m.chunks + index * at.CHUNK_WORDS + at.CHUNK_DONE] > limit:
            break
        chunk = m.chunks + index * at.CHUNK_WORDS
        if index // m.outstanding == at.LOAD:
            state[chunk + at.CHUNK_STATE] = at.ON_ITS_WAY
            submit(parts.port, port_memory, now, at.LOAD_CLIENT, index, state[chunk + at.CHUNK_PORT_BYTES])
        else:
            _finish(m, state, index)
    advance(parts.port, port_memory, now)
    while True:
        index = pop_completed(parts.port, port_memory, now)
        if index == NONE:
            return
        if index == 3 * m.outstanding:
            state[at.ARRAY_PORT] = 0
        elif index // m.outstanding == at.LOAD:
            _finish(m, state, index)
        else:
            _ask(m, state, at.STORE, index)


@inlined
def array_transfer(
    m: Machine, parts: Memories, state: Int64Array, port_memory: Int64Array, client: int, size: int
) -> None:
    """Let the array move bytes through the port."""
    submit(parts.port, port_memory, state[at.NOW], client, 3 * m.outstanding, size)
    state[at.ARRAY_PORT] = 1


@inlined
def _first_done(m: Machine, state: Int64Array) -> int:
    """The chunk in the DRAM that is done first, of equals the one submitted first."""
    found, cycle, ticket = at.NOBODY, NEVER, NEVER
    for index in range(3 * m.outstanding):
        chunk = m.chunks + index * at.CHUNK_WORDS
        if state[chunk + at.CHUNK_STATE] != at.IN_DRAM:
            continue
        done = state[chunk + at.CHUNK_DONE]
        if done < cycle or (done == cycle and state[chunk + at.CHUNK_TICKET] < ticket):
            found, cycle, ticket = index, done, state[chunk + at.CHUNK_TICKET]
    return found


@kernel
def _collect(
    m: Machine,
    controller: Controller,
    state: Int64Array,
    memory: Int64Array,
    transfers: Int64Array,
    limit: int,
    completed: Int64Array,
) -> None:
    """Note of the chunks that have left a FR-FCFS controller when they did."""
    if memory[controller.registers + FIRST_DONE] > limit:
        return
    for row in range(collect(controller, memory, transfers, limit, completed)):
        for index in range(3 * m.outstanding):
            chunk = m.chunks + index * at.CHUNK_WORDS
            if (
                state[chunk + at.CHUNK_STATE] == at.IN_DRAM
                and state[chunk + at.CHUNK_TICKET] == completed[row, 1]
            ):
                state[chunk + at.CHUNK_DONE] = completed[row, 0]


@inlined
def submit_asked(
    m: Machine, parts: Memories, state: Int64Array, memory: Int64Array, transfers: Int64Array
) -> None:
    """Submit to the DRAM what reaches it in this cycle."""
    arrival = state[at.NOW] * m.ratio
    for stream in range(3):
        words = stream_at(m, stream)
        for place in range(state[words + at.ASKED]):
            chunk = m.chunks + state[m.asked + stream * m.outstanding + place] * at.CHUNK_WORDS
            address, size = state[chunk + at.CHUNK_ADDRESS], state[chunk + at.CHUNK_BYTES]
            first = address // m.burst_bytes
            bursts = (address + size - 1) // m.burst_bytes - first + 1
            done = NEVER
            if m.is_in_order:
                done = serve(parts.chip, memory, arrival, first, bursts, stream == at.STORE)
            else:
                enqueue(parts.controller, memory, transfers, arrival, first, bursts, stream == at.STORE)
            state[chunk + at.CHUNK_STATE], state[chunk + at.CHUNK_DONE] = at.IN_DRAM, done
            state[chunk + at.CHUNK_TICKET] = state[at.TICKETS]
            state[at.TICKETS] += 1
        state[words + at.ASKED] = 0


@inlined
def has_room(m: Machine, controller: Controller, memory: Int64Array, transfers: Int64Array) -> bool:
    """Whether the ring of a FR-FCFS controller holds whatever may be submitted in a cycle."""
    waiting = memory[controller.registers + TAIL] - memory[controller.registers + OLDEST]
    return waiting + 3 * m.outstanding <= len(transfers)


@inlined
def next_arrival(
    m: Machine,
    parts: Memories,
    state: Int64Array,
    port_memory: Int64Array,
    memory: Int64Array,
    transfers: Int64Array,
    before: int,
) -> int:
    """The first cycle in which anything arrives, or ``before`` if that is earlier.

    Nothing is submitted until then, so a FR-FCFS controller may be run up to it.
    """
    first = min(before, next_completion(parts.port, port_memory))
    if m.is_in_order:
        index = _first_done(m, state)
        if index == at.NOBODY:
            return first
        done = state[m.chunks + index * at.CHUNK_WORDS + at.CHUNK_DONE]
    else:
        regs = parts.controller.registers
        if memory[regs + OLDEST] == memory[regs + TAIL]:
            return first
        limit = first * m.ratio if first < NEVER else NEVER
        run(parts.chip, parts.controller, memory, transfers, limit, FIRST)
        done = memory[regs + FIRST_DONE]
    return min(first, -(-done // m.ratio))


@inlined
def is_quiet(m: Machine, state: Int64Array) -> bool:
    """No chunk is under way."""
    under_way = 0
    for stream in range(3):
        under_way += m.outstanding - state[stream_at(m, stream) + at.FREE]
    return under_way == 0
