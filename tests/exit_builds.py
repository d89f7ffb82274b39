"""A tiny workload with candidates, specs that choose among them, and ``archsim exits build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner, Result

from archsim import api
from archsim.cli.main import cli
from tests.builders import tiny_document, write_workload


def branch(name: str, after: str) -> dict[str, Any]:
    """A candidate without convolutions, with a threshold and a bound that a choice has to forget."""
    head = [{"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 4}]
    return {"name": name, "after": after, "layers": head, "threshold": 7, "dbp": {"min_sum": 3}}


def agreeing_workload(folder: Path) -> Path:
    """The folder with ``tiny.yaml``: two candidates, the first of which agrees with the labels, and 900 images."""
    path = write_workload(
        folder, tiny_document(branches=[branch("early", "pool1"), branch("late", "gap")]), images=900
    )
    # Labels as the first branch says: then it is worth keeping whatever random weights compute.
    trace_file = folder / "trace.npz"
    api.evaluate(path, save_trace=trace_file)
    with np.load(trace_file) as trace:
        labels = trace["exits/early/predictions"]
    with np.load(folder / "tiny.images.npz") as images:
        np.savez(folder / "tiny.images.npz", images=images["images"], labels=labels)
    trace_file.unlink()
    return folder


def spec(folder: Path, **changes: Any) -> Path:
    """The file of a spec in the folder of its workload."""
    content = {
        "schema": "archsim.exits/1",
        "name": "small",
        "workload": "tiny.yaml",
        "accuracy": {"max_loss": 0.02},
        **changes,
    }
    path = folder / "small.spec.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def exits(*words: object) -> Result:
    """``archsim exits build`` with these arguments."""
    return CliRunner().invoke(cli, ["exits", "build", *(str(word) for word in words)])
