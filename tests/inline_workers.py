"""Workers of a sweep that are none: jobs are performed at once, in this process. Starting processes takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from archsim.explore.work import Job, perform


class InlineWorkers:
    """``jobs``: those that were performed, by all workers of a test."""

    window = 2

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        self.jobs.append(job)
        answer: Future[dict[str, Any]] = Future()
        answer.set_result(perform(job))
        return answer

    @contextmanager
    def open(self, _jobs: int) -> Iterator[InlineWorkers]:
        """In place of ``LocalPool.open``."""
        yield self
