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
    """Data-bus time of one burst, BL/2."""
    cl: Cycles
    """Read command to first data."""
    cwl: Cycles
    """Write command to first data."""
    trcd: Cycles
    """Activate to read or write."""
    trp: Cycles
    """Precharge to activate."""
    tras: Cycles
    """Activate to precharge."""
    trrd_s: Cycles
    """Activate to activate, another bank group."""
    trrd_l: Cycles
    """Activate to activate, same bank group."""
    tfaw: Cycles
    """Window that holds at most four activates."""
    tccd_s: Cycles
    """Column command to column command, another bank group."""
    tccd_l: Cycles
    """Column command to column command, same bank group."""
    twr: Cycles
    """End of write data to precharge."""
    trtp: Cycles
    """Read to precharge."""
    twtr_s: Cycles
    """End of write data to read, another bank group."""
    twtr_l: Cycles
    """End of write data to read, same bank group."""
    trfc: Cycles
    """Refresh to the next command."""
    trefi: Cycles
    """Mean time between refreshes."""


class DramRailSpec(ConfigModel):
    """One supply rail of a device: its voltage and datasheet currents."""

    vdd_v: Annotated[float, Field(gt=0, le=10)]
    """Voltage of the rail, in V."""
    idd0_ma: Milliamps
    """Activate-precharge current of a device, in mA."""
    idd2n_ma: Milliamps
    """Precharged standby current, in mA."""
    idd2p_ma: Milliamps | None = None
    """Precharged power-down current, in mA; needed for ``dram.idle: power_down``."""
    idd3n_ma: Milliamps
    """Active standby current, in mA."""
    idd4r_ma: Milliamps
    """Read burst current, in mA."""
    idd4w_ma: Milliamps
    """Write burst current, in mA."""
    idd5_ma: Milliamps
    """Refresh current, in mA."""


class DramPresetSpec(ConfigModel):
    schema_: Literal["archsim.dram/1"] = Field(alias="schema")
    name: Name
    """As results show it."""
    description: str = ""
    """As ``archsim list`` shows it."""
    source: str
    """Where the values come from."""
    clock_mhz: Annotated[int, Field(ge=1, le=10_000)]
    """Command clock; data moves on both edges."""
    channel_bits: Annotated[int, Field(ge=8, le=1024)]
    """Data width of the channel."""
    devices: Annotated[int, Field(ge=1, le=64)]
    """Chips that make up the channel; currents are per chip."""
    bank_groups: Annotated[int, Field(ge=1, le=16)]
    """Bank groups of a rank."""
    banks_per_group: Annotated[int, Field(ge=1, le=64)]
    """Banks in each group."""
    row_bytes: Annotated[int, Field(ge=64, le=1 << 20)]
    """Bytes of one open row over the whole channel."""
    timing: DramTimingSpec
    rails: Annotated[list[DramRailSpec], Field(min_length=1, max_length=4)]
    """Supply rails of a device."""

    @model_validator(mode="after")
    def _row_holds_whole_bursts(self) -> DramPresetSpec:
        if self.row_bytes % self.burst_bytes:
            raise ValueError(f"row_bytes must be a multiple of the burst of {self.burst_bytes} bytes")
        return self

    @model_validator(mode="after")
    def _refreshes_leave_time(self) -> DramPresetSpec:
        t = self.timing
        write_cycles = t.cwl + t.burst_cycles + t.twr
        refresh_cycles = max(t.tras, t.trtp, t.tfaw, write_cycles) + self.banks + t.trp + t.trfc + t.trcd
        if t.trefi <= refresh_cycles:
            message = (
                f"trefi must be above {refresh_cycles}, the cycles in which all rows are closed, refreshed"
            )
            raise ValueError(f"{message} and one is opened again")
        return self

    @property
    def burst_bytes(self) -> int:
        """Bytes that one column command moves."""
        return 2 * self.timing.burst_cycles * self.channel_bits // 8

    @property
    def banks(self) -> int:
        """Banks of the channel."""
        return self.bank_groups * self.banks_per_group
