"""The program of a network on an accelerator: what the controller dispatches, in order, with addresses.

Layers that only reshape what the layer before writes (pools, adds) are fused into its write path, so a step is one
layer on the PE array. A branch hangs on the step whose stored tensor it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec
from archsim.errors import InvalidInput, Problem
from archsim.mapping.base import Dataflow, Int64Array, Placement, TilePlan
from archsim.mapping.fusion import FusedLayer, fuse
from archsim.mapping.residency import place
from archsim.network.graph import IMAGE, Branch, Layer, Network
from archsim.registry import get_dataflow

BRANCH_UNIT_OPS = ("avg_pool", "global_avg_pool", "linear")
REGION_BYTES = 4096
"""Tensors and weights start at multiples of this in DRAM."""


@dataclass(frozen=True)
class BranchStep:
    """One branch as the branch unit and the DBP unit see it.

    index: position among the network's branches. tapped_values: elements of the tensor it reads.
    weight_bytes, weight_address: its classifier in DRAM; resident: kept in the unit's SRAM for good.
    mac_cycles: MAC lanes busy; units: logits.
    """

    branch: Branch
    index: int
    tapped_values: int
    macs: int
    units: int
    weight_bytes: int
    weight_address: int
    resident: bool
    mac_cycles: int


@dataclass(frozen=True, slots=True)
class TensorSource:
    """Where a tensor that a step reads comes from: its address in DRAM and the step that writes it (None: image)."""

    address: int
    producer: int | None


@dataclass(frozen=True)
class Step:
    """One layer on the PE array with everything fused into its write path.

    ifmap, summand: the input and the second tensor of a fused ``add``. tap_values: per tile, values of the stored
    tensor that reach the taps by then. Addresses are bytes in DRAM.
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

    @property
    def layer(self) -> Layer:
        """The layer that runs on the array."""
        return self.fused.layer

    @cached_property
    def tap_values(self) -> Int64Array:
        """Values of the stored tensor that the tiles complete, one element a tile."""
        outputs = np.cumsum(self.plan.outputs)
        stored: Int64Array = outputs * self.fused.stored_shape.elements // outputs[-1]
        return np.diff(stored, prepend=0).astype(np.int64)


@dataclass(frozen=True)
class Program:
    """Steps in execution order for one network on one accelerator."""

    network: Network
    arch: ArchSpec
    dram: DramPresetSpec
    dataflow: Dataflow
    steps: tuple[Step, ...]

    @property
    def dram_cycles_per_core_cycle(self) -> int:
        """Integer clock ratio."""
        return self.dram.clock_mhz // self.arch.clock.core_mhz


def compile_program(network: Network, arch: ArchSpec, dram: DramPresetSpec) -> Program:
    """Plan every layer and lay out the DRAM. Raises InvalidInput when a layer or a branch cannot be mapped."""
    dataflow = get_dataflow(arch.pe_array.dataflow)
    ratio = dram.clock_mhz // arch.clock.core_mhz
    placements = place(network, arch, 2 * dram.channel_bits // 8 * ratio)
    allocator = _Allocator()
    image_bytes = network.input_shape.elements * arch.precision.activation_bits // 8
    sources = {IMAGE: TensorSource(allocator.take(image_bytes), None)}
    branches = _branch_steps(network, arch, allocator) if arch.exits.enabled else {}
    steps = []
    for index, fused in enumerate(fuse(network)):
        layer, placement = fused.layer, placements[fused.layer.name]
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
                branch=branches.get(fused.output_tensor),
            )
        )
        sources[fused.output_tensor] = TensorSource(store_address, index)
    _check_taps(network, {step.fused.output_tensor for step in steps}, arch)
    return Program(network, arch, dram, dataflow, tuple(steps))


class _Allocator:
    """Hands out DRAM addresses one after the other."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, size_bytes: int) -> int:
        address = self._next
        self._next += -(-size_bytes // REGION_BYTES) * REGION_BYTES
        return address


def _branch_steps(network: Network, arch: ArchSpec, allocator: _Allocator) -> dict[str, BranchStep]:
    """Branches by the tensor they read."""
    unit = arch.branch_unit
    problems = [
        Problem(f"branch {branch.name}", layer.name, f'the branch unit cannot run "{layer.op}"',
                f"structures it runs end in one linear after {', '.join(BRANCH_UNIT_OPS[:2])} or nothing")
        for branch in network.branches
        for position, layer in enumerate(branch.layers)
        if layer.op not in BRANCH_UNIT_OPS or (layer.op == "linear") != (position == len(branch.layers) - 1)
    ]  # fmt: skip
    if problems:
        raise InvalidInput(problems)
    bits = arch.precision.weight_bits
    resident = sum(branch.weights for branch in network.branches) * bits // 8 <= unit.weight_sram_kib * 1024
    steps = {}
    for index, branch in enumerate(network.branches):
        classifier = branch.layers[-1]
        steps[branch.after] = BranchStep(
            branch=branch,
            index=index,
            tapped_values=network.shape(branch.after).elements,
            macs=classifier.macs,
            units=classifier.output_shape.channels,
            weight_bytes=classifier.weights * bits // 8,
            weight_address=allocator.take(classifier.weights * bits // 8),
            resident=resident,
            mac_cycles=max(-(-classifier.macs // unit.macs), classifier.output_shape.channels),
        )
    return steps


def _check_taps(network: Network, stored: set[str], arch: ArchSpec) -> None:
    """A branch can only read what is written to the buffer."""
    problems = [
        Problem(f"branch {branch.name}", "after", f'"{branch.after}" is fused with the layers behind it',
                f"tensors that are written: {', '.join(sorted(stored))}")
        for branch in network.branches
        if arch.exits.enabled and branch.after not in stored
    ]  # fmt: skip
    if problems:
        raise InvalidInput(problems)
