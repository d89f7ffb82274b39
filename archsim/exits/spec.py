"""``archsim.exits/1``: from which candidates, on which images and for which objective exits are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from archsim.config.base import ConfigModel
from archsim.config.document import Document
from archsim.config.validation import validate
from archsim.config.workload import Name
from archsim.config.yaml_io import read_document
from archsim.errors import InvalidInput
from archsim.exits.structure import AccuracyGoal, Search

Count = Annotated[int, Field(ge=1, le=1 << 20)]
BranchCount = Annotated[int, Field(ge=1, le=1000)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]


Sources = Annotated[list[str], Field(min_length=1, max_length=1000)]


class ExitDataSpec(ConfigModel):
    """The labelled images on which exits are chosen. Never those that trained the network, never those of the test."""

    source: str | Sources | None = None
    """File, files or folder, looked for in ``--data``, beside the spec and in ``$ARCHSIM_DATA``; when left out, the
    images that ship with the workload."""
    split: str = "held_out"
    """Split of a source that tells several apart."""
    held_out: Count | None = None
    """Only so many images, set aside by the seeded shuffle of ``archsim train``; all images when left out."""
    seed: Seed = 1
    """Of that shuffle: the seed of the training spec."""
    test: str | None = None
    """Images that are looked at once, when everything is chosen; found as ``source``."""
    trace_images: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    """First so many test images whose functional trace ships with the workload, where they themselves may not."""


class AccuracyGoalSpec(ConfigModel):
    """How much accuracy the exits may cost, and how sure that must be."""

    max_loss: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Allowed loss against the full network, as a fraction; 0 with ``folds`` only."""
    standard_errors: Annotated[float, Field(ge=0, le=10)] = 1.645
    """By how many standard errors the loss must stay below ``max_loss`` on the images of the search."""
    luck_credit: Fraction = 0.5
    """Worth of an image that only the branch gets right, against 1 for one that only the full network gets right."""
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    """Instead of ``certify``: search on all images, at the price of accuracy that meets the goal on folds left out."""
    certify: bool = True
    """Search on one half of the images and tighten all thresholds until a test at 5 % passes on the other half."""

    @property
    def goal(self) -> AccuracyGoal:
        """What a policy must meet on the images that choose it."""
        return AccuracyGoal(self.max_loss, self.luck_credit, self.standard_errors)


class ExitSearchSpec(ConfigModel):
    """What may be chosen."""

    candidates: list[str] | None = None
    """Branches of the workload that may be kept, by name or pattern (``g1-*``); all when left out, none when empty."""
    max_branches: BranchCount | Annotated[list[BranchCount], Field(min_length=1, max_length=20)] | None = 4
    """Most branches to keep; any number when null. Of several numbers the one with which images of left-out folds cost
    least, with ``accuracy.folds`` only."""
    dbp: Literal["none", "one_sided", "two_sided"] = "one_sided"
    """Bounds of dynamic branch pruning: none, a lower bound, or a window."""

    @property
    def searches(self) -> tuple[Search, ...]:
        """One search for each number of branches."""
        limits = self.max_branches if isinstance(self.max_branches, list) else [self.max_branches]
        return tuple(Search(max_branches=limit, dbp=self.dbp) for limit in limits)


class ExitsBuildSpec(ConfigModel):
    """One choice of exits."""

    schema_: Literal["archsim.exits/1"] = Field(alias="schema")
    name: Name
    """Of the workload that is written, and of its files."""
    description: str = ""
    """Of the workload that is written; that of ``workload`` when left out."""
    workload: str
    """The int8 workload whose branches are the candidates: built-in name, or path relative to this file."""
    classifier: Name | None = None
    """Branch that becomes the end of the trunk: another classifier, or a shorter network; its own when left out."""
    shorten: Annotated[list[str], Field(min_length=1)] | None = None
    """Branches, by name or pattern, one of which ends the trunk for all images: that of the cheapest network that still
    meets ``accuracy`` against the longer one; none where none does."""
    data: ExitDataSpec = ExitDataSpec()
    shared: list[Name] = []
    """Workloads in the output folder: weights and zero maps that they hold already are not written again."""
    objective: Literal["energy", "cycles", "macs", "parameters"] = "energy"
    """What an image is to cost least of."""
    arch: str = "locoexnet-65nm"
    """The accelerator of ``energy`` and ``cycles``: built-in name, or path relative to this file."""
    energy_table: str | None = None
    """Energy table of ``energy``; the one that the accelerator names when left out."""
    cost_images: Annotated[int, Field(ge=1, le=1000)] = 8
    """Images that are simulated to measure ``energy`` and ``cycles``, the first ones."""
    accuracy: AccuracyGoalSpec = AccuracyGoalSpec()
    search: ExitSearchSpec = ExitSearchSpec()
    seed: Seed = 1
    """Of the halves of ``accuracy.certify`` and of the random control."""


@dataclass(frozen=True)
class LoadedExitsSpec:
    """A spec and where each of its values is written."""

    spec: ExitsBuildSpec
    document: Document


def load_exits_spec(path: Path) -> LoadedExitsSpec:
    """The checked spec of a file. Raises InvalidInput with every problem at file:line:col."""
    document = read_document(path)
    spec = validate(ExitsBuildSpec, document)
    if len(spec.search.searches) > 1 and spec.accuracy.folds is None:
        message = "found several numbers, expected one without accuracy.folds"
        raise InvalidInput([document.problem("search.max_branches", message, "set accuracy.folds, as 5")])
    return LoadedExitsSpec(spec, document)
