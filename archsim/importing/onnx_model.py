"""``import`` of an ONNX model: graph, integers and files of a workload."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsim.api import load
from archsim.config.load import load_arch
from archsim.config.workload import DatasetSpec, InputSpec, WorkloadSpec
from archsim.config.workload_file import write_workload
from archsim.datasets.image_set import MAX_SIDE_PX
from archsim.errors import InvalidInput, Problem
from archsim.files import replacing_together
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.importing.assemble import Assembly, assemble, label_of
from archsim.importing.calibrate import Calibration, calibrate, draw_images
from archsim.importing.draft import Tensor, Unsupported
from archsim.importing.onnx_file import Graph, read_graph
from archsim.importing.operators import OPERATORS
from archsim.importing.quantised import settle
from archsim.importing.result import ImportResult
from archsim.importing.walk import Walk, safe_name
from archsim.network.build import build_network
from archsim.network.graph import IMAGE, Network, Shape
from archsim.network.weights import Weights, save_weights
from archsim.progress import Progress
from archsim.quantisation.integer import FloatLayer, Recipe, input_table, integer_network
from archsim.results.defaults import DEFAULT_ARCH
from archsim.schedule.branches import runs_of


@dataclass(frozen=True)
class Calibrating:
    """How many images of which data set are drawn, and how pixels reach the model: (pixel / 255 - mean) / std.

    mean, std: one value, or one a channel.
    """

    data: Path | None = None
    images: int = 128
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)


@dataclass(frozen=True)
class _Model:
    """A model that has been understood. scales: of the tensors that are quantised already."""

    name: str
    spec: WorkloadSpec
    network: Network
    assembly: Assembly
    recipe: Recipe
    scales: dict[str, float]

    @property
    def floats(self) -> dict[str, FloatLayer]:
        """Weights by layer."""
        return {
            part.key(draft): FloatLayer(draft.weight, draft.bias, draft.weight_scales)
            for part in self.assembly.parts
            for draft in part.drafts
            if draft.weight is not None and draft.bias is not None
        }

    @property
    def ceilings(self) -> dict[str, float]:
        """Upper bounds behind a ReLU by layer."""
        return {
            part.key(draft): draft.ceiling
            for part in self.assembly.parts
            for draft in part.drafts
            if draft.ceiling is not None
        }

    @property
    def unscaled(self) -> list[str]:
        """Tensors whose scale only images can tell."""
        return [
            layer.name
            for layer in self.network.all_layers()
            if layer.op != "max_pool" and not layer.is_classifier and layer.name not in self.scales
        ]


def import_onnx(
    path: Path, target: Path, calibrating: Calibrating, progress: Progress | None = None
) -> ImportResult:
    """Write the workload of a model to ``target``, its weights beside it; see docs/reference/import.md.

    A float model without images becomes a shape-only workload. Raises InvalidInput listing every node that cannot be
    imported, and MissingExtra.
    """
    graph = read_graph(path)
    walk = _walked(path, graph)
    model = _model(walk, path, target, calibrating)
    images = (
        None if calibrating.data is None else draw_images(model.network, calibrating.data, calibrating.images)
    )
    found, arrays = None, None
    try:
        if images is not None:
            found = calibrate(model.network, model.floats, model.ceilings, model.recipe, images, progress)
        if found is not None or not model.unscaled:
            samples = {} if found is None else found.samples
            with np.errstate(divide="raise", invalid="raise", over="raise"):
                arrays = integer_network(model.network, model.floats, samples, model.recipe, model.scales)
    except (ArithmeticError, ValueError) as error:
        raise InvalidInput([Problem(str(path), "scales", str(error), "the model may be damaged")]) from None
    if arrays is None:
        walk.notes.append(_WITHOUT_IMAGES + (" Its exits are left out." if model.spec.branches else ""))
    files = _write(model, arrays, target)
    return ImportResult(
        workload=model.spec.name,
        source=str(path),
        input=str(model.network.input_shape),
        classes=model.network.class_count,
        layers=len(list(model.network.all_layers())),
        parameters=model.network.weights,
        macs=model.network.macs,
        exits=model.network.exit_names if arrays is not None else model.network.exit_names[-1:],
        shape_only=arrays is None,
        calibration_images=0 if images is None else len(images),
        top1_agreement=_agreement(model, arrays, found),
        notes=tuple(walk.notes),
        files=tuple(str(file) for file in files),
    )


_WITHOUT_IMAGES = (
    "Without images the scales of a float model are unknown: the workload is shape-only, timed but not computed, no"
    " zero is skipped. Give images with --data to compute."
)


def _walked(path: Path, graph: Graph) -> Walk:
    walk = Walk(str(path), graph.outputs, graph.uses, graph.fold, graph.values)
    walk.values.update(graph.constants)
    name, lengths = graph.image
    nodes = list(graph.nodes)
    readers = [node for node in nodes if name in node.inputs]
    swap = next((node for node in readers if node.op == "Transpose"), None)
    if swap is not None and len(readers) == 1 and list(swap.attributes.get("perm", ())) == [0, 3, 1, 2]:
        # The image comes with its channels last, as it is here.
        lengths = tuple(lengths[index] for index in (0, 3, 1, 2)) if len(lengths) == 4 else lengths
        nodes.remove(swap)
        name = swap.outputs[0]
    shape = _image_shape(walk, name, lengths)
    if shape is None:
        raise InvalidInput(walk.problems)
    walk.values[name] = Tensor(IMAGE, shape, True)
    walk.run(nodes, {op: operator.handler for op, operator in OPERATORS.items()})
    return walk


def _image_shape(walk: Walk, name: str, lengths: tuple[int | None, ...]) -> Shape | None:
    found = "x".join("?" if length is None else str(length) for length in lengths)
    _, *rest = lengths if len(lengths) == 4 else (None,)
    sides = [length for length in rest if length is not None]
    if len(sides) != 3 or not all(1 <= side <= MAX_SIDE_PX for side in sides):
        message = f"found {found or 'no dimensions'}, expected images x channels x height x width"
        walk.problem(f'input "{name}"', message, f"export with fixed sizes of at most {MAX_SIDE_PX}")
        return None
    channels, height, width = sides
    if channels not in (1, 3):
        walk.problem(f'input "{name}"', f"found {channels} channels, expected 1 (grey) or 3 (RGB)")
        return None
    return Shape(height, width, channels)


def _model(walk: Walk, path: Path, target: Path, calibrating: Calibrating) -> _Model:
    """The network of a walked graph. Raises InvalidInput with everything that was found on the way."""
    assembly = assemble(walk)
    if assembly is None or walk.problems:
        raise InvalidInput(walk.problems)
    scales = _named(assembly, settle(walk, [draft for part in assembly.parts for draft in part.drafts]))
    first = walk.values[next(name for name, value in walk.values.items() if isinstance(value, Tensor))]
    assert isinstance(first, Tensor)
    recipe = _recipe(walk, first.shape.channels, calibrating)
    grid = walk.image_grid
    lowest = grid.limits[0] if grid is not None else int(input_table(recipe.mean, recipe.std)[0].min())
    shape = InputSpec(
        height=first.shape.height, width=first.shape.width, channels=first.shape.channels, signed=lowest < 0
    )
    spec = _spec(walk, assembly, path, target, shape)
    network, problems = build_network(spec.name, shape, assembly.classes, spec.layers, spec.branches)
    for key, message, hint in problems:
        walk.problem(_label(assembly, key), message, hint)
    if network is not None:
        try:
            runs_of(network, load_arch(DEFAULT_ARCH))
        except InvalidInput as error:
            for problem in error.problems:
                walk.problem(label_of(assembly, problem.key), problem.message, problem.hint)
    if network is None or walk.problems:
        raise InvalidInput(walk.problems)
    return _Model(spec.name, spec, network, assembly, recipe, scales)


def _spec(walk: Walk, assembly: Assembly, path: Path, target: Path, shape: InputSpec) -> WorkloadSpec:
    try:
        return WorkloadSpec(
            schema="archsim.workload/1",
            name=safe_name(target.stem),
            description=f"Imported from {path.name}",
            dataset=DatasetSpec(name="given with --data", classes=assembly.classes),
            input=shape,
            weights=f"{target.stem}.npz",
            layers=assembly.trunk.specs(),
            branches=assembly.branch_specs(),
        )
    except (Unsupported, ValueError) as error:
        message = str(error).partition("\n")[0]
        raise InvalidInput([*walk.problems, Problem(walk.path, "graph", message)]) from None


def _named(assembly: Assembly, scales: dict[str, float]) -> dict[str, float]:
    """Scales by the names of layers in the network."""
    names = {draft.name: part.key(draft) for part in assembly.parts for draft in part.drafts}
    return {names.get(name, name): scale for name, scale in scales.items()}


def _recipe(walk: Walk, channels: int, calibrating: Calibrating) -> Recipe:
    """How pixels reach the first layer: what was asked for, then what the graph itself does to the image.

    (p / 255 - m) / s * g + o = (p / 255 - (m - o s / g)) / (s / g)
    """
    given = {}
    for key, values in (("--mean", calibrating.mean), ("--std", calibrating.std)):
        array = np.array(values, np.float64)
        if (
            array.size not in (1, channels)
            or not np.isfinite(array).all()
            or (key == "--std" and not array.all())
        ):
            message = f"found {list(values)}, expected one number or {channels}, one a channel"
            raise InvalidInput([*walk.problems, Problem(key, "", message)])
        given[key] = np.broadcast_to(array, (channels,))
    if not walk.gain.all():
        raise InvalidInput([Problem(walk.path, "graph", "multiplies the image by 0")])
    std = given["--std"] / walk.gain
    mean = given["--mean"] - walk.offset * std
    return Recipe(mean.tolist(), std.tolist())


def _label(assembly: Assembly, key: str) -> str:
    """The node behind a dotted key of the workload (``layers.3.padding``, ``branches.0.layers.1``)."""
    found = re.match(r"(?:branches\.(\d+)\.)?layers\.(\d+)", key)
    if found is None:
        return key
    part = assembly.trunk if found[1] is None else assembly.branches[int(found[1])]
    return part.drafts[int(found[2])].label


def _agreement(model: _Model, arrays: dict[str, Any] | None, found: Calibration | None) -> dict[str, float]:
    """By exit, the fraction of the images to which the integers give the answer of the model."""
    if arrays is None or found is None:
        return {}
    network = model.network
    trace = run(
        network, Weights.of(arrays), [found.images], policy=Policy.of(network), lazy=False, zero_maps=False
    )
    ends = [*(branch.layers[-1].name for branch in network.branches), network.layers[-1].name]
    return {
        name: float((trace.predictions[:, index] == found.answers[end]).mean())
        for index, (name, end) in enumerate(zip(network.exit_names, ends, strict=True))
    }


def _write(model: _Model, arrays: dict[str, Any] | None, target: Path) -> list[Path]:
    """Both files, or none where they cannot be read back. Raises InvalidInput."""
    spec = model.spec
    if arrays is None:
        spec = spec.model_copy(update={"weights": None, "branches": []})
    names = [target.name]
    with replacing_together(target) as folder:
        if arrays is not None:
            names.insert(0, f"{target.stem}.npz")
            save_weights(folder / names[0], Weights.of(arrays))
        write_workload(folder / target.name, spec)
        # Read back with every check, sums that could overflow included, before anything appears.
        workload = load(folder / target.name)
        _ = workload.weights if arrays is not None else None
    return [target.with_name(name) for name in names]
