"""``simulate`` with its images spread over workers: the result is that of one process, byte for byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsim.explore.parts import joined, ranges, simulated_part
from archsim.explore.pool import Workers
from archsim.explore.request import spec_of
from archsim.explore.task import OK, Task, trace_of, workload_of
from archsim.explore.traces import prepare_traces
from archsim.explore.work import part_job
from archsim.explore.workers import open_workers
from archsim.progress import Progress
from archsim.results.run_result import RunResult
from archsim.results.store import check_out_dir

_MOST_IMAGES = 50
"""Of a job: few enough for progress to be seen, and for little to be lost with a worker."""


def simulate_spread(
    workload: str | Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    overrides: Sequence[str] = (),
    out_dir: Path | None = None,
    progress: Progress | None = None,
    trace_progress: Progress | None = None,
    **options: Any,
) -> RunResult:
    """:func:`archsim.api.simulate` by ``jobs`` processes, or by the workers of the Dask scheduler at an address.

    options: those of ``simulate`` that a sweep file has too. trace_progress: called with images, while the network is
    computed, where no trace ships; the trace then lies in ``out_dir`` as long as it is needed, for the workers to read.
    Images of a shape-only workload differ in their random zeros alone and are simulated in this process. Raises as
    ``simulate``, and as ``sweep`` where there are no workers.
    """
    if out_dir is not None:
        check_out_dir(out_dir)
        out_dir.mkdir(parents=True, exist_ok=True)
    spec = spec_of(workload, **options)
    with tempfile.TemporaryDirectory(prefix=".archsim-", dir=out_dir) as folder:
        opened = {spec.workload: workload_of(spec.workload)}
        traces = prepare_traces(spec, opened, Path(folder), trace_progress)
        task = replace(Task.of(spec, {}, traces.paths), overrides=tuple(overrides))
        trace = trace_of(task)
        images = 0 if trace is None else min(trace.images, task.images or trace.images)
        found: dict[int, dict[str, Any]] = {}
        if images:
            with open_workers(jobs, scheduler) as workers:
                found.update(_performed(task, images, workers, progress))
        return joined(task, [found[first] for first in sorted(found)], out_dir)


def _performed(
    task: Task, images: int, workers: Workers, progress: Progress | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(first image, part as plain data) of all parts, in the order in which they are ready.

    What a worker could not do is done here: an error is then the one that ``simulate`` would have raised.
    """
    size = max(1, min(_MOST_IMAGES, -(-images // workers.window)))
    waiting: dict[Future[dict[str, Any]], tuple[int, int]] = {}
    left = iter(ranges(images, size))
    done_images = 0
    while True:
        while len(waiting) < workers.window and (part := next(left, None)) is not None:
            waiting[workers.submit(part_job(task, *part))] = part
        if not waiting:
            return
        ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in ready:
            first, last = waiting.pop(future)
            answer = future.result()
            yield first, answer["result"] if answer["status"] == OK else simulated_part(task, first, last)
            done_images += last - first
            if progress is not None:
                progress(done_images, images)
