"""Branches that run on the PE array: what they cost is counted, and DBP saves all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archsim.config.load import load_dram_preset
from archsim.errors import InvalidInput
from archsim.network.graph import Network
from archsim.schedule.program import compile_program
from archsim.sim.dma import StreamId
from tests.machine import CONV_HEAD, POOLED_HEAD, Machine, arch, small_network

NO_UNIT: dict[str, Any] = {"macs": 0, "weight_sram_kib": 0}


def machine(head=CONV_HEAD, **sections: Any) -> Machine:
    return Machine(network=small_network(head=head), arch=arch(**sections))


def layer_names(record) -> list[str]:
    return [layer.name for layer in record.layers]


def test_layers_of_a_branch_run_behind_the_layer_they_read_and_before_the_next() -> None:
    record = machine().record()
    assert layer_names(record) == [
        "conv1", "conv2", "early.pool", "early.conv", "conv3", "late.pool", "late.conv", "conv4", "fc", "early", "late"
    ]  # fmt: skip
    alone = machine(branch_unit=NO_UNIT).record()
    assert layer_names(alone)[2:5] == ["early.pool", "early.conv", "early.fc"]


@pytest.mark.parametrize("unit", [{}, NO_UNIT], ids=["unit", "array"])
@pytest.mark.parametrize("head", [POOLED_HEAD, CONV_HEAD], ids=["pooled", "conv"])
@pytest.mark.parametrize("zero", ["none", "skip"])
def test_every_mac_of_trunk_and_branches_is_counted(unit, head, zero) -> None:
    tested = machine(head, branch_unit=unit, pe_array={"zero": zero})
    record = tested.record()
    expected = tested.network.macs + sum(branch.macs for branch in tested.network.branches)
    assert sum(layer.macs + layer.skipped_macs for layer in record.layers) == expected
    executed = record.counters.total("pe_array", "mac") + record.counters.total("branch_unit", "mac")
    assert executed == sum(layer.macs for layer in record.layers)


def test_weights_of_array_branches_come_from_dram_and_are_theirs() -> None:
    outcome, _ = machine(branch_unit=NO_UNIT).run()
    network = small_network(head=CONV_HEAD)
    for branch in network.branches:
        for layer in branch.layers:
            if layer.is_compute:
                assert outcome.moved_bytes[StreamId.LOAD][layer.name] >= layer.weights


@pytest.mark.parametrize("unit", [{}, NO_UNIT], ids=["unit", "array"])
def test_a_skipped_branch_moves_and_computes_nothing(unit) -> None:
    tested = machine(branch_unit=unit)
    run, skipped = tested.record(), tested.record(None, (True, True))
    assert skipped.cycles < run.cycles
    assert not [name for name in layer_names(skipped) if "." in name]
    assert not [key for key, _ in skipped.counters if key[2].startswith(("early.", "late."))]
    assert skipped.wasted_bytes == 0
    of_branches = [key for key, _ in skipped.counters if key[2] in ("early", "late")]
    assert {component for component, _, _ in of_branches} == {"dbp_unit", "controller"}
    for action in ("noc", "pe_array", "global_buffer"):
        totals = {name: record.counters.counts for name, record in (("run", run), ("skipped", skipped))}
        trunk = [
            {key: amount for key, amount in counts.items() if key[0] == action and "." not in key[2]}
            for counts in totals.values()
        ]
        assert trunk[0] == trunk[1]


def test_dbp_off_equals_a_branch_without_bounds() -> None:
    """Without DBP the DMA prefetches through the branch."""
    network = small_network(head=CONV_HEAD)
    plain = replace(network, branches=tuple(replace(branch, dbp=None) for branch in network.branches))
    bounds, none = Machine(network, arch(dbp={"enabled": False})), Machine(plain)
    assert bounds.record() == none.record()
    assert machine().record().cycles > none.record().cycles


def test_the_dma_does_not_peek() -> None:
    """With DBP no byte of a branch is asked for before the decision; without, its first weights come early."""
    for pruned in (True, False):
        _, log = machine(CONV_HEAD[1:], dbp={"enabled": pruned}).run()
        first = next(
            event.cycle for event in log.events if event.event == "chunk" and "early." in event.subject
        )
        ends = [
            event.cycle for event in log.events if event.unit == "pe_array" and event.subject == "early.conv"
        ]
        if pruned:
            decided = next(event.cycle for event in log.events if event.event == "run")
            assert first == decided == ends[0]
        else:
            assert first < ends[0]


def test_exit_at_an_array_branch_counts_its_layers_as_useful() -> None:
    record = machine(branch_unit={"overlap": "speculative"}).record(0)
    assert record.exit_name == "early"
    assert [layer.name for layer in record.layers if not layer.useful] == ["conv3"]


def test_exits_off_is_the_plain_network() -> None:
    off = machine(exits={"enabled": False}).record()
    assert off == Machine(network=small_network(branches=False)).record(skipped=())


def test_a_tapped_tensor_that_does_not_stay_is_read_by_both_readers() -> None:
    """In a small buffer the tensor goes to DRAM; the branch and the next layer each load it."""
    tested = machine([{"name": "conv", "op": "conv2d", "filters": 4, "kernel": 3, "relu": True}, *POOLED_HEAD],
                     global_buffer={"size_kib": 3, "filter_kib": 2})  # fmt: skip
    steps = {step.layer.name: step for step in tested.program.steps}
    readers = [steps["early.conv"], steps["conv3"]]
    assert steps["conv2"].plan.store_bytes.sum() == 6 * 6 * 16
    for reader in readers:
        assert reader.ifmap.producer == steps["conv2"].index
        assert reader.plan.ifmap_load_bytes.sum() >= 6 * 6 * 16
    tested.record()


def refused(network: Network) -> str:
    with pytest.raises(InvalidInput) as caught:
        compile_program(network, arch(), load_dram_preset("lpddr3-1600-x32"))
    return caught.value.problems[0].message


def test_what_is_no_branch_of_one_accelerator_is_refused() -> None:
    network = small_network()
    early, late = network.branches
    assert "is fused with" in refused(replace(network, branches=(replace(early, after="conv2"), late)))
    assert "another branch hangs" in refused(replace(network, branches=(early, replace(late, after="pool2"))))
