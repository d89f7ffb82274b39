"""The schemas for editors say of files what the program says of them."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from archsim.cli.main import cli
from archsim.cli.schema import NAMES

ROOT = Path(__file__).resolve().parents[2]
_KIND = re.compile(r"^schema: archsim\.(\w+)/1$", re.MULTILINE)


def shipped() -> dict[str, str]:
    """Kind of every YAML file that ships and has a schema, by its path."""
    found = {}
    for folder in ("workloads", "energy_tables", "archsim/presets"):
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            found[str(path.relative_to(ROOT))] = _KIND.search(path.read_text(encoding="utf-8"))[1]
    return found


SHIPPED = shipped()


@functools.cache
def schema(name: str) -> Any:
    result = CliRunner().invoke(cli, ["schema", name])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def problems(name: str, content: Any) -> list[str]:
    found = jsonschema.Draft202012Validator(schema(name)).iter_errors(content)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("file", SHIPPED)
def test_what_ships_is_valid(file: str) -> None:
    assert problems(SHIPPED[file], yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))) == []


def test_every_kind_but_sweeps_ships() -> None:
    assert {*SHIPPED.values()} == {*NAMES} - {"sweep"}


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_sound_and_name_their_kind(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["properties"]["schema"]["const"] == f"archsim.{name}/1"


@pytest.mark.parametrize(
    ("kernel", "is_valid"),
    [(3, True), ([3, 1], True), (0, False), ([3], False), ([3, 0], False), ("3", False)],
)
def test_windows_are_a_number_or_a_pair(kernel: object, is_valid: bool) -> None:
    content = yaml.safe_load((ROOT / "workloads" / "digits.yaml").read_text(encoding="utf-8"))
    content["layers"][0]["kernel"] = kernel
    assert (problems("workload", content) == []) is is_valid


@pytest.mark.parametrize(
    ("padding", "is_valid"),
    [(1, True), ([1, 0], True), ([1, 0, 0, 1], True), (-1, False), ([1], False), ([1, 0, 0], False)],
)
def test_padding_is_one_two_or_four_numbers(padding: object, is_valid: bool) -> None:
    content = yaml.safe_load((ROOT / "workloads" / "digits.yaml").read_text(encoding="utf-8"))
    content["layers"][0]["padding"] = padding
    assert (problems("workload", content) == []) is is_valid


def test_wrong_keys_and_missing_ones_are_found() -> None:
    """In a list nothing comes from a base: what an entry lacks is missing."""
    content = yaml.safe_load((ROOT / "workloads" / "digits.yaml").read_text(encoding="utf-8"))
    del content["layers"][0]["filters"]
    assert problems("workload", content) != []
    preset = {"schema": "archsim.dram/1", "name": "mine", "extends": "ddr3-1600-x8", "timing": {"tfaw": 32}}
    assert problems("dram", preset) == []
    assert problems("dram", {**preset, "timing": {"tfow": 32}}) != []
    del preset["extends"]
    assert problems("dram", preset) != []


def test_keys_are_explained() -> None:
    text = schema("arch")["$defs"]["GlobalBufferSpec"]["properties"]["filter_kib"]["description"]
    assert text.startswith("Part of ``size_kib`` that double-buffers filters")
