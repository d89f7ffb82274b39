"""Logits in integers against those of a model in floating point, which stand on another scale."""

from __future__ import annotations

import numpy as np

MOST_ERROR = 0.15
"""Of the logits, against their spread over classes and images: what eight bits a tensor may cost in small networks."""


def assert_agree(integers: np.ndarray, logits: np.ndarray, most_error: float = MOST_ERROR) -> None:
    """Both (images, classes): proportional up to the error, and one answer wherever that of the model is clear."""
    centred = logits - logits.mean(axis=1, keepdims=True)
    found = integers.astype(float) - integers.mean(axis=1, keepdims=True)
    scale = (centred * found).sum() / (found * found).sum()
    error = np.sqrt(np.square(scale * found - centred).mean()) / centred.std()
    assert scale > 0 and error < most_error, error
    top_two = np.sort(logits, axis=1)[:, -2:]
    clear = top_two[:, 1] - top_two[:, 0] > most_error * logits.std()
    assert clear.sum() >= len(logits) // 3
    same = found.argmax(axis=1) == logits.argmax(axis=1)
    assert same[clear].all(), same.mean()


def correlation_over_images(integers: np.ndarray, logits: np.ndarray) -> float:
    """Of what the images change in the logits: what a class has of its own for every image is taken away.

    So is what all classes of an image share, which a softmax does not see.
    """
    changed = []
    for each in (integers.astype(float), logits.astype(float)):
        relative = each - each.mean(axis=1, keepdims=True)
        changed.append((relative - relative.mean(axis=0)).ravel())
    return float(np.corrcoef(*changed)[0, 1])
