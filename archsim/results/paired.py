"""Two classifiers on the same images, as results tell it."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.functional.statistics import PairedTest


@dataclass(frozen=True)
class Discordant:
    """Images that only the first classifier has right (``b``), the full network or a baseline, and only the second."""

    b: int
    c: int


@dataclass(frozen=True)
class PairedAccuracy:
    """The second against the first: percentage points, their one-sided 95 % lower bound, exact two-sided McNemar p."""

    delta_pp: float
    delta_lower95_pp: float
    discordant: Discordant
    mcnemar_p: float

    @classmethod
    def of(cls, test: PairedTest) -> PairedAccuracy:
        """A paired test in the units of results.

        >>> PairedAccuracy.of(PairedTest(200, 3, 1, -0.01, 0.01, -0.026, 0.625)).delta_pp
        -1.0
        """
        return cls(100 * test.delta, 100 * test.lower95, Discordant(test.b, test.c), test.mcnemar_p)
