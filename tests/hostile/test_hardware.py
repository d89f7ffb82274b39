"""Machines at the ends of what a file may say: a clear refusal, or both engines with the same answer; never a hang."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from archsim.config.arch import ArchSpec
from archsim.config.checks import arch_problems
from archsim.config.document import Document
from archsim.config.load import load_arch, load_dram_preset
from archsim.errors import Deadlock, InvalidInput
from archsim.sim import system
from archsim.sim.conservation import disagreements
from archsim.sim.decisions import ImagePath
from archsim.sim.dma import Dma
from archsim.sim.engine import run_image
from archsim.sim.segment import SegmentEngine
from archsim.sim.tally import tally
from tests.machine import Machine, arch

EXTREMES: dict[str, dict[str, tuple[Any, ...]]] = {
    "clock": {"core_mhz": (1, 7, 100, 200, 800)},
    "pe_array": {
        "rows": (1, 3, 512, 1024),
        "cols": (1, 2, 512, 1024),
        "dataflow": ("row_stationary", "weight_stationary", "output_stationary", "input_stationary"),
        "zero": ("none", "gate", "skip"),
        "start": ("filled", "arrival"),
        "scratchpad": ({"ifmap_words": 1, "filter_words": 1, "psum_words": 1}, {"ifmap_words": 1 << 16}, {}),
        "noc": ({"ifmap_bytes_per_cycle": 1, "filter_bytes_per_cycle": 1, "psum_bytes_per_cycle": 1}, {}),
    },
    "global_buffer": {
        "size_kib": (1, 2, 12, 1 << 20),
        "filter_kib": (1, 8),
        "port_bytes_per_cycle": (1, 64, 1 << 16),
        "burst_bytes": (1, 64, 4096),
        "access": ("port", "banks"),
        "banks": (1, 1 << 16),
    },
    "dma": {"chunk_bytes": (16, 64, 65536), "outstanding_chunks": (1, 64), "overlap": ("all", "weights"),
            "compression": ("none", "rlc")},
    "dram": {"policy": ("in_order", "frfcfs", "frfcfs_row_hit"), "queue_entries": (1, 1024)},
    "branch_unit": {
        "macs": (0, 1, 4096), "tap_lanes": (1, 1024), "weight_sram_kib": (0, 1 << 16), "pipeline_cycles": (0, 1024),
        "overlap": ("serial", "speculative"),
    },
    "dbp_unit": {"lanes": (1, 1024), "decision_cycles": (0, 1024)},
    "controller": {"dispatch_cycles": (0, 1 << 16), "result_cycles": (0, 1 << 16)},
}  # fmt: skip
"""By section and key: values at both ends and one between."""

MACHINES = st.fixed_dictionaries(
    {
        section: st.fixed_dictionaries(
            {}, optional={key: st.sampled_from(values) for key, values in keys.items()}
        )
        for section, keys in EXTREMES.items()
    }
)


def outcome_of(sections: dict[str, Any], leaves_at: int | None, skipped: tuple[bool, bool]) -> str:
    """``refused``, or ``equal`` when both engines agree and everything adds up."""
    try:
        spec = ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "extreme", **sections})
    except ValidationError:
        return "refused"
    if arch_problems(spec, load_dram_preset(spec.dram.preset), Document("", {}, {})):  # type: ignore[arg-type]
        return "refused"
    try:
        machine = Machine(arch=spec)
    except InvalidInput as error:
        assert error.problems and all(problem.message for problem in error.problems)
        return "refused"
    path = ImagePath(skipped, leaves_at)
    outcome = run_image(machine.program, path, machine.work_of)
    other = (
        SegmentEngine(machine.program).run(path, machine.work_of)
        if SegmentEngine.runs(machine.program)
        else None
    )
    record = tally(machine.program, outcome, machine.work_of)
    found = disagreements(machine.program, outcome, record)
    if other is not None:
        assert outcome == other
    assert not found, found
    return "equal"


def tried(leaves_at: int | None, is_skipped: bool) -> tuple[bool, bool]:
    return (is_skipped and leaves_at != 0, False)


@settings(max_examples=12)
@given(MACHINES, st.sampled_from([None, 0, 1]), st.booleans())
def test_a_machine_at_the_ends_of_its_keys_is_refused_or_exact(
    sections: dict[str, Any], leaves_at: int | None, is_skipped: bool
) -> None:
    assert outcome_of(sections, leaves_at, tried(leaves_at, is_skipped)) in ("refused", "equal")


@pytest.mark.slow
@settings(max_examples=500)
@given(MACHINES, st.sampled_from([None, 0, 1]), st.booleans())
def test_many_machines_at_the_ends_of_their_keys(
    sections: dict[str, Any], leaves_at: int | None, is_skipped: bool
) -> None:
    assert outcome_of(sections, leaves_at, tried(leaves_at, is_skipped)) in ("refused", "equal")


@pytest.mark.parametrize(
    "key",
    [
        *("clock.core_mhz", "pe_array.rows", "pe_array.cols", "pe_array.noc.ifmap_bytes_per_cycle"),
        *("global_buffer.port_bytes_per_cycle", "global_buffer.size_kib", "dma.outstanding_chunks"),
        *("dram.queue_entries", "branch_unit.tap_lanes", "dbp_unit.lanes"),
    ],
)
def test_what_moves_nothing_is_refused(key: str) -> None:
    """No bandwidth, no place, no PE: a run would never end."""
    with pytest.raises(InvalidInput, match=f"{key}.*expected") as caught:
        load_arch("locoexnet-65nm", [f"{key}=0"])
    assert len(caught.value.problems) == 1


def test_one_pe_behind_a_bus_of_one_byte_is_exact() -> None:
    sections = {
        "pe_array": {"rows": 3, "cols": 1, "noc": {"ifmap_bytes_per_cycle": 1}},
        "global_buffer": {"port_bytes_per_cycle": 1, "burst_bytes": 1},
        "dma": {"outstanding_chunks": 1, "chunk_bytes": 64},
    }
    assert outcome_of(sections, None, (False, False)) == "equal"


def test_a_buffer_that_holds_no_tile_is_refused_with_the_layer() -> None:
    with pytest.raises(InvalidInput, match="conv"):
        Machine(
            arch=arch(
                global_buffer={"size_kib": 2, "filter_kib": 1}, pe_array={"scratchpad": {"filter_words": 1}}
            )
        )


def test_a_machine_that_does_things_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DMA that keeps itself busy and never brings a tile: events without end, of which none is progress."""

    def busy_load(self):  # type: ignore[no-untyped-def]
        while True:
            yield self._wiring.clock.timeout(1)

    monkeypatch.setattr(Dma, "_load", busy_load)
    monkeypatch.setattr(system, "WATCHDOG_EVENTS", 1000)
    machine = Machine()
    with pytest.raises(Deadlock, match="pe_array waits for tile 0 of conv1"):
        run_image(machine.program, ImagePath((False, False), None), machine.work_of)
