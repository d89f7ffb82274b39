"""Encoded images (JPEG, PNG, ...) to uint8 arrays. Pillow is imported on the first use."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.image_set import MAX_SIDE_PX, invalid
from archsim.errors import MissingExtra

if TYPE_CHECKING:
    from PIL import Image


def decode_rgb(encoded: bytes, where: Path | str, key: str = "") -> NDArray[np.uint8]:
    """Pixels of one encoded image as uint8 (H, W, 3); greyscale is repeated over the channels.

    Raises MissingExtra without Pillow, InvalidInput where the bytes are no image of at most 4096 px a side.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("data", "decoding images") from None
    hint = "the file may be truncated or not an image"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded)) as image:
                _check_size(image, where, key)
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise invalid(where, f"found an image that cannot be decoded ({error})", hint, key) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise invalid(where, "found an image of a suspiciously large size", hint, key) from None


def _check_size(image: Image.Image, where: Path | str, key: str) -> None:
    if max(image.size) > MAX_SIDE_PX:
        raise invalid(where, f"found {image.size} px, expected at most {MAX_SIDE_PX} px a side", key=key)
