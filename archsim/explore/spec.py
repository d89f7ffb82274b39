"""``archsim.sweep/1``: which points of a design space are simulated, or searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from archsim.config.base import ConfigModel
from archsim.config.workload import Name
from archsim.results_keys import DEFAULT_ARCH, DEFAULT_SEED

Seed = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]
Scalar = bool | int | float | str | None
"""One value of a configuration key."""
Number = int | float
MAX_POINTS = 1_000_000


class RangeSpec(ConfigModel):
    """Numbers from ``low`` to ``high``, both included; whole ones where both bounds are."""

    low: Number
    """The least value."""
    high: Number
    """The bound that no value exceeds."""
    step: Annotated[Number, Field(gt=0)] | None = None
    """Distance of one value to the next."""
    factor: Annotated[Number, Field(gt=1)] | None = None
    """Ratio of one value to the one before it."""
    count: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """So many values at equal distances, ``high`` the last."""
    log: bool = False
    """Whether sampling and search take ratios, not differences, for distances."""

    @model_validator(mode="after")
    def _check(self) -> RangeSpec:
        if self.low > self.high:
            raise ValueError(f"found low {self.low} above high {self.high}")
        if sum(given is not None for given in (self.step, self.factor, self.count)) > 1:
            raise ValueError("found more than one of step, factor and count, expected one at most")
        if (self.log or self.factor is not None) and self.low <= 0:
            raise ValueError(f"found low {self.low}, expected more than 0 where ratios count")
        return self


class SampleSpec(ConfigModel):
    """How points are taken from the space."""

    method: Literal["grid", "latin_hypercube", "random"] = "grid"
    """Every combination, or ``points`` of them: random, or random but spread over each key alike."""
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)] | None = None
    """How many; not with ``grid``."""
    seed: Seed = 1
    """Of what is random."""

    @model_validator(mode="after")
    def _check(self) -> SampleSpec:
        if (self.points is None) != (self.method == "grid"):
            raise ValueError("expected points with latin_hypercube and random, none with grid")
        return self


class SearchSpec(ConfigModel):
    """A search for the points that no other point beats, instead of taking all of them."""

    objectives: Annotated[dict[str, Literal["min", "max"]], Field(min_length=1)]
    """``energy``, ``latency``, ``cycles``, ``accuracy``, ``area``, or any numeric result; each to be least or greatest."""
    sampler: Literal["nsga2", "tpe"] = "nsga2"
    """Evolution (Deb et al., IEEE TEC 6(2), 2002), or a tree-structured Parzen estimator (Bergstra et al., NIPS 2011)."""
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)]
    """How many points are tried."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Points tried before the next are chosen, a generation; results do not depend on the number of jobs."""
    seed: Seed = 1
    """Of the sampler."""
    start: list[dict[str, Scalar]] = []
    """Points to try first, such as that of a preset; keys left out are drawn."""
    storage: str | None = None
    """URL of an SQL database in which several hosts share the study; the file ``study.journal`` of the output folder when
    left out. Only the latter repeats exactly."""


class SweepSpec(ConfigModel):
    """One sweep or search."""

    schema_: Literal["archsim.sweep/1"] = Field(alias="schema")
    name: Name
    """As tables and plots show it."""
    description: str = ""
    """For the reader."""
    workload: str
    """Built-in name, or path relative to this file."""
    arch: str = DEFAULT_ARCH
    """Accelerator: built-in name, or path relative to this file."""
    energy_table: str | None = None
    """Energy table: built-in name, or path relative to this file; the one that the accelerator names when left out."""
    images: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many images; all when left out."""
    data: str | None = None
    """Images instead of those that ship with the workload, relative to this file."""
    arrivals: str | None = None
    """As ``--arrivals`` of ``simulate``."""
    seed: Seed = DEFAULT_SEED
    """Of Poisson arrivals."""
    engine: str | None = None
    """How time is advanced; the default of ``simulate`` when left out."""
    space: dict[str, Scalar | list[Scalar] | RangeSpec] = {}
    """Values by configuration key (``pe_array.rows``); also ``arch``, ``energy_table``, ``images``, ``arrivals``."""
    constraints: list[str] = []
    """Comparisons over configuration keys that every point satisfies, as ``pe_array.rows * pe_array.cols <= 256``."""
    sample: SampleSpec = SampleSpec()
    search: SearchSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("search") and data.get("sample"):
            raise ValueError("found sample and search, expected one of them: a search chooses its points itself")
        return data
