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


class Progress:
    """Context manager around a long call; pass :meth:`advance` to it.

    A thread draws, because a long step (compiling kernels on the first run) reports nothing while it lasts.
    """

    def __init__(self, task: str, unit: str) -> None:
        self._task = task
        self._unit = unit
        self._done = 0
        self._total = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` are finished; total 0 when it is not known."""
        self._done, self._total = done, total

    def stage(self, task: str, unit: str) -> Callable[[int, int], None]:
        """Like :meth:`advance`, for a part of the call that has a task and a unit of its own."""

        def advance(done: int, total: int) -> None:
            self._task, self._unit = task, unit
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
            click.echo(f"{self._task}: {amount} {self._unit}, {time.monotonic() - start_s:.0f} s", err=True)
            if self._stop.wait(_LINE_EVERY_S):
                return

    def _draw_bar(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(self._task, total=None)
            while not self._stop.wait(0.2):
                bar.update(task, description=self._task, completed=self._done, total=self._total or None)
