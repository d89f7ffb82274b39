"""Which values the tensors of a float network take on images, and what it answers: the ground of its scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsim.datasets import ImageBatch, iter_images
from archsim.functional.executor import check_images
from archsim.importing.floats import float_tensors
from archsim.network.graph import Network
from archsim.progress import Progress
from archsim.quantisation.integer import FloatLayer, Recipe
from archsim.quantisation.samples import Sampler

SEED = 0
_BATCH_IMAGES = 4
"""Few, because a batch is held as float32 with all maps that are still to be read."""
_READ_IMAGES = 200
_MOST_IMAGES = 10_000
"""Images among which those for calibration are drawn; folders list one class after the other."""


@dataclass(frozen=True)
class Calibration:
    """images: those that were drawn. samples: float64 values by tensor. answers: top-1 class by classifier."""

    images: ImageBatch
    samples: dict[str, NDArray[np.float64]]
    answers: dict[str, NDArray[np.int64]]


def calibrate(
    network: Network,
    floats: Mapping[str, FloatLayer],
    ceilings: Mapping[str, float],
    recipe: Recipe,
    images: ImageBatch,
    progress: Progress | None = None,
) -> Calibration:
    """Run images through the float network. Raises ValueError where its values leave the range of float32."""
    sampler = Sampler(SEED, -(-len(images) // _BATCH_IMAGES))
    ends = {layer.name for layer in network.all_layers() if layer.is_classifier}
    answers: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ends}
    for start in range(0, len(images), _BATCH_IMAGES):
        pixels = images.images[start : start + _BATCH_IMAGES]
        normalised = (pixels / 255.0 - np.array(recipe.mean)) / np.array(recipe.std)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            for name, values in float_tensors(network, floats, ceilings, normalised.astype(np.float32)):
                if not np.isfinite(values).all():
                    raise ValueError(f"{name} has values beyond the range of float32")
                if name in ends:
                    answers[name].append(values[:, 0, 0, :].argmax(axis=1))
                else:
                    sampler.add(name, values.astype(np.float64))
        if progress is not None:
            progress(min(start + _BATCH_IMAGES, len(images)), len(images))
    return Calibration(
        images, sampler.samples, {name: np.concatenate(parts) for name, parts in answers.items()}
    )


def draw_images(network: Network, source: Path, count: int) -> ImageBatch:
    """``count`` images at random (seeded) from the first 10,000 training images of a data set, or all of them.

    Raises InvalidInput where they cannot be read or do not fit the network, MissingExtra("data").
    """
    rng = np.random.default_rng(SEED)
    kept: list[tuple[NDArray[np.uint8], int]] = []
    seen = 0
    for batch in iter_images(source, _READ_IMAGES, limit=_MOST_IMAGES, split="train"):
        check_images(network, batch, str(source))
        for image, label in zip(batch.images, batch.labels, strict=True):
            seen += 1
            if len(kept) < count:
                kept.append((image, int(label)))
            elif (place := int(rng.integers(seen))) < count:
                kept[place] = (image, int(label))
    return ImageBatch(
        np.stack([image for image, _ in kept]), np.array([label for _, label in kept], np.int64)
    )
