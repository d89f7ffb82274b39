"""Controller, DBP unit and branch unit in RTL, wired together, on images of ``digits``.

Values of the tensors in, decisions, dispatches and the abort out: the same bits and cycles as the simulation of the
whole accelerator, whose array and memory are the stimuli.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from archsim.api import load
from archsim.config.load import load_arch, load_dram_preset
from archsim.datasets import iter_images
from archsim.functional.decide import Policy, decide
from archsim.functional.executor import run as run_functional
from archsim.functional.layers import encode_images, run_layer
from archsim.schedule.program import Program, compile_program
from archsim.sim.engine import image_path, image_work, run_image
from archsim.sim.observe import EventLog
from archsim.timing.tap import WritePathTap
from tests.rtl.cosimulation import Bench, Group, WritePath, group_inputs, moments, packed, step_record

pytest.importorskip("amaranth")
IMAGES = 360
"""Among them are all paths that images of digits take."""


def chain(arch: Any) -> Any:
    """The three units, connected as the simulation connects them."""
    from amaranth.hdl import Elaboratable, Module

    from archsim.rtl.branch_unit import BranchUnit
    from archsim.rtl.dbp_unit import DbpUnit
    from archsim.rtl.exit_controller import ExitController

    class Chain(Elaboratable):
        def __init__(self) -> None:
            self.dbp, self.branch, self.control = (
                DbpUnit.of(arch),
                BranchUnit.of(arch),
                ExitController.of(arch),
            )

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            dbp, branch, control = self.dbp, self.branch, self.control
            m.submodules += [dbp, branch, control]
            m.d.comb += [
                control.dbp_decided.eq(dbp.decided),
                control.dbp_run.eq(dbp.run),
                branch.request.eq(control.evaluate),
                branch.request_branch.eq(control.evaluate_branch),
                control.branch_decided.eq(branch.decided),
                control.branch_decided_branch.eq(branch.decided_branch),
                control.branch_leave.eq(branch.leave),
                dbp.flush.eq(control.abort),
                branch.flush.eq(control.abort),
            ]
            return m

    return Chain()


@dataclass
class Digits:
    """The workload on an accelerator, with the decisions for its first images."""

    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.workload = load("digits")
        self.arch = load_arch("locoexnet-65nm", list(self.overrides))
        network = self.workload.network
        self.program: Program = compile_program(network, self.arch, load_dram_preset(self.arch.dram.preset))
        policy = Policy.of(network, dbp_enabled=self.arch.dbp.enabled)
        self.batch = next(iter_images(self.workload.loaded.images_path, IMAGES, limit=IMAGES))
        self.trace = run_functional(network, self.workload.weights, [self.batch], policy=policy, lazy=False)
        self.decisions = decide(self.trace, policy)

    def tensors(self, image: int) -> dict[str, np.ndarray]:
        """Every tensor of the trunk."""
        weights = self.workload.weights
        found = {"image": encode_images(self.batch.images[image : image + 1], weights)}
        for layer in self.workload.network.layers[:-1]:
            inputs = [found[name] for name in layer.inputs]
            found[layer.name] = run_layer(layer, weights.layers.get(layer.name), inputs)
        return found

    def groups(self, branch: Any, tensor: np.ndarray, bursts: list[tuple[int, int]]) -> list[Group]:
        """A tensor in an order in which the values of a group belong to different sums of one word."""
        pool, lanes = branch.branch.layers[0], self.arch.branch_unit.tap_lanes
        height, width, channels = tensor.shape[1:]
        y, x, c = np.indices((height, width, channels))
        out_width = pool.output_shape.width
        feature = ((y // pool.kernel[0]) * out_width + x // pool.kernel[1]) * channels + c
        order = np.argsort(feature, axis=None, kind="stable").reshape(
            -1, lanes, pool.kernel[0] * pool.kernel[1]
        )
        values = tensor[0].ravel()[order].transpose(0, 2, 1).reshape(-1, lanes)
        words = np.repeat(np.arange(len(order)), order.shape[2])
        found, first = [], 0
        for burst, (cycle, count) in enumerate(bursts):
            assert count % lanes == 0
            for index in range(first, first := first + count // lanes):
                is_last = index == first - 1
                ends = is_last and burst == len(bursts) - 1
                found.append(Group(cycle, values[index], burst, is_last, ends, int(words[index])))
        assert first == len(values)
        return found


def bursts_of(machine: Digits, image: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, EventLog, dict]:
    """Simulate an image: outcome, log, and what both taps took, as (event, values) of each burst."""
    taken: dict[int, list[tuple[int, int]]] = {}
    real = WritePathTap.absorb

    def noting(tap: WritePathTap, now_cycle: int, values: int) -> int:
        taken.setdefault(id(tap), []).append((now_cycle, values))
        return real(tap, now_cycle, values)

    monkeypatch.setattr(WritePathTap, "absorb", noting)
    log = EventLog()
    branches = len(machine.program.branches)
    outcome = run_image(
        machine.program,
        image_path(machine.decisions, image, branches),
        image_work(machine.program, machine.trace, image),
        log,
    )
    monkeypatch.setattr(WritePathTap, "absorb", real)
    bursts = list(taken.values())
    assert all(found == bursts[0] for found in bursts)
    return outcome, log, bursts[0]


def branch_inputs(machine: Digits, index: int) -> dict[str, int]:
    """Configuration registers of the branch unit for a branch."""
    branch = machine.program.branches[index].branch
    pool, classifier = branch.layers
    lanes, threshold = machine.arch.branch_unit.macs, branch.threshold
    scale = machine.workload.weights.layers[pool.name]
    assert scale.multiplier == 1
    return {
        "words": classifier.macs // classifier.output_shape.channels // lanes,
        "units": classifier.output_shape.channels,
        "weight_words": classifier.macs // lanes,
        "shift": int(scale.shift),
        "is_signed": 0,
        "threshold": threshold or 0,
        "never": threshold is None,
    }


def outputs(
    cycle: int, machine: Digits, image: int, judged: int, units: tuple[Bench, Bench, Bench]
) -> list[tuple[int, str, str, str]]:
    """What the three units say in a cycle; margin and prediction are compared with the trace."""
    dbp, branch, control = units
    found = []
    if dbp.decided:
        found.append((cycle, "dbp_unit", "run" if dbp.run else "skip", str(judged)))
    if branch.decided:
        index = branch.decided_branch
        found.append((cycle, "branch_unit", "exit" if branch.leave else "go on", str(index)))
        assert branch.margin == machine.trace.margins[image, index]
        assert branch.prediction == machine.trace.predictions[image, index]
    if control.dispatch:
        found.append((cycle, "pe_array", "dispatch", str(control.dispatch_step)))
    if control.abort:
        found.append((cycle, "controller", "abort", ""))
    if control.done:
        found.append((cycle, "controller", "done", ""))
    return found


def compare(machine: Digits, image: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from amaranth.sim import Simulator

    program, lanes = machine.program, machine.arch.branch_unit.tap_lanes
    outcome, log, bursts = bursts_of(machine, image, monkeypatch)
    tensors, left = machine.tensors(image), list(bursts)
    groups: list[Group] = []
    for branch in program.branches:
        step = program.steps[branch.last_step]
        own = [left.pop(0) for _ in range(min(len(left), step.plan.tiles))]
        if own:
            groups += machine.groups(branch, tensors[branch.branch.after], own)
    path = WritePath(groups)
    weights = [machine.workload.weights.layers[branch.branch.layers[1].name] for branch in program.branches]

    @cache
    def word(branch: int, address: int) -> int:
        matrix = weights[branch].weight.reshape(-1, weights[branch].weight.shape[-1])
        unit, position = divmod(address, len(matrix) // lanes)
        if unit >= matrix.shape[1]:
            return 0
        return packed(matrix[position * lanes : (position + 1) * lanes, unit], 8)

    done = {run.end_cycle: run.step for run in outcome.array}
    unit, events = chain(machine.arch), []

    async def bench(context: Any) -> None:
        dbp, branch, control = (Bench(part, context) for part in (unit.dbp, unit.branch, unit.control))
        step = served = judged = 0
        asked = (0, 0)
        for cycle in range(outcome.cycles + 3):
            group = path.next(cycle)
            taken = group_inputs(group, lanes, 8)
            dbp.set(**taken, is_signed=0)
            branch.set(**taken, group_signed=0, group_word=group.word if group else 0)
            bounds = program.branches[min(judged, len(program.branches) - 1)].branch.dbp
            dbp.set(
                min_sum=bounds.min_sum, max_sum=(1 << 40) - 1 if bounds.max_sum is None else bounds.max_sum
            )
            bias = weights[served].bias
            branch.set(weight_data=word(served, asked[0]), bias_data=int(bias[min(asked[1], len(bias) - 1)]))
            control.set(start=cycle == 0, steps=len(program.steps), layer_done=cycle in done, dbp_branch=judged,
                        memory_quiet=cycle >= outcome.cycles, **step_record(program, step))  # fmt: skip
            served = branch.serving
            branch.set(**branch_inputs(machine, served))
            events.extend(outputs(cycle, machine, image, judged, (dbp, branch, control)))
            judged += dbp.decided
            step, asked = control.step_address, (branch.weight_address, branch.bias_address)
            await context.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert sorted(events) == sorted(expected_events(machine, outcome, log))


def expected_events(machine: Digits, outcome: Any, log: EventLog) -> list[tuple[int, str, str, str]]:
    """Decisions, dispatches, abort and end of the simulation."""
    program = machine.program
    branches = {branch.branch.name: str(branch.index) for branch in program.branches}
    steps = {step.layer.name: str(step.index) for step in program.steps}
    found = []
    for entry in moments(log):
        if entry.unit in ("dbp_unit", "branch_unit") and entry.event != "start":
            found.append((entry.cycle, entry.unit, entry.event, branches[entry.subject]))
            if entry.event == "exit":
                found.append((entry.cycle, "controller", "abort", ""))
        if (entry.unit, entry.event) == ("pe_array", "dispatch"):
            found.append((entry.cycle, "pe_array", "dispatch", steps[entry.subject]))
    assert log.events[-1].event == "done"
    return [*found, (outcome.cycles, "controller", "done", "")]


def picked(machine: Digits) -> list[int]:
    """One image of each path: where it leaves, and which branches were skipped."""
    paths: dict[Any, int] = {}
    for image in range(IMAGES):
        paths.setdefault(image_path(machine.decisions, image, len(machine.program.branches)), image)
    return list(paths.values())


def test_chain_equals_simulation_on_one_image_that_leaves(monkeypatch) -> None:
    machine = Digits()
    image = int(np.flatnonzero(machine.decisions.exit_index == 1)[0])
    compare(machine, image, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("overlap", ["serial", "speculative"])
def test_chain_equals_simulation_on_every_path(overlap: str, monkeypatch) -> None:
    machine = Digits((f"branch_unit.overlap={overlap}",))
    images = picked(machine)
    assert len(images) == 5  # leaves at either branch or at none, after runs and after skips
    for image in images:
        compare(machine, image, monkeypatch)


def test_a_branch_unit_that_is_a_cycle_late_is_caught(monkeypatch) -> None:
    machine = Digits(("branch_unit.pipeline_cycles=6",))
    image = int(np.flatnonzero(machine.decisions.exit_index == 1)[0])
    machine.arch = load_arch("locoexnet-65nm")
    with pytest.raises(AssertionError):
        compare(machine, image, monkeypatch)
