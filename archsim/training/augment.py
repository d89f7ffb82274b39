"""Random crop and horizontal flip, drawn for every image, on whole uint8 batches at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def augment(
    images: NDArray[np.uint8],
    padding_px: int,
    flip: bool,
    rng: np.random.Generator,
    crop_px: int | None = None,
) -> NDArray[np.uint8]:
    """A copy of ``images`` uint8 (N, H, W, C), each zero padded, cropped at a random offset and maybe mirrored.

    crop_px: side of the crop; the size of the image when left out.
    Source: the CIFAR augmentation of He et al., CVPR 2016, section 4.2.
    """
    count, image_height, image_width, _ = images.shape
    height, width = (crop_px, crop_px) if crop_px is not None else (image_height, image_width)
    top = rng.integers(0, image_height + 2 * padding_px - height + 1, (count,))
    left = rng.integers(0, image_width + 2 * padding_px - width + 1, (count,))
    mirrored = rng.integers(0, 2, count).astype(bool) if flip else np.zeros(count, dtype=bool)
    pad = ((0, 0), (padding_px, padding_px), (padding_px, padding_px), (0, 0))
    padded = np.pad(images, pad)
    rows = top[:, None] + np.arange(height)
    columns = np.where(mirrored[:, None], np.arange(width)[::-1], np.arange(width)) + left[:, None]
    crops: NDArray[np.uint8] = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return crops
