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
from archsim.explore.store import DATABASE
from archsim.explore.table import SweepTable, read_table
from archsim.files import write_atomic
from archsim.report.captions import title
from archsim.report.kinds import KINDS
from archsim.report.style import RESULT_COLOURS, house_style
from archsim.report.sweep_view import View, sweep_title
from archsim.results.read import read_run
from archsim.results.run_result import FILES_OF_THEIR_OWN, RunResult
from archsim.results.store import check_out_dir

_CREATOR = f"archsim {__version__}"
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": _CREATOR},
    ".pdf": {"Creator": _CREATOR, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": _CREATOR, "Date": None},
}
"""What is written about a picture, by suffix of its file: no date, or no two runs would agree."""


def plot_files(kind: str, sources: Sequence[Path], out: Path, view: View = View()) -> Path:  # noqa: B008 (frozen)
    """Read results, draw one kind of plot, write it; returns its path.

    kind: a name of :data:`~archsim.report.kinds.KINDS`. sources: folders of ``archsim simulate --out``, the first of
    which is the baseline of the others; or that of one sweep. view: what to show of a sweep.
    Raises InvalidInput with every problem of all inputs; then nothing is written.
    """
    sweeps = [source for source in sources if (source / DATABASE).is_file()]
    problems = _request_problems(kind, sources, out) + _kind_problems(kind, sources, sweeps, view)
    if sweeps and not problems:
        write_atomic(out, render_sweep(kind, read_table(sweeps[0]), view, out.suffix))
        return out
    results = []
    for source in sources if not sweeps else ():
        try:
            needs = KINDS[kind].needs if kind in KINDS else ("per_image",)
            results.append(read_run(source, **{name: name in needs for name in FILES_OF_THEIR_OWN}))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(dict.fromkeys(problems))
    write_atomic(out, render(kind, results, out.suffix))
    return out


def render(kind: str, results: Sequence[RunResult], suffix: str) -> bytes:
    """Content of the file of a plot; suffix: ``.png``, ``.pdf`` or ``.svg``."""
    return content(draw(kind, results), title(f"archsim: {kind}", results), suffix)


def render_sweep(kind: str, table: SweepTable, view: View, suffix: str) -> bytes:
    """The same of a sweep."""
    return content(draw_sweep(kind, table, view), sweep_title(f"archsim: {kind}", table), suffix)


def content(figure: Figure, words: str, suffix: str) -> bytes:
    """A figure as the content of a file; words: its title in the metadata, in lines."""
    extension = suffix.lower()
    about = {**_METADATA[extension], "Title": " - ".join(words.splitlines())}
    stream = io.BytesIO()
    with house_style():
        figure.savefig(stream, format=extension[1:], metadata=about)
    return stream.getvalue()


def draw(kind: str, results: Sequence[RunResult]) -> Figure:
    """One kind of plot of 1 to 7 results as a figure, which no window shows and no state of pyplot holds.

    Raises InvalidInput where the kind draws fewer at a time, or the results lack what it shows.
    """
    problems = _count_problems(kind, len(results))
    if problems:
        raise InvalidInput(problems)
    return _drawn(KINDS[kind].draw, results)


def draw_sweep(kind: str, table: SweepTable, view: View) -> Figure:
    """The same of a sweep."""
    return _drawn(KINDS[kind].draw_sweep, table, view)


def _drawn(name: str, *what: Any) -> Figure:
    """What ``module:function`` draws."""
    module, _, function = name.partition(":")
    drawing: Any = getattr(import_module(module), function)
    with house_style():
        figure = Figure()
        FigureCanvasAgg(figure)
        drawing(*what, figure)
    return figure


def _kind_problems(kind: str, sources: Sequence[Path], sweeps: Sequence[Path], view: View) -> list[Problem]:
    """A kind draws runs, sweeps, or both; never both at once, and one sweep at a time."""
    if kind not in KINDS:
        return []
    drawn = {name for name, found in KINDS.items() if (found.draw_sweep if sweeps else found.draw)}
    if kind not in drawn:
        what = "a sweep" if sweeps else "a run"
        message = f"found the result of {what}, of which there is no plot {kind}"
        return [Problem(str(sources[0]), "", message, f"of {what} there are {', '.join(sorted(drawn))}")]
    if sweeps and len(sources) > 1:
        message = f"found {len(sources)} results, expected one where one is a sweep"
        return [Problem(str(sweeps[0]), "", message, "draw them in several plots")]
    if not sweeps and view != View():
        return [Problem("--x, --y, --value", "", "found what to show of a sweep, but no sweep")]
    return []


def _request_problems(kind: str, sources: Sequence[Path], out: Path) -> list[Problem]:
    problems = []
    if kind not in KINDS:
        problems.append(
            Problem("--kind", "", f'found "{kind}", expected {", ".join(KINDS)}', did_you_mean(kind, KINDS))
        )
    problems += _count_problems(kind, len(sources)) + _file_problems(out)
    return problems


def check_picture_file(out: Path) -> None:
    """Raise InvalidInput where a picture cannot be written there."""
    problems = _file_problems(out)
    if problems:
        raise InvalidInput(problems)


def _count_problems(kind: str, count: int) -> list[Problem]:
    most = 1 if kind in KINDS and KINDS[kind].only_one else len(RESULT_COLOURS)
    if 1 <= count <= most:
        return []
    message = f"found {count} results, expected 1 to {most} side by side"
    if most == 1:
        message = f"found {count} results, of which {kind} draws one at a time"
    return [Problem("RESULT", "", message, "draw them in several plots")]


def _file_problems(out: Path) -> list[Problem]:
    problems = []
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
