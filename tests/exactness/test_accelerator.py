"""Both engines equal the per-cycle oracle: cycles, tiles, layer times, stops and bytes, decisions included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.sim.dma import StreamId
from archsim.sim.engine import run_image
from archsim.sim.segment import SegmentEngine
from tests.builders import build
from tests.exactness.accelerator_cases import architectures, networks, paths
from tests.machine import Machine, arch
from tests.oracle.accelerator_oracle import AcceleratorOracle
from tests.oracle.memory_oracle import BRANCH, LOAD, STORE

STREAMS = {StreamId.BRANCH: BRANCH, StreamId.LOAD: LOAD, StreamId.STORE: STORE}


def compare(document: dict[str, Any], sections: dict[str, Any], data: st.DataObject) -> None:
    machine = Machine(network=build(document), arch=arch(**sections))
    program, path = machine.program, paths(data.draw, machine)
    outcome = run_image(program, path, machine.work_of)
    coded = machine.arch.dma.compression == "rlc"
    oracle = AcceleratorOracle(
        program,
        path,
        lambda step: machine.work_of(step).compute_cycles,
        lambda step: machine.work_of(step).maps if coded else None,
    )
    assert outcome.cycles == oracle.run()
    assert [
        (run.step, run.tiles, run.start_cycle, run.end_cycle, run.map_cycles) for run in outcome.array
    ] == oracle.runs
    names = {str(step.index): step.layer.name for step in program.steps}
    for bytes_of, expected in ((outcome.moved_bytes, oracle.moved), (outcome.buffer_bytes, oracle.buffered)):
        assert {
            (STREAMS[stream], owner): size
            for stream, by_owner in bytes_of.items()
            for owner, size in by_owner.items()
        } == {(stream, names.get(owner, owner)): size for (stream, owner), size in expected.items()}
    if SegmentEngine.runs(program):
        assert SegmentEngine(program).run(path, machine.work_of) == outcome


@settings(max_examples=120, deadline=None)
@given(networks(), architectures, st.data())
def test_engines_equal_the_per_cycle_oracle(document, sections, data) -> None:
    compare(document, sections, data)


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(networks(), architectures, st.data())
def test_engines_equal_the_per_cycle_oracle_on_many_cases(document, sections, data) -> None:
    compare(document, sections, data)
