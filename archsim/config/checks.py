"""Checks between values: what fits each key alone may still not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from archsim.config.arch import ArchSpec
from archsim.config.document import Document
from archsim.config.dram import DramPresetSpec
from archsim.config.workload import WorkloadSpec
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.files import is_file
from archsim.network.graph import Network

WORKLOAD_FILES: tuple[Literal["weights", "images", "trace"], ...] = ("weights", "images", "trace")
"""Keys of a workload that name files."""


def fitting_core_clocks_mhz(dram_clock_mhz: int, core_mhz: int, count: int = 6) -> list[int]:
    """Core clocks of which the DRAM clock is an integer multiple, those nearest to ``core_mhz``, ascending.

    >>> fitting_core_clocks_mhz(800, 300, 4)
    [100, 160, 200, 400]
    """
    divisors = [clock for clock in range(1, dram_clock_mhz + 1) if dram_clock_mhz % clock == 0]
    return sorted(sorted(divisors, key=lambda clock: (abs(clock - core_mhz), clock))[:count])


def arch_problems(arch: ArchSpec, dram: DramPresetSpec, document: Document) -> list[Problem]:
    """What does not fit together in an accelerator and its DRAM."""
    problems = []
    buffer, dma, core_mhz = arch.global_buffer, arch.dma, arch.clock.core_mhz
    if buffer.filter_kib >= buffer.size_kib:
        message = f"found {buffer.filter_kib}, expected less than global_buffer.size_kib = {buffer.size_kib}"
        hint = "the rest holds feature maps and partial sums"
        problems.append(document.problem("global_buffer.filter_kib", message, hint))
    if buffer.burst_bytes < buffer.port_bytes_per_cycle:
        message = f"found {buffer.burst_bytes}, expected at least global_buffer.port_bytes_per_cycle = "
        message += str(buffer.port_bytes_per_cycle)
        problems.append(document.problem("global_buffer.burst_bytes", message, "a burst fills the port"))
    if dma.chunk_bytes % dram.burst_bytes:
        message = (
            f"found {dma.chunk_bytes}, expected a multiple of {dram.burst_bytes}, the burst of {dram.name}"
        )
        problems.append(document.problem("dma.chunk_bytes", message))
    given = [(spec.layer, spec.dataflow) for spec in arch.mappings]
    problems += [
        document.problem(f"mappings.{index}", f'a second {pair[1]} mapping of "{pair[0]}"', "remove one")
        for index, pair in enumerate(given)
        if pair in given[:index]
    ]
    if dram.clock_mhz % core_mhz:
        message = f"found {core_mhz}, expected a divisor of {dram.clock_mhz}, the clock of {dram.name} in MHz"
        near = ", ".join(map(str, fitting_core_clocks_mhz(dram.clock_mhz, core_mhz)))
        problems.append(document.problem("clock.core_mhz", message, f"the nearest that fit: {near}"))
    if arch.dram.idle == "power_down" and any(rail.idd2p_ma is None for rail in dram.rails):
        message = f"found power_down, but {dram.name} has a rail without idd2p_ma"
        problems.append(
            document.problem("dram.idle", message, "use standby, or add the current to the preset")
        )
    return problems


def check_exits(arch: ArchSpec, network: Network, document: Document | None = None) -> None:
    """Every ``exits.<name>`` and ``dbp.<name>`` of an accelerator must be a branch of the network.

    document: where the accelerator was read from, for file:line:col.
    Raises InvalidInput, with near misses, for each one that is not.
    """
    names = [branch.name for branch in network.branches]
    problems = []
    asked = [("exits", name) for name in arch.exits.thresholds] + [("dbp", name) for name in arch.dbp.bounds]
    for section, name in asked:
        if name in names:
            continue
        key = f"{section}.{name}"
        where = document.where_key(key) if document else f"architecture {arch.name}"
        hint = did_you_mean(name, names) or "it has none"
        problems.append(Problem(where, key, f'"{network.name}" has no branch of this name', hint))
    if problems:
        raise InvalidInput(problems)


def check_mappings(arch: ArchSpec, network: Network, document: Document | None = None) -> None:
    """Every layer with a mapping must be one of the network that has weights.

    document: where the accelerator was read from, for file:line:col.
    Raises InvalidInput, with near misses, for each one that is not.
    """
    names = [layer.name for layer in network.all_layers() if layer.is_compute]
    problems = []
    for index, spec in enumerate(arch.mappings):
        if spec.layer not in names:
            key = f"mappings.{index}.layer"
            where = document.where(key) if document else f"architecture {arch.name}"
            message = f'"{network.name}" has no layer "{spec.layer}" with weights'
            problems.append(Problem(where, key, message, did_you_mean(spec.layer, names)))
    if problems:
        raise InvalidInput(problems)


def workload_file(document: Document, key: str, name: str) -> Path:
    """Path of a file that a workload names, relative to the file in which the name is written."""
    return document.folder(key) / name


def _stays_inside(folder: Path, name: str) -> bool:
    """Whether a name leads to a place inside a folder, symbolic links followed; not if they lead nowhere."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return False
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def workload_problems(workload: WorkloadSpec, document: Document) -> list[Problem]:
    """Files that a workload names must exist and, symbolic links followed, stay inside its folder.

    Without weights nothing is computed that images, a trace or branches would need.
    """
    problems = []
    for key in ("images", "trace", "branches"):
        if workload.is_shape_only and getattr(workload, key):
            message = "found without weights, expected weights: a shape-only workload computes nothing"
            problems.append(document.problem(key, message, f"give weights, or remove {key}"))
    for key, name in (item for kind in WORKLOAD_FILES for item in workload.files(kind).items()):
        folder, path = document.folder(key), workload_file(document, key, name)
        if not _stays_inside(folder, name):
            message = f'found "{name}", expected a file inside the folder of the workload'
            problems.append(
                document.problem(key, message, "give it relative to the workload file, without ..")
            )
        elif not is_file(path):
            near = did_you_mean(name, [found.name for found in folder.glob(f"*{path.suffix}")])
            hint = "" if near.startswith("allowed") else near
            problems.append(document.problem(key, f"no such file: {path}", hint))
    return problems
