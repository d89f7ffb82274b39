"""How every Numba kernel is compiled: once, kept on disk, and also where the disk cannot be written.

Kernels are single-threaded and release the GIL. Callers run whole images in threads: a parallel loop inside each
layer would pay a thread barrier a layer, which costs more than the layer on a machine that has other work to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: compile at the first call of each combination of argument types, cached between processes.

    A folder for the cache is not a condition: without one the kernel is compiled in each process.
    """
    return _compiled(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: as :func:`kernel`, and made a part of every kernel that calls it.

    A call hands over tables of parameters field by field, and counts references to arrays: more work than what a step
    of an event loop has to do.
    """
    return _compiled(function, forceinline=True)


def _compiled(function: Callable[..., Any], forceinline: bool = False) -> Callable[..., Any]:
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(cache=True, nogil=True, forceinline=forceinline)(function)
    except RuntimeError:
        # Numba refuses to decorate when neither __pycache__ nor the user's cache folder can be written.
        compiled = numba.njit(nogil=True, forceinline=forceinline)(function)
    return compiled


def thread_count() -> int:
    """Threads that work may be spread over: ``NUMBA_NUM_THREADS``, else the cores this process may use."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
