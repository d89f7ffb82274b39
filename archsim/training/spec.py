"""``archsim.train/1``: how a trunk and its branches are trained, calibrated and exported to int8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from archsim.config.base import ConfigModel
from archsim.config.workload import BranchSpec, DatasetSpec, InputSpec, LayerSpec, Name

Count = Annotated[int, Field(ge=1, le=1 << 20)]
Rate = Annotated[float, Field(gt=0, le=100)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class DataSpec(ConfigModel):
    """Which images train, which calibrate and choose thresholds, which measure."""

    train: str
    """File or folder of the training images, found under ``--data`` or ``$ARCHSIM_DATA`` or beside the spec."""
    test: str | None = None
    """The images that are looked at once, after export; nothing is chosen on them."""
    images: str | None = None
    """Copied into the workload: the sample images that ship with it."""
    held_out: Count
    """Training images set aside by a seeded shuffle, unless the source has a ``held_out`` split of its own."""
    mean: list[float]
    std: list[Rate]
    """Per channel, of the training images on a 0-to-1 scale."""


class RecipeSpec(ConfigModel):
    """Joint training: one-cycle SGD with Nesterov momentum."""

    epochs: Count
    batch: Count
    peak_lr: Rate
    momentum: Fraction = 0.9
    weight_decay: Fraction = 5e-4
    crop_padding_px: Annotated[int, Field(ge=0, le=64)] = 4
    horizontal_flip: bool = True
    branch_loss_weight: Annotated[float, Field(ge=0, le=10)] = 0.2
    """Weight of each branch's cross-entropy beside the final classifier's 1."""


class HeadRecipeSpec(ConfigModel):
    """Second phase: the branches alone, on the frozen trunk, with Adam and a cosine schedule."""

    epochs: Count
    peak_lr: Rate = 1e-3


class QuantiseSpec(ConfigModel):
    """Post-training quantisation on held-out images."""

    calibration_images: Count = 1024
    weight_clip: Literal["max", "mse"] = "mse"


class ThresholdSpec(ConfigModel):
    """How the branches to keep and their integer thresholds are chosen on the held-out images."""

    keep_at_least: Annotated[int, Field(ge=0, le=1000)] = 0
    accuracy_margin_se: Annotated[float, Field(ge=-10, le=10)] = 0.0
    """Held-out accuracy must be at least the full network's plus this many standard errors of the difference."""
    dbp: bool = True


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
    branches: Annotated[list[BranchSpec], Field(max_length=1000)] = []
    recipe: RecipeSpec
    heads: HeadRecipeSpec
    quantise: QuantiseSpec = QuantiseSpec()
    thresholds: ThresholdSpec = ThresholdSpec()
    bf16: bool = False
    """Autocast to bfloat16 while training; weights and optimiser state stay float32."""


def load_train_spec(path: Path) -> TrainSpec:
    import yaml
    return TrainSpec.model_validate(yaml.safe_load(path.read_text()))
