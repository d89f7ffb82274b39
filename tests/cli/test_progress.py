"""Progress says what takes long as long as nothing is finished, and then how fast it goes."""

from __future__ import annotations

import pytest

from archsim.cli import progress
from archsim.cli.progress import COMPILES, Progress


def test_what_takes_long_is_said_until_something_is_finished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times_s = iter([100.0, 104.0, 104.0, 106.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times_s, 106.0))
    monkeypatch.setattr(progress, "_QUIET_S", 0.0)
    shown = Progress("simulating", "images", COMPILES)
    shown._stop.set()  # one line at a time
    shown._draw_lines()
    shown.advance(0, 8)
    shown.advance(4, 8)
    shown._draw_lines()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "simulating: 0 images, 4 s (the first run compiles its kernels, once)"
    assert second.startswith("simulating: 4/8 images, ") and "images/s" in second and "kernels" not in second


def test_other_commands_say_nothing_of_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress("downloading", "MB")
    shown._stop.set()
    shown._draw_lines()
    assert capsys.readouterr().err.strip().endswith(" s")
