"""Two images that differ in one decision look the same until the unit that takes it has taken it."""

from __future__ import annotations

import pytest

from tests.machine import CONV_HEAD, POOLED_HEAD, Machine, arch, small_network

PATHS = [
    (None, (False, False)),
    (0, (False, False)),
    (1, (False, False)),
    (1, (True, False)),
    (None, (True, True)),
]


def decided_cycle(log, unit: str, subject: str) -> int:
    """Cycle of the decision in which two paths first differ."""
    return min(event.cycle for event in log.events if event.unit == unit and event.subject == subject
               and event.event in ("run", "skip", "exit", "go on"))  # fmt: skip


@pytest.mark.parametrize("head", [POOLED_HEAD, CONV_HEAD], ids=["unit", "array"])
@pytest.mark.parametrize("overlap", ["serial", "speculative"])
@pytest.mark.parametrize(
    ("one", "other", "unit", "branch"),
    [
        ((None, (False, False)), (0, (False, False)), "branch_unit", "early"),
        ((None, (False, False)), (1, (False, False)), "branch_unit", "late"),
        ((None, (False, False)), (None, (True, False)), "dbp_unit", "early"),
        ((1, (False, False)), (None, (False, True)), "dbp_unit", "late"),
    ],
)
def test_logs_agree_before_the_decision(head, overlap, one, other, unit, branch) -> None:
    machine = Machine(network=small_network(head=head), arch=arch(branch_unit={"overlap": overlap}))
    _, first = machine.run(*one)
    _, second = machine.run(*other)
    cycle = decided_cycle(first, unit, branch)
    before = [event for event in first.events if event.cycle < cycle]
    assert before == [event for event in second.events if event.cycle < cycle]
    assert len(before) > 8
    assert [event for event in first.events if event.cycle >= cycle] != [
        event for event in second.events if event.cycle >= cycle
    ]


@pytest.mark.parametrize("head", [POOLED_HEAD, CONV_HEAD], ids=["unit", "array"])
@pytest.mark.parametrize(("exits_at", "skipped"), PATHS)
def test_only_the_units_decide(head, exits_at, skipped) -> None:
    """Whatever the path, the controller acts on no decision before the unit has logged it."""
    outcome, log = Machine(network=small_network(head=head)).run(exits_at, skipped)
    assert outcome.decisions
    for branch, (was_skipped, cycle) in outcome.decisions.items():
        name = ("early", "late")[branch]
        unit = "dbp_unit" if was_skipped else "branch_unit"
        assert decided_cycle(log, unit, name) == cycle
