"""Samples of activation tensors over calibration images, from which scales are chosen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SAMPLE_VALUES = 1 << 17
"""Of each tensor: enough for the tail that clipping is about, few enough to search scales in a second."""


class Sampler:
    """Seeded random values of every tensor, batch by batch.

    batches: how many will come; each gives the same share of at most 131,072 values a tensor.
    """

    def __init__(self, seed: int, batches: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._share = _SAMPLE_VALUES // batches
        self._parts: dict[str, list[NDArray[np.float64]]] = {}

    def add(self, name: str, values: NDArray[np.float64]) -> None:
        """Take the share of one batch from the values (any shape) of the tensor ``name``."""
        flat = values.ravel()
        count = min(len(flat), self._share)
        chosen = self._rng.choice(flat, count, replace=False, shuffle=False)
        self._parts.setdefault(name, []).append(chosen)

    @property
    def samples(self) -> dict[str, NDArray[np.float64]]:
        """Float64 (at most 131,072,) by tensor."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}
