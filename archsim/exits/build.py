"""``exits build``: from an int8 workload with candidate branches to one with the branches that pay."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from archsim.api import load
from archsim.config.extends import find_file
from archsim.config.load import load_dram_preset, load_energy_table, read_arch
from archsim.datasets import ImageBatch
from archsim.energy.table import resolve
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.exits.classifier import Ending, ended_by
from archsim.exits.costs import (
    SIMULATED,
    CountedObjective,
    Machine,
    SimulatedObjective,
    counted_costs,
    simulated_costs,
)
from archsim.exits.cross_fit import cheapest_fitted
from archsim.exits.export import without_branches
from archsim.exits.images import choosing_images, choosing_key, test_images
from archsim.exits.package import kept_workload, network_of, write_package
from archsim.exits.report import ExitsReport, measured, report_of
from archsim.exits.runs import EVERYTHING, CandidateRuns
from archsim.exits.safeguards import LEVEL, Chosen, choose_safely, least_images, split_rows
from archsim.exits.shorten import Cut, cuts, shortest
from archsim.exits.spec import LoadedExitsSpec
from archsim.exits.structure import choose
from archsim.exits.table_io import save_table
from archsim.exits.tables import CandidateTable, table_of_trace
from archsim.files import write_atomic
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import load_trace
from archsim.network.graph import Network
from archsim.network.weights import Weights, tensor_hashes
from archsim.progress import Progress
from archsim.resources import Kind
from archsim.results.source import Workload
from archsim.results.store import check_out_dir, json_bytes

Notes = Callable[[str], None]
"""Called with a line about what has been found on the way."""
Stages = Callable[[str, str], Progress]
"""From a task and its unit to what is called as it goes on."""


def build(
    loaded: LoadedExitsSpec,
    folders: Sequence[Path],
    out_dir: Path,
    note: Notes = lambda _: None,
    stage: Stages = lambda _task, _unit: lambda _done, _total: None,
    candidates: Path | None = None,
    runs: CandidateRuns | None = None,
) -> ExitsReport:
    """Chooses branches, thresholds and DBP bounds; writes the workload and the report to ``out_dir``.

    candidates: the workload file to choose from, instead of the one that the spec names. runs: of several choices from
    the same candidates (:func:`runs_for`).
    note: called with what is found on the way. stage: called with a task and its unit; what it returns is told how far
    it is.
    folders: searched for ``data.source`` and ``data.test``, before the folder of the spec and ``$ARCHSIM_DATA``.
    Files: ``NAME.yaml``, ``NAME.npz``, the images that shipped with the workload, ``NAME.trace.npz`` (of test images,
    or what shipped), ``NAME.exits.json`` (the report), ``NAME.table.npz`` (the candidate table, for searches of your
    own). Raises InvalidInput listing what does not fit, SimulationFailed when the hardware breaks an invariant.
    """
    spec = loaded.spec
    check_out_dir(out_dir)
    workload, machine = _inputs(loaded, candidates)
    ending = _ending(loaded, workload)
    _check_patterns(loaded, ending)
    shared = _shared(loaded, out_dir)
    batch = choosing_images(loaded, workload, folders)
    test = test_images(loaded, folders)
    _check_size(loaded, len(batch), _candidates(ending, spec.search.candidates))
    choosing = _Choosing(loaded, workload, machine, batch, runs or runs_for([loaded]), note, stage)
    ending, classifier, found = choosing.shortened(ending)
    network, table, trace, sample = choosing.table(ending, spec.search.candidates, classifier)
    chosen = _choose(loaded, table, stage("searching", "prices of accuracy"))
    kept = kept_workload(spec, ending, table, chosen.choice.policy)
    report = report_of(spec, network, table, chosen, trace, sample, machine)
    report = dataclasses.replace(report, cuts=found)
    if test is not None:
        progress = stage("running test images", "images")
        seen = choosing.runs.trace(workload, kept.network, classifier, test, spec.data.test, progress)
        report = dataclasses.replace(report, test=measured(kept.network, seen))
    shown = None
    if test is not None and spec.data.trace_images:
        shown = _trace(kept.network, kept.weights, _first(test, spec.data.trace_images), zero_maps=True)
    elif workload.loaded.trace_paths and classifier is None:
        hashes = tensor_hashes(kept.network, kept.weights)
        shown = load_trace(workload.loaded.trace_paths, kept.network, hashes)
    files = write_package(kept, shown, workload.loaded.images_path, shared, out_dir)
    return _written(report, table, files, out_dir)


def _written(report: ExitsReport, table: CandidateTable, files: list[Path], out_dir: Path) -> ExitsReport:
    """The report with the paths of all files, which it and the table of candidates are two more of.

    The file has their names alone, so that it says the same wherever it is made.
    """
    table_file, report_file = (out_dir / f"{report.name}.{ending}" for ending in ("table.npz", "exits.json"))
    save_table(table_file, table)
    written = (*files, table_file, report_file)
    named = dataclasses.replace(report, files=tuple(path.name for path in written))
    write_atomic(report_file, json_bytes(named.to_json()))
    return dataclasses.replace(report, files=tuple(map(str, written)))


def runs_for(specs: Sequence[LoadedExitsSpec]) -> CandidateRuns:
    """Runs through every branch that one of these choices asks for."""
    patterns: list[str] = []
    for loaded in specs:
        spec = loaded.spec
        patterns += [EVERYTHING] if spec.search.candidates is None else spec.search.candidates
        patterns += spec.shorten or []
        patterns += [spec.classifier] if spec.classifier else []
    return CandidateRuns(patterns)


def _inputs(loaded: LoadedExitsSpec, candidates: Path | None) -> tuple[Workload, Machine | None]:
    """Everything that the spec names; problems of all of it come together."""
    spec, document = loaded.spec, loaded.document
    problems: list[Problem] = []
    paths: dict[str, Path | None] = {}
    for kind, key in ((Kind.WORKLOAD, "workload"), (Kind.ARCH, "arch"), (Kind.ENERGY_TABLE, "energy_table")):
        ref = getattr(spec, key)
        if key == "workload" and candidates is not None:
            paths[key] = candidates
            continue
        try:
            folder = document.folder(key)
            paths[key] = None if ref is None else find_file(kind, ref, document.where(key), key, folder)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    workload = load(cast(Path, paths["workload"]))
    if spec.objective not in SIMULATED:
        return workload, None
    arch = read_arch(cast(Path, paths["arch"])).spec
    if not (arch.exits.enabled and arch.dbp.enabled):
        message = f"found exits or dbp disabled in {arch.name}, expected both enabled"
        raise InvalidInput([document.problem("arch", message, "the costs of branches are measured on it")])
    dram = load_dram_preset(arch.dram.preset)
    table = load_energy_table(paths["energy_table"] or arch.energy_table)
    return workload, Machine(arch, dram, resolve(table, arch, dram))


def _ending(loaded: LoadedExitsSpec, workload: Workload) -> Ending:
    """The workload, ending in the classifier that is asked for."""
    ending = Ending(workload.spec, workload.weights.arrays())
    wanted = loaded.spec.classifier
    if wanted is None:
        return ending
    names = [branch.name for branch in workload.spec.branches]
    if wanted not in names:
        message = f'{workload.spec.name} has no branch "{wanted}"'
        raise InvalidInput([loaded.document.problem("classifier", message, did_you_mean(wanted, names))])
    return ended_by(ending, wanted)


def _shared(loaded: LoadedExitsSpec, out_dir: Path) -> list[Workload]:
    """The workloads in the output folder whose files are to be used again."""
    problems = [
        loaded.document.problem(
            f"shared.{index}", f"found no {name}.yaml in {out_dir}", "build it there first"
        )
        for index, name in enumerate(loaded.spec.shared)
        if not (out_dir / f"{name}.yaml").is_file()
    ]
    if problems:
        raise InvalidInput(problems)
    return [load(out_dir / f"{name}.yaml") for name in loaded.spec.shared]


@dataclasses.dataclass(frozen=True)
class _Choosing:
    """The images that choose, and what candidates do with them."""

    loaded: LoadedExitsSpec
    workload: Workload
    machine: Machine | None
    batch: ImageBatch
    runs: CandidateRuns
    note: Notes
    stage: Stages

    def table(
        self, ending: Ending, patterns: list[str] | None, classifier: str | None
    ) -> tuple[Network, CandidateTable, FunctionalTrace, FunctionalTrace]:
        """(network with its candidates, table, trace of all images, trace of those that costs are taken from).

        classifier: the branch of the workload that is the end of ``ending``.
        """
        spec, network = self.loaded.spec, _candidates(ending, patterns)
        progress = self.stage(f"running images through {len(network.branches)} candidate branches", "images")
        key = choosing_key(self.loaded)
        trace = self.runs.trace(self.workload, network, classifier, self.batch, key, progress)
        weights = Weights.of(without_branches(ending.arrays, network))
        sample = _trace(network, weights, _first(self.batch, spec.cost_images), zero_maps=True)
        self.stage(f"measuring {spec.objective}", "images")(0, len(sample.labels))
        if self.machine is not None:
            costs = simulated_costs(network, self.machine, sample, cast(SimulatedObjective, spec.objective))
        else:
            costs = counted_costs(network, cast(CountedObjective, spec.objective))
        return network, table_of_trace(network, trace, costs), trace, sample

    def shortened(self, ending: Ending) -> tuple[Ending, str | None, tuple[Cut, ...]]:
        """(the network that exits are chosen for, the branch that is its end, cuts that were compared)."""
        spec = self.loaded.spec
        if spec.shorten is None:
            return ending, spec.classifier, ()
        network, table, _, _ = self.table(ending, spec.shorten, spec.classifier)
        found = cuts(network, table, spec.accuracy.goal)
        cut = shortest(found)
        if cut is None:
            return ending, spec.classifier, found
        self.note(f"{cut.name} ends the trunk")
        return ended_by(ending, cut.name), cut.name, found


def _check_patterns(loaded: LoadedExitsSpec, ending: Ending) -> None:
    """Every pattern means a branch of the workload."""
    spec, name = loaded.spec, ending.spec.name
    names = [branch.name for branch in ending.spec.branches]
    asked = {"search.candidates": spec.search.candidates or [], "shorten": spec.shorten or []}
    problems = [
        loaded.document.problem(
            f"{key}.{index}", f'{name} has no branch "{pattern}"', did_you_mean(pattern, names)
        )
        for key, patterns in asked.items()
        for index, pattern in enumerate(patterns)
        if not fnmatch.filter(names, pattern)
    ]
    if not names and spec.search.candidates is None:
        problems.append(loaded.document.problem("workload", f"found no branches in {name}"))
    if problems:
        raise InvalidInput(problems)


def _candidates(ending: Ending, patterns: list[str] | None) -> Network:
    """The network with some branches alone (None: all), thresholds and DBP bounds that they may have forgotten."""
    network = network_of(ending.spec)
    kept = tuple(
        dataclasses.replace(branch, threshold=None, dbp=None)
        for branch in network.branches
        if patterns is None or any(fnmatch.fnmatchcase(branch.name, pattern) for pattern in patterns)
    )
    return dataclasses.replace(network, branches=kept)


def _check_size(loaded: LoadedExitsSpec, images: int, network: Network) -> None:
    """Too few images could only ever give a network without exits, and no number can show that nothing is lost."""
    goal = loaded.spec.accuracy
    if not goal.certify or goal.folds is not None or not network.branches:
        return
    if goal.max_loss == 0:
        hint = "a larger max_loss, folds, or certify: false"
        raise InvalidInput(
            [loaded.document.problem("accuracy.max_loss", "found 0, expected more with certify", hint)]
        )
    needed = least_images(goal.max_loss)
    found = len(split_rows(images, loaded.spec.seed)[1])
    if found < needed:
        message = (
            f"found {found} images in the half that certifies, expected at least {needed} for a loss of "
        )
        message += f"{goal.max_loss:g} at {100 * LEVEL:g} %"
        hint = "more images, a larger max_loss, or accuracy.certify: false"
        raise InvalidInput([loaded.document.problem("accuracy.max_loss", message, hint)])


def _trace(network: Network, weights: Weights, batch: ImageBatch, zero_maps: bool) -> FunctionalTrace:
    return run(network, weights, [batch], policy=Policy.of(network), lazy=False, zero_maps=zero_maps)


def _first(batch: ImageBatch, count: int) -> ImageBatch:
    return ImageBatch(batch.images[:count], batch.labels[:count])


def _choose(loaded: LoadedExitsSpec, table: CandidateTable, progress: Progress) -> Chosen:
    spec = loaded.spec
    goal, searches = spec.accuracy.goal, spec.search.searches
    everything = np.arange(table.images)
    if spec.accuracy.folds is not None and table.count:
        choice, fits = cheapest_fitted(table, goal, searches, spec.seed, spec.accuracy.folds, progress)
        return Chosen(fits[0].search, choice, choice.policy, everything, None, None, fits)
    if spec.accuracy.certify and table.count:
        return choose_safely(table, goal, searches[0], spec.seed, progress)
    choice = choose(table, goal, searches[0], progress)
    return Chosen(searches[0], choice, choice.policy, everything, None, None)
