"""One big simulation as many jobs: its images in parts, simulated anywhere, joined to the same result."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archsim.api import Part, simulate_part
from archsim.counters import Counters
from archsim.explore.task import Outcome, Task, attempt, flatten, simulated, trace_of, workload_of
from archsim.network.graph import Network
from archsim.results.aggregate import LayerSums, RunSums
from archsim.results.run_result import ImageResult, RunResult


def ranges(images: int, size: int) -> list[tuple[int, int]]:
    """Parts of at most ``size`` images as (first, last + 1).

    >>> ranges(10, 4)
    [(0, 4), (4, 8), (8, 10)]
    """
    return [(first, min(first + size, images)) for first in range(0, images, size)]


def run_part(task: Task, first: int, last: int) -> Outcome:
    """Simulate some images of a point. The result is the part as plain data; failures as in ``run_task``."""
    return attempt(lambda: simulated_part(task, first, last))


def simulated_part(task: Task, first: int, last: int) -> dict[str, Any]:
    """The part as plain data. Raises as :func:`archsim.api.simulate`."""
    trace = trace_of(task)
    assert trace is not None
    part = simulate_part(
        workload_of(task.workload),
        trace.rows(first, last),
        first,
        arch=task.arch,
        energy_table=task.energy_table,
        overrides=task.overrides,
        engine=task.engine,
    )
    return part_to_json(part)


def join(task: Task, parts: Sequence[dict[str, Any]]) -> Outcome:
    """The result of a point from all its parts, in the order of the images: the same as if it had been run whole."""
    return attempt(lambda: flatten(joined(task, parts)))


def joined(task: Task, parts: Sequence[dict[str, Any]], out_dir: Path | None = None) -> RunResult:
    """The run itself, written to ``out_dir`` where there is one; without parts the images are simulated here."""
    network = workload_of(task.workload).network
    return simulated(task, [part_from_json(part, network) for part in parts] or None, out_dir)


def part_to_json(part: Part) -> dict[str, Any]:
    """A part as plain data; all sums are integers, so nothing is lost."""
    sums = part.sums
    return {
        "burst_bytes": sums.burst_bytes,
        "result_cycles": sums.result_cycles,
        "images": sums.images,
        "dram_read_bytes": sums.dram_read_bytes,
        "dram_write_bytes": sums.dram_write_bytes,
        "wasted_bytes": sums.wasted_bytes,
        "counters": _counters_to_json(sums.counters),
        "causes": {cause: _counters_to_json(counters) for cause, counters in sums.causes.items()},
        "layers": {name: dataclasses.asdict(layer) for name, layer in sums.layers.items()},
        "per_image": [dataclasses.asdict(image) for image in part.per_image],
    }


def part_from_json(found: dict[str, Any], network: Network) -> Part:
    """The part of a network that :func:`part_to_json` wrote."""
    numbers = (
        "burst_bytes",
        "result_cycles",
        "images",
        "dram_read_bytes",
        "dram_write_bytes",
        "wasted_bytes",
    )
    sums = RunSums(
        network,
        **{name: found[name] for name in numbers},
        counters=_counters_from_json(found["counters"]),
        causes={cause: _counters_from_json(rows) for cause, rows in found["causes"].items()},
        layers={name: LayerSums(**layer) for name, layer in found["layers"].items()},
    )
    images = tuple(
        ImageResult(**{**image, "branches_skipped": tuple(image["branches_skipped"])})
        for image in found["per_image"]
    )
    return Part(sums, images)


def _counters_to_json(counters: Counters) -> list[list[Any]]:
    return [[*key, amount] for key, amount in counters]


def _counters_from_json(rows: list[list[Any]]) -> Counters:
    counters = Counters()
    for component, action, layer, amount in rows:
        counters.add(component, action, layer, amount)
    return counters
