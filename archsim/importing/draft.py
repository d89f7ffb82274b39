"""Layers as they are put together from the nodes of an ONNX graph, and what the values between nodes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from archsim.config.workload import LayerSpec
from archsim.network.graph import IMAGE, Shape

Floats = NDArray[np.float64]
Pads = tuple[int, int, int, int]
"""Top, left, bottom, right, in pixels."""

NO_PADS: Pads = (0, 0, 0, 0)
WITH_WEIGHTS = ("conv2d", "depthwise_conv2d", "linear")
POOLS = ("max_pool", "avg_pool", "global_avg_pool")
_SPEC: TypeAdapter[LayerSpec] = TypeAdapter(LayerSpec)


class Unsupported(Exception):
    """A node that no layer can stand for; what was found, and what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Node:
    """A node of the graph. label: operator and name, as problems name it. proto: the node as it was read."""

    op: str
    name: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: Any = None


@dataclass(frozen=True)
class Constant:
    """A value that does not depend on the image. scales: of integers that stand for it, along ``axis``."""

    array: NDArray[Any]
    scales: Floats | None = None
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """A value that depends on the image: the output of a draft, or the image.

    shape: as a map; flat: as (images, channels * height * width) in that order. sole: nothing but what comes next
    reads the draft's output, so that what comes next may change the draft. pads: zeros around it that a convolution
    has yet to take.
    """

    draft: str
    shape: Shape
    sole: bool
    flat: bool = False
    pads: Pads = NO_PADS


@dataclass(frozen=True)
class Grid:
    """How a tensor is quantised: value = scale * (q - zero_point), low <= q <= high.

    >>> grid = Grid(0.5, 0, -128, 127)
    >>> grid.limits, grid.is_centred
    ((-128, 127), True)
    """

    scale: float
    zero_point: int
    low: int
    high: int

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value in units of the scale."""
        return self.low - self.zero_point, self.high - self.zero_point

    @property
    def is_centred(self) -> bool:
        """It is that of int8 tensors here: zero stands for 0, values from -128 to 127."""
        return self.limits == (-128, 127)

    @property
    def symmetric_scale(self) -> float:
        """Scale of the finest int8 tensor without zero point that holds all its values."""
        low, high = self.limits
        return self.scale if self.is_centred else self.scale * max(-low / 128, high / 127)


@dataclass
class Draft:
    """One layer in the making.

    options: keys of its entry in the workload file. ceiling: what a clip behind its ReLU bounds values by. weight:
    float64, laid out as ``Layer.weight_shape``; bias float64 (channels out,). weight_scales: (channels out,) where
    weights are integers times these. grid: how the model quantises its output. sole_input: of a pool, nothing else
    reads its input.
    """

    name: str
    label: str
    op: str
    inputs: tuple[str, ...]
    input_shape: Shape
    shape: Shape
    options: dict[str, Any] = field(default_factory=dict)
    relu: bool = False
    ceiling: float | None = None
    weight: Floats | None = None
    bias: Floats | None = None
    weight_scales: Floats | None = None
    grid: Grid | None = None
    sole_input: bool = False

    def scale_output(self, gain: Floats, offset: Floats) -> None:
        """Fold value * gain + offset, per output channel, into weights and bias."""
        assert self.weight is not None and self.bias is not None
        self.weight = self.weight * gain
        self.bias = self.bias * gain + offset
        if self.weight_scales is not None:
            keeps = bool((gain > 0).all())
            self.weight_scales = self.weight_scales * gain if keeps else None

    def spec(self, options: dict[str, Any]) -> LayerSpec:
        """The layer, with these further keys. Raises Unsupported where a value is out of bounds."""
        entry = {"name": self.name, "op": self.op, **self.options, **options}
        if self.relu:
            entry["relu"] = True
        try:
            return _SPEC.validate_python(entry)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"][1:])
            raise Unsupported(f"{place}: {first['msg']}, found {first.get('input')!r}") from None


def is_image(tensor: Tensor) -> bool:
    """The tensor is the image as it comes."""
    return tensor.draft == IMAGE
