"""The results of ``simulate`` and ``evaluate``. Field names and their order are the keys of the JSON object."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from archsim.energy.uncertainty import EnergyTerm
from archsim.errors import InvalidInput, Problem
from archsim.functional.statistics import BranchStatistics
from archsim.results.host import Host
from archsim.results.html_table import evaluate_html, run_html
from archsim.results.paired import Discordant
from archsim.results.timeline import Timeline

FILES_OF_THEIR_OWN = ("per_image", "per_branch", "timeline")
"""Fields of a run that are no part of its JSON object."""


@dataclass(frozen=True)
class CycleStatistics:
    """Service cycles of the images; percentiles by nearest rank (the smallest value that p % do not exceed)."""

    mean: float
    p50: int
    p95: int
    p99: int
    max: int
    total: int


@dataclass(frozen=True)
class LatencyStatistics:
    """Microseconds from arrival to result, waiting included; percentiles by nearest rank."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class EnergyPerImage:
    """Microjoules an image; ``total`` is the sum of ``by_component``."""

    total: float
    by_component: dict[str, float]


@dataclass(frozen=True)
class EnergyUncertainty:
    """Half widths of the 95 % ranges of :class:`EnergyPerImage`, from the uncertainties of the table's rows alone."""

    total: float
    by_component: dict[str, float]


@dataclass(frozen=True)
class AreaResult:
    """Silicon area in mm2; ``uncertainty`` is relative."""

    total: float
    by_component: dict[str, float]
    uncertainty: float


@dataclass(frozen=True)
class DramBytesPerImage:
    """Whole bursts, mean over all images. ``wasted`` is the part of ``read`` that was fetched and never used."""

    read: float
    write: float
    wasted: float


@dataclass(frozen=True)
class LayerResult:
    """One trunk layer that ran for any image, or one branch; every value is the mean over all images of the run.

    ``utilisation``: MACs done / (PEs or branch-unit lanes x cycles held), in (0, 1]; 0 for an entry without MACs.
    ``energy_uj`` and the bytes of all entries add up to those of the whole run. What belongs to no layer (idle
    leakage, for example) is the entry ``(unattributed)``, present only when it is not empty.
    """

    name: str
    cycles: float
    stall_cycles: float
    macs: float
    skipped_macs: float
    utilisation: float
    dram_read_bytes: float
    dram_write_bytes: float
    glb_read_bytes: float
    glb_write_bytes: float
    energy_uj: float


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image. ``cycles`` is its service, ``waiting_cycles`` its time in the queue before it.

    ``label`` and ``prediction`` are None where the network has no weights.
    ``energy_uj`` is that of its service; leakage while the accelerator idles belongs to no image. ``macs`` are those
    that were executed, on the array and on the branch unit.
    """

    index: int
    label: int | None
    prediction: int | None
    exit: str
    cycles: int
    waiting_cycles: int
    energy_uj: float
    dram_read_bytes: int
    dram_write_bytes: int
    wasted_bytes: int
    branches_skipped: tuple[str, ...]
    macs: int


@dataclass(frozen=True, slots=True)
class BranchImage:
    """One image at one branch that it met: what was compared with what, and what became of it.

    ``magnitude_sum``: of |a| over the tensor that the branch reads, which DBP compares with ``min_sum`` and
    ``max_sum``; ``margin``: top-1 minus top-2 logit, which is compared with ``threshold``. None: not computed, or no
    such bound. ``outcome``: ``skipped`` by DBP, ``passed`` (evaluated, the image went on) or ``left``.
    """

    index: int
    branch: str
    magnitude_sum: int | None
    min_sum: int | None
    max_sum: int | None
    margin: int | None
    threshold: int | None
    outcome: str


@dataclass(frozen=True)
class Roofs:
    """What the accelerator can do at most in a core cycle: MACs on the array and on the branch unit, bytes."""

    core_mhz: int
    pe_array_macs_per_cycle: int
    branch_unit_macs_per_cycle: int
    dram_bytes_per_cycle: int
    glb_bytes_per_cycle: int


@dataclass(frozen=True)
class RunResult:
    """What :func:`archsim.api.simulate` returns.

    ``accuracy`` and the fractions are between 0 and 1; ``params_used_fraction`` counts the weights of executed
    layers and evaluated branches against those of the full network without branches; ``accuracy`` is None where the
    network has no weights. ``arrivals`` is ``alone``, a rate or ``back-to-back``; ``seed`` is that of random arrivals
    and of the zeros of a shape-only workload. Hashes are SHA-256 (hex).
    ``energy_by_cause_uj`` splits the energy of an image by :data:`archsim.results.causes.CAUSES`; ``energy_terms`` by
    what it depends on, for ranges of ratios between results (:mod:`archsim.energy.uncertainty`).
    ``energy_rows_unused`` are rows of the table that this accelerator has no use for, ``energy_rows_extrapolated``
    those that were used beyond the sizes they hold for.
    ``roofs`` is what bounds its speed. ``per_image``, ``per_branch`` and ``timeline`` are not part of the JSON object;
    ``images.csv``, ``branches.csv`` and ``timeline.json`` hold them, the last one only where it was asked for.
    """

    workload: str
    arch: str
    energy_table: str
    images: int
    engine: str
    seed: int
    version: str
    dram_preset: str
    config_hash: str
    dram_preset_hash: str
    energy_table_hash: str
    network_hash: str
    overrides: tuple[str, ...]
    arrivals: str
    accuracy: float | None
    params_used_fraction: float
    macs_used_fraction: float
    exits: dict[str, int]
    branches: dict[str, BranchStatistics]
    cycles: CycleStatistics
    latency_us: LatencyStatistics
    throughput_ips: float
    energy_uj_per_image: EnergyPerImage
    dram_bytes_per_image: DramBytesPerImage
    layers: tuple[LayerResult, ...]
    host: Host
    files: tuple[str, ...] = ()
    energy_uncertainty_uj: EnergyUncertainty | None = None
    energy_by_cause_uj: dict[str, float] = field(default_factory=dict)
    energy_terms: tuple[EnergyTerm, ...] = ()
    energy_rows_unused: tuple[str, ...] = ()
    energy_rows_extrapolated: tuple[str, ...] = ()
    area_mm2: AreaResult | None = None
    roofs: Roofs | None = None
    per_image: tuple[ImageResult, ...] = field(default=(), repr=False)
    per_branch: tuple[BranchImage, ...] = field(default=(), repr=False)
    timeline: Timeline | None = field(default=None, repr=False)

    @property
    def plot(self) -> Any:
        """Pictures for notebooks, by kind: ``result.plot.energy()``. matplotlib is imported when this is asked for."""
        return import_module("archsim.report.notebook").Plots(self)

    def to_json(self) -> dict[str, Any]:
        """The JSON object: plain dicts, lists, strings and numbers, keys in the order of the fields."""
        return _plain(self, without=FILES_OF_THEIR_OWN)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return run_html(self)


def roofs_of(result: RunResult) -> Roofs:
    """What bounds a result's speed. Raises InvalidInput where it is too old to say so."""
    if result.roofs is None:
        message = f"missing from the result of {result.workload} on {result.arch}"
        raise InvalidInput([Problem("RESULT", "roofs", message, "simulate again with --out")])
    return result.roofs


@dataclass(frozen=True)
class EvaluateResult:
    """What :func:`archsim.api.evaluate` returns.

    ``delta_pp`` is accuracy minus full_network_accuracy in percentage points, ``delta_lower95_pp`` its one-sided
    95 % lower bound (paired). The four values are None when the source is a trace without the end of the trunk.
    """

    workload: str
    images: int
    version: str
    network_hash: str
    overrides: tuple[str, ...]
    accuracy: float
    full_network_accuracy: float | None
    delta_pp: float | None
    delta_lower95_pp: float | None
    discordant: Discordant | None
    params_used_fraction: float
    macs_used_fraction: float
    exits: dict[str, int]
    branches: dict[str, BranchStatistics]
    host: Host
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON object: plain dicts, lists, strings and numbers, keys in the order of the fields."""
        return _plain(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return evaluate_html(self)


def _plain(result: RunResult | EvaluateResult, without: Collection[str] = ()) -> dict[str, Any]:
    shallow = {
        item.name: getattr(result, item.name)
        for item in dataclasses.fields(result)
        if item.name not in without
    }
    return {key: _as_json(value) for key, value in shallow.items()}


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _as_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _as_json(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_as_json(entry) for entry in value]
    return value
