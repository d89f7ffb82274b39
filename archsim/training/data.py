"""The three parts of the data: training, held-out (from the training images), test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from archsim.datasets import ImageBatch, load_images
from archsim.datasets.image_set import invalid
from archsim.training.spec import TrainSpec

_SPLIT_STREAM = 1
"""Distinguishes the random stream of the split from those of the epochs."""


@dataclass(frozen=True)
class TrainingData:
    """Images and labels that train, and those that calibrate and choose thresholds."""

    train: ImageBatch
    held_out: ImageBatch


def load_training_data(spec: TrainSpec, source: Path) -> TrainingData:
    """Reads ``source`` and sets ``spec.data.held_out`` images aside: its own split, or a seeded shuffle.

    Raises InvalidInput where images do not have the shape of ``spec.input`` or are too few.
    """
    train = checked(spec, source, load_images(source, split="train"))
    own_split = load_images(source, split="held_out") if source.suffix == ".npz" else None
    if own_split is not None and own_split.source_split == "held_out":
        return TrainingData(train, checked(spec, source, own_split))
    if spec.data.held_out >= len(train):
        raise invalid(source, f"found {len(train)} images, expected more than {spec.data.held_out}", key="held_out")
    order = np.random.default_rng([spec.seed, _SPLIT_STREAM]).permutation(len(train))
    held_out, rest = np.sort(order[: spec.data.held_out]), np.sort(order[spec.data.held_out :])
    parts = (ImageBatch(train.images[rows], train.labels[rows]) for rows in (rest, held_out))
    return TrainingData(*parts)


def checked(spec: TrainSpec, source: Path, batch: ImageBatch) -> ImageBatch:
    """``batch`` if its images have the shape and its labels the range of the spec, else InvalidInput."""
    expected = (spec.input.height, spec.input.width, spec.input.channels)
    if batch.images.shape[1:] != expected:
        raise invalid(source, f"found images of {batch.images.shape[1:]}, expected {expected}", key="input")
    if len(batch) and batch.labels.max() >= spec.dataset.classes:
        message = f"found label {batch.labels.max()}, expected labels below {spec.dataset.classes}"
        raise invalid(source, message, key="dataset.classes")
    return batch


def find_source(name: str, folders: list[Path | None]) -> Path:
    """The first of ``folders``, then ``$ARCHSIM_DATA``, that holds ``name``; a folder that is a file is taken itself.

    Raises InvalidInput naming every place searched.
    """
    environment = os.environ.get("ARCHSIM_DATA")
    places = [*folders, Path(environment) if environment else None]
    searched = [place for place in places if place is not None]
    for place in searched:
        found = place if place.is_file() else place / name
        if found.exists():
            return found
    hint = "give the folder that holds it with --data or in ARCHSIM_DATA"
    raise invalid(name, f"found in none of {', '.join(map(str, searched)) or 'no folder'}", hint, "data")


def normalised(spec: TrainSpec, batch: ImageBatch | np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
               device: torch.device) -> Tensor:
    """Images as float32 (N, C, H, W), channels last in memory: (pixel / 255 - mean) / std per channel."""
    images = batch.images if isinstance(batch, ImageBatch) else batch
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(spec.data.mean, device=device)[:, None, None]
    std = torch.tensor(spec.data.std, device=device)[:, None, None]
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
