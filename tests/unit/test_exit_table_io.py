"""Candidate tables on disk: the same back, equal bytes, every fault named."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsim.errors import InvalidInput
from archsim.exits.table_io import load_table, save_table
from archsim.exits.tables import CandidateTable
from archsim.network.npz import json_array, write_npz
from tests.exit_tables import synthetic_table

TABLE = synthetic_table(1, 30, 2, structures=2, tap=1.5)


def stored(path: Path, table: CandidateTable = TABLE, **changes: Any) -> Path:
    """The file of a table with arrays replaced, or removed where None."""
    save_table(path, table)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays.update(changes)
    write_npz(path, {key: array for key, array in arrays.items() if array is not None})
    return path


def keys(path: Path) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_table(path)
    return [problem.key for problem in caught.value.problems]


def header(**changes: Any) -> np.ndarray:
    content = {
        "schema": "archsim.exit-table/1",
        "names": list(TABLE.names),
        "structures": list(TABLE.structures),
        "objective": "macs",
        "unit": "MAC",
        "full": 1000.0,
        "margins": "int64",
        "magnitude_sums": "int64",
    }
    return json_array({**content, **changes})


@pytest.mark.parametrize(
    "table", [TABLE, replace(TABLE, margins=TABLE.margins / 7, magnitude_sums=TABLE.magnitude_sums / 3)]
)
def test_a_table_comes_back(tmp_path: Path, table: CandidateTable) -> None:
    save_table(tmp_path / "a.npz", table)
    save_table(tmp_path / "b.npz", table)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = load_table(tmp_path / "a.npz")
    assert (back.names, back.structures) == (table.names, table.structures)
    for key in ("positions", "margins", "magnitude_sums", "correct"):
        found, expected = getattr(back, key), getattr(table, key)
        assert found.dtype == expected.dtype and (found == expected).all()
    assert (back.costs.objective, back.costs.unit, back.costs.full) == ("macs", "MAC", 1000.0)
    for key, array in table.costs.arrays().items():
        assert (back.costs.arrays()[key] == array).all()


def test_all_faults_are_named(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.npz", margins=TABLE.margins[:, :1], positions=None, extra=np.zeros(3))
    assert keys(path) == ["extra", "positions", "margins"]
    path = stored(tmp_path / "t.npz", positions=TABLE.positions[::-1], **{"costs/tap": -TABLE.costs.tap})
    assert keys(path) == ["positions", "costs.tap"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schema": "archsim.exit-table/2"}, ["header.schema"]),
        ({"schema": "archsim.exit-table/0"}, ["header.schema"]),
        ({"schema": None, "names": None}, ["header.schema"]),
        ({"structures": {}, "objective": None}, ["header.structures", "header.objective"]),
        ({"full": 1000}, ["header.full"]),
        ({"magnitude_sums": "int32"}, ["header.magnitude_sums"]),
        ({"names": "a", "full": None}, ["header.names", "header.full"]),
        ({"names": [1], "unit": 3}, ["header.names", "header.unit"]),
        ({"margins": "object"}, ["header.margins"]),
        ({"names": ["a"] * 10_001}, ["header.names"]),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, changes: dict[str, Any], expected: list[str]) -> None:
    assert keys(stored(tmp_path / "t.npz", header=header(**changes))) == expected


def test_the_header_of_the_test_is_a_good_one(tmp_path: Path) -> None:
    assert load_table(stored(tmp_path / "t.npz", header=header())).names == TABLE.names


def test_as_many_candidates_as_the_header_allows(tmp_path: Path) -> None:
    most = stored(tmp_path / "t.npz", header=header(names=["a"] * 10_000))
    assert "header.names" not in keys(most), "what it lacks are the arrays of so many"


def test_a_table_without_images_is_refused(tmp_path: Path) -> None:
    save_table(tmp_path / "t.npz", TABLE.rows(np.arange(0)))
    with pytest.raises(InvalidInput, match="final_correct: found 0 images, expected 1 "):
        load_table(tmp_path / "t.npz")


@pytest.mark.parametrize("names", [list(TABLE.names), ["a"], []])
def test_images_are_bounded_before_anything_is_read(tmp_path: Path, names: list[str]) -> None:
    """So many that images times candidates is at most 2^30; the file claims them in the head of one array."""
    most = (1 << 30) // max(len(names), 1)
    for images, refused in ((most, False), (most + 1, True)):
        path = stored(tmp_path / "t.npz", header=header(names=names), final_correct=None)
        with zipfile.ZipFile(path, "a") as archive, archive.open("final_correct.npy", "w") as stream:
            claim = {"descr": "|b1", "fortran_order": False, "shape": (images,)}
            np.lib.format.write_array_header_1_0(stream, claim)
        with pytest.raises(InvalidInput) as caught:
            load_table(path)
        messages = [problem.message for problem in caught.value.problems]
        assert (messages == [f"found {images} images, expected 1 .. {most}"]) is refused, messages


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", header=np.array([{}], dtype=object))
    assert "header" in keys(tmp_path / "t.npz")
    (tmp_path / "t.npz").write_bytes(b"no archive")
    assert keys(tmp_path / "t.npz") == [""]
    assert keys(tmp_path / "none.npz") == [""]
