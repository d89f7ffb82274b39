"""Workers on this machine: processes of their own, each with one kernel thread, started afresh where one dies.

Processes are started as ``python -m archsim.explore.worker`` rather than by :mod:`multiprocessing`, whose spawned
processes run the caller's script again: a sweep must work from a notebook and from a script without a main guard.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from archsim.explore.task import FAILED, Outcome
from archsim.explore.work import Job, answer_of
from archsim.resources import PACKAGE_FOLDER

ATTEMPTS = 3
"""A job whose worker dies is run elsewhere; one that does not survive so many is given up."""
_ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Workers(Protocol):
    """Whoever performs jobs. ``window``: how many to have under way."""

    window: int

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        """Perform a job; the answer is that of :func:`archsim.explore.work.perform`."""
        ...


class LocalPool:
    """Worker processes, each led by a thread that waits for its answers."""

    def __init__(self, jobs: int) -> None:
        self.window = 2 * jobs
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="archsim-worker")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._closed = False

    @classmethod
    @contextmanager
    def open(cls, jobs: int) -> Iterator[LocalPool]:
        """A pool of so many processes, none of which is left when the block ends, however it ends."""
        pool = cls(jobs)
        try:
            yield pool
        finally:
            pool.close()

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        """Perform a job in the next process that is free."""
        return self._threads.submit(self._perform, job)

    def close(self) -> None:
        """End all processes, also those that are at work."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.communicate()

    def _perform(self, job: Job) -> dict[str, Any]:
        for _ in range(ATTEMPTS):
            process = self._process()
            if process is None:
                break
            answer = _ask(process, json.dumps(job))
            if answer:
                found: dict[str, Any] = json.loads(answer)
                return found
            self._bury(process)
        message = f"{ATTEMPTS} workers died at it: killed, or out of memory"
        return answer_of(Outcome(FAILED, message, {}, lasting=False))

    def _process(self) -> subprocess.Popen[str] | None:
        """The process of this thread, started when it is first needed; None when the pool is closed."""
        process: subprocess.Popen[str] | None = getattr(self._own, "process", None)
        with self._lock:
            if self._closed:
                return None
            if process is None:
                self._own.process = process = _start()
                self._processes.add(process)
        return process

    def _bury(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._processes.discard(process)
        self._own.process = None
        process.kill()
        process.communicate()


def _start() -> subprocess.Popen[str]:
    path = os.pathsep.join([str(PACKAGE_FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "archsim.explore.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": path},
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the sweep, which then ends them
    )


def _ask(process: subprocess.Popen[str], line: str) -> str:
    """The answer to a line, empty when the process is dead."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except (OSError, ValueError):
        return ""
    return answer if answer.endswith("\n") else ""
