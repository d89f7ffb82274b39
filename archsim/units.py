"""Conversions between the units of the simulator (cycles, pJ) and those of reports (us, uJ, %)."""

from __future__ import annotations


def cycles_to_us(duration_cycles: float, clock_mhz: int) -> float:
    """Microseconds of a number of clock cycles.

    >>> cycles_to_us(30_000, 200)
    150.0
    """
    return duration_cycles / clock_mhz


def rate_to_gap_cycles(rate_hz: float, clock_mhz: int) -> float:
    """Mean clock cycles between two events of a rate.

    >>> rate_to_gap_cycles(1000.0, 200)
    200000.0
    """
    return clock_mhz * 1e6 / rate_hz


def pj_to_uj(energy_pj: float) -> float:
    """Microjoules.

    >>> pj_to_uj(2_500_000.0)
    2.5
    """
    return energy_pj / 1e6


def percent(fraction: float | None) -> str:
    """A fraction as text.

    >>> percent(0.2871), percent(None)
    ('28.71 %', 'unknown')
    """
    return "unknown" if fraction is None else f"{100 * fraction:.2f} %"
