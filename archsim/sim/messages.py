"""What the components tell each other."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.sim.transfer import Transfer


@dataclass(frozen=True, slots=True)
class TileLoaded:
    """DMA to PE array: a tile has its place in the buffer; its data is there when all ``transfers`` are done."""

    step: int
    tile: int
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True, slots=True)
class StoreTile:
    """PE array to DMA: finished outputs to be written to DRAM."""

    step: int
    tile: int


@dataclass(frozen=True, slots=True)
class LayerDone:
    """PE array to controller: the last tile of a step has been drained."""

    step: int


@dataclass(frozen=True, slots=True)
class DbpDecided:
    """DBP unit to controller: run this branch, or skip it."""

    branch: int
    run: bool


@dataclass(frozen=True, slots=True)
class BranchDecided:
    """Branch unit to controller: the image leaves here, or goes on."""

    branch: int
    leave: bool


Report = LayerDone | DbpDecided | BranchDecided
