"""The attribution ladder: from a dense accelerator to the one compared, one change at a time on one substrate.

Dense -> zero gating -> zero skipping -> early exit with conventional branches -> low-cost branch structures -> branch
unit -> DBP. Every rung is the accelerator itself with some keys overridden and so is a run of ``archsim simulate``; the
last one is the accelerator as it is. Mappings are searched for each rung: what a compiler would do is part of a change.
Source: early-exit design, section 4 (factorised attribution).
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.comparison.cases import Case, Request, merged, shared_overrides
from archsim.config.arch import ArchSpec
from archsim.network.graph import Network

_ZERO_STEPS = {"none": "dense", "gate": "+ zero gating", "skip": "+ zero skipping"}
_NO_EXITS = ("exits.enabled=false", "dbp.enabled=false")
_NO_DBP = ("dbp.enabled=false",)
_ON_THE_ARRAY = ("branch_unit.macs=0", "branch_unit.weight_sram_kib=0", *_NO_DBP)


@dataclass(frozen=True)
class Step:
    """One rung before it is run. note: what a reader must know about it, "" where there is nothing."""

    name: str
    case: Case
    note: str = ""


def ladder(request: Request, spec: ArchSpec, network: Network) -> tuple[Step, ...]:
    """The rungs for an accelerator (``spec``) and the network that it runs, overrides applied to both.

    Rungs that change nothing are left out: of zeros those beyond what the accelerator does, of exits all where it has
    none, of units those that it lacks.
    """
    shared = merged(shared_overrides(request.overrides))
    full = Case(request.full_network, request.arch, shared).but(*_NO_EXITS)
    modes = list(_ZERO_STEPS)
    modes = modes[: modes.index(spec.pe_array.zero) + 1]
    steps = [Step(_ZERO_STEPS[mode], full.but(f"pe_array.zero={mode}")) for mode in modes]
    ours = request.ours
    if spec.exits.enabled and network.branches:
        first = "+ early exit"
        if request.conventional is not None:
            conventional = Case(request.conventional, request.arch, shared).but(*_ON_THE_ARRAY)
            steps.append(Step("+ early exit, conventional branches", conventional))
            first = "+ low-cost branch structures"
        steps.append(Step(first, ours.but(*_ON_THE_ARRAY), "branches on the array, weights from DRAM"))
        if spec.branch_unit.macs:
            steps.append(Step("+ branch unit", ours.but(*_NO_DBP)))
        if spec.dbp.enabled:
            bounds = any(branch.dbp is not None for branch in network.branches)
            steps.append(Step("+ DBP", ours, "" if bounds else "no branch of the workload has DBP bounds"))
    elif request.workload != request.full_network:
        steps.append(Step(f"network {network.name}", ours))
    return (*steps[:-1], Step(steps[-1].name, ours, steps[-1].note))


def without_dbp(request: Request) -> Case:
    """The accelerator with every branch evaluated that an image meets."""
    return request.ours.but(*_NO_DBP)
