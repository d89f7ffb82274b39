"""Who performs jobs: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from archsim.explore.cluster import DaskCluster
from archsim.explore.pool import LocalPool, Workers


def default_jobs() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def open_workers(jobs: int | None, scheduler: str | None) -> Iterator[Workers]:
    """So many processes, one a core when None, or the workers of the scheduler at an address."""
    opened: AbstractContextManager[Workers]
    opened = LocalPool.open(jobs or default_jobs()) if scheduler is None else DaskCluster.open(scheduler)
    with opened as workers:
        yield workers
