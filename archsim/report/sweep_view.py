"""What the plots of a sweep share: quantities with their labels, parameters with their levels, titles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.explore.export import cell_text
from archsim.explore.store import PARAM
from archsim.explore.table import QUANTITIES, SweepTable
from archsim.report.captions import joined

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_TITLE_CHARACTERS = 85
_LABELS = {
    "accuracy": ("accuracy (%)", 100.0),
    "area_mm2.total": ("area (mm²)", 1.0),
    "cycles.mean": ("mean cycles per image", 1.0),
    "dram_bytes_per_image.read": ("DRAM read (kB per image)", 1e-3),
    "energy_uj_per_image.total": ("energy (µJ per image)", 1.0),
    "latency_us.mean": ("mean latency (µs)", 1.0),
    "throughput_ips": ("throughput (images/s)", 1.0),
}
"""Label by column, and what its numbers are multiplied with."""


@dataclass(frozen=True)
class View:
    """What a plot shows, as the user asked for; None leaves it to the plot. Names as in ``SweepTable.find``."""

    x: str | None = None
    y: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Quantity:
    """A numeric column as a plot shows it. more_is_better: its direction on a Pareto front."""

    label: str
    values: FloatArray
    more_is_better: bool

    @classmethod
    def of(cls, table: SweepTable, name: str) -> Quantity:
        """Raises InvalidInput for no such column, or one that is not numeric."""
        wanted = name.removeprefix("-")
        column = table.find(wanted)
        label, factor = _LABELS.get(column, (column.removeprefix(PARAM), 1.0))
        best = {found: better for found, better in QUANTITIES.values()}.get(column, "min")
        return cls(label, factor * table.numbers(wanted), best == "max" or name.startswith("-"))

    @property
    def costs(self) -> FloatArray:
        """The values with the sign at which less is better."""
        return -self.values if self.more_is_better else self.values

    @property
    def varies(self) -> bool:
        """Whether there is anything to tell apart."""
        known = self.values[~np.isnan(self.values)]
        return len(known) > 0 and bool(known.min() < known.max())

    @property
    def is_known(self) -> bool:
        """Whether every point has it; accuracy, for one, is unknown without weights."""
        return not bool(np.isnan(self.values).any())


@dataclass(frozen=True)
class Levels:
    """Values of a parameter: numbers ascending, texts in the order of the space; ``rows`` has their index."""

    key: str
    values: tuple[Any, ...]
    rows: IntArray

    @classmethod
    def of(cls, table: SweepTable, key: str) -> Levels:
        """Raises InvalidInput for no such parameter."""
        column = table[PARAM + key if PARAM + key in table.columns else key]
        cells = [_plain(value) for value in column]
        values = list(dict.fromkeys(cells))
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            values.sort()
        index = {value: place for place, value in enumerate(values)}
        return cls(key, tuple(values), np.array([index[value] for value in cells], np.int64))

    @property
    def texts(self) -> list[str]:
        """Values as a plot writes them."""
        return [
            f"{value:.6g}" if isinstance(value, float) else cell_text(value) or "null"
            for value in self.values
        ]


def sweep_title(what: str, table: SweepTable, more: Sequence[str] = ()) -> str:
    """``what``, and under it the sweep, its workload and what all of its points share."""
    ok = table.ok()
    facts = [table.name]
    for column in ("workload", "arch"):
        names = list(dict.fromkeys(ok[column].tolist()))
        if len(names) == 1 and names[0] not in facts:
            facts.append(str(names[0]))
    images = sorted(set(ok.numbers("images").tolist()))
    facts.append(f"{images[0]:g} images" if len(images) == 1 else f"{images[0]:g} to {images[-1]:g} images")
    failed = len(table) - len(ok)
    facts.append(f"{len(table)} points" + (f", {failed} failed" if failed else ""))
    return f"{what}\n{joined([*facts, *more], ' · ', _TITLE_CHARACTERS)}"


def point_names(table: SweepTable) -> list[str]:
    """What tells each point from the others: the values of the parameters that vary."""
    levels = [Levels.of(table, key) for key in table.varied]
    return [
        ", ".join(f"{short_key(found.key)}={found.texts[found.rows[row]]}" for found in levels)
        or "the only point"
        for row in range(len(table))
    ]


def short_key(key: str) -> str:
    """The last part of a key, the last two of a threshold.

    >>> short_key("global_buffer.size_kib"), short_key("exits.exit4.threshold")
    ('size_kib', 'exit4.threshold')
    """
    parts = key.split(".")
    return ".".join(parts[-2:]) if parts[0] == "exits" else parts[-1]


def _plain(value: Any) -> Any:
    number = value.item() if hasattr(value, "item") else value
    return int(number) if isinstance(number, float) and number.is_integer() else number
