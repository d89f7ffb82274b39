"""``archsim.workload/1``: a network, its branches, its weights and the data it ships with.

The same ``layers`` and ``branches`` describe a network to be trained (``archsim.train/1``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from archsim.config.base import ConfigModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
PositiveInt = Annotated[int, Field(ge=1, le=1 << 20)]
OutputMax = Annotated[
    int,
    Field(
        ge=1, le=255, description="Largest value of an output without negative values, in raw 8-bit units."
    ),
]
Logit = Annotated[int, Field(ge=-(1 << 31), le=1 << 32)]
MagnitudeSum = Annotated[int, Field(ge=0, le=1 << 40)]
"""Sum of ``|a|`` over a tensor in raw 8-bit units; no tensor reaches the largest."""


def _as_pair(value: object) -> object:
    """A single number stands for height and width."""
    if isinstance(value, list):
        return tuple(value)
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Pair = Annotated[
    tuple[PositiveInt, PositiveInt],
    BeforeValidator(_as_pair, json_schema_input_type=PositiveInt | tuple[PositiveInt, PositiveInt]),
]


def _two_or_four(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) not in (2, 4):
        raise ValueError(f"found {len(value)} numbers, expected 2 or 4: top, left, bottom, right")
    return value[:2] if value[:2] == value[2:] else value


_Zeros = Annotated[int, Field(ge=0, le=1024)]
PaddingPx = Annotated[
    tuple[_Zeros, ...],
    BeforeValidator(
        _as_pair,
        json_schema_input_type=_Zeros | tuple[_Zeros, _Zeros] | tuple[_Zeros, _Zeros, _Zeros, _Zeros],
    ),
    AfterValidator(_two_or_four),
]
"""(top and bottom, left and right), or (top, left, bottom, right) where the ends differ."""


class _Layer(ConfigModel):
    name: Name
    input: Name | None = None
    """Tensor that is read: a layer's name or ``image``; the layer above when left out."""


MapShape = Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], Field(strict=False)]
"""Not strict: a list in the file is the tuple; its numbers still must be integers."""


class _WeightedLayer(_Layer):
    input_shape: MapShape | None = None
    """Height, width and channels of a tensor of the layer's own, read from DRAM in place of ``input``. Of a workload
    without ``weights`` only."""
    zero_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    """Fraction of zeros in the tensor that is read; 0 when left out. Of a workload without ``weights`` only."""


class Conv2dSpec(_WeightedLayer):
    op: Literal["conv2d"]
    filters: PositiveInt
    kernel: Pair
    stride: Pair = (1, 1)
    padding: PaddingPx = (0, 0)
    """Zeros around the map; four numbers are top, left, bottom, right."""
    groups: PositiveInt = 1
    """Equal parts into which channels and filters are cut; filters of a part see the channels of that part alone."""
    relu: bool = False
    output_max: OutputMax = 255


class DepthwiseConv2dSpec(_WeightedLayer):
    op: Literal["depthwise_conv2d"]
    kernel: Pair
    stride: Pair = (1, 1)
    padding: PaddingPx = (0, 0)
    """Zeros around the map; four numbers are top, left, bottom, right."""
    relu: bool = False
    output_max: OutputMax = 255


class LinearSpec(_WeightedLayer):
    op: Literal["linear"]
    units: PositiveInt
    relu: bool = False
    output_max: OutputMax = 255


class MaxPoolSpec(_Layer):
    op: Literal["max_pool"]
    kernel: Pair
    stride: Pair | None = None
    """``kernel`` when left out."""
    padding: PaddingPx = (0, 0)
    """Less than ``kernel``, at most half of it where both ends are alike; padded pixels are never the largest."""


class AvgPoolSpec(_Layer):
    op: Literal["avg_pool"]
    kernel: Pair
    stride: Pair | None = None
    """``kernel`` when left out."""
    output_max: OutputMax = 255


class GlobalAvgPoolSpec(_Layer):
    op: Literal["global_avg_pool"]
    output_max: OutputMax = 255


class AddSpec(_Layer):
    op: Literal["add"]
    other: Name
    """The second summand, a tensor of the same shape as ``input``."""
    relu: bool = False
    output_max: OutputMax = 255


LayerSpec = Annotated[
    Conv2dSpec | DepthwiseConv2dSpec | LinearSpec | MaxPoolSpec | AvgPoolSpec | GlobalAvgPoolSpec | AddSpec,
    Field(discriminator="op"),
]


class DbpSpec(ConfigModel):
    """The branch is run iff min_sum <= sum of |a| over the tensor it reads <= max_sum (raw 8-bit units)."""

    min_sum: MagnitudeSum = 0
    max_sum: MagnitudeSum | None = None


class BranchSpec(ConfigModel):
    """An auxiliary classifier; its last layer must be ``linear`` with one unit a class."""

    name: Name
    after: Name
    """The trunk layer whose output the branch reads."""
    layers: Annotated[list[LayerSpec], Field(min_length=1)]
    threshold: Logit | None = None
    """The image exits iff top-1 minus top-2 logit >= threshold; never when left out."""
    dbp: DbpSpec | None = None


class InputSpec(ConfigModel):
    height: PositiveInt
    """Height of the image in pixels."""
    width: PositiveInt
    """Width of the image in pixels."""
    channels: PositiveInt
    """1 (grey) or 3 (RGB)."""
    signed: bool = True
    """What ``input/table`` makes of a pixel: -128 .. 127, or 0 .. 255 where ``false``."""


class DatasetSpec(ConfigModel):
    name: str
    """Name of the data set."""
    classes: Annotated[int, Field(ge=2, le=1 << 15)]
    """Number of classes."""
    class_names: list[str] | None = None
    """Names in the order of the labels."""
    encoding: str = ""
    """How the images are coded, as the accuracies must say it ("JPEG q75")."""
    source: str = ""
    """Who made the images, and where."""
    licence: str = ""
    """Their terms."""


FileList = Annotated[list[str], Field(min_length=1, max_length=100)]


class WorkloadSpec(ConfigModel):
    """One network on one data set. File paths are relative to the workload file and stay inside its folder."""

    schema_: Literal["archsim.workload/1"] = Field(alias="schema")
    name: Name
    description: str = ""
    dataset: DatasetSpec
    input: InputSpec
    weights: str | FileList | None = None
    """``.npz`` with the integers of the network, or several that hold them together and may serve other workloads too;
    without any the workload is *shape-only*: timed, not computed."""
    images: str | None = None
    """``.npz`` with the sample images that ship with the workload."""
    trace: str | FileList | None = None
    """Functional trace that stands in for images which may not ship, in one file or several of the same images."""
    layers: Annotated[list[LayerSpec], Field(min_length=1, max_length=10_000)]
    branches: Annotated[list[BranchSpec], Field(default_factory=list, max_length=1000)]

    def files(self, key: Literal["weights", "images", "trace"]) -> dict[str, str]:
        """File names under a key, by the key of each (``weights``, or ``weights.0`` and so on)."""
        names = getattr(self, key)
        if isinstance(names, list):
            return {f"{key}.{index}": name for index, name in enumerate(names)}
        return {} if names is None else {key: names}

    @property
    def is_shape_only(self) -> bool:
        """There are no weights: the network can be timed, but nothing is computed and nothing decided."""
        return self.weights is None
