"""Plots of results in notebooks: ``result.plot.energy()``, ``result.plot.latency(other)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from archsim.errors import did_you_mean
from archsim.files import write_atomic
from archsim.report.captions import title
from archsim.report.figure import check_picture_file, content, draw
from archsim.report.kinds import KINDS
from archsim.results.run_result import RunResult

_OF_RUNS = [name for name, kind in KINDS.items() if kind.draw]


@dataclass(frozen=True)
class Picture:
    """A drawn plot, which notebooks show. ``figure`` is a figure of matplotlib, of which pyplot does not know."""

    figure: Figure
    words: str

    def save(self, path: str | Path) -> Path:
        """Write it as ``.png``, ``.pdf`` or ``.svg``; returns the path. Raises InvalidInput for any other suffix."""
        file = Path(path)
        check_picture_file(file)
        write_atomic(file, content(self.figure, self.words, file.suffix))
        return file

    def _repr_png_(self) -> bytes:
        return content(self.figure, self.words, ".png")


class Plots:
    """The kinds of plot of one result as methods; other results as arguments are drawn beside it, where a kind can."""

    def __init__(self, result: RunResult) -> None:
        self._result = result

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *_OF_RUNS]

    def __getattr__(self, kind: str) -> Callable[..., Picture]:
        if kind not in _OF_RUNS:
            raise AttributeError(f'no plot "{kind}" ({did_you_mean(kind, _OF_RUNS)})')
        return partial(self._draw, kind)

    def _draw(self, kind: str, *others: RunResult) -> Picture:
        results = (self._result, *others)
        return Picture(draw(kind, results), title(f"archsim: {kind}", results))
