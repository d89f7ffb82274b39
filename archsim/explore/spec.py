"""``archsim.sweep/1`` files: which points of a design space are simulated, or searched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archsim.config.base import ConfigModel
from archsim.config.document import Document
from archsim.config.extends import find_file
from archsim.config.validation import validate
from archsim.config.workload import Name
from archsim.config.yaml_io import read_document
from archsim.errors import InvalidInput, Problem
from archsim.resources import Kind, builtin_path
from archsim.results.defaults import DEFAULT_ARCH, DEFAULT_SEED, ENGINES

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
    """``energy``, ``latency``, ``cycles``, ``accuracy``, ``area`` or any numeric result, with ``min`` or ``max``."""
    sampler: Literal["nsga2", "tpe"] = "nsga2"
    """Evolution (Deb et al., IEEE TEC 6(2), 2002) or a tree-structured Parzen estimator (Bergstra, NIPS 2011)."""
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)]
    """How many points are tried."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Points tried before the next are chosen, a generation; results do not depend on the number of jobs."""
    seed: Seed = 1
    """Of the sampler."""
    start: list[dict[str, Scalar]] = []
    """Points to try first, such as that of a preset; keys left out are drawn."""
    storage: str | None = None
    """URL of an SQL database in which several hosts share the study; the file ``study.journal`` of the output folder
    when left out. Only the latter repeats exactly."""


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
    engine: str = ENGINES[0]
    """How time is advanced."""
    space: dict[str, Scalar | list[Scalar] | RangeSpec] = {}
    """Values by configuration key (``pe_array.rows``); also ``arch``, ``energy_table``, ``images``, ``arrivals``."""
    constraints: list[str] = []
    """Comparisons that every point satisfies, over configuration keys and the ``area`` of the chip in mm2, as
    ``pe_array.rows * pe_array.cols <= 256``."""
    sample: SampleSpec = SampleSpec()
    search: SearchSpec | None = None

    @model_validator(mode="after")
    def _check(self) -> SweepSpec:
        if self.search is not None and self.sample != SampleSpec():
            raise ValueError(
                "found sample and search, expected one of them: a search chooses its points itself"
            )
        return self


def load_sweep_spec(path: Path) -> SweepSpec:
    """The checked spec of a file, the paths in it absolute. Raises InvalidInput with every problem at file:line:col."""
    document = read_document(path)
    spec = validate(SweepSpec, document)
    problems: list[Problem] = []
    found = {
        "workload": _located(Kind.WORKLOAD, spec.workload, document, "workload", problems),
        "arch": _located(Kind.ARCH, spec.arch, document, "arch", problems),
    }
    if spec.energy_table is not None:
        found["energy_table"] = _located(
            Kind.ENERGY_TABLE, spec.energy_table, document, "energy_table", problems
        )
    if spec.data is not None:
        found["data"] = str((document.path.parent / spec.data).absolute())
    if problems:
        raise InvalidInput(problems)
    return spec.model_copy(update=found)


def _located(kind: Kind, ref: str, document: Document, key: str, problems: list[Problem]) -> str:
    """The reference, a path made absolute."""
    try:
        path = find_file(kind, ref, document.where(key), key, document.path.parent)
    except InvalidInput as error:
        problems += error.problems
        return ref
    return ref if path == builtin_path(kind, ref) else str(path.absolute())


def is_sweep_file(text: str) -> bool:
    """Whether a command's argument is the path of a sweep file, and not of a workload, nor a name."""
    path = Path(text)
    return path.is_file() and read_document(path).data.get("schema") == "archsim.sweep/1"
