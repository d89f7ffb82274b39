"""Edits that damage a file, or make it hostile: of bytes, of what a YAML file says, of what an archive holds.

An edit is plain numbers; what they mean depends on the file that they are applied to.
"""

from __future__ import annotations

import copy
import io
import json
import sqlite3
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

TOKENS: tuple[bytes, ...] = (
    b'!!python/object/apply:os.system ["false"]', b"&a [*a, *a]", b"*a", b"<<: *a", b"? [a]", b"%YAML 9.9\n",
    b"{" * 200, b"[" * 200, b"- " * 60, b'"\\ud800"', b'"\\0"', b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J",
    b".nan", b".inf", b"NaN", b"-1", b"1e999", b"1e-320", b"9" * 60, b"9" * 5000, b"true", b"null", b"~", b"",
    b"../../../etc/passwd", b"/etc/passwd", b"a" * 300 + b"/b", b"\r\n", b"\t", b"\xe2\x80\xa8", b"\xd9\xa3",
    b"---\n", b"...\n", b",", b'"', b"'", b"\n", b":", b"1_000", b"0x10", b"12:30", b"2024-01-01", b";", b"#",
)  # fmt: skip
"""What means something to one reader or another."""
INTEGERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    1 << 30,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 62,
    (1 << 64) - 1,
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 255, 1 << 16, 1 << 20, 1 << 31, 1 << 62, 1 << 63, 10**60, 0.0, 0.5, -0.5, 1e308,
    5e-324, "", "a", "image", "conv1", "x" * 10_000, "../x", "/etc/passwd", "a\0b", "\ud800", "\x1b[2J", "a\nb", "é",
    [], {}, [[]], [1, 2, 3], ["a", "a"], {"a": 1}, {"low": 0, "high": 1e300, "step": 1e-300}, "2 ** 64 ** 64 < x",
    json.loads("[" * 100 + "]" * 100), list(range(1000)),
)  # fmt: skip
"""What may stand where another value belongs."""


@dataclass(frozen=True)
class Edit:
    """kind: what is done. at, size, pick: where, how much, with what; each is taken modulo what there is."""

    kind: int
    at: int
    size: int
    pick: int


_NUMBERS = struct.Struct("<BIHB")
_MOST_EDITS = 3
DAMAGE_BYTES = 2 + _MOST_EDITS * _NUMBERS.size
"""Of which one damage is made."""


@dataclass(frozen=True)
class Damage:
    """Which of the good files, whether inside of what it holds or of its bytes, and how."""

    seed: int
    is_deep: bool
    edits: tuple[Edit, ...]

    @classmethod
    def of(cls, numbers: bytes) -> Damage:
        """From any bytes; to draw every number of every edit takes longer than to read the file.

        >>> Damage.of(bytes(DAMAGE_BYTES))
        Damage(seed=0, is_deep=False, edits=(Edit(kind=0, at=0, size=0, pick=0),))
        """
        edits = []
        for place in range(numbers[0] % _MOST_EDITS + 1):
            kind, at, size, pick = _NUMBERS.unpack_from(numbers, 2 + place * _NUMBERS.size)
            edits.append(Edit(kind % 10, at % (1 << 20), size % (9 if kind & 128 else 4097), pick))
        return cls(numbers[1], numbers[0] >= 128, tuple(edits))


def damaged_bytes(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Bytes flipped, set, cut, removed, doubled, put in and overwritten."""
    for edit in edits:
        content = _damaged_once(content, edit)
    return content


def _damaged_once(content: bytes, edit: Edit) -> bytes:
    at = edit.at % (len(content) + 1)
    before, after = content[:at], content[at:]
    token = TOKENS[edit.pick % len(TOKENS)]
    number = struct.pack("<Q", INTEGERS[edit.pick % len(INTEGERS)])[: (2, 4, 8)[edit.size % 3]]
    results = (
        before + bytes([after[0] ^ (1 << edit.pick % 8)]) + after[1:] if after else before,
        before + bytes([edit.pick]) + after[1:],
        before,
        before + after[edit.size :],
        before + after[: edit.size] * 2 + after[edit.size :],
        before + token + after,
        before + token + after[edit.size % 16 :],
        before + number + after[len(number) :],
        before + number[::-1] + after[len(number) :],
        after + before,
    )
    return results[edit.kind]


def damaged_yaml(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Values replaced, removed, renamed and doubled anywhere in the data; the result is well-formed."""
    data = json.loads(_as_json(content))
    for edit in edits:
        _damage(data, edit)
        if not data:
            break
    return json.dumps(data).encode()  # JSON is YAML, and quick to write


@lru_cache(maxsize=64)
def _as_json(content: bytes) -> str:
    """Good files are few, and YAML is slow to read."""
    return json.dumps(yaml.safe_load(content))


def _damage(data: Any, edit: Edit) -> None:
    """One edit of plain data, in place."""
    holder, key = _place(data, edit.at)
    value = copy.deepcopy(VALUES[edit.pick % len(VALUES)])
    if edit.kind < 4:
        holder[key] = _near(holder[key], edit, data)
    elif edit.kind < 6:
        holder[key] = value
    elif edit.kind == 6:
        del holder[key]
    elif edit.kind == 7:
        holder[key] = copy.deepcopy(data)
    elif isinstance(holder, dict):
        holder[str(value)[:300]] = holder.pop(key)
    else:
        holder += [copy.deepcopy(holder[key])] * (edit.size % 50)


def _near(value: Any, edit: Edit, data: Any) -> Any:
    """Another value of the same kind: what gets past the checks of single values."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        steps = (
            0,
            1,
            value - 1,
            value + 1,
            2 * value,
            value // 2,
            -value,
            1000 * value,
            1 << 16,
            1 << 20,
            value / 3,
        )
        return steps[edit.pick % len(steps)]
    if isinstance(value, str):
        holder, key = _place(data, edit.size + edit.pick)
        return holder[key] if isinstance(holder[key], str) else value[: edit.size]
    if isinstance(value, list):
        return (value[1:], value[:1], value * 2, value[::-1])[edit.pick % 4]
    return dict(list(value.items())[1:]) if isinstance(value, dict) else value


def _place(data: Any, at: int) -> tuple[Any, Any]:
    """A place inside: what holds it and its key."""
    places: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        inner = (
            list(value.items())
            if isinstance(value, dict)
            else list(enumerate(value))
            if isinstance(value, list)
            else []
        )
        for key, entry in inner:
            places.append((value, key))
            visit(entry)

    visit(data)
    return places[at % len(places)]


def damaged_zip(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Members damaged, renamed, doubled and left out; directory and checksums are right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    members = _damaged_members(members, edits)
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, inside in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)[
                edits[0].size % 3
            ]
            archive.writestr(info, inside)
    return stream.getvalue()


def damaged_tar(content: bytes, edits: Sequence[Edit]) -> bytes:
    """The same of a tar; members become links and devices too."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [(info.name, archive.extractfile(info).read()) for info in archive if info.isfile()]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=("w", "w:gz")[edits[0].size % 2]) as archive:
        for index, (name, inside) in enumerate(_damaged_members(members, edits)):
            info = tarfile.TarInfo(name)
            info.size = len(inside)
            if index == edits[-1].at % 16:
                info.type = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)[
                    edits[-1].pick % 4
                ]
                info.linkname, info.size = "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(inside[: info.size]))
    return stream.getvalue()


def damaged_onnx(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Fields of a model replaced, removed and doubled; what no model can say stays as it was."""
    from google.protobuf import json_format
    from onnx import ModelProto

    model = ModelProto()
    model.ParseFromString(content)
    for edit in edits:
        data = json_format.MessageToDict(model, preserving_proto_field_name=True)
        try:
            _damage(data, edit)
            model = json_format.ParseDict(data, ModelProto(), ignore_unknown_fields=True)
        except (json_format.ParseError, SystemError, TypeError, ValueError):
            continue  # a name with half a character makes protobuf's lookup fail in C
    return bytes(model.SerializeToString())


def _damaged_members(members: list[tuple[str, bytes]], edits: Sequence[Edit]) -> list[tuple[str, bytes]]:
    members = list(members)
    for edit in edits:
        if not members:
            break
        index = edit.at % len(members)
        name, inside = members[index]
        if edit.kind < 7:
            # The header of an array is in the first bytes.
            at = edit.size % 160 if edit.pick % 2 else edit.at
            members[index] = name, damaged_bytes(inside, [Edit(edit.kind, at, edit.size % 64, edit.pick)])
        elif edit.kind == 7:
            members[index] = (
                ("../" * (edit.size % 3)) + ("a", "/a", "é", "labels.npy", name * 3)[edit.pick % 5],
                inside,
            )
        elif edit.kind == 8:
            members.append((name, members[edit.pick % len(members)][1]))
        else:
            del members[index]
    return members


def damaged_sqlite(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Cells replaced, tables dropped, turned into views, triggers added."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(content)
    for edit in edits:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        if not tables:
            break
        table = tables[edit.at % len(tables)]
        columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
        column, value = columns[edit.size % len(columns)], VALUES[edit.pick % len(VALUES)]
        cell = (
            value
            if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)
            else json.dumps(value)
        )
        forever = (
            "with recursive n(x) as (select 1 union all select x + 1 from n) select x, x, x, x, x, x from n"
        )
        statements: tuple[tuple[str, tuple[Any, ...]], ...] = (
            (f"update or replace {table} set {column} = ?", (cell,)),
            (f"update or replace {table} set {column} = ?", (cell,)),
            (f"update or replace {table} set {column} = ?", (None if edit.size % 2 else b"\xff\xfe",)),
            (f"delete from {table}", ()),
            (f"drop table {table}", ()),
            (f"create view if not exists v{edit.size} as {forever}", ()),
            (f"alter table {table} rename to t{edit.size}", ()),
            (f"alter table {table} add column c{edit.size}", ()),
            (f"create trigger if not exists g{edit.size} after insert on {table} begin select 1; end", ()),
            (f"update or replace {table} set {column} = substr({column}, 1, ?)", (edit.size % 64,)),
        )
        try:
            connection.execute(*statements[edit.kind])
        except sqlite3.Error:
            continue  # not null, or the like: the table stays as it is
    connection.commit()
    return connection.serialize()


DAMAGES: dict[str, Callable[[bytes, Sequence[Edit]], bytes]] = {
    "bytes": damaged_bytes,
    "yaml": damaged_yaml,
    "zip": damaged_zip,
    "tar": damaged_tar,
    "sqlite": damaged_sqlite,
    "onnx": damaged_onnx,
}
"""By what a file is. Whatever it is, its bytes can be damaged too."""


def write(path: Path, content: bytes) -> Path:
    """A file in a folder that may not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
