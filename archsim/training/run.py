"""``train``: the whole way from a spec to an int8 workload."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archsim.config.workload import BranchSpec
from archsim.config.workload_file import write_workload
from archsim.datasets import ImageBatch
from archsim.datasets.sources import find_source
from archsim.exits.export import kept_branches, without_branches
from archsim.exits.policy import ExitPolicy
from archsim.exits.structure import SWEEP, AccuracyGoal, choose_policy
from archsim.exits.tables import CandidateTable
from archsim.files import replacing_together, write_atomic
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace_io import save_trace
from archsim.network.weights import Weights, save_weights, tensor_hashes
from archsim.quantisation.integer import Arrays, integer_network
from archsim.training.calibrate import activation_samples
from archsim.training.checkpoint import TrainState, load_checkpoint, new_state, save_checkpoint, warm_start
from archsim.training.data import TrainingData, load_training_data
from archsim.training.export import copy_images, workload_of
from archsim.training.fold import fold
from archsim.training.loop import Progress, evaluate, measure_norms, run_phase
from archsim.training.measure import exit_table, summary
from archsim.training.spec import TrainSpec, network_of

_CALIBRATION_STREAM = 4
"""Distinguishes the random stream that picks calibration images from those of split and epochs."""


@dataclass(frozen=True)
class TrainResult:
    """What a run has written, and the last records of its log: the int8 network on held-out and on test images."""

    workload: Path
    weights: Path
    log: Path
    held_out: dict[str, Any]
    test: dict[str, Any] | None


def train(
    spec: TrainSpec,
    data: Sequence[Path],
    out_dir: Path,
    resume: bool = False,
    progress: Progress = lambda _: None,
) -> TrainResult:
    """Trains, quantises, chooses thresholds and writes ``<name>.yaml``, ``.npz`` and ``.log.jsonl`` to ``out_dir``.

    data: folders (or the file itself) searched for the images, before ``$ARCHSIM_DATA``. resume: go on from the
    checkpoint in ``out_dir`` if there is one; the result is the same as of an uninterrupted run.
    progress: called with every record of the log. Test images are looked at once, after everything is chosen.
    Raises InvalidInput on missing or unfit data and on a checkpoint of another spec; MissingExtra("data").
    """
    images = load_training_data(spec, data)
    with _cpu_threads(spec.cpu_threads):
        state = fit(spec, images, out_dir, resume, progress, data)
        arrays = quantised(state, images)
    network, all_weights = network_of(spec), Weights.of(arrays)
    table = exit_table(network, all_weights, images.held_out)
    policy = _policy(spec, table)
    kept = kept_branches(spec.branches, table.names, policy) if spec.thresholds else spec.branches
    workload, weights = _export(spec, kept, arrays, images, out_dir)
    if spec.data.images:
        copy_images(find_source(spec.data.images, data), out_dir)
    records = [{"phase": "int8", "data": "held_out", **summary(table, policy)}]
    if images.test is not None:
        float_accuracy = evaluate(state.model, spec, images.test, state.device)
        measured = summary(exit_table(network, all_weights, images.test), policy)
        records.append({"phase": "int8", "data": "test", "float_accuracy": float_accuracy, **measured})
    for record in records:
        progress(record)
    log = out_dir / f"{spec.name}.log.jsonl"
    write_log(log, [*state.log, *records])
    return TrainResult(workload, weights, log, records[0], records[1] if images.test is not None else None)


def _policy(spec: TrainSpec, table: CandidateTable) -> ExitPolicy:
    """The exits that pay; none where all branches are kept as candidates."""
    if spec.thresholds is None:
        return ExitPolicy.without_exits(table.count)
    goal = AccuracyGoal(spec.thresholds.max_accuracy_loss, spec.thresholds.luck_credit)
    return choose_policy(table, goal, replace(SWEEP, dbp="one_sided" if spec.thresholds.dbp else "none"))


def _export(
    spec: TrainSpec, branches: list[BranchSpec], arrays: Arrays, images: TrainingData, out_dir: Path
) -> tuple[Path, Path]:
    """Writes the workload with the branches that were kept; returns its file and that of the weights."""
    network = network_of(spec.model_copy(update={"branches": branches}))
    kept = Weights.of(without_branches(arrays, network))
    workload, weights = out_dir / f"{spec.name}.yaml", out_dir / f"{spec.name}.npz"
    with replacing_together(workload) as folder:
        save_weights(folder / weights.name, kept)
        if images.test is not None and spec.data.trace_images:
            shown = slice(spec.data.trace_images)
            batch = ImageBatch(images.test.images[shown], images.test.labels[shown])
            trace = run(network, kept, [batch], policy=Policy.of(network), lazy=False)
            hashes = tensor_hashes(network, kept)
            save_trace(folder / f"{spec.name}.trace.npz", trace, network, hashes)
        write_workload(folder / workload.name, workload_of(spec, branches))
    return workload, weights


def fit(
    spec: TrainSpec,
    data: TrainingData,
    out_dir: Path,
    resume: bool,
    progress: Progress,
    folders: Sequence[Path] = (),
) -> TrainState:
    """Trains both phases, with a checkpoint and the log written after every epoch.

    folders: where the checkpoints of ``spec.start`` may lie, besides the output folder and its neighbours.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = out_dir / f"{spec.name}.checkpoint.pt"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if resume and checkpoint.exists():
        state = load_checkpoint(spec, device, checkpoint)
    else:
        state = new_state(spec, device)
        paths = [
            find_source(f"{name}.checkpoint.pt", [out_dir, out_dir.parent / name, *folders])
            for name in spec.start
        ]
        if paths:
            warm_start(state, paths)
        if len(paths) > 1:
            measure_norms(state, data.train)
            accuracy = evaluate(state.model, spec, data.held_out, device)
            state.log.append({"phase": "mean", "of": spec.start, "held_out_accuracy": accuracy})
            progress(state.log[-1])

    def save() -> None:
        save_checkpoint(state, checkpoint)
        write_log(out_dir / f"{spec.name}.log.jsonl", state.log)

    if state.phase == "joint":
        run_phase(state, data, save, progress)
        state.enter_heads()
    run_phase(state, data, save, progress)
    return state


def quantised(state: TrainState, data: TrainingData) -> Arrays:
    """The integer arrays of trunk and all branches, calibrated on held-out training images."""
    rng = np.random.default_rng([state.spec.seed, _CALIBRATION_STREAM])
    count = min(state.spec.quantise.calibration_images, len(data.held_out))
    rows = np.sort(rng.permutation(len(data.held_out))[:count])
    samples = activation_samples(state.model, state.spec, data.held_out.images[rows], state.device)
    return integer_network(state.model.network, fold(state.model), samples, state.spec.quantisation)


@contextmanager
def _cpu_threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_log(path: Path, log: list[dict[str, Any]]) -> None:
    """The whole log as JSON lines, replaced atomically: a resumed run leaves no epoch twice."""
    write_atomic(path, "".join(json.dumps(record) + "\n" for record in log).encode())
