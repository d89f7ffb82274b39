"""The folder of a sweep: ``sweep.sqlite`` as results come, ``points.csv`` and ``points.parquet`` when it ends.

``meta``: key, value. ``points``: number, params (JSON), hash. ``results``: hash, status, error, lasting, wall_s, result
(JSON). ``parts``: hash, first, part (JSON), images of unfinished points. Results are known by the hash of everything
that they follow from; points that mean the same share one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.errors import InvalidInput, Problem
from archsim.explore.export import write_csv, write_parquet
from archsim.explore.space import Params, Point
from archsim.explore.spec import SweepSpec
from archsim.explore.task import FAILED, OK, Outcome
from archsim.files import is_file

DATABASE, CSV_FILE, PARQUET_FILE = "sweep.sqlite", "points.csv", "points.parquet"
PARAM = "param."
_LOCK = "sweep.lock"
_START_ANEW = "choose another folder, or remove the file and start anew"
_MAX_NUMBER = 1e300
_MAX_TEXT_BYTES = 256 << 20
_SCHEMA = "archsim.sweep-results/1"
_TABLES = """
create table if not exists meta (key text primary key, value text not null) without rowid;
create table if not exists points (number integer primary key, params text not null, hash text not null);
create table if not exists results (
    hash text primary key, status text not null, error text not null, lasting integer not null,
    wall_s real not null, result text not null
) without rowid;
create table if not exists parts (
    hash text not null, first integer not null, part text not null, primary key (hash, first)
) without rowid;
"""


@dataclass(frozen=True)
class Row:
    """One point with its outcome."""

    number: int
    params: Params
    status: str
    error: str
    result: dict[str, Any]

    def flat(self) -> dict[str, Any]:
        """Value by column of the table."""
        params = {f"{PARAM}{key}": value for key, value in self.params.items()}
        return {**params, "status": self.status, "error": self.error, **self.result}


class SweepStore:
    """The results of one sweep. One process writes at a time; any number may read meanwhile."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection

    @classmethod
    @contextmanager
    def create(cls, folder: Path, *, resume: bool) -> Iterator[SweepStore]:
        """Open for writing. Raises InvalidInput where results are there without ``resume``, or somebody writes."""
        path = folder / DATABASE
        if path.exists() and not resume:
            hint = "--resume goes on with it; or choose another folder"
            raise InvalidInput([Problem(str(path), "", "found the results of a sweep", hint)])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot be made ({error.strerror})"
            raise InvalidInput([Problem(str(folder), "", message, "choose another folder")]) from None
        with _locked(folder), _opened(path) as connection:
            connection.executescript(_TABLES)
            _check_tables(path, connection)
            connection.execute("insert or ignore into meta values ('schema', ?)", (_SCHEMA,))
            # What failed for a reason that may be gone is tried again.
            connection.execute("delete from results where not lasting")
            connection.commit()
            yield cls(folder, connection)

    @classmethod
    @contextmanager
    def read(cls, folder: Path) -> Iterator[SweepStore]:
        """Open for reading. Raises InvalidInput where there are no results of a sweep."""
        path = folder / DATABASE
        if not is_file(path):
            hint = "give the folder that archsim sweep --out has written"
            raise InvalidInput([Problem(str(folder), "", f"found no {DATABASE}", hint)])
        with _opened(path, read_only=True) as connection:
            _check_tables(path, connection)
            yield cls(folder, connection)

    @property
    def spec(self) -> SweepSpec | None:
        """What was asked for last; None in a folder that has just been made."""
        found = self._connection.execute("select value from meta where key = 'spec'").fetchone()
        with self._damage():
            return SweepSpec.model_validate_json(found[0]) if found else None

    def begin(self, spec: SweepSpec) -> None:
        """Points are those of ``spec`` from now on; results are kept, whatever points they belonged to."""
        text = spec.model_dump_json(by_alias=True)
        self._connection.execute("insert or replace into meta values ('spec', ?)", (text,))
        self._connection.execute("delete from points")
        self._connection.commit()

    def add_point(self, point: Point, identity: str) -> None:
        """Note which result belongs to a point; committed with the next result."""
        self._connection.execute(
            "insert or replace into points values (?, ?, ?)",
            (point.number, json.dumps(point.params), identity),
        )

    def add_outcome(self, identity: str, outcome: Outcome) -> None:
        """Keep a result for good: a process that is killed afterwards does not lose it."""
        text = json.dumps(outcome.result, allow_nan=False)
        row = (identity, outcome.status, outcome.error, outcome.lasting, outcome.wall_s, text)
        self._connection.execute("insert or replace into results values (?, ?, ?, ?, ?, ?)", row)
        self._connection.execute("delete from parts where hash = ?", (identity,))
        self._connection.commit()

    def add_part(self, identity: str, first: int, part: str) -> None:
        """Keep some images of a point."""
        self._connection.execute("insert or replace into parts values (?, ?, ?)", (identity, first, part))
        self._connection.commit()

    def parts(self, identity: str) -> dict[int, str]:
        """Kept images of a point by the position of the first."""
        rows = self._connection.execute("select first, part from parts where hash = ?", (identity,))
        return dict(rows.fetchall())

    def commit(self) -> None:
        """Write what was noted."""
        self._connection.commit()

    def has(self, identity: str) -> bool:
        """Whether there is a result of a hash."""
        query = "select 1 from results where hash = ?"
        return self._connection.execute(query, (identity,)).fetchone() is not None

    def outcome(self, identity: str) -> Outcome | None:
        """The result of a hash, None where there is none yet."""
        query = "select status, error, result, lasting, wall_s from results where hash = ?"
        found = self._connection.execute(query, (identity,)).fetchone()
        if found is None:
            return None
        with self._damage():
            return Outcome(found[0], found[1], _object(found[2]), bool(found[3]), found[4])

    def counts(self) -> dict[str, int]:
        """Finished points by status."""
        query = "select status, count(*) from points join results using (hash) group by status"
        return {OK: 0, FAILED: 0, **dict(self._connection.execute(query).fetchall())}

    def rows(self) -> Iterator[Row]:
        """Finished points in the order of the space."""
        query = """select number, params, status, error, result from points join results using (hash)
            order by number"""
        for number, params, status, error, result in self._connection.execute(query):
            with self._damage():
                row = Row(number, _object(params), _text(status), _text(error), _object(result))
            yield row

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """What stands in the database is taken for what this class writes, or refused."""
        try:
            yield
        except (ValueError, TypeError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            raise InvalidInput(
                [Problem(str(self.folder / DATABASE), "", f"found a damaged row ({reason})", _START_ANEW)]
            ) from None

    def columns(self) -> list[str]:
        """Columns of the table: parameters, status, error, results in the order of their first appearance."""
        params: dict[str, None] = {}
        results: dict[str, None] = {}
        for row in self.rows():
            params.update(dict.fromkeys(f"{PARAM}{key}" for key in row.params))
            results.update(dict.fromkeys(row.result))
        return [*params, "status", "error", *results]

    def export(self) -> list[Path]:
        """Write ``points.csv`` and, where pyarrow is installed, ``points.parquet``; returns their paths."""
        columns = self.columns()
        paths = [write_csv(self.folder / CSV_FILE, columns, self._flat())]
        parquet = write_parquet(self.folder / PARQUET_FILE, columns, self._flat)
        return [*paths, parquet] if parquet else paths

    def _flat(self) -> Iterator[dict[str, Any]]:
        return (row.flat() for row in self.rows())


def _object(text: str) -> dict[str, Any]:
    """A JSON object of single values."""
    found = json.loads(_text(text))
    if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
        raise ValueError("no JSON object of single values")
    numbers = [value for value in found.values() if isinstance(value, int | float)]
    if not all(abs(number) < _MAX_NUMBER for number in numbers):
        raise ValueError("a number that nothing can be")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} in place of text")
    return value


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    """The tables must be those of this module: a view of their name could run for ever."""
    query = "select type, name, sql from sqlite_master where sql is not null order by name"
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(_TABLES)
        expected = empty.execute(query).fetchall()
    if connection.execute(query).fetchmany(len(expected) + 1) != expected:
        message = "found other tables than those of a sweep"
        raise InvalidInput([Problem(str(path), "", message, _START_ANEW)])


@contextmanager
def _opened(path: Path, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """Write-ahead logging: readers see whole results while others are written. Errors become InvalidInput."""
    try:
        if read_only and not os.access(path.parent, os.W_OK):
            # SQLite would make files beside it, even to read; nobody else writes here either.
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
        else:
            connection = sqlite3.connect(path, timeout=30)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_TEXT_BYTES)
            connection.execute("pragma trusted_schema = off")
            if not read_only:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = normal")
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where SQLite quotes a damaged file
        raise InvalidInput([Problem(str(path), "", f"cannot be used ({error})", _START_ANEW)]) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against a second writer; the lock ends with the process, however that ends."""
    path = folder / _LOCK
    lock = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        lock.execute("begin exclusive")
    except sqlite3.Error:
        lock.close()
        message = "found another sweep that is writing into the folder"
        raise InvalidInput(
            [Problem(str(folder), "", message, "wait for it, or choose another folder")]
        ) from None
    try:
        yield
    finally:
        lock.close()
        path.unlink(missing_ok=True)
