"""The files of the workload that a choice of exits makes, without what other workloads beside it hold already."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsim.config.workload import WorkloadSpec
from archsim.config.workload_file import write_workload
from archsim.exits.classifier import Ending
from archsim.exits.export import kept_branches, without_branches
from archsim.exits.policy import ExitPolicy
from archsim.exits.spec import ExitsBuildSpec
from archsim.exits.tables import CandidateTable
from archsim.files import replacing, replacing_together
from archsim.functional.trace import FunctionalTrace
from archsim.functional.trace_io import load_trace, parts_of, save_trace
from archsim.network.build import build_network
from archsim.network.graph import Network
from archsim.network.npz import write_npz
from archsim.network.weights import Weights, tensor_hashes
from archsim.results.source import Workload


@dataclass(frozen=True)
class KeptWorkload:
    """The workload file with the branches that are kept, as a network, with its weights; file names are not set yet."""

    spec: WorkloadSpec
    network: Network
    weights: Weights


def kept_workload(
    spec: ExitsBuildSpec, ending: Ending, table: CandidateTable, policy: ExitPolicy
) -> KeptWorkload:
    """What a policy over the candidates of a table leaves of a workload."""
    old = ending.spec
    branches = kept_branches(old.branches, table.names, policy)
    description = spec.description or old.description
    new = old.model_copy(
        update={"name": spec.name, "description": description, "branches": branches, "trace": None}
    )
    network = network_of(new)
    return KeptWorkload(new, network, Weights.of(without_branches(ending.arrays, network)))


def network_of(spec: WorkloadSpec) -> Network:
    """The graph of a workload file that is known to be sound."""
    network, problems = build_network(spec.name, spec.input, spec.dataset.classes, spec.layers, spec.branches)
    assert network is not None, problems
    return network


def write_package(
    kept: KeptWorkload,
    trace: FunctionalTrace | None,
    images: Path | None,
    shared: Sequence[Workload],
    out_dir: Path,
) -> list[Path]:
    """Writes ``NAME.yaml`` and the files beside it; returns their paths, the workload first.

    trace: ships with the workload. images: sample images, copied. shared: workloads in ``out_dir`` whose weights and
    zero maps are named instead of written where they are the same. Raises InvalidInput where they are of other images.
    """
    name = kept.spec.name
    place = out_dir / f"{name}.yaml"
    with replacing_together(place) as drafts:
        weights = _write_weights(kept, shared, drafts)
        traces = [] if trace is None else _write_trace(kept, trace, shared, drafts)
        copied = None if images is None else f"{name}-images.npz"
        if images is not None and copied is not None:
            with replacing(drafts / copied) as partial:
                shutil.copyfile(images, partial)
        names = {"weights": _as_key(weights), "trace": _as_key(traces), "images": copied}
        write_workload(drafts / place.name, kept.spec.model_copy(update=names))
    own = [path.name for path in (*weights, *traces) if path.parent == drafts]
    return [place, *(out_dir / name for name in (*own, *([copied] if copied else ())))]


def _as_key(paths: Sequence[Path]) -> str | list[str] | None:
    names = [path.name for path in paths]
    return names if len(names) > 1 else next(iter(names), None)


def _write_weights(kept: KeptWorkload, shared: Sequence[Workload], folder: Path) -> list[Path]:
    """The files that hold the weights together: those that are shared, then the workload's own if anything is left."""
    own, files = kept.weights.arrays(), dict[Path, None]()
    for workload in shared:
        for key, array in workload.weights.arrays().items():
            if key in own and np.array_equal(own[key], array):
                del own[key]
                files |= dict.fromkeys(workload.loaded.weights_paths)
    if own:
        path = folder / f"{kept.spec.name}.npz"
        write_npz(path, own)
        files[path] = None
    return list(files)


def _write_trace(
    kept: KeptWorkload, trace: FunctionalTrace, shared: Sequence[Workload], folder: Path
) -> list[Path]:
    """The same for the trace."""
    hashes = tensor_hashes(kept.network, kept.weights)
    held = {
        path: parts
        for workload in shared
        for path in workload.loaded.trace_paths
        for parts in [parts_of(path)]
    }
    wanted = set(hashes.values())
    useful = {path: {key for key, value in parts.items() if value in wanted} for path, parts in held.items()}
    path = folder / f"{kept.spec.name}.trace.npz"
    named = dataclasses.replace(trace, workload=kept.spec.name)
    save_trace(path, named, kept.network, hashes, without=set().union(*useful.values()))
    files = [*(held_path for held_path, keys in useful.items() if keys), path]
    load_trace(files, kept.network, hashes)
    return files
