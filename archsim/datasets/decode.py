"""Encoded images (JPEG, PNG, ...) to uint8 arrays. Pillow is imported on the first use."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.datasets.image_set import MAX_SIDE_PX, invalid
from archsim.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "WEBP")
"""Pillow knows many more; one of them (EPS) is a program that it lets another program run."""
MAX_ENCODED_BYTES = 64 << 20


def decode_rgb(encoded: bytes, where: Path | str, key: str = "") -> NDArray[np.uint8]:
    """Pixels of one encoded image as uint8 (H, W, 3); greyscale is repeated over the channels.

    Raises MissingExtra without Pillow, InvalidInput where the bytes are no image of at most 4096 px a side.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("data", "decoding images") from None
    hint = f"the file may be truncated, or none of {', '.join(FORMATS)}"
    if len(encoded) > MAX_ENCODED_BYTES:
        raise invalid(where, f"found an image of more than {MAX_ENCODED_BYTES >> 20} MiB", hint, key)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
                _check_size(image, where, key)
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except InvalidInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise invalid(where, "found an image of a suspiciously large size", hint, key) from None
    except Exception as error:  # a damaged image makes the decoders of Pillow raise nearly anything
        raise invalid(where, f"found an image that cannot be decoded ({error})", hint, key) from None


def _check_size(image: Image.Image, where: Path | str, key: str) -> None:
    if max(image.size) > MAX_SIDE_PX:
        raise invalid(where, f"found {image.size} px, expected at most {MAX_SIDE_PX} px a side", key=key)
