"""Training of early-exit networks with torch, and their export to int8 workloads (extra ``train``).

``train`` is imported on first use: specs and the arithmetic of quantisation need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim.training.spec import TrainSpec, load_train_spec

if TYPE_CHECKING:
    from archsim.training.run import TrainResult, train

__all__ = ["TrainResult", "TrainSpec", "load_train_spec", "train"]


def __getattr__(name: str) -> Any:
    """The names of :mod:`archsim.training.run`, loaded when they are first asked for."""
    if name in ("TrainResult", "train"):
        from archsim.training import run

        return getattr(run, name)
    raise AttributeError(f"module 'archsim.training' has no attribute {name!r}")
