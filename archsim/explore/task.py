"""One point as work: what a worker gets, what it gives back. Plain data, so that any process on any host can run it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from archsim import __version__, api
from archsim.config.document import Document
from archsim.config.load import base_document, config_hash, load_dram_preset, load_energy_table, read_arch
from archsim.errors import ArchsimError
from archsim.explore.space import RUN_KEYS, Params, overrides_of
from archsim.explore.spec import SweepSpec
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import load_trace
from archsim.resources import Kind
from archsim.results.run_result import RunResult
from archsim.results.source import Workload

OK, FAILED = "ok", "failed"
_NOT_FLATTENED = ("host", "files", "overrides", "energy_terms")
"""What differs from run to run, what the parameters of the point say, and what only ratios between runs need."""


@dataclass(frozen=True)
class Task:
    """The options of one ``simulate``.

    traces: files of the functional trace that stands for the images; none where the workload has no weights.
    """

    workload: str
    arch: str
    energy_table: str | None
    images: int | None
    engine: str
    arrivals: str | None
    seed: int
    overrides: tuple[str, ...]
    traces: tuple[str, ...]

    @classmethod
    def of(cls, spec: SweepSpec, params: Params, traces: Mapping[str, Sequence[Path]]) -> Task:
        """A point of a space as work. traces: by workload."""
        run = {key: params.get(key, getattr(spec, key)) for key in RUN_KEYS}
        workload = str(run.pop("workload"))
        files = tuple(map(str, traces[workload]))
        return cls(workload=workload, overrides=overrides_of(params), traces=files, **run)


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    result: flattened, empty where ``status`` is failed. error: why it failed. lasting: whether it would fail again;
    other failures are tried again by ``--resume``. wall_s: seconds of work.
    """

    status: str
    error: str
    result: dict[str, Any]
    lasting: bool = True
    wall_s: float = 0.0


def flatten(result: RunResult) -> dict[str, Any]:
    """The JSON object of ``simulate`` with dotted keys; a layer is known by its name, lists are joined by ``;``.

    Without ``host`` and ``files``, the only parts that differ from run to run, ``overrides`` and ``energy_terms``.
    """
    flat: dict[str, Any] = {}
    for key, value in result.to_json().items():
        if key not in _NOT_FLATTENED:
            _flatten(key, value, flat)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, flat)
    elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        for entry in value:
            name = entry["name"]
            for inner_key, inner in entry.items():
                if inner_key != "name":
                    _flatten(f"{key}.{name}.{inner_key}", inner, flat)
    else:
        flat[key] = ";".join(map(str, value)) if isinstance(value, list) else value


def run_task(task: Task) -> Outcome:
    """Simulate one point. Whatever goes wrong is an outcome, not an exception."""
    return attempt(lambda: flatten(simulated(task)))


def simulated(task: Task, parts: Sequence[api.Part] | None = None, out_dir: Path | None = None) -> RunResult:
    """The run itself, from ``parts`` where they were simulated before, written to ``out_dir`` where there is one.

    Raises as :func:`archsim.api.simulate`.
    """
    return api.simulate(
        workload_of(task.workload),
        arch=task.arch,
        energy_table=task.energy_table,
        images=task.images,
        data=trace_of(task),
        overrides=task.overrides,
        engine=task.engine,
        arrivals=task.arrivals,
        seed=task.seed,
        out_dir=out_dir,
        parts=parts,
    )


def attempt(work: Callable[[], dict[str, Any]]) -> Outcome:
    """The outcome of some work."""
    start_s = time.perf_counter()
    try:
        result = work()
    except ArchsimError as error:
        return Outcome(FAILED, one_line(error), {})
    except Exception as error:  # a bug, or no memory left: the other points go on
        return Outcome(
            FAILED, f"internal error: {type(error).__name__}: {one_line(error)}", {}, lasting=False
        )
    return Outcome(OK, "", result, wall_s=time.perf_counter() - start_s)


def one_line(error: Exception) -> str:
    """The message of an error as one cell of a table."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


@lru_cache(maxsize=16)
def workload_of(ref: str) -> Workload:
    """A workload, read once a process."""
    return api.load(ref)


def trace_of(task: Task) -> FunctionalTrace | None:
    """The functional trace of a task, read once a process and state of its files; None where it has none."""
    if not task.traces:
        return None
    stats = [Path(file).stat() for file in task.traces]
    return _trace(task.workload, task.traces, tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))


@lru_cache(maxsize=4)
def _trace(workload: str, files: tuple[str, ...], _states: tuple[tuple[int, int], ...]) -> FunctionalTrace:
    opened = workload_of(workload)
    return load_trace([Path(file) for file in files], opened.network, opened.tensor_hashes)


class Hasher:
    """Identity of points: what their results follow from, whatever the keys that say so."""

    def __init__(self, workloads: Mapping[str, Workload], trace_hashes: Mapping[str, str]) -> None:
        self._workloads, self._trace_hashes = workloads, trace_hashes
        self._specs = {ref: config_hash(workload.spec) for ref, workload in workloads.items()}
        self._files: dict[tuple[str, str], str] = {}
        self._archs: dict[str, Document] = {}

    def of(self, task: Task) -> str:
        """SHA-256 (hex). Raises InvalidInput for an accelerator that cannot be built."""
        if task.arch not in self._archs:
            self._archs[task.arch] = base_document(Kind.ARCH, task.arch)
        arch = read_arch(task.arch, task.overrides, self._archs[task.arch]).spec
        identity = {
            "version": __version__,
            "network": self._workloads[task.workload].network_hash,
            "workload": self._specs[task.workload],
            "trace": self._trace_hashes[task.workload],
            "arch": config_hash(arch),
            "dram": self._file("dram", arch.dram.preset),
            "energy_table": self._file("energy_table", task.energy_table or arch.energy_table),
            "images": task.images,
            "engine": task.engine,
            "arrivals": task.arrivals,
            "seed": task.seed,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def _file(self, kind: str, ref: str) -> str:
        if (kind, ref) not in self._files:
            model = load_dram_preset(ref) if kind == "dram" else load_energy_table(ref)
            self._files[kind, ref] = config_hash(model)
        return self._files[kind, ref]
