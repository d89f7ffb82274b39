"""The in-order DRAM core equals the per-cycle oracle, command by command and beat by beat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.timing.dram import InOrderDram
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


def test_refreshes_of_an_idle_end_are_counted() -> None:
    core = InOrderDram(preset())
    core.submit(0, 0, 64, False)
    assert [core.commands(cycle).refreshes for cycle in (399, 400, 799, 800)] == [0, 1, 1, 2]
