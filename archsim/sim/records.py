"""What the simulation of one image leaves behind. Cycles are core-clock cycles from the start of the image."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.counters import Counters


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One layer that ran on the PE array, or (``unit`` = "branch_unit") the classifier and decision of one branch.

    start_cycle, end_cycle: first tile requested by the array to last tile drained.
    stall_cycles: cycles within which the array held this layer but waited for data, buffer space or a decision.
    macs, skipped_macs: done and not done (zero skipping); their sum is the shape formula unless aborted.
    pe_cycles: PEs x cycles between start and end, the denominator of utilisation.
    useful: False when the image had already left at a branch before (speculation that was thrown away).
    map_cycles: of the stall cycles, those in which feature maps were loaded and stored with ``dma.overlap: weights``.
    """

    name: str
    unit: str
    start_cycle: int
    end_cycle: int
    stall_cycles: int
    macs: int
    skipped_macs: int
    pe_cycles: int
    useful: bool = True
    map_cycles: int = 0

    @property
    def cycles(self) -> int:
        """Duration."""
        return self.end_cycle - self.start_cycle


@dataclass(frozen=True, slots=True)
class BranchRecord:
    """What happened to one branch that the image met: ``skipped`` by DBP, else evaluated; ``exited`` there."""

    name: str
    skipped: bool
    exited: bool
    decided_cycle: int


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image through the accelerator. DRAM bytes are whole bursts; wasted bytes were fetched and never used."""

    exit_name: str
    cycles: int
    layers: tuple[LayerRecord, ...]
    branches: tuple[BranchRecord, ...]
    dram_read_bytes: int
    dram_write_bytes: int
    wasted_bytes: int
    counters: Counters
