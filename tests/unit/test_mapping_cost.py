"""What mappings are ranked by and what they see of an architecture, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.mapping.base import Placement
from archsim.mapping.cost import weighted_cost
from archsim.mapping.geometry import Hardware, hardware_of
from tests.machine import arch

AMOUNTS = st.tuples(*[st.integers(0, 999)] * 3)
PLACEMENT = Placement(False, False, 1 << 20, dram_bytes_per_cycle=4)


def hardware(objective: str) -> Hardware:
    return hardware_of(arch(pe_array={"rows": 3, "cols": 5, "mapping": objective}))


def cost(objective: str, amounts: tuple[int, int, int]) -> int:
    return int(weighted_cost(hardware(objective), PLACEMENT, *amounts))


@given(AMOUNTS, AMOUNTS)
def test_traffic_asks_for_dram_bytes_then_buffer_bytes_then_cycles(one, other) -> None:
    def key(amounts: tuple[int, int, int]) -> tuple[int, int, int]:
        dram_bytes, buffer_bytes, cycles = amounts
        return dram_bytes, buffer_bytes, max(cycles, -(-dram_bytes // 4))

    assert (cost("traffic", one) < cost("traffic", other)) == (key(one) < key(other))


@given(AMOUNTS, AMOUNTS)
def test_cycles_asks_for_cycles_then_dram_bytes_then_buffer_bytes(one, other) -> None:
    def key(amounts: tuple[int, int, int]) -> tuple[int, int, int]:
        dram_bytes, buffer_bytes, cycles = amounts
        return max(cycles, -(-dram_bytes // 4)), dram_bytes, buffer_bytes

    assert (cost("cycles", one) < cost("cycles", other)) == (key(one) < key(other))


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ((0, 0, 0), 0),
        ((0, 10, 0), 10 * 6),
        ((0, 0, 10), 10 * 15 * 4),
        ((40, 0, 0), 40 * 200 + 10 * 15 * 4),  # 4 bytes a cycle
        ((41, 7, 10), 41 * 200 + 7 * 6 + 11 * 15 * 4),
        ((41, 7, 12), 41 * 200 + 7 * 6 + 12 * 15 * 4),
    ],
)
def test_energy_is_200_a_byte_of_dram_6_of_the_buffer_4_a_pe_and_cycle(amounts, expected) -> None:
    assert cost("energy", amounts) == expected


def test_many_mappings_are_priced_at_once() -> None:
    columns = np.array([(41, 7, 10), (0, 10, 0), (40, 0, 99)]).T
    found = weighted_cost(hardware("energy"), PLACEMENT, *columns)
    assert found.tolist() == [cost("energy", tuple(row)) for row in columns.T.tolist()]


BUFFER = {"size_kib": 12, "filter_kib": 4, "banks": 3}


@pytest.mark.parametrize(
    ("parts", "name", "expected"),
    [
        ({"dma": {"overlap": "weights"}}, "stops_for_maps", True),
        ({"dma": {"overlap": "all"}}, "stops_for_maps", False),
        ({"pe_array": {"zero": "skip"}}, "skips_zeros", True),
        ({"pe_array": {"zero": "none"}}, "skips_zeros", False),
        ({"pe_array": {"zero": "gate"}}, "skips_zeros", False),
        ({"pe_array": {"start": "arrival"}}, "starts_on_arrival", True),
        ({"pe_array": {"start": "filled"}}, "starts_on_arrival", False),
        ({"global_buffer": BUFFER}, "filter_bytes", 4 * 1024),
        ({"global_buffer": BUFFER}, "map_bytes", 8 * 1024),
        ({"global_buffer": {**BUFFER, "sharing": "bank"}}, "bank_bytes", 4 * 1024),
        ({"global_buffer": {**BUFFER, "sharing": "byte"}}, "bank_bytes", 1),
    ],
)
def test_what_a_mapping_sees_of_an_architecture(parts, name, expected) -> None:
    assert getattr(hardware_of(arch(**parts)), name) == expected
