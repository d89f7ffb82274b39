"""YAML text to data with positions; what is refused, and where it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.config.document import Position
from archsim.config.yaml_io import (
    MAX_ALIAS_VALUES,
    MAX_FILE_BYTES,
    parse_document,
    parse_value,
    read_document,
)
from archsim.errors import InvalidInput

FILE = Path("f.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_document(text, FILE)
    return [str(problem) for problem in caught.value.problems]


def test_scalars_follow_the_core_schema_of_yaml_1_2() -> None:
    text = "a: [1, -3, 1e-3, .5, 2., 0x10, 0o17, 017, true, False, ~, null, on, no, 12:30, 1_000, 2020-01-01, '1']"
    found = parse_document(text, FILE).data["a"]
    expected = [1, -3, 0.001, 0.5, 2.0, 16, 15, 17, True, False, None, None]
    assert found == [*expected, "on", "no", "12:30", "1_000", "2020-01-01", "1"]
    assert [type(value) for value in found[:4]] == [int, int, float, float]


def test_every_key_and_value_has_its_position() -> None:
    document = parse_document("schema: x\na:\n  b: [10, {c: d}]\n  e:   f\n", FILE)
    assert document.data == {"schema": "x", "a": {"b": [10, {"c": "d"}], "e": "f"}}
    assert document.where("schema") == "f.yaml:1:9"
    assert document.where("a.b.0") == "f.yaml:3:7"
    assert document.where_key("a.b.1.c") == "f.yaml:3:12"
    assert document.where("a.b.1.c") == "f.yaml:3:15"
    assert (document.where_key("a.e"), document.where("a.e")) == ("f.yaml:4:3", "f.yaml:4:8")


def test_what_is_not_written_is_at_the_nearest_enclosing_place() -> None:
    document = parse_document("a:\n  b: 1\n", FILE)
    assert document.where("a.missing.deeper") == document.where("a") == "f.yaml:2:3"
    assert document.where("missing") == "f.yaml:1:1"


def test_all_structural_problems_are_listed_at_once() -> None:
    text = "a: 1\na: 2\n1: 3\n? [a]\n: 4\nb: !foo 3\nc: .nan\nd: [-.inf]\n<<: {}\ne: !!int abc\nf: 1e999\n"
    assert problems(text) == [
        "f.yaml:2:1: a: the key is there twice, first in line 1 (hint: remove one)",
        'f.yaml:3:1: found "1" as a key, expected text (hint: put it in quotes)',
        "f.yaml:4:3: found a list or a mapping as a key, expected text (hint: put it in quotes)",
        'f.yaml:6:4: b: found the tag "!foo", expected plain data (hint: remove it)',
        "f.yaml:7:4: c: found .nan, expected a finite number",
        "f.yaml:8:5: d.0: found -.inf, expected a finite number",
        'f.yaml:9:1: merge keys are not supported (hint: use "extends", or write the keys out)',
        'f.yaml:10:4: e: "abc" cannot be read as int',
        "f.yaml:11:4: f: found 1e999, expected a finite number",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a:\n\t- b", "f.yaml:2:1: while scanning for the next token, found character '\\t'"),
        ("", "f.yaml:1:1: the file is empty"),
        ("# only a comment\n", "f.yaml:1:1: the file is empty"),
        ("- a", "f.yaml:1:1: found a list, expected a mapping"),
        ("word", 'f.yaml:1:1: found "word", expected a mapping'),
        ("a: b: c", "f.yaml:1:5: mapping values are not allowed here"),
        ("a: 'x", "f.yaml:1:6: while scanning a quoted scalar"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: expected a single document"),
        ("a: *x", "f.yaml:1:4: found undefined alias"),
        ("ok: 1\na: \x07", "f.yaml:2:4: found the character U+0007"),
        ("a: &a [*a]", "f.yaml:1:4: the alias stands for a value that contains it"),
        ("a: " + "9" * 5000, "f.yaml:1:4: a: "),
        ("a: !!python/object/apply:os.system [ls]", "f.yaml:1:4: a: found the tag"),
    ],
)
def test_one_problem_with_its_place(text: str, start: str) -> None:
    (found,) = problems(text)
    assert found.startswith(start)


def test_depth_is_bounded_at_32_levels() -> None:
    legal = "a: " + "[" * 30 + "1" + "]" * 30  # root mapping, 30 lists, the number
    assert parse_document(legal, FILE).where("a" + ".0" * 30) == "f.yaml:1:34"
    assert problems("a: " + "[" * 31 + "1" + "]" * 31) == ["f.yaml:1:35: nested deeper than 32 levels"]
    assert problems("a: " + "[" * 100_000) == ["f.yaml:1:35: nested deeper than 32 levels"]


def test_aliases_cannot_multiply_without_bound() -> None:
    assert parse_document("a: &a [1, 2]\nb: [*a, *a]", FILE).data["b"] == [[1, 2], [1, 2]]
    lines = ["a0: &a0 [1, 1]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    (found,) = problems("\n".join(lines))
    assert f"aliases stand for more than {MAX_ALIAS_VALUES} values" in found


def test_files_that_are_no_text(tmp_path: Path) -> None:
    def reading(content: bytes) -> str:
        path = tmp_path / "x.yaml"
        path.write_bytes(content)
        with pytest.raises(InvalidInput) as caught:
            read_document(path)
        return str(caught.value).removeprefix(str(path))

    assert reading(b"a: 1\nb: \xff") == ":2:4: found the byte 0xff, expected UTF-8 text"
    assert reading("größe: 1\nb: ".encode() + b"\xc3(") == ":2:4: found the byte 0xc3, expected UTF-8 text"
    too_large = reading(b"a: 1\n" + b"#" * MAX_FILE_BYTES)
    assert too_large.startswith(": the file is larger than 16 MiB")


def test_a_byte_order_mark_is_no_text_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_document(path).data == {"a": 1}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_document(path)


def test_values_of_the_command_line() -> None:
    position = Position("--set k=v")
    assert [parse_value(text, position) for text in ("8", "gate", "[1, 2]", "1e3", "true", "", "null")] == [
        8,
        "gate",
        [1, 2],
        1000.0,
        True,
        None,
        None,
    ]
    for text in ("{a: 1}", "[1", ".nan", "a: 1", "!x 1"):
        with pytest.raises(InvalidInput) as caught:
            parse_value(text, position)
        assert {problem.where for problem in caught.value.problems} == {"--set k=v"}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), plain, min_size=1))
def test_json_is_read_as_json_reads_it(data: dict[str, Any]) -> None:
    assert parse_document(json.dumps(data), FILE).data == data


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        assert isinstance(parse_document(text, FILE).data, dict)
    except InvalidInput as error:
        assert all(problem.where.startswith("f.yaml:") for problem in error.problems)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        parse_document(content.decode("latin-1"), FILE)
    except InvalidInput as error:
        assert error.problems
