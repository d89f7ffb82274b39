"""The trained network as a workload: what a training spec says of it, and the files beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from archsim.config.workload import BranchSpec, WorkloadSpec
from archsim.files import replacing
from archsim.training.spec import TrainSpec


def workload_of(spec: TrainSpec, branches: list[BranchSpec]) -> WorkloadSpec:
    """The workload of a training spec with the branches that were kept."""
    return WorkloadSpec(
        schema="archsim.workload/1",
        name=spec.name,
        description=spec.description,
        dataset=spec.dataset,
        input=spec.input,
        weights=f"{spec.name}.npz",
        images=Path(spec.data.images).name if spec.data.images else None,
        trace=f"{spec.name}.trace.npz" if spec.data.trace_images else None,
        layers=spec.layers,
        branches=branches,
    )


def copy_images(source: Path, out_dir: Path) -> None:
    """The sample images beside the workload; nothing to do where they lie there already."""
    target = out_dir / source.name
    if not (target.exists() and target.samefile(source)):
        with replacing(target) as partial:
            shutil.copyfile(source, partial)
