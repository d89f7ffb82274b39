"""Memory and time of runs that are as large as they get.

``python -m tests.hostile.load --out docs/explanation/load.json`` makes what a table in ``docs/explanation/trust.md``
shows. Each run is a process of its own. What ``--out`` has already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

from archsim.resources import Kind, builtin_path
from tests.builders import tiny_document, write_workload

Make = Callable[[Path], tuple[str, ...]]
"""Writes what a run needs into a folder; what follows ``archsim``."""


@dataclass(frozen=True)
class Load:
    """what, size, unit: as the table calls it. make: what is run. exit_code: how that ends."""

    what: str
    size: int
    unit: str
    make: Make
    exit_code: int = 0


@dataclass(frozen=True)
class Held:
    """command: as it ran. processor_s: of all its processes together. memory_mib: resident, of the largest of them."""

    what: str
    size: int
    unit: str
    command: str
    processor_s: float
    wall_s: float
    memory_mib: int


def images_of(count: int) -> Make:
    """The shipped digits, again and again."""

    def make(folder: Path) -> tuple[str, ...]:
        shipped = builtin_path(Kind.WORKLOAD, "digits")
        assert shipped is not None
        with np.load(shipped.with_name("digits-images.npz")) as found:
            index = np.arange(count) % len(found["labels"])
            np.savez(folder / "images.npz", images=found["images"][index], labels=found["labels"][index])
        return ("simulate", "digits", "--data", "images.npz", "--engine", "segment", "--json")

    return make


def points_of(count: int) -> Make:
    """Points that all differ in what is simulated."""

    def make(folder: Path) -> tuple[str, ...]:
        write_workload(folder / "tiny")
        axes = ("pe_array.rows=8,9,10,11", "pe_array.cols=8,9,10,12,14", "dram.queue_entries=8,9,10,11,12")
        values = (*axes, f"controller.dispatch_cycles=1..{count // 100}:1")
        words = [word for value in values for word in ("--set", value)]
        run = ("--images", "1", "--engine", "segment", "--jobs", "1", "--out", "out")
        return ("sweep", "tiny/tiny.yaml", *words, *run)

    return make


def layers_of(count: int, engine: str) -> Make:
    """Convolutions one behind the other."""

    def make(folder: Path) -> tuple[str, ...]:
        layers = [
            {"name": f"c{k}", "op": "conv2d", "filters": 8, "kernel": 3, "padding": 1} for k in range(count)
        ]
        ends = tiny_document()["layers"][-1:]
        document = tiny_document(layers=layers + ends, branches=None, weights=None, images=None)
        (folder / "deep.yaml").write_text(yaml.safe_dump(document))
        return ("simulate", "deep.yaml", "--engine", engine, "--json")

    return make


def refused_layers(count: int) -> Make:
    """More layers than a file may have values."""

    def make(folder: Path) -> tuple[str, ...]:
        layers = "\n".join(f"  - {{name: c{k}, op: conv2d, filters: 8, kernel: 1}}" for k in range(count))
        (folder / "deep.yaml").write_text(f"schema: archsim.workload/1\nname: deep\nlayers:\n{layers}\n")
        return ("simulate", "deep.yaml")

    return make


def array_of(side: int, engine: str) -> Make:
    """Few images of a real network on a square array."""

    def make(_: Path) -> tuple[str, ...]:
        size = ("--set", f"pe_array.rows={side}", "--set", f"pe_array.cols={side}")
        return ("simulate", "vgg16-slim-cifar10", "--images", "4", *size, "--engine", engine, "--json")

    return make


LOADS = (
    *(Load("simulation, digits", count, "images", images_of(count)) for count in (1_000, 10_000, 100_000)),
    *(Load("sweep, small network", count, "points", points_of(count)) for count in (1_000, 20_000)),
    *(
        Load(f"deep network, {engine} engine", count, "layers", layers_of(count, engine))
        for engine in ("tile", "segment")
        for count in (100, 1_000)
    ),
    *(
        Load(f"VGG-16, {engine} engine", side, "PEs a side", array_of(side, engine))
        for engine in ("tile", "segment")
        for side in (16, 512, 1024)
    ),
    Load("a network that is refused", 100_000, "layers", refused_layers(100_000), exit_code=3),
)


WARM_UP = Load("warm-up", 1, "image", lambda _: ("simulate", "digits", "--images", "1"))
"""Kernels are compiled once an installation, which takes more memory than most runs."""


_LAUNCH = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
"""A process counts the memory of the one that starts it as its own, so that this is done by a small one."""


def measure(load: Load) -> Held:
    """Raises RuntimeError where it does not end as it should."""
    with tempfile.TemporaryDirectory() as place:
        words = load.make(Path(place))
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        start_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, sys.executable, "-m", "archsim", *words],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        wall_s = round(time.monotonic() - start_s, 1)
    code, processor_s, memory_kib = json.loads(done.stdout)
    command = " ".join(("archsim", *words))
    if code != load.exit_code:
        raise RuntimeError(f"{command}: {code}: {done.stderr[-2000:]}")
    return Held(load.what, load.size, load.unit, command, round(processor_s, 1), wall_s, memory_kib >> 10)


def main() -> None:
    """All loads that ``--out`` does not have yet; says what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.exists() else []
    known = {(row["what"], row["size"]) for row in rows}
    measure(WARM_UP)
    for load in LOADS:
        if (load.what, load.size) in known:
            continue
        row = measure(load)
        sys.stdout.write(f"{row.what}, {row.size} {row.unit}: {row.memory_mib} MiB, {row.processor_s} s\n")
        sys.stdout.flush()
        rows.append(asdict(row))
        content = {"command": "python -m tests.hostile.load --out load.json", "rows": rows}
        out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
