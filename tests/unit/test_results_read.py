"""Reading back what a run wrote: the same record, or every problem at its place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsim.errors import InvalidInput
from archsim.results.read import read_run
from archsim.results.run_result import RunResult
from archsim.results.store import write_run
from tests.run_results import early_exit_run, image, observed_run


@pytest.fixture
def stored(tmp_path: Path) -> RunResult:
    """A result that lies in ``tmp_path / "run"``."""
    return write_run(early_exit_run(), tmp_path / "run")


def problems_of(path: Path, **options: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_run(path, **options)
    return [str(problem) for problem in caught.value.problems]


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change ``result.json``; returns its path."""
    file = folder / "result.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content, indent=2))
    return file


def line_of(file: Path, text: str) -> int:
    return 1 + next(index for index, line in enumerate(file.read_text().splitlines()) if text in line)


def test_what_was_written_is_read(stored: RunResult, tmp_path: Path) -> None:
    assert read_run(tmp_path / "run", per_branch=True) == stored
    assert read_run(tmp_path / "run" / "result.json", per_branch=True) == stored
    assert read_run(tmp_path / "run") == dataclasses.replace(stored, per_branch=())


def test_a_timeline_is_written_read_and_removed(tmp_path: Path) -> None:
    stored = write_run(observed_run(), tmp_path)
    assert stored.files[-1] == str(tmp_path / "timeline.json")
    assert read_run(tmp_path, per_branch=True, timeline=True) == stored
    assert read_run(tmp_path).timeline is None
    write_run(early_exit_run(), tmp_path)
    assert not (tmp_path / "timeline.json").exists()
    assert problems_of(tmp_path, timeline=True) == [
        f"{tmp_path / 'timeline.json'}: cannot be read: No such file or directory "
        "(hint: simulate with --out and --timeline)"
    ]


def test_a_timeline_of_another_run_is_refused(tmp_path: Path) -> None:
    """Another accelerator, or an image that took other cycles; without the images only the first can be told."""
    other = observed_run().timeline
    assert other is not None
    for change in ({"arch": "slow"}, {"cycles": 201}):
        write_run(observed_run(timeline=dataclasses.replace(other, **change)), tmp_path)
        (problem,) = problems_of(tmp_path, timeline=True)
        assert problem.startswith(f"{tmp_path / 'timeline.json'}: found image 0 of toy on ")
    assert read_run(tmp_path, per_image=False, timeline=True).timeline is not None


def test_branches_of_another_run_are_refused(stored: RunResult, tmp_path: Path) -> None:
    file = tmp_path / "run" / "branches.csv"
    file.write_text(file.read_text().replace("left", "passed", 1))
    (problem,) = problems_of(tmp_path / "run", per_branch=True)
    assert problem.startswith(f"{file}: found images that left at {{'exit1': 2}}")


def test_skipped_branches_and_waiting_survive(tmp_path: Path) -> None:
    images = list(early_exit_run().per_image)
    images[3] = image(3, "final", 800, waiting_cycles=7)
    object.__setattr__(images[3], "branches_skipped", ("exit1", "exit2"))
    stored = write_run(early_exit_run(per_image=tuple(images)), tmp_path)
    assert read_run(tmp_path).per_image == stored.per_image
    assert read_run(tmp_path).per_image[3].branches_skipped == ("exit1", "exit2")


def test_without_images_their_file_is_not_needed(stored: RunResult, tmp_path: Path) -> None:
    (tmp_path / "run" / "images.csv").unlink()
    assert read_run(tmp_path / "run", per_image=False).per_image == ()
    file = tmp_path / "run" / "images.csv"
    assert problems_of(tmp_path / "run") == [
        f"{file}: cannot be read: No such file or directory (hint: simulate again with --out)"
    ]


def test_keys_of_a_later_version_are_ignored(stored: RunResult, tmp_path: Path) -> None:
    edit(tmp_path / "run", lambda content: content.update(new_key={"x": 1}))
    assert read_run(tmp_path / "run", per_branch=True) == stored


def test_a_missing_file_says_what_is_expected(tmp_path: Path) -> None:
    hint = "(hint: give a folder written by archsim simulate --out, or its result.json)"
    for path, file in ((tmp_path, tmp_path / "result.json"), (tmp_path / "no", tmp_path / "no")):
        assert problems_of(path) == [f"{file}: found no such file, expected the result of a run {hint}"]


def test_every_unfit_value_is_listed_at_its_place(stored: RunResult, tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["images"] = "four"
        content["exits"]["final"] = 1.5
        del content["cycles"]["p99"]

    file = edit(tmp_path / "run", spoil)
    images, final, cycles = (line_of(file, text) for text in ("four", "1.5", '"cycles"'))
    assert problems_of(tmp_path / "run") == [
        f'{file}:{images}:13: images: found "four", expected a valid integer',
        f"{file}:{final}:14: exits.final: found 1.5, expected a valid integer",
        f"{file}:{cycles}:13: cycles.p99: missing (hint: simulate again with --out)",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(images=0), "images: found 0, expected a number above 0"),
        (lambda c: c["latency_us"].update(max=0.0), "latency_us.max: found 0.0, expected a number above 0"),
        (
            lambda c: c["energy_uj_per_image"]["by_component"].update(dram=-1.0),
            "energy_uj_per_image.by_component.dram: found -1.0, expected a number from 0 to 1e+18",
        ),
        (
            lambda c: c["layers"][0].update(cycles=1e30),
            "layers.0.cycles: found 1e+30, expected a number from 0 to 1e+18",
        ),
    ],
)
def test_numbers_that_no_run_has(
    stored: RunResult, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(tmp_path / "run", change)
    (problem,) = problems_of(tmp_path / "run")
    assert problem.endswith(message)


def test_text_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"workload": "x",\n "arch": }}')
    (problem,) = problems_of(tmp_path)
    assert problem.startswith(f"{tmp_path / 'result.json'}:2:")


def test_images_with_unfit_cells_and_lines(stored: RunResult, tmp_path: Path) -> None:
    file = tmp_path / "run" / "images.csv"
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace("200", "many")
    lines[4] = "3,1"
    file.write_text("\n".join(lines) + "\n")
    problems = problems_of(tmp_path / "run")
    assert problems[0] == (
        f'{file}:3: cycles: found "many", expected a valid integer, unable to parse string as an integer'
    )
    assert {problem.split(": ")[0] for problem in problems[1:]} == {f"{file}:5"}
    assert f"{file}:5: exit: missing" in problems
    assert len(problems) == 1 + 9  # prediction may be missing: a network without weights has none


def test_images_without_a_column(stored: RunResult, tmp_path: Path) -> None:
    file = tmp_path / "run" / "images.csv"
    file.write_text(file.read_text().replace("prediction", "guess"))
    assert problems_of(tmp_path / "run") == [
        f"{file}:1:1: found no column prediction (hint: simulate again with --out)"
    ]
    file.write_text("")
    assert problems_of(tmp_path / "run")[0].startswith(f"{file}:1:1: found no column index, label")


def test_images_that_are_no_text_or_no_csv(stored: RunResult, tmp_path: Path) -> None:
    file = tmp_path / "run" / "images.csv"
    file.write_bytes(b"\xff\xfe")
    assert problems_of(tmp_path / "run")[0].startswith(f"{file}: is no CSV file ('utf-8' codec")
    file.write_text('index\n"open')
    assert problems_of(tmp_path / "run")[0].startswith(f"{file}: is no CSV file (")


@pytest.mark.parametrize(
    "images",
    [
        early_exit_run().per_image[:3],
        (*early_exit_run().per_image[:3], image(3, "exit1", 800)),
        (*early_exit_run().per_image[:3], image(3, "final", 801)),
    ],
    ids=["fewer images", "other exits", "other cycles"],
)
def test_images_of_another_run_are_refused(stored: RunResult, tmp_path: Path, images: Any) -> None:
    write_run(early_exit_run(per_image=images), tmp_path / "run")
    (problem,) = problems_of(tmp_path / "run")
    assert problem.startswith(f"{tmp_path / 'run' / 'images.csv'}: found {len(images)} images of")
    assert problem.endswith("(hint: the two files must be of the same run)")
