"""``archsim.train/1``: how a trunk and its branches are trained, calibrated and exported to int8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from archsim.config.base import ConfigModel
from archsim.config.document import Document
from archsim.config.validation import validate
from archsim.config.workload import BranchSpec, DatasetSpec, InputSpec, LayerSpec, Name
from archsim.config.yaml_io import read_document
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.network.build import build_network
from archsim.network.graph import Network
from archsim.network.zeros import zero_fraction_problems
from archsim.quantisation.integer import Recipe
from archsim.training.candidates import Structure, candidate_branches, positions

Phase = Literal["joint", "heads"]
"""Trunk and branches together, then the branches alone on the frozen trunk."""
Count = Annotated[int, Field(ge=1, le=1 << 20)]
Rate = Annotated[float, Field(gt=0, le=100)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class DataSpec(ConfigModel):
    """Which images train, which calibrate and choose thresholds, which measure."""

    train: Annotated[list[str], Field(min_length=1)]
    """Files or folders of the training images, looked for in ``--data``, beside the spec and in ``$ARCHSIM_DATA``."""
    test: str | None = None
    """The images that are looked at once, after export; nothing is chosen on them."""
    images: str | None = None
    """Sample images that ship with the workload; copied beside it."""
    trace_images: Annotated[int, Field(ge=0)] = 0
    """First so many test images whose functional trace ships with the workload, where they themselves may not."""
    held_out: Count
    """Training images set aside by a seeded shuffle, unless the source has a ``held_out`` split of its own."""
    mean: list[float]
    std: list[Rate]
    """Per channel, of the training images on a 0-to-1 scale."""


class SmallCropsSpec(ConfigModel):
    """Epochs that see a part of every image, at its own scale."""

    epochs: Count
    """The first so many epochs of joint training."""
    size_px: Count
    """Side of the crop in pixels."""


class RecipeSpec(ConfigModel):
    """Joint training: one-cycle SGD with Nesterov momentum."""

    epochs: Annotated[int, Field(ge=0, le=1 << 20)]
    batch: Count
    peak_lr: Rate
    momentum: Fraction = 0.9
    weight_decay: Fraction = 5e-4
    crop_padding_px: Annotated[int, Field(ge=0, le=64)] = 4
    horizontal_flip: bool = True
    cutout_px: Annotated[int, Field(ge=0, le=1024)] = 0
    """Side of the square of every training image that is hidden behind the mean colour; 0 hides nothing."""
    label_smoothing: Fraction = 0.0
    """Share of the final classifier's target that is spread over all classes (Szegedy et al., CVPR 2016)."""
    small_crops: SmallCropsSpec | None = None
    """The first epochs on smaller crops, which cost less; classifiers read their maps scaled to those of the image."""
    branches: list[Name] | None = None
    """Branches that train along and shape the trunk; all when left out. The others are trained on the frozen trunk."""
    branch_loss_weight: Annotated[float, Field(ge=0, le=10)] = 0.2
    """Weight of each branch's loss beside the final classifier's 1."""


class HeadRecipeSpec(ConfigModel):
    """Second phase: the branches alone, on the frozen trunk, with Adam and a cosine schedule."""

    epochs: Count
    peak_lr: Rate = 1e-3


class DistillationSpec(ConfigModel):
    """Branches learn from the logits of the final classifier too (Phuong and Lampert, ICCV 2019)."""

    share: Fraction = 0.5
    """Of a branch's loss; the rest is the cross-entropy with the label."""
    temperature: Rate = 2.0
    """Divides the logits of both before they are compared."""


class CandidatesSpec(ConfigModel):
    """Branches that are written out for every position and structure."""

    structures: Annotated[list[Structure], Field(min_length=1)]
    """``g1``, ``g2``, ``g4``, ``g8``, ``bottleneck``, ``depthwise``, ``conv32``; those that fit a map."""
    after: list[Name] | None = None
    """Trunk layers; when left out, every convolution, after the pool that follows it."""


class QuantiseSpec(ConfigModel):
    """Post-training quantisation on held-out images."""

    calibration_images: Count = 1024
    weight_clip: Literal["max", "mse"] = "mse"


class ThresholdSpec(ConfigModel):
    """How the branches to keep and their integer thresholds are chosen on the held-out images."""

    max_accuracy_loss: Fraction = 0.002
    """One-sided 95 % bound, on the held-out images, of what the exits may lose against the full network."""
    luck_credit: Fraction = 0.5
    """Worth of an image that only the branch gets right, against 1 for one that only the full network gets right."""
    dbp: bool = True


def _as_list(value: object) -> object:
    """A single name stands for a list of one."""
    return [value] if isinstance(value, str) else value


class TrainSpec(ConfigModel):
    """One training run. ``layers`` and ``branches`` are written as in a workload file."""

    schema_: Literal["archsim.train/1"] = Field(alias="schema")
    name: Name
    description: str = ""
    seed: Annotated[int, Field(ge=0, le=(1 << 31) - 1)] = 1
    dataset: DatasetSpec
    data: DataSpec
    input: InputSpec
    layers: Annotated[list[LayerSpec], Field(min_length=1, max_length=10_000)]
    branches: Annotated[list[BranchSpec], Field(max_length=1000, default_factory=list)]
    candidates: list[CandidatesSpec] = []
    """More branches, by structure and position; named ``structure-layer``."""
    start: Annotated[list[Name], BeforeValidator(_as_list, json_schema_input_type=Name | list[Name])] = []
    """Training runs, the mean of whose weights this one starts from where their names agree: trunk, and branches."""
    recipe: RecipeSpec
    heads: HeadRecipeSpec | None = None
    """Left out, the branches stay as joint training leaves them."""
    distillation: DistillationSpec | None = None
    quantise: QuantiseSpec = QuantiseSpec()
    thresholds: ThresholdSpec | None = ThresholdSpec()
    """Null keeps every branch without a threshold, as candidates of ``archsim exits build``."""
    cpu_threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of torch on a CPU, its own choice when left out; the last bits of sums depend on their number."""
    bf16: bool = False
    """Autocast to bfloat16 while training; weights and optimiser state stay float32."""

    @property
    def quantisation(self) -> Recipe:
        """How the trained network becomes integers."""
        return Recipe(self.data.mean, self.data.std, self.quantise.weight_clip)

    def epochs(self, phase: Phase) -> int:
        """Number of epochs of a phase."""
        if phase == "joint":
            return self.recipe.epochs
        return self.heads.epochs if self.heads and self.branches else 0


def load_train_spec(path: Path) -> TrainSpec:
    """The checked spec of a file.

    Raises InvalidInput with every problem of the file and of the network it describes, at file:line:col.
    """
    document = read_document(path)
    spec = validate(TrainSpec, document)
    problems = [
        document.problem(f"data.{key}", f"found {len(values)} values, expected one per channel")
        for key, values in (("mean", spec.data.mean), ("std", spec.data.std))
        if len(values) != spec.input.channels
    ]
    trunk, found = build_network(spec.name, spec.input, spec.dataset.classes, spec.layers, [])
    if trunk is not None:
        problems += _candidate_problems(spec, trunk, document)
        if not problems:
            spec = spec.model_copy(update={"branches": [*spec.branches, *_expanded(spec, trunk)]})
            network, found = _build(spec)
            found += zero_fraction_problems(network, has_weights=True) if network is not None else []
            problems += _recipe_problems(spec, document)
    problems += [document.problem(key, message, hint) for key, message, hint in found]
    if problems:
        raise InvalidInput(problems)
    return spec


def _candidate_problems(spec: TrainSpec, trunk: Network, document: Document) -> list[Problem]:
    allowed = [layer.name for layer in trunk.layers[:-1]]
    return [
        document.problem(
            f"candidates.{index}.after.{place}",
            f'no trunk layer "{name}" before the last',
            did_you_mean(name, allowed),
        )
        for index, candidates in enumerate(spec.candidates)
        for place, name in enumerate(candidates.after or [])
        if name not in allowed
    ]


def _expanded(spec: TrainSpec, trunk: Network) -> list[BranchSpec]:
    """The branches of ``spec.candidates``, each once."""
    found = {
        branch.name: branch
        for candidates in spec.candidates
        for branch in candidate_branches(trunk, candidates.structures, candidates.after or positions(trunk))
    }
    return list(found.values())


def _recipe_problems(spec: TrainSpec, document: Document) -> list[Problem]:
    names = [branch.name for branch in spec.branches]
    problems = [
        document.problem(f"recipe.branches.{index}", f'no branch "{name}"', did_you_mean(name, names))
        for index, name in enumerate(spec.recipe.branches or [])
        if name not in names
    ]
    shared = [branch.name for index, branch in enumerate(spec.branches)
              if branch.after in (other.after for other in spec.branches[:index])]  # fmt: skip
    if shared and spec.thresholds is not None:
        message = f"found a second branch at one layer ({shared[0]}), expected thresholds: null"
        hint = "candidates that exclude each other are chosen among by archsim exits build"
        problems.append(document.problem("thresholds", message, hint))
    if spec.recipe.epochs == 0 and not spec.start:
        problems.append(document.problem("recipe.epochs", "found 0, expected at least 1 without a start"))
    small = spec.recipe.small_crops
    if small and small.size_px > min(spec.input.height, spec.input.width):
        message = f"found {small.size_px}, expected at most the size of the image"
        problems.append(document.problem("recipe.small_crops.size_px", message))
    return problems


def network_of(spec: TrainSpec) -> Network:
    """The graph of trunk and branches. Raises InvalidInput where layers do not fit together."""
    network, found = _build(spec)
    if network is None:
        raise InvalidInput(Problem(spec.name, key, message, hint) for key, message, hint in found)
    return network


def _build(spec: TrainSpec) -> tuple[Network | None, list[tuple[str, str, str]]]:
    return build_network(spec.name, spec.input, spec.dataset.classes, spec.layers, spec.branches)
