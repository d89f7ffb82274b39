"""From drafts to a workload: which layers are trunk and which belong to an exit, in which order they run."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.config.workload import BranchSpec, LayerSpec
from archsim.importing.draft import Draft, Tensor
from archsim.importing.walk import Walk, safe_name
from archsim.network.build import RESERVED_EXIT_NAMES
from archsim.network.graph import IMAGE


@dataclass(frozen=True)
class Part:
    """Layers in the order in which they run: the trunk, or a branch behind the trunk layer ``after``."""

    name: str
    after: str
    drafts: tuple[Draft, ...]

    def key(self, draft: Draft) -> str:
        """Name of a layer in the whole network."""
        return f"{self.name}.{draft.name}" if self.name else draft.name

    def specs(self) -> list[LayerSpec]:
        """Entries of the workload file."""
        previous, found = self.after, []
        for draft in self.drafts:
            first, *others = draft.inputs
            options = {} if first == previous else {"input": first}
            if others:
                # The layer above is the one that passes by; which of the two it is does not matter to a sum.
                passing = others[0] == previous
                options = {"other": first} if passing else {**options, "other": others[0]}
                draft.inputs = (others[0], first) if passing else draft.inputs
            found.append(draft.spec(options))
            previous = draft.name
        return found


@dataclass(frozen=True)
class Assembly:
    """trunk: up to the last output. branches: one for each other output, in their order."""

    trunk: Part
    branches: tuple[Part, ...]
    classes: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """Trunk and branches."""
        return (self.trunk, *self.branches)

    def branch_specs(self) -> list[BranchSpec]:
        """Branches without thresholds: no image leaves until some are chosen."""
        return [BranchSpec(name=part.name, after=part.after, layers=part.specs()) for part in self.branches]


def assemble(walk: Walk) -> Assembly | None:
    """Trunk and branches of a graph that has been walked; None, and problems, where its outputs are no classifiers."""
    ends = [_classifier(walk, name) for name in walk.outputs]
    found = [end for end in ends if end is not None]
    if len(found) < len(ends) or not found:
        return None
    if len({end.name for end in found}) < len(found):
        walk.problem("outputs", "two outputs are the same tensor", "remove one")
        return None
    trunk = _ordered(walk, found[-1].name, set())
    taken = {draft.name for draft in trunk}
    branches = []
    for output, end in zip(walk.outputs[:-1], found[:-1], strict=True):
        branch = _branch(walk, output, end, taken)
        if branch is None:
            continue
        branches.append(branch)
        if end.shape.channels != found[-1].shape.channels:
            message = (
                f"has {end.shape.channels} classes, expected {found[-1].shape.channels} as the last output"
            )
            walk.problem(f'output "{output}"', message)
    used = taken | {draft.name for part in branches for draft in part.drafts}
    left_out = [draft.label for draft in walk.drafts.values() if draft.name not in used]
    if left_out:
        walk.notes.append(f"no output needs {', '.join(left_out)}: left out")
    return Assembly(Part("", IMAGE, trunk), tuple(branches), found[-1].shape.channels)


def _classifier(walk: Walk, output: str) -> Draft | None:
    """The layer that gives the logits of an output; a convolution of the whole map becomes ``linear``."""
    value, key = walk.values.get(output), f'output "{output}"'
    if not isinstance(value, Tensor) or value.draft == IMAGE:
        if output not in walk.values or value is not None:
            walk.problem(key, "does not depend on a layer", "the outputs are the logits of the classes")
        return None
    draft = walk.drafts[value.draft]
    whole_map = (draft.input_shape.height, draft.input_shape.width)
    is_whole = draft.op == "conv2d" and draft.options["kernel"] == whole_map
    if is_whole and not any(draft.options["padding"]) and draft.options["groups"] == 1:
        assert draft.weight is not None
        draft.op, draft.options = "linear", {"units": draft.shape.channels}
        draft.weight = draft.weight.reshape(-1, draft.shape.channels)
    if draft.op != "linear" or draft.relu or draft.shape.channels < 2:
        found = f"{draft.label}{' with ReLU' if draft.relu else ''} of {draft.shape}"
        hint = "the outputs are the logits of at least two classes; cut the model behind its last Gemm"
        walk.problem(key, f"is {found}, expected Gemm or MatMul", hint)
        return None
    # Logits are compared as they are; what the model makes of them to 8 bits would only lose order.
    draft.grid = None
    draft.options.pop("output_max", None)
    return draft


def _branch(walk: Walk, output: str, end: Draft, trunk: set[str]) -> Part | None:
    key, name = f'output "{output}"', safe_name(output)
    if end.name in trunk:
        walk.problem(
            key, "is computed on the way to the last output", "the last output is the end of the trunk"
        )
        return None
    drafts = _ordered(walk, end.name, trunk)
    own = {draft.name for draft in drafts}
    read = {tensor for draft in drafts for tensor in draft.inputs} - own
    if len(read) != 1 or read == {IMAGE}:
        named = ", ".join(
            walk.drafts[tensor].label if tensor in walk.drafts else "the image" for tensor in sorted(read)
        )
        hint = "a branch reads one tensor of the way to the last output, and none of another branch"
        walk.problem(key, f"reads {named}, expected one layer", hint)
        return None
    names = {*RESERVED_EXIT_NAMES, *walk.drafts}
    return Part(name if name not in names else f"{name[:58]}_exit", read.pop(), drafts)


def _ordered(walk: Walk, end: str, known: set[str]) -> tuple[Draft, ...]:
    """Layers that ``end`` needs, without those ``known``, each behind its inputs.

    Depth first, so that a pool or an addition stands right behind one of the layers that it reads: there it runs on the
    write path of that layer.
    """
    order: dict[str, Draft] = {}
    stack = [(end, False)]
    while stack:
        name, ready = stack.pop()
        if name == IMAGE or name in known or name in order:
            continue
        draft = walk.drafts[name]
        if ready:
            order[name] = draft
        else:
            stack += [(name, True), *((tensor, False) for tensor in reversed(draft.inputs))]
    return tuple(order.values())


def label_of(assembly: Assembly, name: str) -> str:
    """The node behind a layer of the network."""
    labels = {part.key(draft): draft.label for part in assembly.parts for draft in part.drafts}
    return labels.get(name, name)
