"""Damaged, foreign and malicious files: always InvalidInput that names the file, never anything else."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.datasets import load_images
from archsim.errors import InvalidInput

GOOD = {"images": np.zeros((4, 8, 8, 3), np.uint8), "labels": np.zeros(4, np.int64)}


def refused(source: Path, split: str = "test", limit: int | None = None) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_images(source, split=split, limit=limit)
    assert str(source.name) in str(caught.value)
    return str(caught.value)


def npz(folder: Path, **changes: Any) -> Path:
    arrays = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    np.savez(folder / "a.npz", allow_pickle=True, **arrays)
    return folder / "a.npz"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "expected images"),
        ({"labels": None}, "expected labels"),
        ({"images": np.zeros((4, 8, 8, 3), np.float32)}, "expected uint8"),
        ({"images": np.zeros((4, 8, 8), np.uint8)}, "expected uint8"),
        ({"images": np.zeros((4, 8, 8, 2), np.uint8)}, "1 or 3"),
        ({"images": np.zeros((4, 0, 8, 3), np.uint8)}, "1 or 3"),
        ({"images": np.zeros((3, 8, 8, 3), np.uint8)}, "expected uint8 (4"),
        ({"images": np.zeros((1, 1, 5000, 1), np.uint8), "labels": np.zeros(1, int)}, "at most 4096 px"),
        ({"images": np.asfortranarray(np.zeros((4, 8, 8, 3), np.uint8))}, "Fortran"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8), "labels": np.zeros(0, np.int64)}, "no image"),
        ({"labels": np.array([0, 1, -1, 0])}, "label -1"),
        ({"labels": np.zeros(4)}, "whole numbers"),
        ({"labels": np.array([None] * 4, dtype=object)}, "Python objects"),
        ({"split_test": np.array([4])}, "row numbers"),
        ({"split_train": np.array([0])}, "expected test"),
        ({"class_names": np.arange(3)}, "list of strings"),
    ],
)
def test_npz_that_is_no_data_set(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refused(npz(tmp_path, **changes))


def test_npz_whose_header_promises_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for key, shape in (("labels", (1 << 50,)), ("images", (4, 8, 8, 3))):
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in GOOD.items():
                content = io.BytesIO()
                header = {"descr": array.dtype.str, "fortran_order": False}
                header["shape"] = shape if name == key else array.shape
                np.lib.format.write_array_header_1_0(content, header)
                archive.writestr(
                    f"{name}.npy", content.getvalue() + (b"" if name == key else array.tobytes())
                )
        refused(path)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_npz_with_a_changed_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = npz(tmp_path_factory.mktemp("npz"))
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        load_images(path)
    except InvalidInput as error:
        assert "a.npz" in str(error)


@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.tar.gz", "a.tar", "a.jpg", "a"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PAR1", b"\x1f\x8b\x08", bytes(range(256))])
def test_files_of_garbage(tmp_path: Path, name: str, content: bytes) -> None:
    if name == "a.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)


def test_missing_file_empty_folder_and_zero_limit(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nothing.npz")
    assert "class folders" in refused(tmp_path)
    assert "1 or more" in refused(npz(tmp_path), limit=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = npz(tmp_path)
    path.chmod(0)
    assert "Permission" in refused(path)


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), path)
    return path


def png(side_px: int) -> bytes:
    image_module = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image_module.new("RGB", (side_px, side_px)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (lambda: {"image": [png(8)]}, "expected a column image"),
        (lambda: {"pixels": [1], "label": [1]}, "expected a column image"),
        (lambda: {"image": ["text"], "label": [1]}, "expected a column image"),
        (lambda: {"image": [png(8)], "label": ["cat"]}, "expected a column image"),
        (lambda: {"image": [b"no image"], "label": [1]}, "image[0]"),
        (lambda: {"image": [png(8), png(8)[:40]], "label": [1, 2]}, "image[1]"),
        (lambda: {"image": [png(8), None], "label": [1, 2]}, "found no image"),
        (lambda: {"image": [png(8), png(9)], "label": [1, 2]}, "one size"),
        (lambda: {"image": [png(8)], "label": [None]}, "expected a column image"),
        (lambda: {"image": [png(8)] * 2, "label": [None, 1]}, "missing label"),
        (lambda: {"image": [png(8)], "label": [-3]}, "label -3"),
        (lambda: {"image": [png(4097)], "label": [0]}, "at most 4096 px"),
    ],
)
def test_parquet_that_is_no_data_set(
    tmp_path: Path, columns: Callable[[], dict[str, Any]], message: str
) -> None:
    assert message in refused(write_parquet(tmp_path / "a.parquet", columns()))


def test_empty_and_truncated_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    columns = {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}
    assert "no image" in refused(write_parquet(tmp_path / "a.parquet", columns))
    good = write_parquet(tmp_path / "b.parquet", {"image": [png(64)] * 3, "label": [0, 1, 2]})
    good.write_bytes(good.read_bytes()[:-40])
    refused(good)


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-executed",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}q\x00.",
        b"not a pickle",
        pickle.dumps([1, 2], 2),
        pickle.dumps({b"data": Malicious(), b"labels": [0]}, 2),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)}, 2),
        pickle.dumps({b"data": np.zeros((1, 3072), np.float32), b"labels": [0]}, 2),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, 2),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["x"]}, 2),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1 << 80]}, 2),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [0]}, 2)[:-500],
    ],
)
def test_cifar_pickles_that_are_none(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar"
    folder.mkdir()
    (folder / "test_batch").write_bytes(content)
    refused(folder)
    assert not (tmp_path / "was-executed").exists()


def test_cifar_binary_of_wrong_length_and_unknown_split(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073 + 5))
    assert "multiple of 3073" in refused(tmp_path)
    assert "expected train or test" in refused(tmp_path, split="held_out")
    assert "no CIFAR-10 batches" in refused(tmp_path, split="train")


def test_folder_with_an_empty_class_or_a_broken_image(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(png(8))
    assert "dog" in refused(tmp_path)
    (tmp_path / "dog" / "a.png").write_bytes(png(8)[:30])
    with pytest.raises(InvalidInput, match=r"a\.png"):
        load_images(tmp_path)
    (tmp_path / "dog" / "a.png").write_bytes(png(9))
    with pytest.raises(InvalidInput, match="one size"):
        load_images(tmp_path)


def test_tiny_imagenet_annotations_without_a_class(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\n")
    with pytest.raises(InvalidInput, match=r"val_annotations\.txt:1"):
        load_images(tmp_path)


@pytest.mark.parametrize(
    "header", [b"{'descr': '|u1', 'shape': (1,8", b"(" * 200, b"\xff\xfe", b"{'descr': 1}"]
)
def test_npz_with_a_hostile_header(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.npz"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", member)
    with pytest.raises(InvalidInput, match="found no plain array"):
        load_images(path)
