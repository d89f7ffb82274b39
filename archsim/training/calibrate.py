"""Samples of every activation tensor over calibration images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from archsim.quantisation.samples import Sampler
from archsim.training.data import normalised
from archsim.training.network import ExitNetwork
from archsim.training.spec import TrainSpec

_BATCH_IMAGES = 128


def activation_samples(
    model: ExitNetwork, spec: TrainSpec, images: NDArray[np.uint8], device: torch.device
) -> dict[str, NDArray[np.float64]]:
    """Seeded random values of every tensor of trunk and branches, by name; float64 (at most 131,072,)."""
    model.eval()
    sampler = Sampler(spec.seed, -(-len(images) // _BATCH_IMAGES))
    for start in range(0, len(images), _BATCH_IMAGES):
        with torch.no_grad():
            tensors = model.all_tensors(normalised(spec, images[start : start + _BATCH_IMAGES], device))
        for name, tensor in tensors.items():
            sampler.add(name, tensor.cpu().double().numpy())
    return sampler.samples
