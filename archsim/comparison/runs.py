"""Runs the cases of a comparison, each different one once, with the images of a workload read and computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from archsim.api import load, simulate
from archsim.comparison.cases import Case, Request
from archsim.config.arch import ArchSpec
from archsim.config.checks import check_exits, check_mappings
from archsim.config.dram import DramPresetSpec
from archsim.config.energy import EnergyTableSpec
from archsim.config.load import config_hash, load_dram_preset, load_energy_table, read_arch
from archsim.energy.table import ResolvedTable, resolve
from archsim.errors import InvalidInput, Problem
from archsim.functional.decide import Policy
from archsim.functional.executor import concatenate
from archsim.functional.trace import FunctionalTrace
from archsim.kernels.compiler import thread_count
from archsim.results.run_result import RunResult
from archsim.results.source import Source, Workload
from archsim.units import cycles_to_us

Progress = Callable[[str, int, int], None]
"""Called with (what is done now, images done, images in all) over all runs."""
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Key = tuple[str, str]
"""Workload, and hash of the accelerator without its name."""


@dataclass(frozen=True)
class Machine:
    """The accelerator of a case with its DRAM and energies."""

    case: Case
    spec: ArchSpec
    dram: DramPresetSpec
    table: EnergyTableSpec
    energy: ResolvedTable

    @classmethod
    def of(cls, case: Case, energy_table: str | None) -> Machine:
        """Read the files of a case. Raises InvalidInput listing every problem."""
        spec = read_arch(case.arch, case.overrides).spec
        dram = load_dram_preset(spec.dram.preset)
        table = load_energy_table(energy_table or spec.energy_table)
        return cls(case, spec, dram, table, resolve(table, spec, dram))

    @property
    def varies(self) -> bool:
        """Whether timing depends on the zeros of each image."""
        return self.spec.pe_array.zero == "skip" or self.spec.dma.compression == "rlc"

    @property
    def counts_dram_energy(self) -> bool:
        """False for a link without a memory behind it: currents that energies would come from are zero."""
        return self.table.dram_commands != "currents" or any(rail.idd4r_ma for rail in self.dram.rails)

    @property
    def key(self) -> Key:
        """What the numbers of a run depend on: two presets that differ in their names alone are one accelerator."""
        return self.case.workload, config_hash(
            self.spec.model_copy(update={"name": "any", "description": ""})
        )


@dataclass(frozen=True)
class Run:
    """A case that has been run."""

    machine: Machine
    result: RunResult

    @property
    def case(self) -> Case:
        """What was asked for."""
        return self.machine.case

    @property
    def spec(self) -> ArchSpec:
        """The accelerator."""
        return self.machine.spec

    @property
    def energy(self) -> ResolvedTable:
        """pJ of its actions."""
        return self.machine.energy

    @cached_property
    def service_us(self) -> npt.NDArray[np.float64]:
        """Microseconds that each image is served, without waiting; float64 (N,)."""
        cycles = np.array([image.cycles for image in self.result.per_image], np.float64)
        return cycles_to_us(1, self.spec.clock.core_mhz) * cycles

    @cached_property
    def energies_uj(self) -> npt.NDArray[np.float64]:
        """Microjoules of each image; float64 (N,)."""
        return np.array([image.energy_uj for image in self.result.per_image])

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each image was classified correctly; bool (N,)."""
        return np.array([image.label == image.prediction for image in self.result.per_image], np.bool_)


@dataclass
class Runs:
    """All runs of a comparison. ``traces`` and ``workloads`` by the name that they were asked for by."""

    request: Request
    workloads: dict[str, Workload] = field(default_factory=dict)
    traces: dict[str, FunctionalTrace] = field(default_factory=dict)
    results: dict[Key, RunResult] = field(default_factory=dict)

    def workload(self, name: str) -> Workload:
        """A workload, loaded once."""
        if name not in self.workloads:
            self.workloads[name] = load(name)
        return self.workloads[name]

    def machines(self, cases: Iterable[Case]) -> list[Machine]:
        """Read everything that cases need. Raises InvalidInput listing the problems of all of them."""
        problems: list[Problem] = []
        found = []
        for case in cases:
            try:
                machine = Machine.of(case, self.request.energy_table)
                loaded = self.workload(case.workload)
                check_exits(machine.spec, loaded.network)
                check_mappings(machine.spec, loaded.network)
                found.append(machine)
            except InvalidInput as error:
                problems += error.problems
        if problems:
            raise InvalidInput(dict.fromkeys(problems))
        return found

    def trace(self, name: str) -> FunctionalTrace:
        """The images of a workload, each run to the end of the trunk, computed or read once.

        Raises InvalidInput where the images are not those of the workload of the request.
        """
        if name not in self.traces:
            workload, request = self.workload(name), self.request
            source = Source.of(workload, request.data, request.images, request.seed)
            policy = Policy.of(workload.network)
            if workload.spec.is_shape_only:
                found = concatenate(list(source.parts(policy)))
            else:
                found = source.whole(policy, zero_maps=True, progress=None).rows(0, request.images)
            if name != request.workload:
                _check_same_images(self.trace(request.workload), found, name)
            self.traces[name] = found
        return self.traces[name]

    def run_all(self, machines: Iterable[Machine], progress: Progress | None = None) -> None:
        """Simulate what has not been, in threads: most of the time is spent in kernels, which run side by side."""
        waiting = {machine.key: machine for machine in machines if machine.key not in self.results}
        # Longest first, so that the last thread does not work alone: images that are simulated one by one, to the end.
        ordered = sorted(waiting.values(), key=lambda one: (not one.varies, one.spec.exits.enabled))
        total = sum(self.trace(machine.case.workload).images for machine in ordered)
        done = dict.fromkeys(waiting, 0)

        def simulated(machine: Machine) -> RunResult:
            def advance(images: int, _: int) -> None:
                done[machine.key] = images
                if progress is not None:
                    label = f"{machine.case.workload} on {machine.spec.name}"
                    progress(label, sum(done.values()), total)

            return simulate(
                self.workload(machine.case.workload),
                arch=machine.case.arch,
                energy_table=self.request.energy_table,
                data=self.trace(machine.case.workload),
                overrides=machine.case.overrides,
                engine=self.request.engine,
                arrivals=self.request.arrivals,
                seed=self.request.seed,
                progress=advance,
            )

        for machine, result in zip(ordered, in_threads(simulated, ordered), strict=True):
            self.results[machine.key] = result

    def run(self, machine: Machine) -> Run:
        """A case that :meth:`run_all` has simulated."""
        return Run(machine, self.results[machine.key])


def in_threads(work: Callable[[Item], Outcome], items: Sequence[Item]) -> list[Outcome]:
    """Results of ``work`` in the order of the items; of errors the first one. Kernels release the GIL."""
    with ThreadPoolExecutor(min(thread_count(), max(1, len(items)))) as pool:
        waiting = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def _check_same_images(ours: FunctionalTrace, theirs: FunctionalTrace, name: str) -> None:
    if np.array_equal(ours.labels, theirs.labels):
        return
    shared = min(ours.images, theirs.images)
    hint = f"compare the first {shared} with --images {shared}"
    if not np.array_equal(ours.labels[:shared], theirs.labels[:shared]):
        hint = "give both the same images with --data"
    message = f"found {theirs.images} images, expected the {ours.images} of {ours.workload}, label by label"
    raise InvalidInput([Problem(name, "", message, hint)])
