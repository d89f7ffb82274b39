"""``archsim.sweep``: a sweep or a search from its description to its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim import api
from archsim.errors import InvalidInput, Problem
from archsim.explore.request import spec_of
from archsim.explore.runner import Runner
from archsim.explore.search import search
from archsim.explore.space import Point, Space, workload_references
from archsim.explore.spec import SweepSpec
from archsim.explore.store import SweepStore
from archsim.explore.table import SweepTable, read_table
from archsim.explore.task import FAILED, Hasher, Outcome, Task, run_task
from archsim.explore.traces import prepare_traces
from archsim.explore.workers import open_workers
from archsim.progress import Progress
from archsim.results.source import Workload
from archsim.results.store import check_out_dir


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep did. points: all of them. failed: those without a result. files: paths written."""

    points: int
    failed: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """What a sweep would do. points: to simulate at most. excluded: combinations that a constraint excludes.

    measured: the point that was simulated to know; its outcome tells seconds and whether it failed.
    """

    points: int
    excluded: int
    measured: Point
    outcome: Outcome

    def seconds(self, jobs: int) -> float:
        """About how long ``jobs`` workers take."""
        return self.points * self.outcome.wall_s / jobs


def sweep(
    workload: str | Path,
    space: Mapping[str, Any] | None = None,
    *,
    out_dir: str | Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> SweepTable:
    """Simulate the points of a space, or search it; the table of all that are finished.

    space: values by configuration key, ``{"pe_array.rows": [8, 12]}``. options: further keys of a sweep file, such as
    ``images=32``, ``arch="dense-rs"``, ``constraints=[...]``, ``sample={...}``, ``search={...}``. out_dir: where
    results are kept as they come. jobs: worker processes, one a core when None. scheduler: address of a Dask cluster
    to use instead. resume: go on with what is in ``out_dir``. progress: called with (points finished, points).
    Columns are named as in ``points.csv``, with units: ``table["latency_us.mean"]``, ``table.to_pandas()``.
    Raises InvalidInput for anything that cannot be used, MissingExtra when ``scheduler`` or ``search`` need one.
    """
    if space is not None:
        options["space"] = {
            key: list(value) if isinstance(value, tuple | range) else value for key, value in space.items()
        }
    spec = spec_of(workload, **options)
    run_sweep(spec, Path(out_dir), jobs=jobs, scheduler=scheduler, resume=resume, progress=progress)
    return read_table(Path(out_dir))


def run_sweep(
    spec: SweepSpec,
    out_dir: Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    part_images: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    trace_progress: Progress | None = None,
) -> SweepSummary:
    """As :func:`sweep`, from a whole description.

    part_images: points of more images are cut into jobs of so many, for one big simulation on many workers.
    trace_progress: called with images, while the network is computed before the first point.
    An interrupt leaves what is finished in the folder, CSV and Parquet included.
    """
    check_out_dir(out_dir)
    prepared = _Prepared.of(spec)
    with SweepStore.create(out_dir, resume=resume) as store, open_workers(jobs, scheduler) as workers:
        traces = prepare_traces(spec, prepared.workloads, out_dir, trace_progress)
        store.begin(spec)
        counter = _Counter(prepared.total, progress)
        hasher = Hasher(prepared.workloads, traces.hashes)
        runner = Runner(spec, store, workers, hasher, traces, part_images=part_images, report=counter.add)
        try:
            if spec.search is not None:
                search(prepared.space, spec.search, runner, out_dir)
            else:
                runner.run(prepared.space.points())
        finally:
            store.commit()
            files = store.export()
        counts = store.counts()
    return SweepSummary(sum(counts.values()), counts[FAILED], tuple(map(str, files)))


def estimate(spec: SweepSpec, out_dir: Path) -> Estimate:
    """Count the points of a sweep and time the middle one. Traces that are computed for it are kept in ``out_dir``."""
    prepared = _Prepared.of(spec)
    traces = prepare_traces(spec, prepared.workloads, out_dir, None)
    count = prepared.total
    middle = next((point for point in prepared.middle(count)), None)
    if middle is None:
        raise InvalidInput([Problem("constraints", "", "found no point that satisfies them", "loosen them")])
    task = Task.of(spec, middle.params, traces.paths)
    run_task(Task.of(spec, {**middle.params, "images": 1}, traces.paths))  # reads files, loads kernels
    size = prepared.space.size if spec.search is None else count
    return Estimate(count, size - count, middle, run_task(task))


@dataclass(frozen=True)
class _Prepared:
    """What is read before anything runs."""

    workloads: Mapping[str, Workload]
    space: Space
    total: int

    @classmethod
    def of(cls, spec: SweepSpec) -> _Prepared:
        workloads = {ref: api.load(ref) for ref in workload_references(spec)}
        space = Space.of(spec, workloads)
        return cls(workloads, space, spec.search.points if spec.search is not None else space.count())

    def middle(self, count: int) -> Iterator[Point]:
        """The point in the middle of all."""
        if self.space.spec.search is None:
            yield from (point for point in self.space.points() if point.number == count // 2)
        else:
            yield Point(0, {axis.key: axis.at(0.5) for axis in self.space.axes})


@dataclass
class _Counter:
    """Points finished, told to whoever wants to know."""

    total: int
    progress: Progress | None
    done: int = 0

    def add(self, points: int) -> None:
        self.done += points
        if self.progress is not None:
            self.progress(self.done, self.total)
