"""archsim: a cycle-accurate simulator of CNN accelerators for networks that decide while they run.

The public Python API is :func:`load`, :func:`evaluate` and :func:`simulate` of :mod:`archsim.api` and :func:`sweep` of
:mod:`archsim.explore.sweep`, imported on first use so that ``archsim --help`` stays instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsim.api import evaluate, load, simulate
    from archsim.explore.sweep import sweep

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load", "simulate", "sweep"]


def __getattr__(name: str) -> Any:
    """The functions of the API, loaded when they are first asked for."""
    if name == "sweep":
        from archsim.explore.sweep import sweep

        return sweep
    if name in ("evaluate", "load", "simulate"):
        from archsim import api

        return getattr(api, name)
    raise AttributeError(f"module 'archsim' has no attribute {name!r}")
