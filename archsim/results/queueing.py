"""Arrivals: images wait in one first-in-first-out queue before the accelerator, which serves one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput, Problem
from archsim.units import rate_to_gap_cycles

Int64Array = npt.NDArray[np.int64]
BACK_TO_BACK = "back-to-back"
_OPTION = "--arrivals"


@dataclass(frozen=True)
class Queue:
    """What the queue did; arrays are int64, one element an image, in core-clock cycles.

    waiting_cycles: from arrival to the start of service.
    latency_cycles: waiting plus service.
    makespan_cycles: from cycle 0 to the departure of the last image.
    idle_cycles: cycles of the makespan in which no image was served.
    """

    waiting_cycles: Int64Array
    latency_cycles: Int64Array
    makespan_cycles: int
    idle_cycles: int


def parse_arrivals(text: str) -> float | None:
    """Rate in Hz of Poisson arrivals, or None for ``back-to-back``.

    Raises InvalidInput on anything else.

    >>> parse_arrivals("250")
    250.0
    """
    if text == BACK_TO_BACK:
        return None
    try:
        rate_hz = float(text)
    except ValueError:
        rate_hz = math.nan
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        message = f'found "{text}", expected a rate in images a second above 0 or {BACK_TO_BACK}'
        raise InvalidInput([Problem(_OPTION, "", message, f"for example {_OPTION} 100")])
    return rate_hz


def poisson_arrivals(images: int, rate_hz: float, clock_mhz: int, seed: int) -> Int64Array:
    """Arrival cycles of a Poisson process, rounded to whole cycles; the same seed gives the same arrivals."""
    gaps_cycles = np.random.default_rng(seed).exponential(rate_to_gap_cycles(rate_hz, clock_mhz), images)
    last_cycle = float(np.sum(gaps_cycles))
    if last_cycle >= 2.0**62:
        message = f"found {rate_hz} Hz: {images} images take more cycles than a 64-bit count holds"
        raise InvalidInput([Problem(_OPTION, "", message, "use a higher rate")])
    return np.rint(np.cumsum(gaps_cycles)).astype(np.int64)


def serve(arrival_cycles: Int64Array | None, service_cycles: Int64Array) -> Queue:
    """A single-server FIFO queue (Lindley, Proc. Cambridge Phil. Soc. 48, 1952).

    waiting[k + 1] = max(0, waiting[k] + service[k] - (arrival[k + 1] - arrival[k])).
    arrival_cycles: non-decreasing; None is a saturated source, which hands over the next image in the cycle in
    which the accelerator becomes free: nothing idles and nothing waits.

    >>> queue = serve(np.array([0, 5, 40]), np.array([10, 10, 10]))
    >>> queue.waiting_cycles.tolist(), queue.makespan_cycles, queue.idle_cycles
    ([0, 5, 0], 50, 20)
    """
    busy_cycles = int(service_cycles.sum())
    if arrival_cycles is None:
        waiting = np.zeros_like(service_cycles)
        return Queue(waiting, service_cycles.copy(), busy_cycles, 0)
    waiting = np.zeros_like(service_cycles)
    free_cycle = 0
    for index, (arrival, service) in enumerate(
        zip(arrival_cycles.tolist(), service_cycles.tolist(), strict=True)
    ):
        start = max(arrival, free_cycle)
        waiting[index] = start - arrival
        free_cycle = start + service
    return Queue(waiting, waiting + service_cycles, free_cycle, free_cycle - busy_cycles)
