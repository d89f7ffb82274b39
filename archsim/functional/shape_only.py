"""Traces of a network without weights: nothing is decided, zeros lie where a seeded generator puts them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from archsim.functional.trace import NOT_COMPUTED, UNKNOWN, FunctionalTrace
from archsim.network.graph import Network


def shape_only_traces(
    network: Network, fractions: Mapping[str, float], images: int, seed: int
) -> Iterator[FunctionalTrace]:
    """One trace an image: labels and predictions unknown, zero maps of the given fractions by tensor.

    Each element is zero with that probability, whatever the others are: real maps, in which zeros lie together, skip
    and code better. Equal network, seed and position of the image give equal maps.
    """
    for image in range(images):
        yield FunctionalTrace(
            network.name,
            network.exit_names,
            np.full(1, UNKNOWN, np.int64),
            np.full((1, 1), NOT_COMPUTED, np.int64),
            np.full((1, 1), UNKNOWN, np.int64),
            np.full((1, 0), NOT_COMPUTED, np.int64),
            {
                name: random_zero_map(network.shape(name).elements, fraction, (seed, image, name))
                for name, fraction in fractions.items()
            },
        )


def random_zero_map(elements: int, fraction: float, key: tuple[int, int, str]) -> npt.NDArray[np.uint8]:
    """uint8 (1, ceil(elements / 8)) as in a trace. key: seed, image and tensor, which fix the map.

    >>> bits = random_zero_map(8000, 0.25, (0, 0, "conv1"))
    >>> bits.shape, int(np.unpackbits(bits).sum())
    ((1, 1000), 2048)
    """
    seed, image, tensor = key
    random = np.random.default_rng([seed, image, zlib.crc32(tensor.encode())])
    zero = random.random(elements, np.float32) < fraction
    return np.packbits(zero, bitorder="little")[np.newaxis]
