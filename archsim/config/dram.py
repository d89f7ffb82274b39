"""``archsim.dram/1``: timing (in DRAM clock cycles) and currents of one memory channel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from archsim.config.base import ConfigModel
from archsim.config.workload import Name

Cycles = Annotated[int, Field(ge=1, le=1 << 20)]
Milliamps = Annotated[float, Field(ge=0, le=1e5)]


class DramTimingSpec(ConfigModel):
    """JEDEC parameters in DRAM clock cycles; burst_cycles is the data-bus time of one burst (BL/2)."""

    burst_cycles: Cycles
    cl: Cycles
    cwl: Cycles
    trcd: Cycles
    trp: Cycles
    tras: Cycles
    trrd_s: Cycles
    trrd_l: Cycles
    tfaw: Cycles
    tccd_s: Cycles
    tccd_l: Cycles
    twr: Cycles
    trtp: Cycles
    twtr_s: Cycles
    twtr_l: Cycles
    trfc: Cycles
    trefi: Cycles


class DramRailSpec(ConfigModel):
    """One supply rail of a device: its voltage and datasheet currents."""

    vdd_v: Annotated[float, Field(gt=0, le=10)]
    idd0_ma: Milliamps
    idd2n_ma: Milliamps
    idd3n_ma: Milliamps
    idd4r_ma: Milliamps
    idd4w_ma: Milliamps
    idd5_ma: Milliamps


class DramPresetSpec(ConfigModel):
    schema_: Literal["archsim.dram/1"] = Field(alias="schema")
    name: Name
    description: str = ""
    source: str
    clock_mhz: Annotated[int, Field(ge=1, le=10_000)]
    """Command clock; data moves on both edges."""
    channel_bits: Annotated[int, Field(ge=8, le=1024)]
    devices: Annotated[int, Field(ge=1, le=64)]
    """Chips that make up the channel; currents are per chip."""
    bank_groups: Annotated[int, Field(ge=1, le=16)]
    banks_per_group: Annotated[int, Field(ge=1, le=64)]
    row_bytes: Annotated[int, Field(ge=64, le=1 << 20)]
    """Bytes of one open row over the whole channel."""
    timing: DramTimingSpec
    rails: Annotated[list[DramRailSpec], Field(min_length=1, max_length=4)]

    @model_validator(mode="after")
    def _row_holds_whole_bursts(self) -> DramPresetSpec:
        if self.row_bytes % self.burst_bytes:
            raise ValueError(f"row_bytes must be a multiple of the burst of {self.burst_bytes} bytes")
        return self

    @property
    def burst_bytes(self) -> int:
        """Bytes that one column command moves."""
        return 2 * self.timing.burst_cycles * self.channel_bits // 8

    @property
    def banks(self) -> int:
        """Banks of the channel."""
        return self.bank_groups * self.banks_per_group
