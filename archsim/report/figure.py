"""From results to a picture in a file: PNG, PDF or SVG, the same bytes for the same results."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from archsim import __version__
from archsim.errors import InvalidInput, Problem, did_you_mean
from archsim.report.captions import title
from archsim.report.kinds import KINDS
from archsim.report.style import RESULT_COLOURS, house_style
from archsim.results.read import read_run
from archsim.results.run_result import RunResult
from archsim.results.store import check_out_dir, write_atomic

_CREATOR = f"archsim {__version__}"
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": _CREATOR},
    ".pdf": {"Creator": _CREATOR, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": _CREATOR, "Date": None},
}
"""What is written about a picture, by suffix of its file: no date, or no two runs would agree."""


def plot_files(kind: str, sources: Sequence[Path], out: Path) -> Path:
    """Read results (folders of ``archsim simulate --out``), draw one kind of plot, write it; returns its path.

    kind: a name of :data:`~archsim.report.kinds.KINDS`. The first result is the baseline of the others.
    Raises InvalidInput with every problem of all inputs; then nothing is written.
    """
    problems = _request_problems(kind, sources, out)
    results = []
    for source in sources:
        try:
            results.append(read_run(source, per_image=kind not in KINDS or KINDS[kind].per_image))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(dict.fromkeys(problems))
    write_atomic(out, render(kind, results, out.suffix))
    return out


def render(kind: str, results: Sequence[RunResult], suffix: str) -> bytes:
    """Content of the file of a plot; suffix: ``.png``, ``.pdf`` or ``.svg``."""
    extension = suffix.lower()
    about = {**_METADATA[extension], "Title": " - ".join(title(f"archsim: {kind}", results).splitlines())}
    stream = io.BytesIO()
    with house_style():
        draw(kind, results).savefig(stream, format=extension[1:], metadata=about)
    return stream.getvalue()


def draw(kind: str, results: Sequence[RunResult]) -> Figure:
    """One kind of plot of 1 to 7 results as a figure, which no window shows and no state of pyplot holds."""
    module, _, function = KINDS[kind].draw.partition(":")
    drawing: Any = getattr(import_module(module), function)
    with house_style():
        figure = Figure()
        FigureCanvasAgg(figure)
        drawing(results, figure)
    return figure


def _request_problems(kind: str, sources: Sequence[Path], out: Path) -> list[Problem]:
    problems = []
    if kind not in KINDS:
        problems.append(
            Problem("--kind", "", f'found "{kind}", expected {", ".join(KINDS)}', did_you_mean(kind, KINDS))
        )
    if not 1 <= len(sources) <= len(RESULT_COLOURS):
        message = f"found {len(sources)} results, expected 1 to {len(RESULT_COLOURS)} side by side"
        problems.append(Problem("RESULT", "", message, "draw them in several plots"))
    if out.suffix.lower() not in _METADATA:
        message = f'found the suffix "{out.suffix}", expected {", ".join(_METADATA)}'
        problems.append(Problem(str(out), "", message, "the suffix of the file chooses the format"))
    try:
        check_out_dir(out.parent)
    except InvalidInput as error:
        problems += error.problems
    if out.is_dir():
        problems.append(Problem(str(out), "", "found a folder, expected a file to write"))
    return problems
