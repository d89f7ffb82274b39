"""The convolutions that the Eyeriss chip was measured on, without weights: ``eyeriss_layers.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from archsim.config.workload import Conv2dSpec
from archsim.network.graph import IMAGE, Layer, Network, Shape

POOLED_ZEROS_EXPONENT = 0.285
"""A max pool over ``a`` values leaves zeros with probability z^(a^0.285), z being that of a value before it.

From the zeros that AlexNet's conv1 and conv2 write (Sparseloop, MICRO 2022, Eyeriss artifact: 0.622 and 0.831) and
those that the chip read behind the 3x3 pools (0.387 and 0.725): exponents 2.00 and 1.74, geometric mean 1.87 = 9^0.285.
Neighbours are alike: a window counts as less than two values and not as nine.
"""


@dataclass(frozen=True)
class EyerissLayer:
    """One convolution; the fields are the keys of the file."""

    name: str
    size: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    groups: int = 1
    pool: int = 1
    image: bool = False
    zeros_out: float | None = None

    @property
    def network(self) -> Network:
        """The layer alone, of one of its groups, its padding in the map as the chip got it."""
        side = (self.size - self.kernel) // self.stride + 1
        spec = Conv2dSpec(
            op="conv2d",
            name="layer",
            filters=self.filters,
            kernel=(self.kernel, self.kernel),
            stride=(self.stride, self.stride),
        )
        shape, out = Shape(self.size, self.size, self.channels), Shape(side, side, self.filters)
        layer = Layer("layer", spec, (IMAGE,), shape, out, signed_input=False, signed_output=False)
        return Network(self.name, shape, self.filters, (layer,))

    def zeros_before_pool(self, zeros: float) -> float:
        """Fraction of zeros in the outputs when those behind the pool are known.

        >>> layer = EyerissLayer("CONV1", 227, 3, 96, 11, 4, pool=3)
        >>> round(layer.zeros_before_pool(0.387), 2)
        0.6
        """
        return float(zeros ** (1 / float(self.pool * self.pool) ** POOLED_ZEROS_EXPONENT))


@cache
def eyeriss_layers() -> dict[str, tuple[EyerissLayer, ...]]:
    """Layers in network order by network."""
    text = (Path(__file__).parent / "eyeriss_layers.yaml").read_text(encoding="utf-8")
    return {
        network: tuple(EyerissLayer(name, **layer) for name, layer in layers.items())
        for network, layers in yaml.safe_load(text).items()
    }
