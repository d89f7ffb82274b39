"""Random crop, horizontal flip and cutout, drawn for every image, on whole uint8 batches at once."""

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


def cut_out(
    images: NDArray[np.uint8], side_px: int, fill: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A copy of ``images`` uint8 (N, H, W, C) with one square of each, centred anywhere, set to ``fill`` uint8 (C,).

    Source: DeVries and Taylor, Improved Regularization of CNNs with Cutout, 2017: the square may reach over the edge.
    """
    count, height, width, _ = images.shape
    top = rng.integers(0, height, (count, 1)) - side_px // 2
    left = rng.integers(0, width, (count, 1)) - side_px // 2
    in_rows = (np.arange(height) >= top) & (np.arange(height) < top + side_px)
    in_columns = (np.arange(width) >= left) & (np.arange(width) < left + side_px)
    hidden = in_rows[:, :, None] & in_columns[:, None, :]
    return np.where(hidden[..., None], fill, images)
