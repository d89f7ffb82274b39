"""Bad input: exit code 3, every problem on a line of stderr, no traceback, nothing on stdout, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from archsim.cli.main import cli
from tests.builders import build, random_weights, tiny_document, write_workload

Damage = Callable[[Path], list[str]]
"""Damages the tiny workload; returns the further words of the command."""


def refused(*words: object) -> list[str]:
    """Lines on stderr of a command that must refuse its input."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 3, (result.exit_code, result.stderr)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr and "internal error" not in result.stderr
    return result.stderr.splitlines()


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(yaml.safe_dump(tiny_document(**changes), sort_keys=False))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def missing_workload(tiny: Path) -> list[str]:
    tiny.unlink()
    return []


def missing_weights(tiny: Path) -> list[str]:
    tiny.with_name("tiny.weights.npz").unlink()
    return []


def not_yaml(tiny: Path) -> list[str]:
    tiny.write_text("schema: [archsim.workload/1\n")
    return []


def wrong_type(tiny: Path) -> list[str]:
    rewrite(tiny, input={"height": "eight", "width": 8, "channels": 1})
    return []


def negative_size(tiny: Path) -> list[str]:
    rewrite(tiny, input={"height": -8, "width": 8, "channels": 1})
    return []


def weights_of_another_shape(tiny: Path) -> list[str]:
    arrays = random_weights(build(tiny_document()))
    arrays["conv1/weight"] = np.zeros((5, 5, 1, 4), np.int8)
    del arrays["fc/bias"]
    np.savez(tiny.with_name("tiny.weights.npz"), **arrays)
    return []


def truncated_weights(tiny: Path) -> list[str]:
    truncate(tiny.with_name("tiny.weights.npz"))
    return []


def truncated_images(tiny: Path) -> list[str]:
    truncate(tiny.with_name("tiny.images.npz"))
    return []


def images_of_another_size(tiny: Path) -> list[str]:
    data = tiny.with_name("other.npz")
    np.savez(data, images=np.zeros((2, 9, 8, 1), np.uint8), labels=np.zeros(2, np.int64))
    return ["--data", str(data)]


def labels_that_are_no_class(tiny: Path) -> list[str]:
    data = tiny.with_name("other.npz")
    np.savez(data, images=np.zeros((2, 8, 8, 1), np.uint8), labels=np.array([0, 4]))
    return ["--data", str(data)]


def unknown_dram_preset(tiny: Path) -> list[str]:
    return ["--set", "dram.preset=lpddr3-1600-x31"]


def unreadable_data_set(tiny: Path) -> list[str]:
    data = tiny.with_name("images.parquet")
    data.write_text("this is no Parquet file")
    return ["--data", str(data)]


def missing_data_set(tiny: Path) -> list[str]:
    return ["--data", str(tiny.with_name("nowhere.npz"))]


def unknown_key(tiny: Path) -> list[str]:
    return ["--set", "pe_aray.rows=8"]


def unknown_branch(tiny: Path) -> list[str]:
    return ["--set", "exits.erly.threshold=8"]


def override_without_value(tiny: Path) -> list[str]:
    return ["--set", "pe_array.rows"]


DAMAGES: dict[Damage, tuple[str, ...]] = {
    missing_workload: ("tiny.yaml", "no such file"),
    missing_weights: ("tiny.yaml:11:10: weights", "tiny.weights.npz"),
    not_yaml: ("tiny.yaml:",),
    wrong_type: ("tiny.yaml:8:11: input.height", "eight"),
    negative_size: ("tiny.yaml:8:11: input.height", "-8"),
    weights_of_another_shape: ("tiny.weights.npz", "conv1/weight"),
    truncated_weights: ("tiny.weights.npz",),
    truncated_images: ("tiny.images.npz",),
    images_of_another_size: ("other.npz: images", "9x8x1", "8x8x1"),
    labels_that_are_no_class: ("other.npz: labels", "0 .. 4", "0 .. 3"),
    unknown_dram_preset: ("--set dram.preset=", 'did you mean "lpddr3-1600-x32"?'),
    unreadable_data_set: ("images.parquet",),
    missing_data_set: ("nowhere.npz",),
    unknown_key: ("--set pe_aray.rows=8", 'did you mean "pe_array"?'),
    unknown_branch: ("--set exits.erly.threshold=8", "exits.erly", 'did you mean "early"?'),
    override_without_value: ("--set pe_array.rows",),
}


@pytest.mark.parametrize("command", ["simulate", "evaluate"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_input_is_refused(tiny: Path, tmp_path: Path, command: str, damage: Damage) -> None:
    words = damage(tiny)
    out = tmp_path / "out"
    target = ["--out", str(out)] if command == "simulate" else ["--save-trace", str(out / "trace.npz")]
    lines = refused(command, tiny, *words, *target, "--json")
    assert all(text in "\n".join(lines) for text in DAMAGES[damage]), lines
    assert not out.exists()


def test_all_problems_of_all_files_are_listed(tiny: Path) -> None:
    rewrite(tiny, input={"height": -8, "width": "x", "channels": 1}, colour=3)
    lines = refused(
        "simulate", tiny, "--energy-table", "66nm", "--set", "pe_array.rows=0", "--set", "clock.mhz=1",
        "--arrivals", "often", "--out", tiny,
    )  # fmt: skip
    starts = [
        '--arrivals: found "often"',
        f"{tiny}: found that",
        f"{tiny}:8:11: input.height",
        f"{tiny}:9:10: input.width",
        f"{tiny}:",
        "--set pe_array.rows=0: pe_array.rows",
        "--set clock.mhz=1: clock.mhz",
        "66nm: no energy table",
    ]
    for start in starts:
        assert any(line.startswith(start) for line in lines), (start, lines)
    assert any("colour" in line for line in lines)


def test_two_problems_of_the_weights_are_both_listed(tiny: Path) -> None:
    weights_of_another_shape(tiny)
    lines = refused("evaluate", tiny)
    assert any("conv1/weight" in line for line in lines) and any("fc/bias" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["simulate", "digit"], "digits"),
        (["simulate", "digits", "--arch", "locoexnet"], "locoexnet-65nm"),
        (["describe", "pe_aray"], "pe_array"),
        (["train", "digit"], "digits"),
    ],
)
def test_a_mistyped_name_is_recognised(words: list[str], near: str) -> None:
    (line,) = refused(*words)
    assert f'did you mean "{near}"?' in line


def test_a_trace_of_other_weights_is_refused(tmp_path: Path) -> None:
    first = write_workload(tmp_path / "first", seed=1)
    trace = first.with_name("trace.npz")
    assert CliRunner().invoke(cli, ["evaluate", str(first), "--save-trace", str(trace)]).exit_code == 0
    second = write_workload(tmp_path / "second", seed=2)
    second.write_text(yaml.safe_dump({**tiny_document(images=None), "trace": "trace.npz"}))
    second.with_name("trace.npz").write_bytes(trace.read_bytes())
    lines = refused("simulate", second)
    assert any("trace.npz" in line and "header.parts.exits/final" in line for line in lines)


def test_a_branch_may_not_have_the_name_of_a_layer(tiny: Path) -> None:
    document = tiny_document()
    document["branches"][0]["name"] = "conv2"
    tiny.write_text(yaml.safe_dump(document, sort_keys=False))
    (line,) = refused("evaluate", tiny)
    assert 'branches.0.name: the name "conv2" is that of a trunk layer' in line


def test_a_describable_file_must_say_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("schema: archsim.odd/1\n")
    (line,) = refused("describe", path)
    assert line.startswith(f'{path}:1:9: schema: found "archsim.odd/1", expected one of archsim.workload/1')


def test_a_file_that_cannot_be_written_leaves_no_rest(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "images.csv").mkdir(parents=True)
    (line,) = refused("simulate", tiny, "--out", tmp_path / "out")
    assert line.startswith(f"{tmp_path / 'out' / 'images.csv'}: cannot be written")
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []
