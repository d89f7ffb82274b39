"""Candidate tables as ``.npz`` files: deterministic bytes, nothing trusted on the way in.

Keys: ``header`` uint8, JSON with schema, names, structures, objective, unit, full and the dtypes of margins and sums;
``positions``, ``margins``, ``magnitude_sums``, ``correct``, ``final_correct`` and ``costs/NAME`` as in
:class:`~archsim.exits.tables.CandidateTable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput
from archsim.exits.tables import CandidateTable, Costs
from archsim.network.npz import NpzReader, json_array, write_npz

SCHEMA = "archsim.exit-table/1"
_MAX_CANDIDATES = 10_000
_MAX_VALUES = 1 << 30
_DTYPES = ("int64", "float64")
_COSTS = ("trunk", "branch", "tap", "dbp")
_MEASURED = ("margins", "magnitude_sums")


def save_table(path: Path, table: CandidateTable) -> None:
    """Write a table; equal tables give equal bytes. Raises InvalidInput when the file cannot be written."""
    header = {
        "schema": SCHEMA,
        "names": list(table.names),
        "structures": list(table.structures),
        "objective": table.costs.objective,
        "unit": table.costs.unit,
        "full": float(table.costs.full),
        **{key: str(getattr(table, key).dtype) for key in _MEASURED},
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "header": json_array(header),
        "positions": table.positions,
        "margins": table.margins,
        "magnitude_sums": table.magnitude_sums,
        "correct": table.correct[:, :-1],
        "final_correct": table.correct[:, -1],
        **{f"costs/{key}": array for key, array in table.costs.arrays().items()},
    }
    write_npz(path, arrays)


def load_table(path: Path) -> CandidateTable:
    """Read a table.

    Raises InvalidInput listing every damaged, missing or unexpected array and every value that does not fit.
    """
    with NpzReader(path) as reader:
        header = reader.json_object("header")
        _check_header(reader, header)
        images = reader.length("final_correct")
        if reader.problems or images is None:
            raise InvalidInput(reader.problems)
        arrays = _read_arrays(reader, header, images)
        if reader.problems:
            raise InvalidInput(reader.problems)
    costs = Costs(
        header["objective"], header["unit"], header["full"], *(arrays[f"costs/{key}"] for key in _COSTS)
    )
    return CandidateTable(
        names=tuple(header["names"]),
        structures=tuple(header["structures"]),
        positions=arrays["positions"],
        margins=arrays["margins"],
        magnitude_sums=arrays["magnitude_sums"],
        correct=np.column_stack([arrays["correct"], arrays["final_correct"]]),
        costs=costs,
    ).checked(str(path))


def _check_header(reader: NpzReader, header: dict[str, Any]) -> None:
    if header and header.get("schema") != SCHEMA:
        reader.problem("header.schema", f"found {header.get('schema')!r:.80}, expected {SCHEMA!r}")
        return
    for key in ("names", "structures"):
        found = header.get(key)
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            reader.problem(f"header.{key}", f"found {found!r:.80}, expected a list of texts")
        elif len(found) > _MAX_CANDIDATES:
            reader.problem(f"header.{key}", f"found {len(found)} entries, expected at most {_MAX_CANDIDATES}")
    for key in ("objective", "unit"):
        if not isinstance(header.get(key), str):
            reader.problem(f"header.{key}", f"found {header.get(key)!r:.80}, expected text")
    if not isinstance(header.get("full"), float):
        reader.problem("header.full", f"found {header.get('full')!r:.80}, expected a number")
    for key in _MEASURED:
        if header.get(key) not in _DTYPES:
            reader.problem(
                f"header.{key}", f"found {header.get(key)!r:.80}, expected one of {', '.join(_DTYPES)}"
            )


def _read_arrays(reader: NpzReader, header: dict[str, Any], images: int) -> dict[str, npt.NDArray[Any]]:
    count = len(header["names"])
    if not 1 <= images <= _MAX_VALUES // max(count, 1):
        reader.problem(
            "final_correct", f"found {images} images, expected 1 .. {_MAX_VALUES // max(count, 1)}"
        )
        return {}
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "positions": ("int64", (count,)),
        "margins": (header["margins"], (images, count)),
        "magnitude_sums": (header["magnitude_sums"], (images, count)),
        "correct": ("bool", (images, count)),
        "final_correct": ("bool", (images,)),
        **{f"costs/{key}": ("float64", (count,)) for key in _COSTS},
    }
    reader.refuse_others({"header", *expected})
    found = {key: reader.array(key, dtype, shape) for key, (dtype, shape) in expected.items()}
    return {key: array for key, array in found.items() if array is not None}
