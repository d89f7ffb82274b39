"""Arrivals against the formulas of queueing theory, within the error of the sample."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from archsim.api import simulate
from archsim.results.queueing import parse_arrivals, poisson_arrivals, serve

CORE_MHZ = 200
RUNS, IMAGES, WARM_UP = 20, 8000, 500


def waits_of_runs(
    service: Callable[[np.random.Generator], np.ndarray], rate_hz: float
) -> tuple[float, float]:
    """(mean waiting cycles, standard error of it) over independent runs, each after its warm-up."""
    means = []
    for seed in range(RUNS):
        arrivals = poisson_arrivals(IMAGES, rate_hz, CORE_MHZ, seed)
        queue = serve(arrivals, service(np.random.default_rng(1000 + seed)))
        means.append(queue.waiting_cycles[WARM_UP:].mean())
    return float(np.mean(means)), float(np.std(means, ddof=1)) / math.sqrt(RUNS)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_constant_service_waits_as_long_as_in_a_queue_m_d_1(load: float) -> None:
    """Pollaczek and Khinchine: W = load S / (2 (1 - load))."""
    service = 20_000
    rate_hz = load * CORE_MHZ * 1e6 / service
    mean, error = waits_of_runs(lambda _: np.full(IMAGES, service), rate_hz)
    expected = load * service / (2 * (1 - load))
    assert abs(mean - expected) < 3 * error
    assert error < 0.05 * expected, "the test could not fail"


def test_exits_make_the_service_a_distribution_and_waiting_grows_with_its_second_moment() -> None:
    """M/G/1: W = rate E[S^2] / (2 (1 - load)); nine of ten images take 8,000 cycles, one 128,000: mean 20,000."""
    load = 0.6
    rate = load / 20_000
    mean, error = waits_of_runs(
        lambda random: np.where(random.random(IMAGES) < 0.9, 8_000, 128_000), rate * CORE_MHZ * 1e6
    )
    expected = rate * (0.9 * 8_000**2 + 0.1 * 128_000**2) / (2 * (1 - load))
    assert abs(mean - expected) < 3 * error
    assert error < 0.1 * expected, "the test could not fail"
    constant = load * 20_000 / (2 * (1 - load))
    assert mean > 3 * constant, "equal means, and yet longer queues than with a constant service"


def test_arrivals_repeat_with_their_seed_and_have_their_rate() -> None:
    first, again, other = (poisson_arrivals(4000, 1000.0, CORE_MHZ, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    gaps = np.diff(first)
    assert gaps.mean() == pytest.approx(200_000, rel=3 / math.sqrt(4000))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1), "exponential gaps"


def test_a_run_with_arrivals_waits_idles_and_pays_for_it() -> None:
    """Service of dense-rs is constant: what varies is waiting alone."""
    alone = simulate("digits", arch="dense-rs", images=40)
    service = alone.cycles.mean
    assert alone.cycles.max == service
    queued = simulate("digits", arch="dense-rs", images=40, arrivals=str(0.5 * CORE_MHZ * 1e6 / service))
    waiting = np.array([image.waiting_cycles for image in queued.per_image])
    latency_us = np.sort(waiting + service) / CORE_MHZ
    found = queued.latency_us
    assert (found.p50, found.p95, found.p99, found.max) == pytest.approx(
        tuple(latency_us[[19, 37, 39, 39]])
    ), "nearest rank of 40"
    assert queued.cycles == alone.cycles
    idle = queued.energy_by_cause_uj["idle"]
    assert idle > 0 and alone.energy_by_cause_uj["idle"] == 0
    assert queued.energy_uj_per_image.total == pytest.approx(alone.energy_uj_per_image.total + idle)
    assert queued.throughput_ips < alone.throughput_ips
    saturated = simulate("digits", arch="dense-rs", images=40, arrivals="back-to-back")
    assert saturated.throughput_ips == pytest.approx(CORE_MHZ * 1e6 / service)
    assert saturated.energy_by_cause_uj["idle"] == 0


def test_back_to_back_is_no_rate() -> None:
    assert parse_arrivals("back-to-back") is None
