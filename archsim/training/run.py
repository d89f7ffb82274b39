"""``train``: the whole way from a spec to an int8 workload."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from archsim.training.checkpoint import TrainState, load_checkpoint, new_state, save_checkpoint
from archsim.training.data import TrainingData, find_source, load_training_data
from archsim.training.loop import Progress, run_phase
from archsim.training.spec import TrainSpec


def fit(spec: TrainSpec, data: TrainingData, out_dir: Path, resume: bool, progress: Progress) -> TrainState:
    """Trains both phases, with a checkpoint and the log written after every epoch."""
    out_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = out_dir / f"{spec.name}.checkpoint.pt"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = load_checkpoint(spec, device, checkpoint) if resume and checkpoint.exists() else new_state(spec, device)

    def save() -> None:
        save_checkpoint(state, checkpoint)
        write_log(out_dir / f"{spec.name}.log.jsonl", state.log)

    if state.phase == "joint":
        run_phase(state, data, save, progress)
        state.enter_heads()
    run_phase(state, data, save, progress)
    return state


def write_log(path: Path, log: list[dict[str, Any]]) -> None:
    """The whole log as JSON lines, replaced atomically: a resumed run leaves no epoch twice."""
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(record) + "\n" for record in log))
    os.replace(partial, path)
