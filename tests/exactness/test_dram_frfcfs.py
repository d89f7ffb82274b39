"""The FR-FCFS DRAM core equals the per-cycle oracle, however it is driven."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.timing.dram import FrFcfsDram
from tests.exactness.dram_cases import MAPPINGS, gaps_and_requests, preset, shapes, timed, timings
from tests.oracle.dram_oracle import Command, FrFcfsOracle

controllers = st.tuples(st.sampled_from(MAPPINGS), st.sampled_from([1, 2, 5, 32]), st.booleans())
few_rows = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 40]), st.sampled_from([0, 64, 192, 2048, 4096]), st.just(100), st.booleans()),
    min_size=10,
    max_size=30,
)  # fmt: skip
"""Back-to-back conflicts and repeated addresses: full buffers, forwarding, coalescing."""


def run_both(gaps, timing, shape, controller) -> tuple[FrFcfsDram, FrFcfsOracle]:
    mapping, entries, row_hit_first = controller
    chip = preset(*shape, **timing)
    core = FrFcfsDram(chip, mapping, entries, row_hit_first, log_entries=2000)
    oracle = FrFcfsOracle(chip, mapping, entries=entries, row_hit_first=row_hit_first)
    for request in timed(gaps):
        core.submit(*request)
        oracle.submit(*request)
    done = oracle.run()
    assert dict(core.drain().tolist()) == dict(enumerate(done))
    issued = [Command(command.cycle, command.name, command.bank, command.row) for command in core.log()]
    assert issued[: len(oracle.log)] == oracle.log
    assert all(command.name in ("PREA", "REF") for command in issued[len(oracle.log) :])
    return core, oracle


@settings(max_examples=120, deadline=None)
@given(gaps_and_requests, timings, shapes, controllers)
def test_core_equals_the_per_cycle_oracle(gaps, timing, shape, controller) -> None:
    run_both(gaps, timing, shape, controller)


@settings(max_examples=80, deadline=None)
@given(few_rows, timings, shapes, controllers)
def test_core_equals_the_oracle_under_conflicts(gaps, timing, shape, controller) -> None:
    core, oracle = run_both(gaps, timing, shape, controller)
    commands = core.commands(max(transfer.done for transfer in oracle.transfers))
    assert (commands.forwarded_reads, commands.coalesced_writes) == (oracle.forwarded, oracle.coalesced)
    bursts = sum(core.bursts(address, size) for _, address, size, _ in gaps)
    assert commands.reads + commands.writes + oracle.forwarded + oracle.coalesced == bursts


def test_repeated_addresses_are_forwarded_and_coalesced() -> None:
    _, oracle = run_both(
        [(0, 4096 * (i % 3), 64, i % 4 != 3) for i in range(24)], {}, (1, 8), ("row_bank_column", 32, True)
    )
    assert oracle.forwarded > 0
    assert oracle.coalesced > 0


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(gaps_and_requests, few_rows), st.lists(st.integers(0, 60), min_size=1, max_size=5), controllers
)
def test_it_does_not_matter_how_time_is_cut(gaps, steps, controller) -> None:
    """Looking ahead, stepping and submitting at the last moment give what submitting everything at once gives."""
    mapping, entries, row_hit_first = controller
    requests = timed(gaps)
    whole, cut = (FrFcfsDram(preset(), mapping, entries, row_hit_first, 2000) for _ in range(2))
    for request in requests:
        whole.submit(*request)
    completed, now, turn = [], 0, 0
    for request in requests:
        while now < request[0]:
            now = min(request[0], now + 1 + steps[turn % len(steps)])
            turn += 1
            cut.next_event()
            completed += cut.advance(now)
        cut.submit(*request)
        if turn % 2:
            cut.next_event()
    while (event := cut.next_event()) is not None:
        assert cut.advance(event - 1) == []
        completed += cut.advance(event)
        assert completed[-1].cycle == event
    expected = whole.drain()
    assert [tuple(completion) for completion in completed] == [tuple(row) for row in expected.tolist()]
    end = int(expected[:, 1].max()) + 500
    assert whole.commands(end) == cut.commands(end)
    assert whole.log() == cut.log()


@pytest.mark.parametrize("row_hit_first", [True, False])
@pytest.mark.parametrize("entries", [1, 32])
def test_read_modify_write_of_partial_sums_ends(row_hit_first, entries) -> None:
    """Traffic on which DRAMsim3 deadlocks: blocks of 512 bytes, each read and then written."""
    core = FrFcfsDram(preset(), "row_bank_column", entries, row_hit_first)
    for block in range(64):
        core.submit(0, 512 * block, 512, False)
        core.submit(0, 512 * block, 512, True)
    done = core.drain()
    assert sorted(done[:, 0].tolist()) == list(range(128))
    commands = core.commands(int(done[:, 1].max()))
    assert commands.writes == 512
    assert commands.reads == 512


def test_older_hits_keep_their_row_open_only_with_row_hits_first() -> None:
    """Where a row may be closed before the next hit may issue, a conflict closes it under the hits, for nothing."""

    def activates(row_hit_first: bool) -> int:
        core = FrFcfsDram(preset(1, 8, tccd_l=20, trtp=1, tras=1), "row_bank_column", 32, row_hit_first)
        for address in (0, 64, 128, 2048, 192):
            core.submit(0, address, 64, False)
        return core.commands(399).activates

    assert (activates(True), activates(False)) == (3, 5)


def test_writes_wait_until_the_buffer_is_nearly_full_or_no_read_is_left() -> None:
    core = FrFcfsDram(preset(1, 8), "row_bank_column", 5, True, log_entries=100)
    for i in range(4):
        core.submit(0, 4096 + 64 * i, 64, True)
        core.submit(0, 64 * i, 64, False)
    core.drain()
    columns = "".join(command.name[0] for command in core.log() if command.name in ("RD", "WR"))
    assert columns == "WRRRRWWW"


def test_refreshes_of_an_idle_end_are_counted() -> None:
    core = FrFcfsDram(preset())
    core.submit(0, 0, 64, False)
    core.drain()
    # Due in 400 and 800; PREA takes a cycle and tRP before the first.
    assert [core.commands(cycle).refreshes for cycle in (416, 417, 799, 800)] == [0, 1, 1, 2]


def test_the_past_cannot_be_changed() -> None:
    core = FrFcfsDram(preset())
    core.advance(100)
    with pytest.raises(ValueError, match="arrives in cycle 99, time has reached 100"):
        core.submit(99, 0, 64, False)
    with pytest.raises(ValueError, match="no transfer: 0 bytes at 64"):
        core.submit(100, 64, 0, False)
    assert core.next_event() is None
