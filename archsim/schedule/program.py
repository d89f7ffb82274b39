"""The program of a network on an accelerator: what the controller dispatches, in order, with addresses.

Layers that only reshape what the layer before writes (pools, adds) are fused into its write path, so a step is one
layer on the PE array. A branch hangs on the step whose stored tensor it reads; what of it runs on the array stands
right behind (:mod:`archsim.schedule.branches`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.mapping.base import Dataflow, Int64Array, Placement, TilePlan
from archsim.mapping.fusion import FusedLayer
from archsim.mapping.pool_pass import WithPools
from archsim.mapping.residency import place
from archsim.network.graph import IMAGE, Layer, Network
from archsim.progress import Progress
from archsim.registry import get_dataflow
from archsim.schedule.branches import BranchStep, branch_steps, classifier_bytes, runs_of

REGION_BYTES = 4096
"""Tensors and weights start at multiples of this in DRAM."""


@dataclass(frozen=True, slots=True)
class TensorSource:
    """Where a tensor that a step reads comes from: its address in DRAM and the step that writes it (None: image)."""

    address: int
    producer: int | None


@dataclass(frozen=True)
class Step:
    """One layer on the PE array with everything fused into its write path.

    ifmap, summand: the input and the second tensor of a fused ``add``. Addresses are bytes in DRAM.
    branch: the one that reads the stored tensor. part_of: the branch that the step is a part of; None in the trunk.
    """

    index: int
    fused: FusedLayer
    placement: Placement
    plan: TilePlan
    weight_address: int
    ifmap: TensorSource
    summand: TensorSource | None
    store_address: int
    branch: BranchStep | None
    part_of: BranchStep | None

    @property
    def layer(self) -> Layer:
        """The layer that runs on the array."""
        return self.fused.layer

    @cached_property
    def decides(self) -> BranchStep | None:
        """The branch whose decision follows this step, if DBP lets it run."""
        return next((b for b in (self.branch, self.part_of) if b and b.last_step == self.index), None)

    @cached_property
    def tap_values(self) -> Int64Array:
        """Values of the stored tensor that reach the taps, one element a tile."""
        outputs = np.cumsum(self.plan.outputs)
        stored: Int64Array = outputs * self.fused.stored_shape.elements // outputs[-1]
        return np.diff(stored, prepend=0).astype(np.int64)


@dataclass(frozen=True)
class Program:
    """Steps in execution order for one network on one accelerator; branches in the order of the network."""

    network: Network
    arch: ArchSpec
    dram: DramPresetSpec
    dataflow: Dataflow
    steps: tuple[Step, ...]
    branches: tuple[BranchStep, ...]

    @property
    def dram_cycles_per_core_cycle(self) -> int:
        """Integer clock ratio."""
        return self.dram.clock_mhz // self.arch.clock.core_mhz


def compile_program(
    network: Network, arch: ArchSpec, dram: DramPresetSpec, progress: Progress | None = None
) -> Program:
    """Plan every layer and lay out the DRAM. progress: of the search for mappings, in layers.

    Raises InvalidInput when a layer or a branch cannot be mapped.
    """
    dataflow = WithPools(get_dataflow(arch.pe_array.dataflow))
    ratio = dram.clock_mhz // arch.clock.core_mhz
    runs = runs_of(network, arch)
    rate = 2 * dram.channel_bits // 8 * ratio
    placements = place([run.fused for run in runs], arch, rate, progress, network.results)
    allocator = _Allocator()
    sources = {
        name: TensorSource(allocator.take(shape.elements * arch.precision.activation_bits // 8), None)
        for name, shape in ((IMAGE, network.input_shape), *network.own_inputs)
    }
    branches: tuple[BranchStep, ...] = ()
    if arch.exits.enabled:
        addresses = [allocator.take(classifier_bytes(branch, arch)) for branch in network.branches]
        branches = branch_steps(network, arch, runs, addresses)
    tapped = {branch.branch.after: branch for branch in branches}
    steps = []
    for index, run in enumerate(runs):
        fused, layer = run.fused, run.fused.layer
        placement = placements[layer.name]
        store_address = allocator.take(fused.stored_shape.elements * arch.precision.activation_bits // 8)
        steps.append(
            Step(
                index=index,
                fused=fused,
                placement=placement,
                plan=dataflow.plan(layer, arch, placement),
                weight_address=allocator.take(layer.weights * arch.precision.weight_bits // 8),
                ifmap=sources[layer.inputs[0]],
                summand=sources[fused.summand[0]] if fused.summand else None,
                store_address=store_address,
                branch=tapped.get(fused.output_tensor),
                part_of=None if run.branch_index is None else branches[run.branch_index],
            )
        )
        sources[fused.output_tensor] = TensorSource(store_address, index)
    return Program(network, arch, dram, dataflow, tuple(steps), branches)


class _Allocator:
    """Hands out DRAM addresses one after the other."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, size_bytes: int) -> int:
        address = self._next
        self._next += -(-size_bytes // REGION_BYTES) * REGION_BYTES
        return address
