"""The three parts of the data: training, held-out (from the training images), test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archsim.datasets import ImageBatch, available_splits, join, load_images
from archsim.datasets.image_set import invalid
from archsim.datasets.sources import find_source, held_out_rows
from archsim.training.spec import TrainSpec

_HELD_OUT = "held_out"


@dataclass(frozen=True)
class TrainingData:
    """Images and labels that train; those that calibrate and choose thresholds; those that measure."""

    train: ImageBatch
    held_out: ImageBatch
    test: ImageBatch | None = None


def load_training_data(spec: TrainSpec, folders: Sequence[Path]) -> TrainingData:
    """Reads the data of ``spec``, looked for in ``folders`` and then in ``$ARCHSIM_DATA``.

    ``spec.data.held_out`` images are set aside: the source's own ``held_out`` split, or by a seeded shuffle.
    Raises InvalidInput where files are missing, or images do not have the shape of ``spec.input`` or are too few.
    """
    sources = [find_source(name, folders) for name in spec.data.train]
    test_source = find_source(spec.data.test, folders) if spec.data.test else None
    train = join([_read(spec, source, "train") for source in sources])
    test = _read(spec, test_source, "test") if test_source else None
    if all(_HELD_OUT in available_splits(source) for source in sources):
        held_out = join([_read(spec, source, _HELD_OUT) for source in sources])
        return TrainingData(train, held_out, test)
    if spec.data.held_out >= len(train):
        message = f"found {len(train)} images, expected more than the {spec.data.held_out} to hold out"
        raise invalid(sources[0], message, key="data.held_out")
    set_aside, others = held_out_rows(len(train), spec.data.held_out, spec.seed)
    return TrainingData(_rows(train, others), _rows(train, set_aside), test)


def normalised(spec: TrainSpec, images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Images as float32 (N, C, H, W), channels last in memory: (pixel / 255 - mean) / std per channel."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(spec.data.mean, device=device)[:, None, None]
    std = torch.tensor(spec.data.std, device=device)[:, None, None]
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def _read(spec: TrainSpec, source: Path, split: str) -> ImageBatch:
    batch = load_images(source, split=split)
    expected = (spec.input.height, spec.input.width, spec.input.channels)
    if batch.images.shape[1:] != expected:
        raise invalid(source, f"found images of {batch.images.shape[1:]}, expected {expected}", key="input")
    if batch.labels.max() >= spec.dataset.classes:
        message = f"found label {batch.labels.max()}, expected labels below {spec.dataset.classes}"
        raise invalid(source, message, key="dataset.classes")
    return batch


def _rows(batch: ImageBatch, rows: NDArray[np.int64]) -> ImageBatch:
    return ImageBatch(batch.images[rows], batch.labels[rows])
