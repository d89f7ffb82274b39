"""What a dataflow returns: data. One row of every array is one tile, the unit of work of the simulator.

A tile is loaded (DRAM to global buffer), filled (buffer to scratchpads), computed (while further activations and
partial sums stream), drained (partial sums or outputs to the buffer) and, if its outputs leave the chip, stored.
The simulator replays these rows and never asks which dataflow made them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from archsim.config.arch import ArchSpec
from archsim.network.graph import Layer, Shape

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the tensors of one layer live, decided for the whole network (:mod:`archsim.mapping.residency`).

    ifmap_on_chip: the input is already in the global buffer when the layer starts.
    ofmap_on_chip: the output (after fused pooling) stays in the global buffer for its readers.
    capacity_bytes: buffer bytes that this layer may use, for partial sums in flight and for its input while that
        streams from DRAM, as the dataflow shares them out.
    stored_shape: what reaches the buffer after the fused pools and adds; None is the layer's own output.
    summand_values: elements of the tensor that a fused ``add`` reads on the write path, 0 without an add.
    summand_on_chip: that tensor is in the global buffer; else it is loaded with the last channels of each output.
    dram_bytes_per_cycle: nominal rate with which the search for a mapping weighs DRAM traffic against cycles.
    batch: images that the plan is for; stored_shape and summand_values are those of one image.
    """

    ifmap_on_chip: bool
    ofmap_on_chip: bool
    capacity_bytes: int
    stored_shape: Shape | None = None
    summand_values: int = 0
    summand_on_chip: bool = True
    dram_bytes_per_cycle: int = 32
    batch: int = 1

    def share(self, groups: int) -> Placement:
        """The same for one of so many equal groups of channels and filters."""
        if groups == 1:
            return self
        stored = self.stored_shape
        if stored is not None:
            stored = replace(stored, channels=stored.channels // groups)
        return replace(self, stored_shape=stored, summand_values=self.summand_values // groups)


@dataclass(frozen=True)
class TilePlan:
    """All tiles of one layer for the images of a batch, in execution order. Arrays are int64, one element a tile.

    Tiles of a grouped convolution come group by group, the same in each; so do its weights and maps in DRAM.

    weight_load_bytes, weight_load_offset_bytes: fetched from the layer's weights in DRAM before the tile can start.
    ifmap_load_bytes, ifmap_load_offset_bytes: the same from the layer's input tensor.
    summand_load_bytes, summand_load_offset_bytes: the same from the second tensor of a fused ``add``.
    store_bytes, store_offset_bytes: finished outputs that go to DRAM after the tile.
    fill_cycles, fill_read_bytes: the buses carry this from the buffer before the first MAC.
    compute_cycles: dense duration, the slowest of MAC lanes and streaming buses.
    bus_cycles: the part of compute_cycles below which no skipped zero can bring a tile (buses, accumulation).
    stream_read_bytes: read from the buffer during compute (activations, partial sums of earlier channels, summands).
    stream_write_bytes: partial sums or outputs that go back to the buffer during compute.
    drain_cycles, drain_write_bytes: the rest of them, which goes back to the buffer after the last MAC.
    outputs: finished output values that pass the write path (requantise, pool, DBP tap, branch tap) at the end.
    macs: multiply-accumulates, padding included.
    group: index of the tile's row in ``zero_groups`` arrays; tiles of one group see the same activations.
    actions: names in :data:`archsim.counters.ACTIONS` counted per tile whatever the data, ``counts`` is
        (tiles, actions). Data-dependent MAC and scratchpad counts are in :class:`TileWork`.
    active_pes: PEs that hold work, for utilisation.
    working_bytes: of the global buffer, for partial sums in flight and for the input while it comes from DRAM; never
        more than the capacity of the placement.
    mapping: the parameters chosen (of each group), for ``describe`` and results.
    """

    layer: str
    weight_load_bytes: Int64Array
    weight_load_offset_bytes: Int64Array
    ifmap_load_bytes: Int64Array
    ifmap_load_offset_bytes: Int64Array
    summand_load_bytes: Int64Array
    summand_load_offset_bytes: Int64Array
    store_bytes: Int64Array
    store_offset_bytes: Int64Array
    fill_cycles: Int64Array
    fill_read_bytes: Int64Array
    compute_cycles: Int64Array
    bus_cycles: Int64Array
    stream_read_bytes: Int64Array
    stream_write_bytes: Int64Array
    drain_cycles: Int64Array
    drain_write_bytes: Int64Array
    outputs: Int64Array
    macs: Int64Array
    group: Int64Array
    actions: tuple[tuple[str, str], ...]
    counts: Int64Array
    active_pes: int
    working_bytes: int
    mapping: dict[str, int]

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.macs)


@dataclass(frozen=True)
class MapTransfers:
    """Bytes and offsets in DRAM of the feature maps of a plan; int64 arrays, one element a tile."""

    ifmap_bytes: Int64Array
    ifmap_offset_bytes: Int64Array
    summand_bytes: Int64Array
    summand_offset_bytes: Int64Array
    store_bytes: Int64Array
    store_offset_bytes: Int64Array


@dataclass(frozen=True)
class TileWork:
    """What the zeros of one image make of a plan; int64 arrays, one element a tile.

    compute_cycles: duration with the array's zero option (equal to the plan's unless zeros are skipped).
    nonzero_macs: MACs whose activation is not zero; the others are executed, gated or skipped as the option says.
    maps: what feature maps take in DRAM where they are coded; None: the bytes of the plan.
    """

    compute_cycles: Int64Array
    nonzero_macs: Int64Array
    maps: MapTransfers | None = None


class Dataflow(Protocol):
    """A way of laying a layer out on the array. Register it in :mod:`archsim.registry`."""

    @property
    def name(self) -> str:
        """As ``pe_array.dataflow`` has it."""
        ...

    def plan(self, layer: Layer, arch: ArchSpec, placement: Placement) -> TilePlan:
        """Tiles of one layer. Raises :class:`~archsim.errors.InvalidInput` when the layer cannot be mapped."""
        ...

    def cost(self, layer: Layer, arch: ArchSpec, placement: Placement) -> int | None:
        """Relative cost (energy with the static share of its time) of the plan; None when no mapping fits.

        Never more with more capacity: by it :mod:`archsim.mapping.residency` shares out the buffer.
        """
        ...

    def work(self, layer: Layer, arch: ArchSpec, plan: TilePlan, nonzero: BoolArray) -> TileWork:
        """Data-dependent part. nonzero: bool ([batch,] height, width, channels), the layer's input tensor != 0."""
        ...
