"""Energy = counters x table, nowhere else. A pure function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from archsim.counters import ACTIONS, COMPONENTS, Counters
from archsim.energy.table import ActionKey, ResolvedTable
from archsim.energy.uncertainty import EnergyTerm
from archsim.units import pj_to_uj


@dataclass(frozen=True)
class EnergyReport:
    """Where the energy of some counters went, in pJ.

    total_pj: exactly ``math.fsum`` of ``by_component``. by_component: every component of
    :data:`archsim.counters.COMPONENTS`, in that order. by_action: every declared (component, action).
    by_layer: layers in sorted order, ``""`` for what was counted for no layer; their sum is the total up to rounding.
    """

    total_pj: float
    by_component: Mapping[str, float]
    by_layer: Mapping[str, float]
    by_action: Mapping[ActionKey, float]


def account(counters: Counters, resolved: ResolvedTable) -> EnergyReport:
    """Energy of the counts. Sums run in a fixed order and round once, so equal counters give equal bits."""
    layers: dict[str, dict[ActionKey, int]] = {}
    for (component, action, layer), amount in counters:
        layers.setdefault(layer, {})[component, action] = amount
    by_action = _by_action(counters, resolved)
    by_component = _by_component(by_action)
    by_layer = {
        layer: math.fsum(amount * resolved.energy_pj[key] for key, amount in counts.items())
        for layer, counts in sorted(layers.items())
    }
    return EnergyReport(math.fsum(by_component.values()), by_component, by_layer, by_action)


def total_pj(counters: Counters, resolved: ResolvedTable) -> float:
    """``account(counters, resolved).total_pj`` to the last bit, without the rest."""
    return math.fsum(_by_component(_by_action(counters, resolved)).values())


def _by_action(counters: Counters, resolved: ResolvedTable) -> dict[ActionKey, float]:
    amounts: dict[ActionKey, int] = {(action.component, action.name): 0 for action in ACTIONS}
    for (component, action, _), amount in counters.counts.items():
        amounts[component, action] += amount
    return {key: amount * resolved.energy_pj[key] for key, amount in amounts.items()}


def _by_component(by_action: Mapping[ActionKey, float]) -> dict[str, float]:
    energies: dict[str, list[float]] = {name: [] for name in COMPONENTS}
    for (component, _), energy in by_action.items():
        energies[component].append(energy)
    return {name: math.fsum(found) for name, found in energies.items()}


def energy_terms(counters: Counters, resolved: ResolvedTable, images: int = 1) -> tuple[EnergyTerm, ...]:
    """The same energy, in uJ an image, by what it depends on: one term a component and unknown of the table.

    Terms of zero are left out.

    The order is that of the table's rows; their sum is the total up to rounding.
    """
    amounts: dict[ActionKey, int] = {}
    for (component, action, _), amount in counters:
        amounts[component, action] = amounts.get((component, action), 0) + amount
    energies_pj: dict[tuple[str, str, float], list[float]] = {}
    for part in resolved.parts:
        energy_pj = amounts.get((part.component, part.action), 0) * part.energy_pj
        if energy_pj > 0:
            energies_pj.setdefault((part.component, part.variable, part.uncertainty), []).append(energy_pj)
    return tuple(
        EnergyTerm(component, variable, pj_to_uj(math.fsum(found) / images), uncertainty)
        for (component, variable, uncertainty), found in energies_pj.items()
    )
