"""What must add up over all images of a run; what must in each of them is in :mod:`archsim.sim.conservation`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from archsim.errors import ConservationBroken, Disagreement
from archsim.results.aggregate import RunSums
from archsim.results.assemble import Measurements

_ROUNDING = 1e-9
"""Relative; energies are sums of floats in another order."""


def check_run(sums: RunSums, measured: Measurements, exits: Mapping[str, int]) -> None:
    """Raise ConservationBroken with every sum that contradicts another. exits: images by exit, as they were decided."""
    checks = (_images(sums, measured, exits), _causes(sums), _energy(measured))
    broken = [found for check in checks for found in check if found.broken]
    if broken:
        raise ConservationBroken("run", broken)


def _images(sums: RunSums, measured: Measurements, exits: Mapping[str, int]) -> Iterator[Disagreement]:
    law = "images are conserved"
    found = Counter(image.exit for image in measured.per_image)
    yield Disagreement(law, "images simulated", sums.images, "images decided", sum(exits.values()))
    for name in sorted({*found, *exits}):
        yield Disagreement(law, f"images that left at {name}", found[name], "decided to", exits.get(name, 0))
    total = sum(image.cycles for image in measured.per_image)
    yield Disagreement("cycles add up", "cycles.total", measured.cycles.total, "cycles of the images", total)


def _causes(sums: RunSums) -> Iterator[Disagreement]:
    by_cause: Counter[tuple[str, str]] = Counter()
    by_layer: Counter[tuple[str, str]] = Counter()
    for counters in sums.causes.values():
        for (component, action, _), amount in counters:
            by_cause[component, action] += amount
    for (component, action, _), amount in sums.counters:
        by_layer[component, action] += amount
    for key in sorted({*by_cause, *by_layer}):
        name = ".".join(key)
        yield Disagreement(
            "causes are all there is", f"{name} by cause", by_cause[key], f"{name} by layer", by_layer[key]
        )


def _energy(measured: Measurements) -> Iterator[Disagreement]:
    total_uj = measured.energy_uj_per_image.total
    parts = {
        "by layer": math.fsum(layer.energy_uj for layer in measured.layers),
        "by cause": math.fsum(measured.energy_by_cause_uj.values()),
        "by row of the table": math.fsum(term.energy_uj for term in measured.energy_terms),
    }
    for name, energy_uj in parts.items():
        if not math.isclose(energy_uj, total_uj, rel_tol=_ROUNDING, abs_tol=1e-300):
            yield Disagreement("energy adds up", f"uJ an image {name}", energy_uj, "in all", total_uj)
