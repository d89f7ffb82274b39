"""The in-order DRAM core equals the per-cycle oracle, command by command and beat by beat."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.config.dram import DramPresetSpec, DramRailSpec, DramTimingSpec
from archsim.timing.dram import InOrderDram
from tests.oracle.dram_oracle import DramOracle

RAIL = DramRailSpec(
    vdd_v=1.35, idd0_ma=55.0, idd2n_ma=32.0, idd3n_ma=38.0, idd4r_ma=157.0, idd4w_ma=125.0, idd5_ma=235.0
)
DDR4 = {
    "burst_cycles": 4, "cl": 17, "cwl": 12, "trcd": 17, "trp": 17, "tras": 39, "trrd_s": 4, "trrd_l": 6, "tfaw": 26,
    "tccd_s": 4, "tccd_l": 6, "twr": 18, "trtp": 9, "twtr_s": 3, "twtr_l": 9, "trfc": 42, "trefi": 400,
}  # fmt: skip


def preset(groups: int = 4, banks: int = 2, **changes: int) -> DramPresetSpec:
    """DDR4-2400 with a short refresh interval, so that a few requests meet one."""
    return DramPresetSpec(
        schema="archsim.dram/1", name="test", source="test", clock_mhz=1200, channel_bits=64, devices=8,
        bank_groups=groups, banks_per_group=banks, row_bytes=256, rails=[RAIL],
        timing=DramTimingSpec(**{**DDR4, **changes}),
    )  # fmt: skip


requests_strategy = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 16384), st.integers(1, 400), st.booleans()),
    min_size=1,
    max_size=14,
)
timing_strategy = st.fixed_dictionaries(
    {}, optional={name: st.integers(1, 30) for name in DDR4 if name not in ("burst_cycles", "trfc", "trefi")}
)


@settings(max_examples=150, deadline=None)
@given(requests_strategy, timing_strategy, st.sampled_from([(1, 8), (4, 2), (2, 1)]))
def test_core_equals_the_per_cycle_oracle(requests, timing, shape) -> None:
    chip = preset(*shape, **timing)
    core, oracle, now = InOrderDram(chip), DramOracle(chip), 0
    for gap, address, size, is_write in requests:
        now += gap
        assert core.access(now, address, size, is_write) == oracle.access(now, address, size, is_write)
    issued = [command.name for command in oracle.log]
    commands = core.commands(until_cycle=0)
    assert (commands.activates, commands.reads, commands.writes) == tuple(
        map(issued.count, ("ACT", "RD", "WR"))
    )
    assert commands.refreshes == issued.count("REF")


@pytest.mark.parametrize(
    ("parameter", "first", "second", "is_write"),
    [("trcd", 0, 64, False), ("tccd_l", 0, 64, False), ("trp", 0, 256 * 8, False), ("twr", 0, 256 * 8, True)],
)
def test_one_cycle_more_of_a_parameter_is_one_cycle_later(parameter, first, second, is_write) -> None:
    def finish(**changes: int) -> int:
        core = InOrderDram(preset(1, 8, **changes))
        core.access(0, first, 64, is_write)
        return core.access(0, second, 64, is_write)

    value = DDR4[parameter] + 8
    assert finish(**{parameter: value + 1}) == finish(**{parameter: value}) + 1


def test_refreshes_of_an_idle_end_are_counted() -> None:
    core = InOrderDram(preset())
    core.access(0, 0, 64, False)
    assert [core.commands(cycle).refreshes for cycle in (399, 400, 799, 800)] == [0, 1, 1, 2]
