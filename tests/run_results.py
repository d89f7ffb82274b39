"""Results of runs that never ran: small, consistent in themselves, with numbers that are easy to check by head."""

from __future__ import annotations

import dataclasses
from typing import Any

from archsim.functional.statistics import BranchStatistics
from archsim.results.host import Host
from archsim.results.run_result import (
    BranchImage,
    CycleStatistics,
    DramBytesPerImage,
    EnergyPerImage,
    ImageResult,
    LatencyStatistics,
    LayerResult,
    Roofs,
    RunResult,
)
from archsim.results.timeline import BufferUse, Feeds, Timeline
from archsim.sim.observe import LoggedEvent, Span

COMPONENTS = ("dram", "global_buffer", "noc", "pe_array", "branch_unit", "dbp_unit", "controller", "leakage")
CORE_MHZ = 200


def image(
    index: int, exit_name: str, cycles: int, *, right: bool = True, waiting_cycles: int = 0
) -> ImageResult:
    """One image of class 1."""
    return ImageResult(
        index, 1, 1 if right else 0, exit_name, cycles, waiting_cycles, 1.5, 64, 32, 0, (), 100
    )


def layer(name: str, energy_uj: float) -> LayerResult:
    """One entry; only its energy matters."""
    return LayerResult(name, 10.0, 1.0, 100.0, 5.0, 0.5, 64.0, 32.0, 128.0, 64.0, energy_uj)


def early_exit_run(**changes: Any) -> RunResult:
    """Four images on a 200 MHz core: three leave at ``exit1`` (two of them right), one at the end (right).

    Latencies are 1, 1, 2 and 4 us, energies 0.5, 1.0, … 4.0 uJ of the eight components (18 uJ together).
    """
    images = (
        image(0, "exit1", 200),
        image(1, "exit1", 200),
        image(2, "exit1", 400, right=False),
        image(3, "final", 800),
    )
    by_component = {name: 0.5 * (index + 1) for index, name in enumerate(COMPONENTS)}
    result = RunResult(
        workload="toy",
        arch="fast",
        energy_table="65nm",
        images=4,
        engine="tile",
        seed=1,
        version="0.1.0",
        dram_preset="lpddr3",
        config_hash="c" * 64,
        dram_preset_hash="d" * 64,
        energy_table_hash="e" * 64,
        network_hash="f" * 64,
        overrides=(),
        arrivals="alone",
        accuracy=0.75,
        params_used_fraction=0.4,
        macs_used_fraction=0.5,
        exits={"exit1": 3, "final": 1},
        branches={"exit1": BranchStatistics(4, 0, 3)},
        cycles=CycleStatistics(400.0, 200, 800, 800, 800, 1600),
        latency_us=LatencyStatistics(2.0, 1.0, 4.0, 4.0, 4.0),
        throughput_ips=500_000.0,
        energy_uj_per_image=EnergyPerImage(18.0, by_component),
        dram_bytes_per_image=DramBytesPerImage(64.0, 32.0, 0.0),
        layers=(layer("conv1", 10.0), layer("exit1", 2.0), layer("conv2", 6.0)),
        host=Host(0.5, 100.0),
        roofs=Roofs(CORE_MHZ, 168, 16, 64, 32),
        per_image=images,
        per_branch=(
            BranchImage(0, "exit1", 900, 500, None, 80, 50, "left"),
            BranchImage(1, "exit1", 800, 500, None, 60, 50, "left"),
            BranchImage(2, "exit1", 700, 500, None, 55, 50, "left"),
            BranchImage(3, "exit1", 600, 500, None, 20, 50, "passed"),
        ),
    )
    return dataclasses.replace(result, **changes)


def observed_run(**changes: Any) -> RunResult:
    """The same with the timeline of its first image: one layer of two tiles, one decision, 200 cycles.

    The DRAM moves 640 bytes of loads in 20 cycles and 128 of stores in 10; the buffer holds 8 + 4 + 2 of 16 KiB.
    """
    spans = (
        Span("branch_unit", "evaluate", "exit1", -1, 120, 160),
        Span("controller", "decision", "exit1: exit", -1, 160, 161),
        Span("controller", "result", "toy", -1, 160, 200),
        Span("dma.load", "fetch", "conv1", 0, 0, 20),
        Span("dma.load", "fetch", "conv2", 0, 110, 160, 0, True),
        Span("dram", "load", "conv1", 0, 0, 10, 320),
        Span("dram", "load", "conv1", 1, 10, 20, 320),
        Span("dram", "store", "conv1", 1, 100, 110, 128),
        Span("global_buffer", "load", "conv1", 0, 10, 15, 320),
        Span("pe_array", "layer", "conv1", -1, 0, 110),
        Span("pe_array", "dispatch", "conv1", -1, 0, 4),
        Span("pe_array", "wait", "the data of tile 0 of conv1", -1, 4, 15),
        Span("pe_array", "tile", "conv1", 0, 15, 60),
        Span("pe_array", "compute", "conv1", 0, 15, 60),
        Span("pe_array", "tile", "conv1", 1, 60, 110),
        Span("pe_array", "compute", "conv1", 1, 60, 110),
    )
    timeline = Timeline(
        workload="toy",
        arch="fast",
        image=0,
        exit="exit1",
        cycles=200,
        core_mhz=CORE_MHZ,
        from_cycle=0,
        until_cycle=200,
        is_truncated=False,
        dram_bytes_per_cycle=64,
        buffer_bytes=16 * 1024,
        filter_bytes=8 * 1024,
        feeds={"exit1": Feeds("conv1", "conv1")},
        buffer=(BufferUse("conv1", 0, 110, 4 * 1024, 2 * 1024),),
        marks=(
            LoggedEvent(160, "branch_unit", "exit", "exit1"),
            LoggedEvent(160, "dma", "cancel", "toy"),
        ),
        spans=spans,
    )
    return early_exit_run(**{"timeline": timeline, **changes})


def baseline_run(**changes: Any) -> RunResult:
    """The same network without exits: four images of 4 us and 36 uJ each, all right."""
    images = tuple(image(index, "final", 800) for index in range(4))
    return early_exit_run(
        **{
            "arch": "slow",
            "accuracy": 1.0,
            "exits": {"exit1": 0, "final": 4},
            "branches": {"exit1": BranchStatistics(0, 0, 0)},
            "cycles": CycleStatistics(800.0, 800, 800, 800, 800, 3200),
            "latency_us": LatencyStatistics(4.0, 4.0, 4.0, 4.0, 4.0),
            "energy_uj_per_image": EnergyPerImage(36.0, {"dram": 20.0, "pe_array": 16.0}),
            "layers": (layer("conv1", 10.0), layer("conv2", 26.0)),
            "per_image": images,
            "per_branch": (),
            **changes,
        }
    )
