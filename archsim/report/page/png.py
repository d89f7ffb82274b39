"""Small images as PNG in the text of a page, without a library for images."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2}
"""Grey and RGB, as PNG numbers them (RFC 2083, section 4.1.1)."""


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """An image, uint8 (height, width, 1 or 3), as the ``src`` of an ``img``."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode('ascii')}"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An image, uint8 (height, width, 1 or 3), as the content of a PNG file: 8 bits a sample, no filter.

    >>> png(np.zeros((1, 2, 1), np.uint8))[:8] == _SIGNATURE
    True
    """
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = pixels.reshape(height, width * channels)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def thumbnail(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """At most ``side_px`` a side: the mean of k x k pixels, k as small as that allows; what does not fill k is cut off.

    pixels: uint8 (height, width, channels).

    >>> thumbnail(np.full((9, 4, 1), 7, np.uint8), 4).shape
    (3, 1, 1)
    """
    height, width, channels = pixels.shape
    step = min(-(-max(height, width) // side_px), height, width)
    rows, columns = height // step, width // step
    blocks = pixels[: rows * step, : columns * step].reshape(rows, step, columns, step, channels)
    means: NDArray[np.uint8] = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return means
