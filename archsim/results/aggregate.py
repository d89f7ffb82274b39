"""From the records of single images to the means of a run. Integers are summed first and divided once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from archsim.counters import Counters
from archsim.network.graph import Network
from archsim.results.causes import CAUSES, CauseSplit
from archsim.results.run_result import DramBytesPerImage
from archsim.sim.records import ImageRecord, LayerRecord

UNATTRIBUTED = "(unattributed)"
Number = TypeVar("Number", int, float)


def nearest_rank(ascending: Sequence[Number], percent: int) -> Number:
    """Percentile by nearest rank: the smallest value with at least ``percent`` % of the values at or below it.

    >>> nearest_rank([10, 20, 30, 40], 50), nearest_rank([10, 20, 30, 40], 99)
    (20, 40)
    """
    return ascending[max(0, math.ceil(percent * len(ascending) / 100) - 1)]


@dataclass
class LayerSums:
    """Sums over the images of one trunk layer or one branch (LayerRecord)."""

    cycles: int = 0
    stall_cycles: int = 0
    macs: int = 0
    skipped_macs: int = 0
    pe_cycles: int = 0

    def add(self, record: LayerRecord | LayerSums) -> None:
        """Count one image's execution, or what others have counted."""
        self.cycles += record.cycles
        self.stall_cycles += record.stall_cycles
        self.macs += record.macs
        self.skipped_macs += record.skipped_macs
        self.pe_cycles += record.pe_cycles


@dataclass
class RunSums:
    """Sums over the images of a run; memory does not grow with their number.

    ``network`` names and orders the layers; ``burst_bytes`` is the DRAM's, to check records against counters;
    ``result_cycles`` those in which the accelerator writes a result out.
    """

    network: Network
    burst_bytes: int
    result_cycles: int = 0
    images: int = 0
    dram_read_bytes: int = 0
    dram_write_bytes: int = 0
    wasted_bytes: int = 0
    counters: Counters = field(default_factory=Counters)
    causes: dict[str, Counters] = field(default_factory=lambda: {cause: Counters() for cause in CAUSES})
    layers: dict[str, LayerSums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._trunk = {layer.name for layer in self.network.layers}
        self._branches = {branch.name for branch in self.network.branches}
        self._split = CauseSplit(self.network, self.burst_bytes, self.result_cycles)

    def add(self, record: ImageRecord) -> None:
        """Count one image."""
        self.images += 1
        self.dram_read_bytes += record.dram_read_bytes
        self.dram_write_bytes += record.dram_write_bytes
        self.wasted_bytes += record.wasted_bytes
        self.counters.merge(record.counters)
        self._split.add(record, self.causes)
        for layer in record.layers:
            self.layers.setdefault(self.entry_name(layer.name), LayerSums()).add(layer)

    def merge(self, other: RunSums) -> None:
        """Count the images of another run of the same network on the same accelerator."""
        self.images += other.images
        self.dram_read_bytes += other.dram_read_bytes
        self.dram_write_bytes += other.dram_write_bytes
        self.wasted_bytes += other.wasted_bytes
        self.counters.merge(other.counters)
        for cause, counters in other.causes.items():
            self.causes[cause].merge(counters)
        for name, sums in other.layers.items():
            self.layers.setdefault(name, LayerSums()).add(sums)

    def add_idle(self, amounts: Mapping[tuple[str, str], int]) -> None:
        """Count what happened between images, by (component, action); it belongs to no layer."""
        for (component, action), amount in amounts.items():
            self.counters.add(component, action, "", amount)
            self.causes["idle"].add(component, action, "", amount)

    def entry_name(self, layer: str) -> str:
        """Entry of the result that a layer of records or counters belongs to.

        A trunk layer is its own entry, a branch and all its layers (``branch.layer``) are one.
        """
        if layer in self._trunk:
            return layer
        branch = layer.partition(".")[0]
        return branch if branch in self._branches else UNATTRIBUTED

    def entries(self) -> list[str]:
        """Entries that anything was recorded or counted for, in the order in which an image meets them."""
        present = set(self.layers) | {self.entry_name(layer) for (_, _, layer), _ in self.counters}
        order: list[str] = []
        for trunk_layer in self.network.layers:
            order.append(trunk_layer.name)
            order.extend(branch.name for branch in self.network.branches_after(trunk_layer.name))
        return [name for name in (*order, UNATTRIBUTED) if name in present]

    def count_of(self, component: str, action: str) -> dict[str, int]:
        """Count of one action by entry."""
        sums: dict[str, int] = {}
        for (found, name, layer), amount in self.counters:
            if (found, name) == (component, action):
                entry = self.entry_name(layer)
                sums[entry] = sums.get(entry, 0) + amount
        return sums

    def dram_bytes_per_image(self) -> DramBytesPerImage:
        """Means over the images."""
        return DramBytesPerImage(
            self.dram_read_bytes / self.images,
            self.dram_write_bytes / self.images,
            self.wasted_bytes / self.images,
        )
