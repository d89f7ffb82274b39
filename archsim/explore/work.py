"""Jobs as plain data, which any process on any host performs: a whole point, or some images of one."""

from __future__ import annotations

import dataclasses
from typing import Any

from archsim import __version__
from archsim.explore.parts import run_part
from archsim.explore.task import FAILED, Outcome, Task, run_task

Job = dict[str, Any]


def point_job(task: Task) -> Job:
    """Simulate a point."""
    return {"version": __version__, "task": dataclasses.asdict(task)}


def part_job(task: Task, first: int, last: int) -> Job:
    """Simulate the images ``first`` to ``last`` - 1 of a point."""
    return {**point_job(task), "first": first, "last": last}


def perform(job: Job) -> dict[str, Any]:
    """The outcome of a job as plain data; that of some images has their part as its ``result``."""
    if job["version"] != __version__:
        message = f"the worker has archsim {__version__}, the sweep {job['version']}"
        return answer_of(Outcome(FAILED, message, {}, lasting=False))
    lists = {name: tuple(job["task"][name]) for name in ("overrides", "traces")}
    task = Task(**{**job["task"], **lists})
    return answer_of(run_part(task, job["first"], job["last"]) if "first" in job else run_task(task))


def answer_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain data."""
    return dataclasses.asdict(outcome)
