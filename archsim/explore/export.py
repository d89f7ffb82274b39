"""Tables of any length as CSV and Parquet, row by row, so that memory does not grow with their number."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from archsim.files import replacing

Rows = Iterable[dict[str, Any]]
_BATCH_ROWS = 500


def write_csv(path: Path, columns: Sequence[str], rows: Rows) -> Path:
    """One line a row; a cell that a row lacks is empty. The file is there whole or not at all."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell_text(row.get(name)) for name in columns] for row in rows)
    return path


def write_parquet(path: Path, columns: Sequence[str], rows: Callable[[], Rows]) -> Path | None:
    """The same table with types; None, and no file, without pyarrow. rows: gives all rows anew each time."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    types = column_types(columns, rows())
    schema = pa.schema([(name, kinds[kind]) for name, kind in types.items()])
    with replacing(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for batch in _batches(rows()):
            arrays = [[_as(kind, row.get(name)) for row in batch] for name, kind in types.items()]
            writer.write_table(pa.table(arrays, schema=schema))
    return path


def column_types(columns: Sequence[str], rows: Rows) -> dict[str, type]:
    """The type that holds every value of a column: bool, int, float, or text for all else.

    >>> column_types(["a", "b", "c"], [{"a": 1, "b": True, "c": "x"}, {"a": 0.5, "b": None, "c": 1}])
    {'a': <class 'float'>, 'b': <class 'bool'>, 'c': <class 'str'>}
    """
    found: dict[str, set[type]] = {name: set() for name in columns}
    for row in rows:
        for name, value in row.items():
            if value is not None and name in found:
                found[name].add(type(value))
    return {name: _common(kinds) for name, kinds in found.items()}


def cell_text(value: Any) -> str:
    """A value as text: numbers with all their digits, nothing for null.

    >>> cell_text(0.1), cell_text(True), cell_text(None), cell_text("gate")
    ('0.1', 'true', '', 'gate')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _common(kinds: set[type]) -> type:
    if len(kinds) == 1:
        return next(iter(kinds))
    return float if kinds == {int, float} else str


def _as(kind: type, value: Any) -> Any:
    if value is None:
        return None
    return cell_text(value) if kind is str else kind(value)


def _batches(rows: Rows) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        yield batch
