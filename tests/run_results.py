"""Results of runs that never ran: small, consistent in themselves, with numbers that are easy to check by head."""

from __future__ import annotations

import dataclasses
from typing import Any

from archsim.functional.statistics import BranchStatistics
from archsim.results.host import Host
from archsim.results.run_result import (
    CycleStatistics,
    DramBytesPerImage,
    EnergyPerImage,
    ImageResult,
    LatencyStatistics,
    LayerResult,
    RunResult,
)

COMPONENTS = ("dram", "global_buffer", "noc", "pe_array", "branch_unit", "dbp_unit", "controller", "leakage")
CORE_MHZ = 200


def image(
    index: int, exit_name: str, cycles: int, *, right: bool = True, waiting_cycles: int = 0
) -> ImageResult:
    """One image of class 1."""
    return ImageResult(index, 1, 1 if right else 0, exit_name, cycles, waiting_cycles, 1.5, 64, 32, 0, ())


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
        per_image=images,
    )
    return dataclasses.replace(result, **changes)


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
            **changes,
        }
    )
