"""What a run needs to go on where it stopped, written atomically after every epoch."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from archsim.datasets.image_set import invalid
from archsim.errors import InvalidInput
from archsim.files import replacing
from archsim.training.network import ExitNetwork
from archsim.training.spec import Phase, TrainSpec, network_of

_TRAINED_BY = {
    "seed",
    "dataset",
    "data",
    "input",
    "layers",
    "branches",
    "recipe",
    "heads",
    "start",
    "distillation",
    "bf16",
    "cpu_threads",
}
"""The keys that shape the weights; others may change between a run and its resumption."""


_DAMAGED = (
    RuntimeError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    OSError,
    EOFError,
    pickle.UnpicklingError,
)


@dataclass
class TrainState:
    """A run between two epochs."""

    spec: TrainSpec
    device: torch.device
    model: ExitNetwork
    optimiser: torch.optim.Optimizer
    phase: Phase = "joint"
    epochs_done: int = 0
    """Of the present phase."""
    log: list[dict[str, Any]] = field(default_factory=list)

    def enter_heads(self) -> None:
        """Freezes the trunk and starts the second phase."""
        self.phase, self.epochs_done = "heads", 0
        self.model.trunk_blocks.requires_grad_(False)
        if self.spec.heads is not None and self.spec.branches:
            self.optimiser = torch.optim.Adam(
                self.model.branch_blocks.parameters(), lr=self.spec.heads.peak_lr
            )


def new_state(spec: TrainSpec, device: torch.device) -> TrainState:
    """Untrained weights, drawn on the CPU from ``spec.seed`` so that every device starts alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = ExitNetwork(network_of(spec))
    model = model.to(device).to(memory_format=torch.channels_last)
    return TrainState(spec, device, model, _sgd(spec, model))


def warm_start(state: TrainState, paths: Sequence[Path]) -> None:
    """Takes over the mean of other runs' weights where names and shapes agree in all of them.

    Of several runs it lies in a wider optimum than each (Izmailov et al., Averaging Weights Leads to Wider Optima,
    UAI 2018); the statistics of batch normalisation are then to be measured again.
    Raises InvalidInput where a checkpoint is damaged, or lacks a layer of the trunk, every one listed.
    """
    runs = [_fitting_weights(state, path) for path in paths]
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    means = {name: torch.stack([run[name].double() for run in runs]).mean(0) for name in shared}
    state.model.load_state_dict({**state.model.state_dict(), **means})


def _fitting_weights(state: TrainState, path: Path) -> dict[str, torch.Tensor]:
    own = state.model.state_dict()
    try:
        found = torch.load(path, map_location=state.device, weights_only=True)["model"].items()
        fitting = {name: value for name, value in found if name in own and value.shape == own[name].shape}
    except _DAMAGED as error:
        raise _unusable(path, error) from None
    lacking = [name for name in own if name.startswith("trunk_blocks.") and name not in fitting]
    if lacking:
        layers = sorted({name.split(".")[1].removeprefix("layer/") for name in lacking})
        raise invalid(
            path, f"found no weights that fit {', '.join(layers)}", "start from a run of the same trunk"
        )
    return fitting


def _unusable(path: Path, error: Exception) -> InvalidInput:
    message = (
        f"found no usable checkpoint ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    )
    return invalid(path, message, "remove it and train from the start")


def _sgd(spec: TrainSpec, model: ExitNetwork) -> torch.optim.SGD:
    """Weight decay on weights only: it does not regularise biases and norms but shrinks them."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": spec.recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=spec.recipe.peak_lr, momentum=spec.recipe.momentum, nesterov=True)


def spec_hash(spec: TrainSpec) -> str:
    """SHA-256 of the keys that shape the weights."""
    dump = spec.model_dump(mode="json", include=_TRAINED_BY, exclude_defaults=True)
    return hashlib.sha256(json.dumps(dump, sort_keys=True).encode()).hexdigest()


def save_checkpoint(state: TrainState, path: Path) -> None:
    """Writes beside ``path`` and renames, so that a kill leaves the last epoch intact."""
    content = {
        "spec_hash": spec_hash(state.spec),
        "phase": state.phase,
        "epochs_done": state.epochs_done,
        "log": json.dumps(state.log),
        "model": state.model.state_dict(),
        "optimiser": state.optimiser.state_dict(),
    }
    with replacing(path) as partial:
        try:
            torch.save(content, partial)
        except RuntimeError as error:  # how torch reports a full disk
            raise OSError(0, str(error).partition("\n")[0]) from None


def load_checkpoint(spec: TrainSpec, device: torch.device, path: Path) -> TrainState:
    """The state that ``path`` holds. Raises InvalidInput where it is damaged or was made by another spec."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content["spec_hash"] != spec_hash(spec):
            raise invalid(
                path, "found a checkpoint of another training spec", "remove it or train without --resume"
            )
        state = new_state(spec, device)
        if content["phase"] == "heads":
            state.enter_heads()
        state.model.load_state_dict(content["model"])
        state.optimiser.load_state_dict(content["optimiser"])
        state.epochs_done, state.log = _progress(content)
    except _DAMAGED as error:
        raise _unusable(path, error) from None
    return state


def _progress(content: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Epochs done and log. Raises one of ``_DAMAGED`` where they are something else."""
    epochs_done, log = content["epochs_done"], json.loads(content["log"])
    if not isinstance(epochs_done, int) or epochs_done < 0:
        raise ValueError(f"epochs_done is {epochs_done!r}")
    if not isinstance(log, list) or not all(isinstance(record, dict) for record in log):
        raise ValueError("log holds no records")
    return epochs_done, log
