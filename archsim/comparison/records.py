"""The result of ``compare``. Field names and their order are the keys of the JSON object."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from archsim.comparison.notebook import comparison_html
from archsim.results.host import Host
from archsim.results.paired import PairedAccuracy
from archsim.results.run_result import CycleStatistics, DramBytesPerImage, LatencyStatistics

Pair = tuple[float, float]
"""Lower and upper end of a 95 % range."""


@dataclass(frozen=True)
class Measured:
    """One run: a workload on an accelerator, means over its images.

    ``name`` is that of the accelerator, ``overrides`` what it was run with: ``archsim simulate`` with them gives the
    same numbers. ``service_us_mean``: without waiting. ``energy_uncertainty_uj``: half width of the 95 % range.
    ``edp_uj_us`` is mean energy x mean latency.
    """

    name: str
    workload: str
    overrides: tuple[str, ...]
    pes: int
    area_mm2: float
    accuracy: float | None
    params_used_fraction: float
    macs_used_fraction: float
    exits: dict[str, int]
    cycles_mean: float
    cycles: CycleStatistics
    service_us_mean: float
    latency_us: LatencyStatistics
    energy_uj_per_image: float
    energy_uncertainty_uj: float
    energy_by_component_uj: dict[str, float]
    energy_by_layer_uj: dict[str, float]
    dram_bytes_per_image: DramBytesPerImage
    edp_uj_us: float


@dataclass(frozen=True)
class HardImages:
    """Images that fare worse than with the baseline: as a fraction of all, and how much worse the worst one does.

    Ratios are ours / baseline of one image; below 1 where every image gains.
    """

    slower_fraction: float
    worst_time_ratio: float
    costlier_fraction: float
    worst_energy_ratio: float


@dataclass(frozen=True)
class Against(Measured):
    """A baseline and what ours is against it.

    ``speedup``: ratio of mean service times; ``speedup_range``: 95 %, because there are only so many images (paired).
    ``speedup_p50``, ``_p99``, ``_max``: ratios of percentiles. ``energy_saving``: 1 - ratio of mean energies;
    ``energy_saving_range``: 95 %, because the rows of the energy table are uncertain. ``energy_saving_without_dram``:
    of the chip alone. ``edp_saving``: 1 - ratio of the products. ``paired``: the baseline is the first classifier, ours
    the second; None where nothing is classified.
    """

    speedup: float
    speedup_range: Pair
    speedup_p50: float
    speedup_p99: float
    speedup_max: float
    energy_saving: float
    energy_saving_range: Pair
    energy_saving_without_dram: float
    edp_saving: float
    paired: PairedAccuracy | None
    hard_images: HardImages


@dataclass(frozen=True)
class BatchLimit:
    """What is left if the baseline's weights cost no DRAM traffic and no waiting: more than any batch can do for it.

    ``weight_bytes_per_image`` are those that it fetches at batch 1, ``weight_share`` their part of its DRAM bytes.
    ``speedup`` and ``energy_saving`` are those of ours, at batch 1 with all its traffic, against what is left.
    """

    weight_bytes_per_image: float
    weight_share: float
    cycles_mean: float
    energy_uj_per_image: float
    speedup: float
    energy_saving: float


@dataclass(frozen=True)
class Baseline(Against):
    """One baseline. ``differs_in``: keys of its architecture that are not ours, as (ours, baseline's).

    ``dram_energy_counted`` is False where its DRAM is a link with no memory behind it: compare the chips alone then.
    ``equal_area``: the baseline with a buffer so much larger that it takes the area of ours; None where it takes that
    already. ``batch_limit`` is None for a baseline that decides, and with arrivals. ``speed_to_first_range``,
    ``energy_to_first_range``: 95 % ranges of the mean time of the first baseline over that of this one, and of the mean
    energy of this one over that of the first; (1, 1) for the first.
    """

    differs_in: dict[str, tuple[Any, Any]]
    dram_energy_counted: bool
    equal_area: Against | None
    batch_limit: BatchLimit | None
    speed_to_first_range: Pair
    energy_to_first_range: Pair


@dataclass(frozen=True)
class Rung(Measured):
    """One step of the attribution ladder.

    ``speedup`` and ``energy_saving`` are against the first rung, ``step_...`` against the one before (1 and 0 for the
    first); ranges are 95 %, because the rows of the energy table are uncertain. ``step_saved_by_component_uj`` adds up
    to the energy that the step saves an image. ``paired``: the first rung is the first classifier, this one the second;
    None where nothing is classified.
    """

    step: str
    note: str
    speedup: float
    energy_saving: float
    energy_saving_range: Pair
    step_speedup: float
    step_energy_saving: float
    step_energy_saving_range: Pair
    step_saved_by_component_uj: dict[str, float]
    paired: PairedAccuracy | None

    @property
    def energy_range(self) -> Pair:
        """95 % range of its energy over that of the first rung."""
        low, high = self.energy_saving_range
        return 1 - high, 1 - low


@dataclass(frozen=True)
class Control:
    """What bounds the comparison, or explains it; ``speedup`` and ``energy_saving`` are against the first baseline.

    ``oracle_exit``: every image leaves at the first exit that is right (the first of all where none is) and evaluates
    no other branch. ``ideal``: the same if nothing ever waited for data. ``without_dbp``: ours with every branch
    evaluated that is met.
    """

    name: str
    accuracy: float | None
    cycles_mean: float
    energy_uj_per_image: float
    speedup: float
    energy_saving: float


@dataclass(frozen=True)
class Variation:
    """The same comparison with one key set to one value, as ``KEY=VALUE``."""

    setting: str
    ours: Measured
    baselines: tuple[Against, ...]


@dataclass(frozen=True)
class Comparison:
    """What :func:`archsim.comparison.run.compare` returns. ``batch`` is 1: images are run one at a time.

    ``variations``: one a value of ``--vary``. ``others``: further workloads on the same accelerator against the same
    baselines.
    """

    workload: str
    arch: str
    energy_table: str
    images: int
    batch: int
    arrivals: str
    engine: str
    seed: int
    version: str
    overrides: tuple[str, ...]
    ours: Measured
    baselines: tuple[Baseline, ...]
    ladder: tuple[Rung, ...]
    controls: tuple[Control, ...]
    variations: tuple[Variation, ...]
    host: Host
    others: tuple[Comparison, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def ranges(self) -> tuple[tuple[Pair, Pair], ...]:
        """Of ours, then of each baseline, against the first baseline: 95 % ranges of its speed and of its energy."""
        first = self.baselines[0]
        saved = first.energy_saving_range
        ours = first.speedup_range, (1 - saved[1], 1 - saved[0])
        return (ours, *((each.speed_to_first_range, each.energy_to_first_range) for each in self.baselines))

    def to_json(self) -> dict[str, Any]:
        """The JSON object: plain dicts, lists, strings and numbers, keys in the order of the fields."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return comparison_html(self)
