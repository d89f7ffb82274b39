"""Ranges of energies and of their ratios, from the uncertainties of a table's rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archsim.counters import ACTIONS, Counters
from archsim.energy.account import account, energy_terms
from archsim.energy.uncertainty import (
    EnergyTerm,
    Range,
    half_width_uj,
    ratio_range,
    saving_range,
)
from archsim.units import pj_to_uj
from tests.unit.energy_cases import edited, eyeriss, resolved


def some_counts(factor: int = 1) -> Counters:
    counters = Counters()
    for index, action in enumerate(ACTIONS):
        counters.add(action.component, action.name, "conv1", factor * (1000 + 37 * index))
    return counters


def test_terms_add_up_to_the_account() -> None:
    table, counters = resolved(), some_counts()
    terms, report = energy_terms(counters, table), account(counters, table)
    assert math.fsum(term.energy_uj for term in terms) == pytest.approx(pj_to_uj(report.total_pj), rel=1e-12)
    for component, energy_pj in report.by_component.items():
        part = [term.energy_uj for term in terms if term.component == component]
        assert math.fsum(part) == pytest.approx(pj_to_uj(energy_pj), rel=1e-12)
    assert energy_terms(some_counts(4), table, images=4) == terms
    assert len({(term.component, term.variable) for term in terms}) == len(terms)


def test_a_sum_has_the_variance_that_sampling_finds() -> None:
    terms = energy_terms(some_counts(), resolved(eyeriss()))
    terms = tuple(term for term in terms if term.uncertainty < 1)  # heavy tails need too many samples
    sure = (EnergyTerm("dram", "exact", 1.0, 0.0),)
    total = sum(term.energy_uj for term in terms)
    found = ratio_range(terms, sure, samples=200_000)
    assert found.value == pytest.approx(total)
    assert (found.high - found.low) / 2 == pytest.approx(half_width_uj(terms), rel=0.05)


def test_rows_of_one_group_err_together_and_others_do_not() -> None:
    apart = [EnergyTerm("noc", "a", 3.0, 0.2), EnergyTerm("noc", "b", 4.0, 0.2)]
    together = [EnergyTerm("noc", "a", 3.0, 0.2), EnergyTerm("dram", "a", 4.0, 0.2)]
    assert half_width_uj(apart) == pytest.approx(0.2 * 5)
    assert half_width_uj(together) == pytest.approx(0.2 * 7)
    assert half_width_uj([]) == 0.0


def test_what_both_sides_share_cancels() -> None:
    table = resolved()
    ours, theirs = energy_terms(some_counts(), table), energy_terms(some_counts(5), table)
    found = saving_range(ours, theirs)
    assert found.value == pytest.approx(0.8)
    assert found.high - found.low < 1e-12


def test_what_only_one_side_has_does_not_cancel() -> None:
    def dram_only(uncertainty: float, variable: str) -> list[EnergyTerm]:
        return [EnergyTerm("dram", variable, 1.0, uncertainty)]

    shared = saving_range(dram_only(0.3, "io"), [*dram_only(0.3, "io"), EnergyTerm("noc", "wire", 1.0, 0.3)])
    apart = saving_range(dram_only(0.3, "io"), [EnergyTerm("dram", "other", 2.0, 0.3)])
    assert shared.value == apart.value == 0.5
    assert shared.low < 0.5 < shared.high
    assert apart.high - apart.low > 1.5 * (shared.high - shared.low)


def test_a_ratio_of_two_independent_lognormals_has_the_exact_range() -> None:
    ours, theirs = [EnergyTerm("noc", "a", 1.0, 0.4)], [EnergyTerm("noc", "b", 1.0, 0.4)]
    found = ratio_range(ours, theirs, samples=400_000)
    width = 1.96 * math.sqrt(2 * math.log1p(0.2**2))  # the means of both cancel
    assert found.low == pytest.approx(math.exp(-width), rel=0.01)
    assert found.high == pytest.approx(math.exp(width), rel=0.01)


def test_the_same_question_has_the_same_answer() -> None:
    ours, theirs = energy_terms(some_counts(), resolved()), energy_terms(some_counts(), resolved(eyeriss()))
    assert ratio_range(ours, theirs) == ratio_range(ours, theirs)
    assert ratio_range(ours, theirs, seed=2) != ratio_range(ours, theirs)
    assert ratio_range(ours, tuple(reversed(theirs))).low == pytest.approx(
        ratio_range(ours, theirs).low, rel=1e-12
    )


def test_an_unchanged_row_of_another_table_is_the_same_unknown() -> None:
    changed = edited({"dram_io": {"value": 4.0, "source": "measured"}}, name="mine")
    before = {term.variable for term in energy_terms(some_counts(), resolved())}
    after = {term.variable for term in energy_terms(some_counts(), resolved(table=changed))}
    assert len(before - after) == len(after - before) == 1
    assert (before - after).pop().startswith("dram_io#")


def test_energies_never_become_negative() -> None:
    wild = [EnergyTerm("leakage", "sram", 1.0, 10.0)]
    found = ratio_range(wild, [EnergyTerm("noc", "a", 1.0, 0.0)])
    assert 0 < found.low < found.value < found.high
    assert np.isfinite(found.high)


def test_no_ratio_to_nothing() -> None:
    with pytest.raises(ValueError, match="denominator"):
        ratio_range([EnergyTerm("noc", "a", 1.0, 0.1)], [])


def test_a_loss_is_written_without_two_signs_in_a_row() -> None:
    assert Range(-0.1, -0.14, -0.05).percent() == "-10 % (-14 to -5 %)"


def test_the_width_of_a_range_decides_on_digits() -> None:
    assert Range(0.5, 0.49, 0.514).percent() == "50 % (49-51 %)"
    assert Range(0.5, 0.491, 0.5104).percent() == "50.0 % (49.1-51.0 %)"


def test_the_terms_of_one_fit_must_agree_on_how_wrong_it_is() -> None:
    with pytest.raises(ValueError, match='error_group "cacti_wire" must have one uncertainty'):
        edited({"noc_wire": {"uncertainty": 0.1}})
