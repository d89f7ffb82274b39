"""The in-order DRAM core equals the per-cycle oracle, command by command and beat by beat; what all cores take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.config.arch import DramSpec
from archsim.timing.dram import InOrderDram, make_dram
from tests.exactness.dram_cases import DDR4, MAPPINGS, gaps_and_requests, preset, shapes, timed, timings
from tests.oracle.dram_oracle import Command, InOrderOracle


@settings(max_examples=120, deadline=None)
@given(gaps_and_requests, timings, shapes, st.sampled_from(MAPPINGS))
def test_core_equals_the_per_cycle_oracle(gaps, timing, shape, mapping) -> None:
    chip = preset(*shape, **timing)
    core, oracle = InOrderDram(chip, mapping, log_entries=1000), InOrderOracle(chip, mapping)
    for request in timed(gaps):
        core.submit(*request)
        oracle.submit(*request)
    done = oracle.run()
    assert dict(core.drain().tolist()) == dict(enumerate(done))
    issued = [Command(command.cycle, command.name, command.bank, command.row) for command in core.log()]
    assert issued == oracle.log[: len(issued)]
    assert all(command.name in ("PRE", "REF") for command in oracle.log[len(issued) :])


@settings(max_examples=120, deadline=None)
@given(gaps_and_requests, timings, shapes, st.sampled_from(MAPPINGS), st.sampled_from([256, 2048]))
def test_a_run_of_bursts_leaves_what_its_bursts_leave_one_by_one(
    gaps, timing, shape, mapping, row_bytes
) -> None:
    """Where nothing is logged, consecutive bursts of a row are issued in one step."""
    chip = preset(*shape, **timing).model_copy(update={"row_bytes": row_bytes})
    runs, singles = InOrderDram(chip, mapping), InOrderDram(chip, mapping, log_entries=1)
    for cycle, address, size, is_write in timed(gaps):
        runs.submit(cycle, address, 4 * size, is_write)
        singles.submit(cycle, address, 4 * size, is_write)
    np.testing.assert_array_equal(runs.memory[: runs.chip.log], singles.memory[: singles.chip.log])
    np.testing.assert_array_equal(runs.memory[runs.chip.end :], singles.memory[singles.chip.end :])
    np.testing.assert_array_equal(runs.drain(), singles.drain())


@pytest.mark.parametrize(
    ("parameter", "first", "second", "is_write"),
    [("trcd", 0, 64, False), ("tccd_l", 0, 64, False), ("trp", 0, 256 * 8, False), ("twr", 0, 256 * 8, True)],
)
def test_one_cycle_more_of_a_parameter_is_one_cycle_later(parameter, first, second, is_write) -> None:
    def finish(**changes: int) -> int:
        core = InOrderDram(preset(1, 8, **changes))
        core.submit(0, first, 64, is_write)
        core.submit(0, second, 64, is_write)
        return core.drain()[:, 1].max()

    value = DDR4[parameter] + 8
    assert finish(**{parameter: value + 1}) == finish(**{parameter: value}) + 1


def test_refresh_closes_the_row_of_a_request_between_activate_and_column() -> None:
    core = InOrderDram(preset(), log_entries=10)
    core.submit(390, 0, 64, False)
    assert [(command.cycle, command.name) for command in core.log()] == [
        (391, "ACT"), (391 + 39, "PRE"), (391 + 39 + 17, "REF"), (391 + 39 + 17 + 42, "ACT"),
        (391 + 39 + 17 + 42 + 17, "RD"),
    ]  # fmt: skip
    assert core.next_event() == 506 + 17 + 4


def test_a_refresh_that_is_due_follows_the_last_command_at_once() -> None:
    core = InOrderDram(preset(trtp=1, tras=17), log_entries=10)
    core.submit(381, 0, 64, False)
    core.submit(420, 0, 64, False)
    assert [(command.cycle, command.name) for command in core.log()][:4] == [
        (381 + 1, "ACT"), (382 + 17, "RD"), (399 + 1, "PRE"), (400 + 17, "REF"),
    ]  # fmt: skip


def test_refreshes_of_an_idle_end_are_counted() -> None:
    core = InOrderDram(preset())
    core.submit(0, 0, 64, False)
    assert [core.commands(cycle).refreshes for cycle in (399, 400, 799, 800)] == [0, 1, 1, 2]


POLICIES = ["in_order", "frfcfs", "frfcfs_row_hit"]


def columns(requests: list[tuple[int, int, int, bool]]) -> list[np.ndarray]:
    types = (np.int64, np.int64, np.int64, np.bool_)
    return [np.array([request[k] for request in requests], kind) for k, kind in enumerate(types)]


@settings(max_examples=60, deadline=None)
@given(gaps_and_requests, timings, st.sampled_from(POLICIES), st.integers(0, 14))
def test_many_transfers_at_once_are_the_same_one_by_one(gaps, timing, policy, alone) -> None:
    single, many = (
        make_dram(preset(**timing), DramSpec(policy=policy, queue_entries=4), log_entries=500)
        for _ in range(2)
    )
    requests = timed(gaps)
    for request in requests:
        single.submit(*request)
    for request in requests[:alone]:
        many.submit(*request)
    assert many.submit_many(*columns(requests[alone:])) == min(alone, len(requests))
    np.testing.assert_array_equal(many.drain(), single.drain())
    assert many.log() == single.log()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("second", "message"),
    [
        ((5, -1, 64, False), "an address is negative or a transfer empty"),
        ((5, 0, 0, False), "an address is negative or a transfer empty"),
        ((4, 0, 64, False), "out of order, or before cycle 3"),
        ((2, 0, 64, False), "out of order, or before cycle 3"),
    ],
)
def test_many_transfers_are_refused_as_a_whole(policy, second, message) -> None:
    core = make_dram(preset(), DramSpec(policy=policy))
    core.submit(3, 0, 64, False)
    with pytest.raises(ValueError, match=message):
        core.submit_many(*columns([(5, 0, 64, False), second]))
    assert len(core.drain()) == 1
    assert core.submit(10_000, 0, 64, False) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_transfer_may_arrive_in_the_cycle_of_the_one_before(policy) -> None:
    core = make_dram(preset(), DramSpec(policy=policy))
    assert core.submit_many(*columns([(3, 0, 64, False), (3, 0, 1, True)])) == 0
    assert core.submit_many(*columns([])) == 2
    with pytest.raises(ValueError, match="time has reached 3"):
        core.submit(2, 0, 64, False)
    with pytest.raises(ValueError, match="before cycle 3, which is past"):
        core.submit_many(*columns([(2, 0, 64, False)]))
    assert core.submit(3, 0, 64, False) == 2
