"""Small DRAM channels and random requests for the tests of the controllers."""

from __future__ import annotations

from hypothesis import strategies as st

from archsim.config.dram import DramPresetSpec, DramRailSpec, DramTimingSpec

RAIL = DramRailSpec(
    vdd_v=1.35, idd0_ma=55.0, idd2n_ma=32.0, idd3n_ma=38.0, idd4r_ma=157.0, idd4w_ma=125.0, idd5_ma=235.0
)
DDR4 = {
    "burst_cycles": 4, "cl": 17, "cwl": 12, "trcd": 17, "trp": 17, "tras": 39, "trrd_s": 4, "trrd_l": 6, "tfaw": 26,
    "tccd_s": 4, "tccd_l": 6, "twr": 18, "trtp": 9, "twtr_s": 3, "twtr_l": 9, "trfc": 42, "trefi": 400,
}  # fmt: skip
MAPPINGS = ("row_bank_column", "row_column_bank")


def preset(groups: int = 4, banks: int = 2, **changes: int) -> DramPresetSpec:
    """DDR4-2400 with a short refresh interval, so that a few requests meet one."""
    return DramPresetSpec(
        schema="archsim.dram/1", name="test", source="test", clock_mhz=1200, channel_bits=64, devices=8,
        bank_groups=groups, banks_per_group=banks, row_bytes=256, rails=[RAIL],
        timing=DramTimingSpec(**{**DDR4, **changes}),
    )  # fmt: skip


shapes = st.sampled_from([(1, 8), (4, 2), (2, 1)])
timings = st.fixed_dictionaries(
    {}, optional={name: st.integers(1, 30) for name in DDR4 if name not in ("burst_cycles", "trfc", "trefi")}
)
gaps_and_requests = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 16384), st.integers(1, 400), st.booleans()),
    min_size=1,
    max_size=14,
)
"""(cycles since the one before, address, bytes, is it a write)."""


def timed(gaps: list[tuple[int, int, int, bool]]) -> list[tuple[int, int, int, bool]]:
    """Requests with the cycle of their arrival."""
    now, requests = 0, []
    for gap, address, size, is_write in gaps:
        now += gap
        requests.append((now, address, size, is_write))
    return requests
