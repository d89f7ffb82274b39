"""From points to rows: what is known is not simulated again, what is new goes to the workers, a window at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from archsim.errors import InvalidInput
from archsim.explore import parts
from archsim.explore.pool import Workers
from archsim.explore.space import Point
from archsim.explore.spec import SweepSpec
from archsim.explore.store import SweepStore
from archsim.explore.task import FAILED, Hasher, Outcome, Task, one_line, trace_of
from archsim.explore.traces import Traces
from archsim.explore.work import Job, part_job, point_job

Report = Callable[[int], None]
"""Called with the number of points finished since the call before."""


@dataclass
class _Pending:
    """A point under way. ``found``: its parts by the first image; None where it is run whole."""

    task: Task
    points: int = 1
    ranges: list[tuple[int, int]] = field(default_factory=list)
    found: dict[int, dict[str, Any]] = field(default_factory=dict)


class Runner:
    """Simulates points and keeps their outcomes.

    part_images: points of more images are cut into jobs of so many; None never.
    """

    def __init__(
        self,
        spec: SweepSpec,
        store: SweepStore,
        workers: Workers,
        hasher: Hasher,
        traces: Traces,
        *,
        part_images: int | None = None,
        report: Report = lambda _points: None,
    ) -> None:
        self._spec, self._store, self._workers = spec, store, workers
        self._hasher, self._traces, self._part_images, self._report = hasher, traces, part_images, report
        self._pending: dict[str, _Pending] = {}
        self._jobs: dict[Future[dict[str, Any]], tuple[str, int]] = {}

    def run(self, points: Iterable[Point]) -> None:
        """Until all points have an outcome; those that have one already cost nothing."""
        for point in points:
            self._begin(point)
        while self._jobs:
            self._collect()
        self._store.commit()

    def outcome(self, point: Point) -> Outcome:
        """What became of a point that has been run."""
        found = self._store.outcome(self._identity(point)[0])
        assert found is not None
        return found

    def _identity(self, point: Point) -> tuple[str, Task, Outcome | None]:
        """(hash, work, the outcome where the point cannot even be built)."""
        task = Task.of(self._spec, point.params, self._traces.paths)
        try:
            return self._hasher.of(task), task, None
        except InvalidInput as error:
            text = json.dumps([task.arch, task.energy_table, task.overrides])
            identity = hashlib.sha256(f"impossible {text}".encode()).hexdigest()
            return identity, task, Outcome(FAILED, one_line(error), {})

    def _begin(self, point: Point) -> None:
        identity, task, impossible = self._identity(point)
        self._store.add_point(point, identity)
        if identity in self._pending:
            self._pending[identity].points += 1
        elif self._store.has(identity):
            self._report(1)
        elif impossible is not None:
            self._store.add_outcome(identity, impossible)
            self._report(1)
        else:
            self._submit(identity, task)

    def _submit(self, identity: str, task: Task) -> None:
        pending = self._pending[identity] = _Pending(task)
        images = self._images(task)
        if self._part_images is None or images <= self._part_images:
            self._send(point_job(task), identity, -1)
            return
        pending.ranges = parts.ranges(images, self._part_images)
        kept = self._store.parts(identity)
        pending.found = {first: json.loads(kept[first]) for first, _ in pending.ranges if first in kept}
        for first, last in pending.ranges:
            if identity in self._pending and first not in pending.found:
                self._send(part_job(task, first, last), identity, first)
        self._join_if_complete(identity)

    def _images(self, task: Task) -> int:
        """Images of a point that may be cut into parts, 0 where none may."""
        trace = None if self._part_images is None else trace_of(task)
        if trace is None:
            return 0
        return trace.images if task.images is None else min(trace.images, task.images)

    def _send(self, job: Job, identity: str, first: int) -> None:
        """Hand a job over, when there is room in the window."""
        self._jobs[self._workers.submit(job)] = (identity, first)
        while len(self._jobs) >= self._workers.window:
            self._collect()

    def _collect(self) -> None:
        """Keep what has come, in the order in which it was asked for."""
        done, _ = wait(self._jobs, return_when=FIRST_COMPLETED)
        for future in [job for job in self._jobs if job in done]:
            identity, first = self._jobs.pop(future)
            outcome = Outcome(**future.result())
            if identity not in self._pending:
                continue  # another part of the point has failed
            if first < 0 or outcome.status == FAILED:
                self._finish(identity, outcome)
                continue
            self._pending[identity].found[first] = outcome.result
            self._store.add_part(identity, first, json.dumps(outcome.result))
            self._join_if_complete(identity)

    def _join_if_complete(self, identity: str) -> None:
        pending = self._pending.get(identity)
        if pending is None or len(pending.found) < len(pending.ranges):
            return
        ordered = [pending.found[first] for first, _ in pending.ranges]
        self._finish(identity, parts.join(pending.task, ordered))

    def _finish(self, identity: str, outcome: Outcome) -> None:
        self._store.add_outcome(identity, outcome)
        self._report(self._pending.pop(identity).points)
