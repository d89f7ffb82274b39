"""What the segment engine works on: a program as tables of integers, and the state of the whole machine in one array.

The tables are made from a program (:mod:`archsim.schedule.segments`); the kernels that run them are in
:mod:`archsim.timing.segment_memory` and :mod:`archsim.timing.segment_kernel`. What a register means is said here once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from archsim.kernels.arrays import Int64Array

NOBODY = -1
"""No step, no branch."""
BRANCH, LOAD, STORE = range(3)
"""Streams, in the order of their priority at the DRAM."""
ARRAY_CLIENT, LOAD_CLIENT, STORE_CLIENT = range(3)
"""Clients of the port, in round-robin order."""

# Columns of the table of tiles, the tiles of all steps one after the other. *_ADDRESS: in DRAM. *_PLAIN: bytes on the
# buffer's side of a coded feature map, NOBODY where it is not coded.
(
    WEIGHT_BYTES, WEIGHT_ADDRESS, IFMAP_BYTES, IFMAP_ADDRESS, IFMAP_PLAIN, SUMMAND_BYTES, SUMMAND_ADDRESS,
    SUMMAND_PLAIN, STORE_BYTES, STORE_ADDRESS, STORE_PLAIN, FILL_CYCLES, FILL_BYTES, COMPUTE_CYCLES, STREAM_BYTES,
    DRAIN_CYCLES, DRAIN_BYTES, TAP_VALUES, TILE_COLUMNS,
) = range(19)  # fmt: skip

# Columns of the table of steps. *_PRODUCER: the step that writes what is loaded. STORES: tiles that store outputs.
# TAPPED_BY: the branch that reads the stored tensor. DECIDES: the branch whose decision follows. VERDICT_OF: the branch
# that the step is a part of, if DBP decides about it.
(
    FIRST_TILE, TILES, IFMAP_PRODUCER, SUMMAND_PRODUCER, STORES, TAPPED_BY, DECIDES, VERDICT_OF, STEP_COLUMNS,
) = range(9)  # fmt: skip

# Columns of the table of branches (archsim.schedule.branches.BranchStep). ON_ARRAY: it has steps. POOLED: the branch
# unit listens to the step that the decision follows.
(
    LAST_STEP, IS_PRUNED, ON_ARRAY, POOLED, MAC_CYCLES, RESIDENT, CLASSIFIER_ADDRESS, CLASSIFIER_BYTES, BRANCH_COLUMNS,
) = range(9)  # fmt: skip

# Registers.
#   LOAD_*: step and tile that the DMA is at, what of the tile it loads next, tiles begun. HALVES, STORE_HALVES: free.
#   ARRAY_*: step and tile on the array, phase, cycle in which the phase's own cycles are over, whether its transfer
#   has yet to end, cycle of the dispatch, tiles started of the step, tiles taken of all steps. RUNS: steps ended.
#   JUDGED, JUDGE_UNTIL: branch in the DBP unit. EVALUATED, EVAL_*: branch in the branch unit, how far it is.
#   *_HEAD, *_TAIL: of queues. DBP_FREE, TAP_FREE: when the taps have taken all. LEFT_AT: branch. SUBJECT: what the
#   engine is asked about. TICKETS: transfers handed to the DRAM. MAP_SINCE, MAP_CYCLES: since when, and how long of the
#   step, the array has stood still for feature maps.
(
    NOW, SUBJECT, LOAD_STEP, LOAD_TILE, LOAD_STAGE, LOAD_COUNT, HALVES, STORE_HALVES, ARRAY_STEP, ARRAY_TILE,
    ARRAY_PHASE, ARRAY_UNTIL, ARRAY_PORT, ARRAY_START, TILES_STARTED, TAKEN, RUNS, NEXT_STEP, OPEN, JUDGED,
    JUDGE_UNTIL, JUDGE_HEAD, JUDGE_TAIL, EVALUATED, EVAL_STAGE, EVAL_READY, EVAL_UNTIL, EVAL_START, EVAL_HEAD,
    EVAL_TAIL, EVALUATIONS, DBP_FREE, TAP_FREE, LEFT_AT, CANCELLED, RESULT_AT, STORE_HEAD, STORE_TAIL, TICKETS,
    MAP_SINCE, MAP_CYCLES, REGISTERS,
) = range(42)  # fmt: skip

# A stream: free places for chunks; of the transfer that is being handed over, the range of bytes, the next of them,
# the plain bytes, the owner and slot it belongs to, whether there is one. LEFT: chunks of it that have not arrived.
(
    FREE, BEGIN, END, ADDRESS, PLAIN, OWNER, SLOT, IS_ACTIVE, LEFT, ASKED, STREAM_WORDS,
) = range(11)  # fmt: skip

# A chunk, from its stream to its end. DONE, TICKET: at the DRAM.
(
    CHUNK_STATE, CHUNK_SLOT, CHUNK_ADDRESS, CHUNK_BYTES, CHUNK_PORT_BYTES, CHUNK_DONE, CHUNK_TICKET, CHUNK_WORDS,
) = range(8)  # fmt: skip
IS_FREE, ON_ITS_WAY, IN_DRAM = range(3)

SLOTS = 2
"""Buffer halves, for loads and for stores. One slot more is that of the array, where it loads and stores itself."""
SLOT_LEFT, SLOT_STATE, SLOT_WORDS = range(3)
"""A slot: chunks that have not arrived; of a load, whether all were handed over; of a store, 1 + its step."""

RUN_STEP, RUN_TILES, RUN_START, RUN_END, RUN_MAPS, RUN_WORDS = range(6)
EVAL_BRANCH, EVAL_FROM, EVAL_TO, EVAL_WORDS = range(4)

DISPATCHED, WAITING, FILLING, COMPUTING, DRAINING = range(5)
"""Phases of the array."""
ASKING_IFMAP, LOADING_IFMAP, ASKING_SUMMAND, LOADING_SUMMAND, STORING = range(5, 10)
"""Phases in which it stands still for feature maps (``dma.overlap: weights``), in their order in a tile."""
FETCHING, COMPARING = 1, 2
"""Stages of an evaluation; 0 without one."""

IDLE, MOVED, DONE, ASK_RUN, ASK_EXIT, NEED_STEP, NEED_ROOM, STUCK = range(8)
"""What a unit did, and why the kernel returns: the image is done; DBP and branch unit want to know of the branch
SUBJECT whether it runs and whether the image leaves there; the data-dependent columns of the step SUBJECT are needed;
the ring of the DRAM controller is too small; nothing is due although work is left."""

UNKNOWN, NO, YES = range(3)
"""What the engine has been told: does the branch run, does the image leave."""


class Machine(NamedTuple):
    """Parameters of the machine and of the program, and where the parts of the state lie behind the registers.

    needs_work: compute cycles depend on the image; needs_maps: so do the sizes of feature maps in DRAM. stops_for_maps:
    the array loads and stores them itself and stands still.
    streams, chunks: see above; asked: [stream, outstanding], chunks that reach the DRAM in this cycle.
    load_slots, store_slots: [SLOTS + 1]; store_queue: [2 * SLOTS], tiles whose outputs wait for the stream.
    unstored, is_ready: [step], stores to come; whether the data-dependent columns are there.
    runs: [step; RUN_*]. evaluations: [branch; EVAL_*]. is_open, runs_branch, leaves, judge_queue, eval_queue: [branch].
    skipped_at, settled_at: [branch], cycle of the decision, NOBODY before it. moved, buffered: [stream, owner] bytes.
    """

    steps: int
    branches: int
    owners: int
    chunk_bytes: int
    outstanding: int
    burst_bytes: int
    ratio: int
    dispatch_cycles: int
    result_cycles: int
    is_speculative: bool
    dbp_lanes: int
    decision_cycles: int
    tap_lanes: int
    pipeline_cycles: int
    is_in_order: bool
    needs_work: bool
    needs_maps: bool
    stops_for_maps: bool
    streams: int
    chunks: int
    asked: int
    load_slots: int
    store_slots: int
    store_queue: int
    unstored: int
    is_ready: int
    runs: int
    evaluations: int
    is_open: int
    runs_branch: int
    leaves: int
    judge_queue: int
    eval_queue: int
    skipped_at: int
    settled_at: int
    moved: int
    buffered: int
    words: int


def place_state(steps: int, branches: int, outstanding: int) -> dict[str, int]:
    """Where the parts of the state lie, by the names of :class:`Machine`."""
    owners = max(steps, branches)
    sizes = {
        "streams": 3 * STREAM_WORDS,
        "chunks": 3 * outstanding * CHUNK_WORDS,
        "asked": 3 * outstanding,
        "load_slots": (SLOTS + 1) * SLOT_WORDS,
        "store_slots": (SLOTS + 1) * SLOT_WORDS,
        "store_queue": 2 * SLOTS,
        "unstored": steps,
        "is_ready": steps,
        "runs": steps * RUN_WORDS,
        "evaluations": branches * EVAL_WORDS,
        **dict.fromkeys(("is_open", "runs_branch", "leaves", "judge_queue", "eval_queue"), branches),
        **dict.fromkeys(("skipped_at", "settled_at"), branches),
        "moved": 3 * owners,
        "buffered": 3 * owners,
    }
    places, end = {}, REGISTERS
    for name, size in sizes.items():
        places[name] = end
        end += size
    return {**places, "owners": owners, "words": end}


def idle_state(machine: Machine, stores: Int64Array) -> Int64Array:
    """The machine before an image. stores: tiles that store outputs, by step."""
    state = np.zeros(machine.words, np.int64)
    state[[ARRAY_STEP, JUDGED, EVALUATED, LEFT_AT, RESULT_AT]] = NOBODY
    state[[HALVES, STORE_HALVES]] = SLOTS
    if machine.stops_for_maps:
        state[HALVES] = 1
    state[machine.streams : machine.chunks].reshape(3, STREAM_WORDS)[:, FREE] = machine.outstanding
    state[machine.unstored : machine.is_ready] = stores
    state[machine.skipped_at : machine.moved] = NOBODY
    return state
