"""How wrong energies and their ratios may be when the rows of an energy table are as wrong as they say.

Every unknown (a row, or the rows of one ``error_group``) is one random factor of mean 1, independent of the others. The
``uncertainty`` of a row is the half width of its 95 % range (twice the standard deviation, GUM 6.2). What is not in
here: that the simulated counts could be wrong.

*Sums* in closed form: variances of unknowns add, terms of one unknown add before they are squared. *Ratios* by
sampling with a fixed seed: the factors are lognormal, so that no energy is negative, and both sides of a ratio see the
same factor for the same unknown. Most of what a table does not know therefore cancels between accelerators that are
measured with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLES = 8192
SEED = 1
COVERAGE_PERCENT = 95.0


@dataclass(frozen=True, slots=True)
class EnergyTerm:
    """Energy of a component that depends on one unknown of the table.

    variable: the unknown, by a name that is the same wherever the same row is used. uncertainty: relative, 95 %.
    """

    component: str
    variable: str
    energy_uj: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class Range:
    """A value and its 95 % range."""

    value: float
    low: float
    high: float

    def percent(self) -> str:
        """As text; digits after the point only below 10 percentage points of width.

        >>> Range(0.83, 0.79, 0.86).percent(), Range(0.8312, 0.826, 0.8364).percent()
        ('83 % (79-86 %)', '83.1 % (82.6-83.6 %)')
        """
        digits = 0 if 100 * (self.high - self.low) >= 2 else 1
        value, low, high = (f"{100 * number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} % ({low} to {high} %)" if self.low < 0 else f"{value} % ({low}-{high} %)"

    def times(self) -> str:
        """A factor as text.

        >>> Range(4.46, 4.1, 4.9).times()
        '4.46x (4.10-4.90x)'
        """
        return f"{self.value:.2f}x ({self.low:.2f}-{self.high:.2f}x)"


def half_width_uj(terms: Iterable[EnergyTerm]) -> float:
    """Half width of the 95 % range of a sum.

    >>> a, b = EnergyTerm("dram", "io", 10.0, 0.3), EnergyTerm("noc", "wire", 20.0, 0.2)
    >>> half_width_uj([a, b]), half_width_uj([a, EnergyTerm("noc", "io", 20.0, 0.3)])
    (5.0, 9.0)
    """
    errors: dict[str, float] = {}
    for term in terms:
        errors[term.variable] = errors.get(term.variable, 0.0) + term.energy_uj * term.uncertainty
    return math.hypot(*errors.values())


def ratio_range(
    numerator: Sequence[EnergyTerm],
    denominator: Sequence[EnergyTerm],
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Range:
    """Numerator over denominator; the value is that of the table as it is.

    Raises ValueError when the denominator is zero. The same arguments give the same bits.

    >>> ours, theirs = [EnergyTerm("dram", "io", 2.0, 0.5)], [EnergyTerm("dram", "io", 10.0, 0.5)]
    >>> ratio_range(ours, theirs).times()  # one unknown: it cancels
    '0.20x (0.20-0.20x)'
    """
    below = math.fsum(term.energy_uj for term in denominator)
    if below <= 0:
        raise ValueError("the denominator is zero")
    value = math.fsum(term.energy_uj for term in numerator) / below
    spreads: dict[str, float] = {}
    for term in (*denominator, *numerator):
        spreads[term.variable] = max(term.uncertainty, spreads.get(term.variable, 0.0))
    factors = _factors(spreads, samples, seed)
    sampled = _sum(numerator, factors, samples) / _sum(denominator, factors, samples)
    tail = (100 - COVERAGE_PERCENT) / 2
    low, high = np.percentile(sampled, [tail, 100 - tail])
    # Rounding must not put the value of two proportional sums outside its own range.
    return Range(value, min(float(low), value), max(float(high), value))


def saving_range(ours: Sequence[EnergyTerm], baseline: Sequence[EnergyTerm]) -> Range:
    """1 - ours / baseline.

    >>> base = [EnergyTerm("dram", "io", 9.0, 0.3), EnergyTerm("noc", "wire", 1.0, 0.3)]
    >>> saving_range([EnergyTerm("noc", "wire", 1.0, 0.3)], base).percent()
    '90 % (85-93 %)'
    """
    ratio = ratio_range(ours, baseline)
    return Range(1 - ratio.value, 1 - ratio.high, 1 - ratio.low)


def _factors(spreads: dict[str, float], samples: int, seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """Lognormal factors of mean 1 and a standard deviation of half the uncertainty, each with a stream of its own.

    A stream depends on the name alone, so that an unknown that both of two ratios hold is the same in both.
    """
    found = {}
    for name, uncertainty in spreads.items():
        variance = math.log1p((uncertainty / 2) ** 2)
        random = np.random.default_rng([seed, *name.encode()])
        found[name] = np.exp(random.standard_normal(samples) * math.sqrt(variance) - variance / 2)
    return found


def _sum(
    terms: Sequence[EnergyTerm], factors: dict[str, npt.NDArray[np.float64]], samples: int
) -> npt.NDArray[np.float64]:
    total = np.zeros(samples)
    for term in terms:
        total += term.energy_uj * factors[term.variable]
    return total
