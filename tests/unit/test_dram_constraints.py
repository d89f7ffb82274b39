"""Every constraint: a command is illegal one cycle before its distance has passed, and legal then."""

from __future__ import annotations

from itertools import product

import pytest

from archsim.timing.dram_constraints import (
    ACT,
    COMMAND_NAMES,
    FAR_PAST,
    NO_BANK,
    earliest,
    earliest_of_all,
    issue,
    make_chip,
    make_memory,
)
from tests.exactness.dram_cases import preset
from tests.oracle.dram_oracle import SINGLE_BANK, Command, DramOracle, constraints

# Every parameter its own value, so that no constraint hides another.
PRESET = preset(
    2, 4, burst_cycles=2, cl=20, cwl=9, trcd=13, trp=15, tras=37, trrd_s=5, trrd_l=8, tfaw=41, tccd_s=4, tccd_l=7,
    twr=19, trtp=11, twtr_s=6, twtr_l=10, trfc=60,
)  # fmt: skip
FIRST_BANK, ISSUE_CYCLE = 2, 1000
SECOND_BANKS = {"same bank": 2, "same group": 4, "other group": 3}


def pairs():
    for before, after in product(COMMAND_NAMES, COMMAND_NAMES):
        where = SECOND_BANKS if {before, after} <= set(SINGLE_BANK) else {"all": NO_BANK}
        for place, bank in where.items():
            yield pytest.param(before, after, bank, id=f"{before}-{after}-{place}")


@pytest.mark.parametrize(("before", "after", "bank"), list(pairs()))
def test_distance(before, after, bank) -> None:
    chip = make_chip(PRESET, "row_bank_column", 0)
    memory = make_memory(PRESET, chip, 0)
    first_bank = FIRST_BANK if before in SINGLE_BANK else NO_BANK
    issue(chip, memory, COMMAND_NAMES.index(before), first_bank, -1, ISSUE_CYCLE)
    command = COMMAND_NAMES.index(after)
    if after in SINGLE_BANK:
        second = bank if bank != NO_BANK else FIRST_BANK
        ready = earliest(chip, memory, command, second)
    else:
        second = NO_BANK
        ready = earliest_of_all(chip, memory, command)
    oracle = DramOracle(PRESET)
    oracle.log.append(Command(ISSUE_CYCLE, before, first_bank, -1))
    assert oracle.legal(after, second, max(ready, 0))
    if ready > ISSUE_CYCLE:
        assert not oracle.legal(after, second, ready - 1)
    else:
        assert ready < FAR_PAST // 2
        assert oracle.legal(after, second, ISSUE_CYCLE + 1)


def test_every_row_of_the_oracle_is_among_the_pairs() -> None:
    assert {(before, after) for before, after, _, _ in constraints(PRESET)} <= {
        param.values[:2] for param in pairs()
    }


def test_the_fifth_activate_waits_for_the_four_activate_window() -> None:
    chip = make_chip(PRESET, "row_bank_column", 0)
    memory = make_memory(PRESET, chip, 0)
    for bank in range(4):
        issue(chip, memory, ACT, bank, 0, 100 + 9 * bank)
        if bank < 3:
            assert earliest(chip, memory, ACT, bank + 1) < 100 + 41
    assert earliest(chip, memory, ACT, 4) == 100 + 41
    issue(chip, memory, ACT, 4, 0, 150)
    # Of the last four the first was in cycle 109.
    assert earliest(chip, memory, ACT, 5) == max(109 + 41, 150 + 5)
