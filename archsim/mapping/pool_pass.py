"""Pools that take a step of their own: a stored tensor passes the array on its way to the pooling registers.

Behind a layer with weights a pool runs on the write path and takes no step (:mod:`archsim.mapping.fusion`). A branch
that begins with a pool reads a tensor that is stored already: its values are read from the buffer, go over the bus of
activations through PEs that do nothing, and what the pooling registers of the write path make of them leaves over the
bus of partial sums. This is the same for every dataflow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, Problem
from archsim.mapping.assemble import frozen, shares
from archsim.mapping.base import BoolArray, Dataflow, Int64Array, Placement, TilePlan, TileWork
from archsim.mapping.cost import summand_bytes_of, weighted_cost
from archsim.mapping.geometry import Hardware, hardware_of
from archsim.network.graph import Layer, Shape

ACTIONS: tuple[tuple[str, str], ...] = (("noc", "ifmap_byte"), ("noc", "psum_byte"))


@dataclass(frozen=True)
class WithPools:
    """A dataflow that also runs pools on their own; layers with weights are the business of ``dataflow``."""

    dataflow: Dataflow

    @property
    def name(self) -> str:
        """Of the dataflow."""
        return self.dataflow.name

    def plan(self, layer: Layer, arch: ArchSpec, placement: Placement) -> TilePlan:
        """Tiles of a layer. Raises InvalidInput when the dataflow does, or the buffer cannot stream a pool's input."""
        if layer.is_compute:
            return self.dataflow.plan(layer, arch, placement)
        passing = _Passing.of(layer, arch, placement)
        if passing.tiles is None:
            need, found = 2 * passing.pixel_bytes, placement.capacity_bytes
            message = f"needs {need} bytes for two pixels of its input, found {found}"
            where = f"layer {layer.name}"
            raise InvalidInput([Problem(where, "global_buffer.size_kib", message, "use a larger buffer")])
        return passing.plan(passing.tiles)

    def cost(self, layer: Layer, arch: ArchSpec, placement: Placement) -> int | None:
        """Relative cost of the plan, in the units of the dataflows; None when none fits."""
        if layer.is_compute:
            return self.dataflow.cost(layer, arch, placement)
        passing = _Passing.of(layer, arch, placement)
        return None if passing.tiles is None else passing.cost

    def work(self, layer: Layer, arch: ArchSpec, plan: TilePlan, nonzero: BoolArray) -> TileWork:
        """Data-dependent part of a plan; of a pool nothing depends on data."""
        if layer.is_compute:
            return self.dataflow.work(layer, arch, plan, nonzero)
        return TileWork(plan.compute_cycles, np.zeros_like(plan.macs))


@dataclass(frozen=True)
class _Passing:
    """One image's tensor on its way from the buffer through the write path, in whole tensors."""

    layer: Layer
    hardware: Hardware
    placement: Placement

    @classmethod
    def of(cls, layer: Layer, arch: ArchSpec, placement: Placement) -> _Passing:
        return cls(layer, hardware_of(arch), placement)

    def _bytes(self, shape: Shape) -> int:
        return -(-shape.elements * self.hardware.activation_bits // 8)

    @property
    def pixel_bytes(self) -> int:
        """The least that can be loaded at a time."""
        return -(-self.layer.input_shape.channels * self.hardware.activation_bits // 8)

    @property
    def read_bytes(self) -> int:
        return self._bytes(self.layer.input_shape)

    @property
    def stored_bytes(self) -> int:
        return self._bytes(self.placement.stored_shape or self.layer.output_shape)

    @property
    def tiles(self) -> int | None:
        """As many as it takes to stream the input through half of the capacity; None when not even a pixel fits."""
        half = self.placement.capacity_bytes // 2
        if self.placement.ifmap_on_chip:
            return 1
        return None if half < self.pixel_bytes else -(-self.read_bytes // half)

    @property
    def cost(self) -> int:
        hw, placement = self.hardware, self.placement
        summand = summand_bytes_of(hw, placement)
        dram_bytes = (
            (not placement.ifmap_on_chip) * self.read_bytes
            + (not placement.ofmap_on_chip) * self.stored_bytes
            + (not placement.summand_on_chip) * summand
        )
        cycles = int(self._cycles(np.array(self.read_bytes), np.array(self.stored_bytes)))
        buffer_bytes = self.read_bytes + summand + self.stored_bytes
        return int(weighted_cost(hw, placement, dram_bytes, buffer_bytes, cycles))

    def _cycles(self, read_bytes: Int64Array, stored_bytes: Int64Array) -> Int64Array:
        hw = self.hardware
        cycles: Int64Array = np.maximum(-(-read_bytes // hw.ifmap_bus), -(-stored_bytes // hw.psum_bus))
        return cycles

    def plan(self, tiles: int) -> TilePlan:
        placement, hw = self.placement, self.hardware
        even = np.ones(tiles, np.int64)
        nothing = frozen(np.zeros(tiles, np.int64))
        read, read_offset = shares(self.read_bytes, even)
        stored, stored_offset = shares(self.stored_bytes, even)
        summand, summand_offset = shares(summand_bytes_of(hw, placement), even)
        cycles = frozen(self._cycles(read, stored))
        return TilePlan(
            layer=self.layer.name,
            weight_load_bytes=nothing,
            weight_load_offset_bytes=nothing,
            ifmap_load_bytes=frozen(read * (not placement.ifmap_on_chip)),
            ifmap_load_offset_bytes=frozen(read_offset),
            summand_load_bytes=frozen(summand * (not placement.summand_on_chip)),
            summand_load_offset_bytes=frozen(summand_offset),
            store_bytes=frozen(stored * (not placement.ofmap_on_chip)),
            store_offset_bytes=frozen(stored_offset),
            fill_cycles=nothing,
            fill_read_bytes=nothing,
            compute_cycles=cycles,
            bus_cycles=cycles,
            stream_read_bytes=frozen(read + summand),
            stream_write_bytes=frozen(stored),
            drain_cycles=nothing,
            drain_write_bytes=nothing,
            outputs=frozen(shares(self.layer.output_shape.elements, even)[0]),
            macs=nothing,
            group=nothing,
            actions=ACTIONS,
            counts=frozen(np.stack([read, stored], axis=1)),
            active_pes=0,
            working_bytes=0 if placement.ifmap_on_chip else 2 * int(read.max()),
            mapping={"tiles": tiles},
        )
