"""Energy of DRAM commands from datasheet currents (the formulas of DRAMsim3's ``configuration.cc``).

Core only: I/O and termination are no part of the supply currents and come from the energy table. Simplification: the
controller keeps pages open, so that the background of an image is taken as active standby (IDD3N) in every cycle; what
a command costs is what its current is above that. Between images all rows are closed: precharged standby (IDD2N) or
power-down (IDD2P).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from archsim.config.dram import DramPresetSpec, DramRailSpec
from archsim.errors import InvalidInput, Problem


@dataclass(frozen=True, slots=True)
class DramCommandEnergy:
    """pJ of one command over all devices of the channel, named as the actions of ``dram``."""

    activate: float
    read_burst: float
    write_burst: float
    refresh: float
    standby_cycle: float
    idle_cycle: float
    power_down_cycle: float


def charge_energy_pj(voltage_v: float, current_ma: float, clocks_cycles: int, clock_mhz: int) -> float:
    """Energy of a current that flows for some clock cycles: V x mA x ns = pJ.

    One DDR3 x8 read burst, 1.35 V, IDD4R - IDD3N = 119 mA, four cycles at 800 MHz:

    >>> round(charge_energy_pj(1.35, 157.0 - 38.0, 4, 800), 2)
    803.25
    """
    return voltage_v * current_ma * clocks_cycles * 1000.0 / clock_mhz


def command_energy(preset: DramPresetSpec) -> DramCommandEnergy:
    """Energy of each command of a DRAM preset.

    Per device and rail: ACT (its precharge included) VDD (IDD0 tRC - IDD3N tRAS - IDD2N tRP) with tRC = tRAS + tRP;
    RD VDD (IDD4R - IDD3N) burst; WR likewise; REF VDD (IDD5 - IDD3N) tRFC; standby VDD IDD3N a cycle, idle VDD IDD2N,
    power-down VDD IDD2P (where a preset does not tell it, as idle); summed over rails, times devices.
    Raises InvalidInput when a command comes out negative.
    """
    timing, devices = preset.timing, preset.devices

    def channel_pj(current_cycles: Callable[[DramRailSpec], float]) -> float:
        device_pj = sum(
            charge_energy_pj(rail.vdd_v, current_cycles(rail), 1, preset.clock_mhz) for rail in preset.rails
        )
        return devices * device_pj

    energy = DramCommandEnergy(
        activate=channel_pj(
            lambda rail: (
                rail.idd0_ma * (timing.tras + timing.trp)
                - rail.idd3n_ma * timing.tras
                - rail.idd2n_ma * timing.trp
            )
        ),
        read_burst=channel_pj(lambda rail: (rail.idd4r_ma - rail.idd3n_ma) * timing.burst_cycles),
        write_burst=channel_pj(lambda rail: (rail.idd4w_ma - rail.idd3n_ma) * timing.burst_cycles),
        refresh=channel_pj(lambda rail: (rail.idd5_ma - rail.idd3n_ma) * timing.trfc),
        standby_cycle=channel_pj(lambda rail: rail.idd3n_ma),
        idle_cycle=channel_pj(lambda rail: rail.idd2n_ma),
        power_down_cycle=channel_pj(lambda rail: rail.idd2n_ma if rail.idd2p_ma is None else rail.idd2p_ma),
    )
    problems = [
        Problem(f'DRAM preset "{preset.name}"', "rails", f"{field.name} comes out at {value:.3g} pJ", _HINT)
        for field in fields(energy)
        if (value := getattr(energy, field.name)) < 0
    ]
    if problems:
        raise InvalidInput(problems)
    return energy


_HINT = "currents of a command must exceed standby: IDD0 > IDD3N, IDD4 > IDD3N, IDD5 > IDD3N"
