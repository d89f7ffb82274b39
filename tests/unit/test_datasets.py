"""Every reader on good files, made here from random pixels."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from archsim.datasets import available_splits, find_pack, iter_images, load_images

COUNT = 12
Images = NDArray[np.uint8]


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(1).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> NDArray[np.int64]:
    return np.arange(COUNT, dtype=np.int64) % 4


def png(image: Images) -> bytes:
    image_module = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image_module.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), path, row_group_size=5)
    return path


def write_cifar_python(folder: Path, images: Images, labels: NDArray[np.int64], protocol: int = 2) -> Path:
    folder.mkdir()
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    parts = {"data_batch_1": slice(0, 6), "data_batch_2": slice(6, 9), "test_batch": slice(9, COUNT)}
    for name, rows in parts.items():
        batch = {b"data": planes[rows], b"labels": labels[rows].tolist(), b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"a", b"b", b"c", b"d"]}, protocol))
    return folder


def test_parquet_of_bytes_with_class_names(tmp_path: Path, images: Images, labels: NDArray[np.int64]) -> None:
    names = ["ant", "bee", "cat", "dog"]
    columns = {"image": [png(i) for i in images], "label": labels, "class": [names[k] for k in labels]}
    found = load_images(write_parquet(tmp_path / "a.parquet", columns))
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
    assert found.class_names == tuple(names)
    assert len(found.source_hash) == 64


@pytest.mark.parametrize("column", ["img", "image"])
def test_parquet_of_hugging_face(
    tmp_path: Path, images: Images, labels: NDArray[np.int64], column: str
) -> None:
    columns = {column: [{"bytes": png(i), "path": None} for i in images], "label": labels.astype(np.int8)}
    found = load_images(write_parquet(tmp_path / "a.parquet", columns), limit=7)
    np.testing.assert_array_equal(found.images, images[:7])
    np.testing.assert_array_equal(found.labels, labels[:7])


def test_limit_decodes_nothing_beyond_it(tmp_path: Path, images: Images, labels: NDArray[np.int64]) -> None:
    encoded = [png(i) for i in images[:3]] + [b"no image"] * (COUNT - 3)
    path = write_parquet(tmp_path / "a.parquet", {"image": encoded, "label": labels})
    assert len(load_images(path, limit=3)) == 3


def test_greyscale_files_become_rgb(tmp_path: Path, images: Images) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"image": [png(images[0, :, :, 0])], "label": [1]})
    found = load_images(path).images
    np.testing.assert_array_equal(found[0], np.repeat(images[0, :, :, :1], 3, axis=2))


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_python_folder_and_tar(
    tmp_path: Path, images: Images, labels: NDArray[np.int64], protocol: int
) -> None:
    folder = write_cifar_python(tmp_path / "cifar-10-batches-py", images, labels, protocol)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    for source in (folder, folder.parent, archive):
        train, test = load_images(source, split="train"), load_images(source)
        np.testing.assert_array_equal(train.images, images[:9])
        np.testing.assert_array_equal(train.labels, labels[:9])
        np.testing.assert_array_equal(test.images, images[9:])
        assert test.class_names == ("a", "b", "c", "d")
        assert available_splits(source) == ("train", "test")


def test_cifar_binary(tmp_path: Path, images: Images, labels: NDArray[np.int64]) -> None:
    records = np.hstack([labels[:, None].astype(np.uint8), images.transpose(0, 3, 1, 2).reshape(COUNT, -1)])
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    (tmp_path / "batches.meta.txt").write_text("a\nb\nc\nd\n")
    found = load_images(tmp_path, limit=5)
    np.testing.assert_array_equal(found.images, images[:5])
    np.testing.assert_array_equal(found.labels, labels[:5])
    assert found.class_names == ("a", "b", "c", "d")


def test_folder_per_class_takes_classes_in_turn(tmp_path: Path, images: Images) -> None:
    for index, image in enumerate(images[:5]):
        folder = tmp_path / ("cat" if index < 2 else "ant")
        folder.mkdir(exist_ok=True)
        (folder / f"{index}.png").write_bytes(png(image))
    found = load_images(tmp_path)
    assert found.class_names == ("ant", "cat")
    assert found.labels.tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(found.images, images[[2, 0, 3, 1, 4]])


def test_folder_with_a_subfolder_per_split(tmp_path: Path, images: Images) -> None:
    for index, split in enumerate(("train", "test")):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "a.PNG").write_bytes(png(images[index]))
    np.testing.assert_array_equal(load_images(tmp_path, split="test").images, images[1:2])
    assert available_splits(tmp_path) == ("train", "test")


def test_tiny_imagenet_validation_folder(tmp_path: Path, images: Images) -> None:
    (tmp_path / "val" / "images").mkdir(parents=True)
    for index in range(2):
        (tmp_path / "val" / "images" / f"val_{index}.png").write_bytes(png(images[index]))
    rows = "val_0.png\tn02\t0\t0\t9\t9\nval_1.png\tn01\t0\t0\t9\t9\n"
    (tmp_path / "val" / "val_annotations.txt").write_text(rows)
    found = load_images(tmp_path)
    assert found.labels.tolist() == [1, 0]
    assert found.class_names == ("n01", "n02")


def test_npz_whole_and_by_split(tmp_path: Path, images: Images, labels: NDArray[np.int64]) -> None:
    grey = images[..., :1]
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    np.savez_compressed(
        whole, images=grey, labels=labels.astype(np.uint8), class_names=np.array(list("abcd"))
    )
    np.savez(parts, images=grey, labels=labels, split_train=np.array([7, 1, 3]), split_test=np.array([0]))
    found = load_images(whole, limit=4)
    np.testing.assert_array_equal(found.images, grey[:4])
    assert found.class_names == tuple("abcd")
    assert available_splits(whole) == ()
    np.testing.assert_array_equal(load_images(parts, split="train").images, grey[[1, 3, 7]])
    np.testing.assert_array_equal(load_images(parts).labels, labels[:1])
    assert available_splits(parts) == ("train", "test")


@pytest.mark.parametrize("batch_images", [1, 5, 100])
def test_batches_join_to_the_whole(
    tmp_path: Path, images: Images, labels: NDArray[np.int64], batch_images: int
) -> None:
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    write_parquet(tmp_path / "a.parquet", {"image": [png(i) for i in images], "label": labels})
    for name in ("a.npz", "a.parquet"):
        batches = list(iter_images(tmp_path / name, batch_images, limit=11))
        assert max(len(batch) for batch in batches) <= batch_images
        np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), images[:11])


def test_equal_files_have_equal_hashes(tmp_path: Path, images: Images, labels: NDArray[np.int64]) -> None:
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, images=images, labels=labels)
    first, second = (load_images(tmp_path / name).source_hash for name in ("a.npz", "b.npz"))
    assert first == second


def test_shipped_digits(repository: Path) -> None:
    sets = {
        split: load_images(repository / "workloads" / "digits-images.npz", split=split)
        for split in ("train", "held_out", "test")
    }
    assert {split: len(found) for split, found in sets.items()} == {
        "train": 900,
        "held_out": 537,
        "test": 360,
    }
    assert all(found.images.shape[1:] == (8, 8, 1) for found in sets.values())
    assert sets["train"].class_names == tuple("0123456789")


def test_packs_are_found_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.npz").touch()
    monkeypatch.setenv("ARCHSIM_DATA", str(tmp_path))
    assert find_pack("x.npz") == tmp_path / "x.npz"
    assert find_pack("no-such-pack.npz") is None


@pytest.mark.pack
def test_cifar_pack(image_pack: Path) -> None:
    found = load_images(image_pack / "cifar10_test.parquet", limit=100)
    assert found.images.shape == (100, 32, 32, 3)
    assert found.class_names is not None and found.class_names[0] == "airplane"
