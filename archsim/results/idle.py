"""What accelerator and DRAM do between images, from an exit or the last layer to the next arrival."""

from __future__ import annotations

from archsim.config.arch import ArchSpec
from archsim.config.dram import DramPresetSpec

_CHIP_ACTION = {"running": "core_cycle", "clock_gated": "gated_cycle", "power_gated": "off_cycle"}
_DRAM_ACTION = {"standby": "idle_cycle", "power_down": "power_down_cycle"}


def idle_counts(idle_cycles: int, arch: ArchSpec, dram: DramPresetSpec) -> dict[tuple[str, str], int]:
    """Counts by (component, action) of ``idle_cycles`` core-clock cycles in which no image is served.

    The chip is in the state ``clock.idle``, the DRAM, its rows closed, in ``dram.idle``; refreshes come at their mean
    rate. Changing states takes no time and no energy.

    >>> from archsim.config.load import load_arch, load_dram_preset
    >>> arch = load_arch("locoexnet-65nm", ["clock.idle=clock_gated"])
    >>> idle_counts(7800, arch, load_dram_preset(arch.dram.preset))  # four DRAM cycles each, a refresh every 3120
    {('leakage', 'gated_cycle'): 7800, ('dram', 'idle_cycle'): 31200, ('dram', 'refresh'): 10}
    """
    dram_cycles = idle_cycles * (dram.clock_mhz // arch.clock.core_mhz)
    return {
        ("leakage", _CHIP_ACTION[arch.clock.idle]): idle_cycles,
        ("dram", _DRAM_ACTION[arch.dram.idle]): dram_cycles,
        ("dram", "refresh"): dram_cycles // dram.timing.trefi,
    }
