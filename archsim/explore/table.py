"""The results of a sweep as a table in memory: columns of NumPy arrays, named as in ``points.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput, MissingExtra, Problem, did_you_mean
from archsim.explore.store import PARAM, SweepStore
from archsim.explore.task import OK
from archsim.results.html_table import HtmlTable, page

if TYPE_CHECKING:
    import pandas as pd

Column = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

QUANTITIES: dict[str, tuple[str, str]] = {
    "accuracy": ("accuracy", "max"),
    "area": ("area_mm2.total", "min"),
    "cycles": ("cycles.mean", "min"),
    "dram": ("dram_bytes_per_image.read", "min"),
    "energy": ("energy_uj_per_image.total", "min"),
    "latency": ("latency_us.mean", "min"),
    "throughput": ("throughput_ips", "max"),
}
"""Short names of results: the column, and what is better."""
ROWS_SHOWN = 20
"""Points that a notebook shows of a table."""


def column_of(name: str) -> str:
    """The column of a short name; a name of no quantity is that of a column, or of a parameter, itself."""
    return QUANTITIES[name][0] if name in QUANTITIES else name


@dataclass(frozen=True)
class SweepTable:
    """One row a finished point. Numbers are float64, NaN where a point has none; all else are objects.

    name: of the sweep. folder: where it lies. columns: by name; ``param.KEY``, ``status``, ``error``, and the results
    of ``simulate``, whose names tell their unit.
    """

    name: str
    folder: Path
    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.columns["status"])

    def __getitem__(self, name: str) -> Column:
        return self.columns[self.find(name)]

    @property
    def params(self) -> list[str]:
        """Keys of the parameters, without ``param.``."""
        return [name.removeprefix(PARAM) for name in self.columns if name.startswith(PARAM)]

    @property
    def varied(self) -> list[str]:
        """Parameters of more than one value among the points."""
        return [key for key in self.params if len(set(self.columns[PARAM + key].tolist())) > 1]

    def find(self, name: str) -> str:
        """The column that a short name, a parameter or a column's own name means. Raises InvalidInput for none."""
        for candidate in (column_of(name), PARAM + name):
            if candidate in self.columns:
                return candidate
        known = [*QUANTITIES, *self.params, *self.columns]
        message = "the sweep has no such result or parameter"
        hint = did_you_mean(name, known)
        hint = (
            f"among others: {', '.join([*QUANTITIES, *self.params])}" if hint.startswith("allowed") else hint
        )
        raise InvalidInput([Problem(str(self.folder), name, message, hint)])

    def numbers(self, name: str) -> FloatArray:
        """A column of numbers. Raises InvalidInput where it holds anything else."""
        column = self[name]
        if column.dtype != np.float64:
            message = f"found {column[0]!r:.40}, expected numbers in this column"
            raise InvalidInput([Problem(str(self.folder), name, message)])
        return column

    def ok(self) -> SweepTable:
        """The points that were simulated, without those that failed. Raises InvalidInput where there is none."""
        rows = self.columns["status"] == OK
        if not rows.any():
            hint = "points.csv says why each of them failed"
            raise InvalidInput([Problem(str(self.folder), "", "found no point that was simulated", hint)])
        return self.rows(rows)

    def rows(self, which: npt.NDArray[Any]) -> SweepTable:
        """Some rows, by index or mask."""
        return SweepTable(
            self.name, self.folder, {name: column[which] for name, column in self.columns.items()}
        )

    def best(self, name: str, count: int = 1) -> SweepTable:
        """The points with the least of a quantity; the greatest where more is better, or ``-NAME`` asks for it."""
        wanted = name.removeprefix("-")
        values = self.ok().numbers(wanted)
        greatest = name.startswith("-") or QUANTITIES.get(wanted, ("", "min"))[1] == "max"
        order = np.argsort(-values if greatest else values, kind="stable")
        return self.ok().rows(order[:count])

    def to_pandas(self) -> pd.DataFrame:
        """The same as a data frame. Raises MissingExtra without pandas."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtra("data", "data frames") from None
        return pd.DataFrame(self.columns)

    def _repr_html_(self) -> str:
        """What a notebook shows: of the first points what varies, and what the short names mean."""
        results = [name for name in QUANTITIES if QUANTITIES[name][0] in self.columns]
        columns = [(key, self[PARAM + key]) for key in self.varied]
        columns += [(QUANTITIES[name][0], self[name]) for name in results]
        columns += [(name, self[name]) for name in ("status", "error") if (self["status"] != OK).any()]
        shown = min(len(self), ROWS_SHOWN)
        rows = [(str(row), *(_cell(column[row]) for _, column in columns)) for row in range(shown)]
        more = f", the first {shown} of them" if shown < len(self) else ""
        title = f"{self.name}, {len(self)} points{more}"
        return page(title, [HtmlTable("points", ("", *(name for name, _ in columns)), rows)])


def _cell(value: Any) -> str:
    """A value of a column as text, "" where there is none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_table(folder: Path, columns: Sequence[str] | None = None) -> SweepTable:
    """The finished points of a sweep, from its folder; also while it runs.

    columns: of the results, all when None; parameters, status and error are always there. Raises InvalidInput where
    there is no sweep, or none of its points is finished.
    """
    with SweepStore.read(folder) as store:
        spec = store.spec
        names = store.columns()
        wanted = [
            name
            for name in names
            if columns is None or name in columns or name in ("status", "error") or name.startswith(PARAM)
        ]
        cells: dict[str, list[Any]] = {name: [] for name in wanted}
        for row in store.rows():
            flat = row.flat()
            for name, column in cells.items():
                column.append(flat.get(name))
    if spec is None or not cells.get("status"):
        message = "found no finished point"
        raise InvalidInput([Problem(str(folder), "", message, "archsim sweep --resume goes on with it")])
    return SweepTable(spec.name, folder, {name: _array(name, column) for name, column in cells.items()})


def _array(name: str, cells: list[Any]) -> Column:
    """Numbers, where a missing one is NaN; but null is a value that a parameter may have."""
    kinds = {type(cell) for cell in cells if cell is not None}
    is_null_a_value = name.startswith(PARAM) and None in cells
    if kinds <= {int, float} and not is_null_a_value and name not in ("status", "error"):
        return np.array([np.nan if cell is None else cell for cell in cells], np.float64)
    column = np.empty(len(cells), object)
    column[:] = cells
    return column
