"""The segment engine equals the tile engine on everything that it has: outcomes, records, whole results."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.errors import SimulationFailed
from archsim.sim.decisions import ImagePath
from archsim.sim.engine import run_image
from archsim.sim.segment import SegmentEngine
from archsim.sim.tally import tally
from archsim.timing.segment_state import STORES
from tests.builders import build
from tests.exactness.accelerator_cases import architectures, networks, paths
from tests.machine import Machine, arch

SYSTOLIC = ("weight_stationary", "output_stationary", "input_stationary")
others = st.fixed_dictionaries(
    {
        "dataflow": st.sampled_from(["row_stationary", *SYSTOLIC]),
        "start": st.sampled_from(["filled", "arrival"]),
        "policy": st.sampled_from(["in_order", "frfcfs", "frfcfs_row_hit"]),
        "address_mapping": st.sampled_from(["row_bank_column", "row_column_bank"]),
        "queue_entries": st.sampled_from([1, 4, 32]),
        "preset": st.sampled_from(["lpddr3-1600-x32", "ddr3-1600-x8", "ddr4-2400-x8", "lpddr4-3200-like"]),
    }
)


def combined(sections: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    array = {**sections["pe_array"], "dataflow": drawn["dataflow"], "start": drawn["start"]}
    if drawn["dataflow"] in SYSTOLIC:  # they move in lockstep
        array |= {"zero": "gate", "start": "filled"}
    dram = {key: drawn[key] for key in ("policy", "address_mapping", "queue_entries", "preset")}
    port = {**sections["global_buffer"], "access": "port"}
    return {**sections, "pe_array": array, "dram": dram, "global_buffer": port}


def compare(
    document: dict[str, Any], sections: dict[str, Any], drawn: dict[str, Any], data: st.DataObject
) -> None:
    machine = Machine(network=build(document), arch=arch(**combined(sections, drawn)))
    path, engine = paths(data.draw, machine), SegmentEngine(machine.program)
    outcome = run_image(machine.program, path, machine.work_of)
    for _ in range(2):  # the engine keeps tables from image to image
        found = engine.run(path, machine.work_of)
        assert found == outcome
    assert tally(machine.program, found, machine.work_of) == tally(machine.program, outcome, machine.work_of)


@settings(max_examples=60, deadline=None)
@given(networks(), architectures, others, st.data())
def test_engines_agree(document, sections, drawn, data) -> None:
    compare(document, sections, drawn, data)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(networks(), architectures, others, st.data())
def test_engines_agree_on_many_cases(document, sections, drawn, data) -> None:
    compare(document, sections, drawn, data)


@pytest.mark.parametrize("overlap", ["all", "weights"])
def test_engines_agree_where_the_array_waits_for_its_stores(overlap: str) -> None:
    """Sixteen tiles with little to load and to compute and much to store: both halves for stores are full."""
    conv = {"op": "conv2d", "kernel": 1, "relu": True}
    network = build({
        "schema": "archsim.workload/1", "name": "wide", "dataset": {"name": "noise", "classes": 3},
        "input": {"height": 16, "width": 16, "channels": 8}, "weights": "none.npz",
        "layers": [{"name": "wide", "filters": 128, **conv}, {"name": "thin", "filters": 1, **conv},
                   {"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 3}],
    })  # fmt: skip
    dma = {"chunk_bytes": 64, "outstanding_chunks": 1, "overlap": overlap}
    buffer = {"size_kib": 4, "filter_kib": 2}
    machine = Machine(network=network, arch=arch(global_buffer=buffer, dma=dma))
    path = ImagePath((), None)
    outcome = run_image(machine.program, path, machine.work_of)
    layer = tally(machine.program, outcome, machine.work_of).layers[0]
    assert layer.stall_cycles > layer.cycles / 3
    assert SegmentEngine(machine.program).run(path, machine.work_of) == outcome


def test_engines_agree_where_every_layer_waits_for_the_stores_of_the_one_before() -> None:
    """Each map of 8 x 8 x 48 bytes is larger than the 2 KiB there are for maps, and goes to DRAM."""
    conv = {"op": "conv2d", "kernel": 1, "relu": True, "filters": 48}
    network = build({
        "schema": "archsim.workload/1", "name": "deep", "dataset": {"name": "noise", "classes": 3},
        "input": {"height": 8, "width": 8, "channels": 4}, "weights": "none.npz",
        "layers": [*({"name": f"conv{index}", **conv} for index in range(4)),
                   {"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 3}],
    })  # fmt: skip
    buffer, dma = {"size_kib": 4, "filter_kib": 2}, {"chunk_bytes": 512}
    machine = Machine(network=network, arch=arch(global_buffer=buffer, dma=dma))
    path = ImagePath((), None)
    outcome = run_image(machine.program, path, machine.work_of)
    stores = [step.plan.store_bytes.sum() for step in machine.program.steps]
    assert stores[:3] == [8 * 8 * 48] * 3
    assert SegmentEngine(machine.program).run(path, machine.work_of) == outcome


@pytest.mark.parametrize("archname", ["locoexnet-65nm", "conventional-ee", "gated-rs", "eyeriss-65nm"])
def test_results_are_the_same(archname: str) -> None:
    tile, segment = (
        api.simulate("digits", arch=archname, images=12, engine=engine).to_json()
        for engine in ("tile", "segment")
    )
    assert (tile.pop("engine"), segment.pop("engine")) == ("tile", "segment")
    del tile["host"], segment["host"]
    assert tile == segment


@pytest.mark.parametrize("key", ["global_buffer.access=banks"])
def test_where_the_engine_lacks_the_hardware_the_result_says_which_one_ran(key: str) -> None:
    result = api.simulate("digits", images=1, overrides=[key], engine="segment")
    assert result.engine == "tile"
    assert result.cycles == api.simulate("digits", images=1, overrides=[key]).cycles


def test_the_ring_of_the_dram_controller_grows(monkeypatch) -> None:
    monkeypatch.setattr("archsim.sim.segment.RING_TRANSFERS", 4)
    machine = Machine(arch=arch(dma={"chunk_bytes": 16, "outstanding_chunks": 64}, dram={"policy": "frfcfs"}))
    path = ImagePath((False, False), None)
    expected = run_image(machine.program, path, machine.work_of)
    assert SegmentEngine(machine.program).run(path, machine.work_of) == expected


def test_an_image_that_cannot_end_is_an_error() -> None:
    """A tensor of which one store never comes."""
    machine = Machine(arch=arch(global_buffer={"size_kib": 3, "filter_kib": 2}))
    engine = SegmentEngine(machine.program)
    engine._tables.steps[:, STORES] += 1
    with pytest.raises(SimulationFailed, match="nothing is due in cycle"):
        engine.run(ImagePath((False, False), None), machine.work_of)
