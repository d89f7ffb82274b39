"""How the branches of a network run on an accelerator: on the branch unit, on the PE array, or on both.

A branch of pools and one ``linear`` runs on the branch unit alone: it pools on the write path of the tensor that the
branch reads. Of any other branch the layers before the classifier are steps of the program, right behind the step that
writes that tensor, and the branch unit listens to the last of them. An accelerator without a branch unit
(``branch_unit.macs: 0``) runs classifiers on the array too.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.config.arch import ArchSpec
from archsim.errors import InvalidInput, Problem
from archsim.mapping.fusion import POOLS, FusedLayer, fuse, fuse_branch
from archsim.network.graph import Branch, Layer, Network


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the PE array: a part of the trunk, or of the branch with this position among the branches."""

    fused: FusedLayer
    branch_index: int | None


@dataclass(frozen=True)
class BranchStep:
    """One branch as the controller, the DBP unit and the branch unit see it.

    index: position among the network's branches. steps: its steps on the array, none if all of it runs on the branch
    unit. last_step: the step whose end asks for the decision: the last of them, else the one whose tensor the branch
    reads. tapped_values: elements of that tensor. is_pruned: DBP decides whether the branch runs.
    pooled_values: values that enter the pooling registers of the branch unit. macs, mac_cycles, weight_bytes,
    weight_address: its classifier on the branch unit, all 0 without one; resident: its weights need not be fetched.
    units: logits.
    """

    branch: Branch
    index: int
    steps: tuple[int, ...]
    last_step: int
    tapped_values: int
    is_pruned: bool
    pooled_values: int
    macs: int
    units: int
    weight_bytes: int
    weight_address: int
    resident: bool
    mac_cycles: int


def runs_of(network: Network, arch: ArchSpec) -> tuple[Run, ...]:
    """Everything that runs on the array, in execution order.

    Raises InvalidInput for what cannot be fused, for a branch that reads a tensor that is not written to the buffer,
    and for two branches behind one layer: they are candidates of which one is to be chosen.
    """
    trunk = fuse(network)
    if not arch.exits.enabled:
        return tuple(Run(fused, None) for fused in trunk)
    _check_taps(network, {fused.output_tensor for fused in trunk})
    runs = []
    for fused in trunk:
        runs.append(Run(fused, None))
        for branch in network.branches_after(fused.output_tensor):
            on_array = fuse_branch(array_layers(branch, arch))
            runs += [Run(part, network.branches.index(branch)) for part in on_array]
    return tuple(runs)


def array_layers(branch: Branch, arch: ArchSpec) -> tuple[Layer, ...]:
    """The layers of a branch that run on the array, pools on its write path included."""
    before = branch.layers[:-1]
    if arch.branch_unit.macs == 0:
        return branch.layers
    return () if all(layer.op in POOLS for layer in before) else before


def classifier_bytes(branch: Branch, arch: ArchSpec) -> int:
    """Bytes of the weights that the branch unit needs for a branch."""
    return branch.layers[-1].weights * arch.precision.weight_bits // 8 if arch.branch_unit.macs else 0


def classifier_cycles(features: int, units: int, lanes: int) -> int:
    """Cycles of a classifier on the branch unit: its lanes work on one logit at a time.

    >>> classifier_cycles(512, 10, 16), classifier_cycles(24, 10, 16)
    (320, 20)
    """
    return units * -(-features // lanes)


def branch_steps(
    network: Network, arch: ArchSpec, runs: tuple[Run, ...], addresses: list[int]
) -> tuple[BranchStep, ...]:
    """The branches in their order. addresses: of their classifiers in DRAM."""
    position = {run.fused.output_tensor: index for index, run in enumerate(runs)}
    sizes = [classifier_bytes(branch, arch) for branch in network.branches]
    resident = sum(sizes) <= arch.branch_unit.weight_sram_kib * 1024
    steps = []
    for index, branch in enumerate(network.branches):
        own = tuple(step for step, run in enumerate(runs) if run.branch_index == index)
        last_step = own[-1] if own else position[branch.after]
        tapped, classifier, lanes = network.shape(branch.after), branch.layers[-1], arch.branch_unit.macs
        pooled = runs[last_step].fused.stored_shape.elements
        units = classifier.output_shape.channels
        steps.append(
            BranchStep(
                branch=branch,
                index=index,
                steps=own,
                last_step=last_step,
                tapped_values=tapped.elements,
                is_pruned=arch.dbp.enabled and branch.dbp is not None,
                pooled_values=pooled if lanes else 0,
                macs=classifier.macs if lanes else 0,
                units=units,
                weight_bytes=sizes[index],
                weight_address=addresses[index],
                resident=resident,
                mac_cycles=classifier_cycles(classifier.macs // units, units, lanes) if lanes else 0,
            )
        )
    return tuple(steps)


def _check_taps(network: Network, stored: set[str]) -> None:
    """A branch can only read what is written to the buffer."""
    problems = [
        Problem(f"branch {branch.name}", "after", f'"{branch.after}" is fused with the layers behind it',
                f"tensors that are written: {', '.join(sorted(stored))}")
        for branch in network.branches
        if branch.after not in stored
    ]  # fmt: skip
    problems += [
        Problem(f"branch {branch.name}", "after", f'another branch hangs on "{branch.after}" already',
                "branches behind one layer are candidates: choose one of them")
        for branch in network.branches
        if network.branches_after(branch.after)[0] is not branch
    ]  # fmt: skip
    if problems:
        raise InvalidInput(problems)
