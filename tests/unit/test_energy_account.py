"""Energy is counters x table: sums, scaling, and nothing lost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.counters import ACTIONS, COMPONENTS, Counters
from archsim.energy.account import account, energy_terms, total_pj
from archsim.energy.table import ResolvedTable
from tests.unit.energy_cases import resolved

RESOLVED = resolved()
KEYS = st.sampled_from([(action.component, action.name) for action in ACTIONS])
COUNTS = st.dictionaries(
    st.tuples(KEYS, st.sampled_from(["", "conv1", "conv2", "early.fc"])), st.integers(1, 1 << 40), max_size=40
)


def counters_of(counts: dict[tuple[tuple[str, str], str], int]) -> Counters:
    counters = Counters()
    for ((component, action), layer), amount in counts.items():
        counters.add(component, action, layer, amount)
    return counters


def doubled(table: ResolvedTable) -> ResolvedTable:
    return replace(table, energy_pj={key: 2 * energy for key, energy in table.energy_pj.items()})


def test_a_small_account_by_hand() -> None:
    table = replace(RESOLVED, energy_pj=dict.fromkeys(RESOLVED.energy_pj, 0.5) | {("pe_array", "mac"): 3.0})
    counters = Counters()
    counters.add("pe_array", "mac", "conv1", 10)
    counters.add("pe_array", "mac", "conv2", 1)
    counters.add("dram", "refresh", "conv1", 4)
    counters.add("leakage", "core_cycle", "", 2)
    report = account(counters, table)
    assert report.total_pj == 36.0
    assert report.by_component == dict.fromkeys(COMPONENTS, 0.0) | {
        "dram": 2.0,
        "pe_array": 33.0,
        "leakage": 1.0,
    }
    assert list(report.by_layer.items()) == [("", 1.0), ("conv1", 32.0), ("conv2", 3.0)]
    assert report.by_action["pe_array", "mac"] == 33.0
    assert report.by_action["pe_array", "gated_mac"] == 0.0


def test_components_are_those_of_the_contract_even_when_nothing_happened() -> None:
    report = account(Counters(), RESOLVED)
    keys = ["dram", "global_buffer", "noc", "pe_array", "branch_unit", "dbp_unit", "controller", "leakage"]
    assert list(report.by_component) == keys
    assert report.total_pj == 0.0
    assert len(report.by_action) == len(ACTIONS)


@given(COUNTS)
def test_parts_add_up_exactly_and_doubling_doubles(counts: dict[tuple[tuple[str, str], str], int]) -> None:
    counters = counters_of(counts)
    report, twice = account(counters, RESOLVED), account(counters, doubled(RESOLVED))
    assert report.total_pj == math.fsum(report.by_component.values())
    assert total_pj(counters, RESOLVED) == report.total_pj
    for name in COMPONENTS:
        parts = [energy for (component, _), energy in report.by_action.items() if component == name]
        assert report.by_component[name] == math.fsum(parts)
    assert math.fsum(report.by_layer.values()) == pytest.approx(report.total_pj, rel=1e-12)
    assert twice.total_pj == 2 * report.total_pj
    assert twice.by_component == {name: 2 * energy for name, energy in report.by_component.items()}
    assert twice.by_layer == {name: 2 * energy for name, energy in report.by_layer.items()}


@given(COUNTS, st.integers(1, 1000))
def test_the_terms_of_a_component_add_up_to_it(
    counts: dict[tuple[tuple[str, str], str], int], images: int
) -> None:
    counters = counters_of(counts)
    report, terms = account(counters, RESOLVED), energy_terms(counters, RESOLVED, images)
    assert all(term.energy_uj > 0 for term in terms)
    for name, energy_pj in report.by_component.items():
        found_uj = [term.energy_uj for term in terms if term.component == name]
        assert math.fsum(found_uj) == pytest.approx(energy_pj / images / 1e6, rel=1e-12)


@pytest.mark.parametrize("key", [(action.component, action.name) for action in ACTIONS])
def test_the_terms_of_one_access_are_all_there(key: tuple[str, str]) -> None:
    counters = counters_of({(key, "conv1"): 1})
    terms = energy_terms(counters, RESOLVED)
    assert math.fsum(term.energy_uj for term in terms) == pytest.approx(
        RESOLVED.energy_pj[key] / 1e6, rel=1e-12
    )


@given(COUNTS)
def test_the_order_of_counting_changes_no_bit(counts: dict[tuple[tuple[str, str], str], int]) -> None:
    backwards = dict(reversed(counts.items()))
    assert account(counters_of(counts), RESOLVED) == account(counters_of(backwards), RESOLVED)
