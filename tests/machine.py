"""A small machine with a small network, for tests of the simulation: seeded, quick, with every decision settable."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.load import load_dram_preset
from archsim.mapping.base import MapTransfers, TileWork
from archsim.mapping.compression import CodedMap, map_transfers
from archsim.network.graph import IMAGE, Network
from archsim.results.observed import observe_image
from archsim.results.timeline import Timeline, TimelineRequest
from archsim.schedule.program import Program, Step, compile_program
from archsim.sim.decisions import ImagePath
from archsim.sim.engine import run_image
from archsim.sim.observe import EventLog
from archsim.sim.records import ImageRecord
from archsim.sim.system import Outcome
from archsim.sim.tally import tally
from tests.builders import build

POOLED_HEAD: list[dict[str, Any]] = [
    {"name": "gap", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "units": 4},
]
CONV_HEAD: list[dict[str, Any]] = [
    {"name": "pool", "op": "avg_pool", "kernel": 2},
    {"name": "conv", "op": "conv2d", "filters": 8, "kernel": 3, "padding": 1, "relu": True},
    *POOLED_HEAD,
]
"""A branch that needs the PE array."""


def small_network(branches: bool = True, head: Sequence[dict[str, Any]] = POOLED_HEAD) -> Network:
    """Five layers on 12x12 images with branches after the second and the third."""
    conv = {"op": "conv2d", "kernel": 3, "padding": 1, "relu": True}
    hanging = [
        {"name": "early", "after": "pool2", "layers": list(head), "threshold": 100, "dbp": {"min_sum": 5}},
        {
            "name": "late",
            "after": "conv3",
            "layers": list(head),
            "threshold": 100,
            "dbp": {"min_sum": 5, "max_sum": 900},
        },
    ]
    return build(
        {
            "schema": "archsim.workload/1",
            "name": "small",
            "dataset": {"name": "noise", "classes": 4},
            "input": {"height": 12, "width": 12, "channels": 3},
            "weights": "none.npz",
            "layers": [
                {"name": "conv1", "filters": 8, **conv},
                {"name": "conv2", "filters": 16, **conv},
                {"name": "pool2", "op": "max_pool", "kernel": 2},
                {"name": "conv3", "filters": 24, **conv},
                {"name": "conv4", "filters": 24, **conv},
                {"name": "gap", "op": "global_avg_pool"},
                {"name": "fc", "op": "linear", "units": 4},
            ],
            "branches": hanging if branches else [],
        }
    )


def arch(**sections: dict[str, Any]) -> ArchSpec:
    """The default architecture with some keys replaced, by section."""
    return ArchSpec.model_validate({"schema": "archsim.arch/1", "name": "test", **sections})


@dataclass
class Machine:
    """Program of a network on an architecture; ``zeros`` is the share of zero activations of its one image."""

    network: Network = field(default_factory=small_network)
    arch: ArchSpec = field(default_factory=arch)
    zeros: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        self.program: Program = compile_program(
            self.network, self.arch, load_dram_preset(self.arch.dram.preset)
        )
        self._works: dict[int, TileWork] = {}

    def work_of(self, step_index: int) -> TileWork:
        """Work of one step on an image with random zeros."""
        if step_index not in self._works:
            step = self.program.steps[step_index]
            shape = step.layer.input_shape
            rng = np.random.default_rng([self.seed, step_index])
            nonzero = rng.random((shape.height, shape.width, shape.channels)) >= self.zeros
            work = self.program.dataflow.work(step.layer, self.arch, step.plan, nonzero)
            if self.arch.dma.compression == "rlc":
                work = replace(work, maps=self._maps_of(step))
            self._works[step_index] = work
        return self._works[step_index]

    def _maps_of(self, step: Step) -> MapTransfers:
        summand = self._coded(step.fused.summand[0]) if step.fused.summand else None
        stored = None if step.layer.is_classifier else self._coded(step.fused.output_tensor)
        return map_transfers(step.plan, self._coded(step.layer.inputs[0]), summand, stored)

    def _coded(self, tensor: str) -> CodedMap | None:
        if tensor == IMAGE:
            return None
        rng = np.random.default_rng([self.seed, zlib.crc32(tensor.encode())])
        nonzero = rng.random(self.network.shape(tensor).elements) >= self.zeros
        return CodedMap.of(nonzero, self.arch.precision.activation_bits)

    def run(
        self, exits_at: int | None = None, skipped: tuple[bool, ...] = (False, False)
    ) -> tuple[Outcome, EventLog]:
        """Simulate the image along a path."""
        log = EventLog()
        return run_image(self.program, ImagePath(skipped, exits_at), self.work_of, log), log

    def timeline(
        self,
        exits_at: int | None = None,
        skipped: tuple[bool, ...] = (False, False),
        request: TimelineRequest = TimelineRequest(),  # noqa: B008 (frozen)
    ) -> Timeline:
        """Simulate and write down what happens."""
        record = self.record(exits_at, skipped)
        return observe_image(self.program, ImagePath(skipped, exits_at), self.work_of, record, request)

    def record(self, exits_at: int | None = None, skipped: tuple[bool, ...] = (False, False)) -> ImageRecord:
        """Simulate and count."""
        return tally(self.program, self.run(exits_at, skipped)[0], self.work_of)
