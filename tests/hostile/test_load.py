"""Large runs in small: what a point or a layer more takes. Of images, ``tests/perf/test_memory.py``."""

from __future__ import annotations

import pytest

from tests.hostile.load import WARM_UP, Load, layers_of, measure, points_of, refused_layers


def kib_for_each(what: str, make, few: int, many: int) -> float:  # type: ignore[no-untyped-def]
    """Memory that each of ``many`` takes beyond a run of ``few``."""
    held = [measure(Load(what, size, "", make(size))) for size in (few, many)]
    return 1024 * (held[1].memory_mib - held[0].memory_mib) / (many - few)


def test_a_measured_run_must_end_as_it_is_said_to() -> None:
    with pytest.raises(RuntimeError, match="no workload"):
        measure(Load("a run that fails", 1, "", lambda _: ("simulate", "no-such-network")))


def test_memory_is_that_of_the_run_and_not_of_who_measures_it() -> None:
    ballast = b"x" * (400 << 20)
    assert 5 < measure(Load("help", 1, "", lambda _: ("--help",))).memory_mib < 200 < len(ballast) >> 20


@pytest.mark.slow
def test_a_point_more_takes_no_memory() -> None:
    measure(WARM_UP)
    # Among the first thousand, what is kept of machines and mappings fills up to its bounds.
    assert kib_for_each("sweep", points_of, 1_000, 4_000) < 4


@pytest.mark.slow
def test_a_layer_more_takes_little() -> None:
    measure(WARM_UP)
    assert kib_for_each("deep network", lambda size: layers_of(size, "segment"), 100, 500) < 200


@pytest.mark.slow
def test_a_hundred_thousand_layers_are_refused_in_bounded_memory() -> None:
    found = measure(Load("refused", 100_000, "layers", refused_layers(100_000), exit_code=3))
    assert found.memory_mib < 2048
