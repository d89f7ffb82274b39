"""Mappings of single layers, written into an architecture file (``mappings``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from archsim.config.base import ConfigModel

LayerName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}(\.[A-Za-z][A-Za-z0-9_-]{0,63})?$")]
Size = Annotated[int, Field(ge=1, le=1 << 20)]


class RowStationaryMappingSpec(ConfigModel):
    """Parameters of Eyeriss (Chen et al., JSSC 52(1), 2017, Table III) and the loop order."""

    layer: LayerName
    """The layer, of a branch ``BRANCH.LAYER``; a grouped convolution has one mapping for all its groups."""
    dataflow: Literal["row_stationary"]
    """The dataflow that this is a mapping for; others take no notice of it."""
    e: Size
    """Output rows of a strip."""
    p: Size
    """Filters interleaved in a PE."""
    q: Size
    """Channels interleaved in a PE."""
    r: Size
    """Sets of PEs that work on different channels."""
    t: Size
    """Sets of PEs that work on different filters; a depthwise layer has q channels in each, and p = r = 1."""
    n: Size = 1
    """Images interleaved in a pass."""
    m: Size | None = None
    """Filters whose partial sums are in the buffer at a time, a multiple of p t; p t when left out."""
    strips_outer: bool = False
    """Strips are the outer loop and groups of filters the inner one, else the other way round."""

    @model_validator(mode="after")
    def _whole_groups(self) -> RowStationaryMappingSpec:
        if self.m is not None and self.m % (self.p * self.t):
            raise ValueError(f"found m = {self.m}, expected a multiple of p t = {self.p * self.t}")
        return self


class SystolicMappingSpec(ConfigModel):
    """Loop order of the folds and their time steps."""

    layer: LayerName
    """The layer, of a branch ``BRANCH.LAYER``; a grouped convolution has one mapping for all its groups."""
    dataflow: Literal["weight_stationary", "output_stationary", "input_stationary"]
    """The dataflow that this is a mapping for; others take no notice of it."""
    steps_a_fold: Size
    """Time steps of a fold; with fewer than the layer has, fewer partial sums are in the buffer at a time."""
    steps_a_tile: Size
    """Time steps whose operands are loaded together."""
    positions_outer: bool = False
    """Blocks of positions are the outer loop and blocks of filters the inner one, else the other way round."""
    ifmap_stays: bool = True
    """A row of the input that was loaded from DRAM stays until its last use."""


MappingSpec = Annotated[RowStationaryMappingSpec | SystolicMappingSpec, Field(discriminator="dataflow")]
