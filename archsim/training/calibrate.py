"""Samples of every activation tensor over calibration images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from archsim.training.data import normalised
from archsim.training.network import ExitNetwork
from archsim.training.spec import TrainSpec

_BATCH_IMAGES = 128
_SAMPLE_VALUES = 1 << 17
"""Of each tensor: enough for the tail that clipping is about, few enough to search scales in a second."""


def activation_samples(
    model: ExitNetwork, spec: TrainSpec, images: NDArray[np.uint8], device: torch.device
) -> dict[str, NDArray[np.float64]]:
    """Seeded random values of every tensor of trunk and branches, by name; float64 (at most 131,072,)."""
    model.eval()
    rng = np.random.default_rng(spec.seed)
    batches = -(-len(images) // _BATCH_IMAGES)
    samples: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(images), _BATCH_IMAGES):
        with torch.no_grad():
            tensors = model.all_tensors(normalised(spec, images[start : start + _BATCH_IMAGES], device))
        for name, tensor in tensors.items():
            values = tensor.cpu().double().numpy().ravel()
            count = min(len(values), _SAMPLE_VALUES // batches)
            samples.setdefault(name, []).append(rng.choice(values, count, replace=False, shuffle=False))
    return {name: np.concatenate(parts) for name, parts in samples.items()}
