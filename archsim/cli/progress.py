"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing at all for what is over in two seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

import click

_QUIET_S = 2.0
_LINE_EVERY_S = 5.0
COMPILES = "the first run compiles its kernels, once"


class Progress:
    """Context manager around a long call; pass :meth:`advance` to it.

    A thread draws, because a long step (compiling kernels on the first run) reports nothing while it lasts.
    at_first: what is said until something has been finished.
    """

    def __init__(self, task: str, unit: str, at_first: str = "") -> None:
        self._task = task
        self._at_first = at_first
        self._unit = unit
        self._done = 0
        self._total = 0
        self._first: tuple[int, float] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` are finished; total 0 when it is not known."""
        self._first = self._first or (done, time.monotonic())
        self._done, self._total = done, total

    def stage(self, task: str, unit: str) -> Callable[[int, int], None]:
        """Like :meth:`advance`, for a part of the call that has a task and a unit of its own."""

        def advance(done: int, total: int) -> None:
            if task != self._task:
                self._task, self._unit, self._first = task, unit, None
            self.advance(done, total)

        return advance

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _draw(self) -> None:
        if self._stop.wait(_QUIET_S):
            return
        if sys.stderr.isatty():
            self._draw_bar()
        else:
            self._draw_lines()

    def _draw_lines(self) -> None:
        start_s = time.monotonic() - _QUIET_S
        while True:
            amount = f"{self._done}/{self._total}" if self._total else str(self._done)
            passed_s = f"{time.monotonic() - start_s:.0f} s"
            click.echo(f"{self._task}: {amount} {self._unit}, {passed_s}{self._pace()}", err=True)
            if self._stop.wait(_LINE_EVERY_S):
                return

    def _pace(self) -> str:
        """How fast it goes and how long it will take, once something has been finished."""
        if self._done == 0 and self._at_first:
            return f" ({self._at_first})"
        if self._first is None or self._done <= self._first[0]:
            return ""
        first, start_s = self._first
        rate_hz = (self._done - first) / max(time.monotonic() - start_s, 1e-9)
        left = f", {(self._total - self._done) / rate_hz:.0f} s left" if self._total else ""
        return f", {rate_hz:.3g} {self._unit}/s{left}"

    def _draw_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(self._task, total=None, amount="")
            while not self._stop.wait(0.2):
                amount = f"{self._done}/{self._total or '?'} {self._unit}{self._pace()}"
                total = self._total or None
                bar.update(task, description=self._task, completed=self._done, total=total, amount=amount)
