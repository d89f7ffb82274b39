"""The arithmetic of results: percentiles, queue, sums, files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim import api
from archsim.errors import InvalidInput
from archsim.files import write_atomic
from archsim.results.aggregate import UNATTRIBUTED, RunSums, nearest_rank
from archsim.results.queueing import parse_arrivals, poisson_arrivals, serve
from archsim.results.run_result import RunResult
from tests.builders import build, tiny_document

CORE_MHZ = 200
IMAGES = 12


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300), st.integers(1, 100))
def test_nearest_rank_is_the_smallest_value_that_covers_the_share(values: list[int], percent: int) -> None:
    found = nearest_rank(sorted(values), percent)
    covering = [v for v in values if 100 * sum(other <= v for other in values) >= percent * len(values)]
    assert found == min(covering)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 50)), min_size=1, max_size=40),
)
def test_the_queue_is_a_server_watched_cycle_by_cycle(images: list[tuple[int, int]]) -> None:
    arrivals = np.cumsum([gap for gap, _ in images])
    services = np.array([service for _, service in images])
    starts, idle_cycles, cycle, left, queue = [], 0, 0, 0, list(range(len(images)))
    while queue or left:
        if left == 0 and queue and arrivals[queue[0]] <= cycle:
            image = queue.pop(0)
            starts.append(cycle)
            left = services[image]
        if left:
            left -= 1
        elif queue:
            idle_cycles += 1
        cycle += 1
    found = serve(arrivals, services)
    assert (found.waiting_cycles + arrivals).tolist() == starts
    assert found.latency_cycles.tolist() == (np.array(starts) + services - arrivals).tolist()
    assert (found.makespan_cycles, found.idle_cycles) == (cycle, idle_cycles)


def test_poisson_arrivals_have_their_rate_and_their_seed() -> None:
    arrivals = poisson_arrivals(20_000, 1000.0, CORE_MHZ, seed=4)
    assert arrivals[-1] / 20_000 == pytest.approx(200_000, rel=0.03)
    gaps = np.diff(arrivals)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert np.array_equal(arrivals, poisson_arrivals(20_000, 1000.0, CORE_MHZ, seed=4))
    assert not np.array_equal(arrivals, poisson_arrivals(20_000, 1000.0, CORE_MHZ, seed=5))


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "fast", "1e400"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a rate in images a second above 0 or back-to-back"):
        parse_arrivals(text)


def test_a_rate_that_overflows_the_clock_is_refused() -> None:
    with pytest.raises(InvalidInput, match="64-bit"):
        poisson_arrivals(10, 1e-12, CORE_MHZ, seed=1)


def total_uj(result: RunResult) -> float:
    return result.energy_uj_per_image.total * result.images


def test_back_to_back_is_each_image_alone_without_a_pause(tiny: Path) -> None:
    alone, packed = api.simulate(tiny), api.simulate(tiny, arrivals="back-to-back")
    assert (alone.arrivals, packed.arrivals) == ("alone", "back-to-back")
    assert packed.latency_us == alone.latency_us
    assert packed.energy_uj_per_image == alone.energy_uj_per_image
    assert packed.throughput_ips == alone.throughput_ips
    assert packed.throughput_ips == pytest.approx(CORE_MHZ * 1e6 * IMAGES / alone.cycles.total)


def test_a_slow_source_leaves_the_chip_leaking_and_the_dram_refreshing(tiny: Path) -> None:
    alone, slow = api.simulate(tiny), api.simulate(tiny, arrivals="1000", seed=3)
    assert slow.cycles == alone.cycles
    assert slow.latency_us == alone.latency_us
    makespan_cycles = round(CORE_MHZ * 1e6 * IMAGES / slow.throughput_ips)
    arrivals = poisson_arrivals(IMAGES, 1000.0, CORE_MHZ, seed=3)
    assert makespan_cycles == arrivals[-1] + alone.per_image[-1].cycles
    assert slow.layers[:-1] == alone.layers
    assert slow.layers[-1].name == UNATTRIBUTED
    assert math.fsum(layer.energy_uj for layer in slow.layers) == pytest.approx(
        slow.energy_uj_per_image.total
    )
    idle_cycles = makespan_cycles - alone.cycles.total
    leak = alone.energy_uj_per_image.by_component["leakage"] * IMAGES / alone.cycles.total
    # LPDDR3: 1.8 V x 2 mA + 1.2 V x 38 mA; 3120 DRAM cycles of 1.25 ns apart a refresh of 8.2 + 17.94 nJ
    idle_us = idle_cycles / CORE_MHZ
    refreshes = 4 * idle_cycles // 3120
    refresh_uj = (1.8 * (40 - 2) + 1.2 * (160 - 45)) * 104 * 1.25e-6
    expected_uj = leak * idle_cycles + 49.2e-3 * idle_us + refreshes * refresh_uj
    assert total_uj(slow) - total_uj(alone) == pytest.approx(expected_uj, rel=1e-9)
    assert slow.energy_by_cause_uj["idle"] * IMAGES == pytest.approx(expected_uj, rel=1e-9)
    others = {cause: energy for cause, energy in slow.energy_by_cause_uj.items() if cause != "idle"}
    assert others == {cause: alone.energy_by_cause_uj[cause] for cause in others}


def test_what_is_gated_between_images_costs_less(tiny: Path) -> None:
    def idle_uj(*overrides: str) -> float:
        return api.simulate(tiny, arrivals="1000", overrides=overrides).energy_by_cause_uj["idle"]

    running, clock_gated, power_gated = (
        idle_uj(f"clock.idle={state}") for state in ("running", "clock_gated", "power_gated")
    )
    assert running > clock_gated > power_gated > 0
    assert power_gated > 5 * idle_uj("clock.idle=power_gated", "dram.idle=power_down")
    alone = api.simulate(tiny), api.simulate(tiny, overrides=["clock.idle=power_gated"])
    assert alone[0].energy_uj_per_image == alone[1].energy_uj_per_image


def test_a_fast_source_makes_images_wait(tiny: Path) -> None:
    alone, fast = api.simulate(tiny), api.simulate(tiny, arrivals="1e9")
    arrivals = poisson_arrivals(IMAGES, 1e9, CORE_MHZ, seed=1)
    departures = np.cumsum([image.cycles for image in alone.per_image]) + arrivals[0]
    latency_cycles = departures - arrivals
    assert fast.latency_us.max == latency_cycles.max() / CORE_MHZ
    assert fast.latency_us.mean == pytest.approx(latency_cycles.mean() / CORE_MHZ)
    assert [image.waiting_cycles + image.cycles for image in fast.per_image] == latency_cycles.tolist()


def test_layers_of_a_branch_are_one_entry() -> None:
    sums = RunSums(build(tiny_document()), burst_bytes=32)
    names = ["conv1", "early", "early.fc", "", "odd"]
    assert [sums.entry_name(name) for name in names] == [
        "conv1",
        "early",
        "early",
        UNATTRIBUTED,
        UNATTRIBUTED,
    ]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "result.json"
    write_atomic(path, b"first")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InvalidInput, match="No space left on device"):
        write_atomic(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]
