"""What a spec of exits may hold, what it holds when it says nothing, and which images it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from archsim import api
from archsim.datasets import ImageBatch
from archsim.datasets.sources import held_out_rows
from archsim.errors import InvalidInput
from archsim.exits.images import choosing_images, choosing_key
from archsim.exits.images import test_images as images_of_test
from archsim.exits.spec import LoadedExitsSpec, load_exits_spec
from archsim.exits.structure import AccuracyGoal, Search
from tests.builders import tiny_document, write_workload

TWO_31 = 1 << 31


def loaded(folder: Path, **changes: Any) -> LoadedExitsSpec:
    content = {"schema": "archsim.exits/1", "name": "small", "workload": "tiny.yaml", **changes}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_exits_spec(path)


def keys(folder: Path, **changes: Any) -> list[str]:
    """Where a spec does not fit."""
    try:
        loaded(folder, **changes)
    except InvalidInput as error:
        return [problem.key for problem in error.problems]
    return []


def test_a_spec_that_says_nothing(tmp_path: Path) -> None:
    spec = loaded(tmp_path).spec
    assert spec.model_dump() == {
        "schema_": "archsim.exits/1",
        "name": "small",
        "description": "",
        "workload": "tiny.yaml",
        "classifier": None,
        "shorten": None,
        "data": {
            "source": None,
            "split": "held_out",
            "held_out": None,
            "seed": 1,
            "test": None,
            "trace_images": 0,
        },
        "shared": [],
        "objective": "energy",
        "arch": "locoexnet-65nm",
        "energy_table": None,
        "cost_images": 8,
        "accuracy": {
            "max_loss": 0.005,
            "standard_errors": 1.645,
            "luck_credit": 0.5,
            "folds": None,
            "certify": True,
        },
        "search": {"candidates": None, "max_branches": 4, "dbp": "one_sided"},
        "seed": 1,
    }
    assert spec.accuracy.goal == AccuracyGoal(0.005, luck_credit=0.5, standard_errors=1.645)
    assert spec.search.searches == (Search(max_branches=4, dbp="one_sided"),)


@pytest.mark.parametrize(
    ("place", "allowed", "refused"),
    [
        ("data.held_out", [1, 1 << 20], [0, (1 << 20) + 1]),
        ("data.seed", [0, TWO_31 - 1], [-1, TWO_31]),
        ("data.trace_images", [0, 1 << 20], [-1, (1 << 20) + 1]),
        ("seed", [0, TWO_31 - 1], [-1, TWO_31]),
        ("search.max_branches", [1, 1000, [1], [1000]], [0, 1001, []]),
        ("accuracy.luck_credit", [0.0, 1.0], [-0.001, 1.001]),
        ("accuracy.max_loss", [0.0, 1.0], [-0.001, 1.001]),
        ("accuracy.standard_errors", [0.0, 10.0], [-0.001, 10.001]),
        ("accuracy.folds", [2, 20], [1, 21]),
        ("cost_images", [1, 1000], [0, 1001]),
        ("data.source", [["a"], ["a"] * 1000], [[], ["a"] * 1001]),
    ],
)
def test_every_number_has_its_bounds(
    tmp_path: Path, place: str, allowed: list[Any], refused: list[Any]
) -> None:
    *part, key = place.split(".")
    for value in (*allowed, *refused):
        inner = {key: value}
        found = keys(tmp_path, **({part[0]: inner} if part else inner))
        assert bool(found) == (value in refused), value
        assert all(name.startswith(place) for name in found)


def test_several_numbers_of_branches_are_for_folds_alone(tmp_path: Path) -> None:
    several = {"max_branches": [2, 1]}
    assert keys(tmp_path, search=several) == ["search.max_branches"]
    searches = loaded(tmp_path, search=several, accuracy={"folds": 2}).spec.search.searches
    assert [search.max_branches for search in searches] == [2, 1]
    assert loaded(tmp_path, search={"max_branches": None}).spec.search.searches[0].max_branches is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_workload(tmp_path, tiny_document(), images=30)
    return tmp_path


def read(folder: Path, *folders: Path, **data: Any) -> ImageBatch:
    return choosing_images(loaded(folder, data=data), api.load(folder / "tiny.yaml"), folders)


def test_the_images_that_ship_choose_unless_others_are_named(folder: Path) -> None:
    with np.load(folder / "tiny.images.npz") as shipped:
        images, labels = shipped["images"], shipped["labels"]
    np.savez(folder / "other.npz", images=images[:7], labels=labels[:7])
    assert (read(folder).images == images).all() and (read(folder).labels == labels).all()
    assert len(read(folder, source="other.npz")) == 7
    both = read(folder, source=["other.npz", "tiny.images.npz"])
    assert (both.labels == [*labels[:7], *labels]).all()


def test_a_folder_that_is_given_comes_before_that_of_the_spec(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    with np.load(folder / "tiny.images.npz") as shipped:
        np.savez(given / "a.npz", images=shipped["images"][:3], labels=shipped["labels"][:3])
        np.savez(folder / "a.npz", images=shipped["images"][:5], labels=shipped["labels"][:5])
    assert [len(read(folder, *folders, source="a.npz")) for folders in ((given,), ())] == [3, 5]
    test = loaded(folder, data={"test": "a.npz"})
    found = [images_of_test(test, folders) for folders in ([given], [])]
    assert [None if batch is None else len(batch) for batch in found] == [3, 5]


def test_images_are_held_out_by_the_shuffle_of_the_training(folder: Path) -> None:
    whole = read(folder)
    for held_out, seed in ((12, 3), (30, 3), (12, 4)):
        rows, _ = held_out_rows(30, held_out, seed)
        found = read(folder, held_out=held_out, seed=seed)
        assert (found.images == whole.images[rows]).all() and (found.labels == whole.labels[rows]).all()
    with pytest.raises(InvalidInput, match="found 31, expected at most the 30 images of the source"):
        read(folder, held_out=31)


def test_a_split_that_a_source_lacks_is_refused(folder: Path) -> None:
    with np.load(folder / "tiny.images.npz") as shipped:
        np.savez(folder / "parts.npz", **shipped, split_a=np.arange(20), split_b=np.arange(20, 30))
    assert [len(read(folder, source="parts.npz", split=split)) for split in ("a", "b")] == [20, 10]
    with pytest.raises(InvalidInput, match=r'parts\.npz has no split "held_out"'):
        read(folder, source="parts.npz")


def test_a_workload_without_images_needs_a_source(folder: Path) -> None:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_document(images=None)))
    with pytest.raises(InvalidInput) as caught:
        read(folder)
    assert [(problem.key, problem.message) for problem in caught.value.problems] == [
        ("data.source", "found no images with tiny, expected the name of a data set")
    ]


def test_a_trace_needs_test_images(folder: Path) -> None:
    assert images_of_test(loaded(folder), []) is None
    with pytest.raises(InvalidInput, match=r"data\.trace_images: found no data\.test to take them from"):
        images_of_test(loaded(folder, data={"trace_images": 1}), [])


def test_images_are_the_same_where_everything_that_names_them_is(folder: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"source": "a"},
        {"source": ["a", "b"]},
        {"split": "val"},
        {"held_out": 5},
        {"seed": 2},
    ]
    found = [choosing_key(loaded(folder, data=change)) for change in changes]
    assert len(set(found)) == len(changes)
    assert found == [choosing_key(loaded(folder, name="other", data=change)) for change in changes]
