"""Every sum that is checked in every run: it holds, and a count that is wrong by one is found and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from archsim import api
from archsim.cli.main import cli
from archsim.counters import Counters
from archsim.errors import ConservationBroken
from archsim.results.conservation import check_run
from archsim.sim import engine
from archsim.sim.conservation import COUNT_END, disagreements, macs_on_nonzero, more_disagreements
from archsim.sim.decisions import ImagePath
from archsim.sim.records import ImageRecord
from archsim.sim.segment import SegmentEngine
from archsim.sim.tally import tally
from tests.builders import build, write_workload
from tests.machine import Machine, arch

Change = Callable[[ImageRecord], ImageRecord]


def counted(component: str, action: str, layer: str, more: int = 1) -> Change:
    """More of one counter."""

    def change(record: ImageRecord) -> ImageRecord:
        counters = Counters(dict(record.counters.counts))
        counters.add(component, action, layer, more)
        return dataclasses.replace(record, counters=counters)

    return change


def of_layer(index: int, **changes: int) -> Change:
    def change(record: ImageRecord) -> ImageRecord:
        layers = list(record.layers)
        layers[index] = dataclasses.replace(layers[index], **changes)
        return dataclasses.replace(record, layers=tuple(layers))

    return change


BROKEN: list[tuple[Change, str]] = [
    (counted("pe_array", "mac", "conv2"), "MACs are conserved: pe_array.mac + pe_array.gated_mac: "),
    (counted("branch_unit", "mac", "early"), "MACs are conserved: branch_unit.mac: "),
    (of_layer(1, macs=5), "MACs are conserved: MACs of conv2, done and skipped: 5, its shape: "),
    (counted("dram", "read_burst", "conv1"), "DRAM bytes are conserved: dram.read_burst x 32: "),
    (counted("dram", "write_burst", "conv1"), "DRAM bytes are conserved: dram.write_burst x 32: "),
    (counted("leakage", "core_cycle", "conv1"), "every cycle is counted once: leakage.core_cycle: "),
    (counted("dram", "standby_cycle", "conv1"), "every cycle is counted once: dram.standby_cycle: "),
    (
        lambda record: dataclasses.replace(record, wasted_bytes=1 << 40),
        "what is wasted was read: wasted bytes: ",
    ),
    (lambda record: dataclasses.replace(record, exit_name="early"), "an image leaves once: exit: early, "),
    (of_layer(0, end_cycle=1 << 40), "a layer lies in its image: start, end, stalls of conv1: "),
    (of_layer(1, start_cycle=0), "the array runs one layer at a time: end of conv1: "),
    (counted("noc", "psum_byte", "conv1", COUNT_END), "counts fit 64 bits: noc.psum_byte of conv1: "),
]


@pytest.mark.parametrize(
    ("change", "message"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_count_that_is_wrong_is_found_and_named(change: Change, message: str) -> None:
    machine = Machine()
    outcome = machine.run(None)[0]
    record = tally(machine.program, outcome, machine.work_of)
    assert disagreements(machine.program, outcome, record) == []
    found = [str(each) for each in disagreements(machine.program, outcome, change(record))]
    assert any(line.startswith(message) for line in found), found


def test_check_counts_again_and_compares_engines() -> None:
    machine = Machine(arch=arch(pe_array={"zero": "skip"}))
    path = ImagePath((False, False), None)
    outcome = machine.run(None)[0]
    other = SegmentEngine(machine.program).run(path, machine.work_of)
    step = machine.program.steps[1]
    maps = {each.layer.inputs[0]: map_of(machine, each.index) for each in machine.program.steps}
    assert more_disagreements(machine.program, outcome, machine.work_of, maps.__getitem__, other) == []
    maps[step.layer.inputs[0]] = ~maps[step.layer.inputs[0]]
    slower = dataclasses.replace(other, cycles=other.cycles + 1)
    found = more_disagreements(machine.program, outcome, machine.work_of, maps.__getitem__, slower)
    assert [each.law for each in found] == ["zeros are known", "both engines agree"]
    assert f"cycles of this engine: {outcome.cycles}, of the other: {outcome.cycles + 1}" in str(found[1])


def map_of(machine: Machine, step_index: int) -> np.ndarray:
    """The nonzero map that the machine draws for a step."""
    shape = machine.program.steps[step_index].layer.input_shape
    rng = np.random.default_rng([machine.seed, step_index])
    return rng.random((shape.height, shape.width, shape.channels)) >= machine.zeros


@pytest.mark.parametrize(
    "layer",
    [
        {"op": "conv2d", "filters": 4, "kernel": [3, 2], "stride": [2, 1], "padding": [1, 0]},
        {"op": "conv2d", "filters": 4, "kernel": 3, "groups": 2},
        {"op": "depthwise_conv2d", "kernel": 3, "stride": 2, "padding": 1},
    ],
)
def test_macs_on_nonzero_activations_are_those_of_an_enumeration(layer: dict) -> None:
    network = build(
        {
            "schema": "archsim.workload/1", "name": "one", "dataset": {"name": "x", "classes": 2},
            "input": {"height": 7, "width": 6, "channels": 4},
            "layers": [{"name": "a", **layer}, {"name": "fc", "op": "linear", "units": 2}],
        }
    )  # fmt: skip
    first, last = network.layers
    nonzero = np.random.default_rng(0).random((7, 6, 4)) < 0.5
    expected = 0
    (rows, cols), (stride_y, stride_x), (pad_y, pad_x) = first.kernel, first.stride, first.padding
    for y in range(first.output_shape.height):
        for x in range(first.output_shape.width):
            for i in range(rows):
                for j in range(cols):
                    top, left = y * stride_y - pad_y + i, x * stride_x - pad_x + j
                    if 0 <= top < 7 and 0 <= left < 6:
                        seen = int(nonzero[top, left].sum())
                        expected += seen * (
                            1 if layer["op"] == "depthwise_conv2d" else 4 // layer.get("groups", 1)
                        )
    assert macs_on_nonzero(first, nonzero) == expected
    shape = last.input_shape
    flat = np.random.default_rng(1).random((shape.height, shape.width, shape.channels)) < 0.5
    assert macs_on_nonzero(last, flat) == 2 * int(flat.sum())


def test_a_run_that_does_not_add_up_ends_with_exit_4_and_the_counters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = write_workload(tmp_path / "tiny")
    good = CliRunner().invoke(cli, ["simulate", str(tiny), "--images", "2", "--check"])
    assert good.exit_code == 0, good.output
    monkeypatch.setattr(engine, "tally", lambda *what: counted("pe_array", "mac", "conv1")(tally(*what)))
    result = CliRunner().invoke(cli, ["simulate", str(tiny), "--images", "2", "--out", str(tmp_path / "out")])
    assert result.exit_code == 4
    assert "image 0: MACs are conserved: pe_array.mac + pe_array.gated_mac: " in result.stderr
    assert not (tmp_path / "out").exists()


def test_sums_over_a_run_that_contradict_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    monkeypatch.setattr(api, "check_run", lambda *what: seen.update(what=what))
    api.simulate(write_workload(tmp_path / "tiny"), images=2)
    sums, measured, exits = seen["what"]
    check_run(sums, measured, exits)
    name = next(name for name, count in exits.items() if count)
    with pytest.raises(ConservationBroken, match=f"images that left at {name}"):
        check_run(sums, measured, {**exits, name: exits[name] + 1})
    with pytest.raises(ConservationBroken, match="uJ an image by cause"):
        check_run(sums, dataclasses.replace(measured, energy_by_cause_uj={"useful": 1.0}), exits)
    sums.causes["useful"].add("pe_array", "mac", "conv1", 1)
    with pytest.raises(ConservationBroken, match=r"pe_array\.mac by cause"):
        check_run(sums, measured, exits)
