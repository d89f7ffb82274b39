"""Files that somebody made on purpose: each is refused with a reason, before it costs time or memory."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from archsim.cli.main import cli
from archsim.config import yaml_io
from archsim.config.document import Document, Mark, Position, merge
from archsim.config.extends import MAX_EXTENDED, override
from archsim.config.load import load_arch, load_workload
from archsim.config.yaml_io import parse_document
from archsim.datasets import image_set, iter_images, load_images, tar
from archsim.datasets.unpack import unpack
from archsim.errors import InvalidInput
from archsim.explore.store import SweepStore
from archsim.explore.table import read_table
from archsim.network.load import load_network
from archsim.validation.golden_csv import MAX_CSV_BYTES, read_golden
from tests.builders import tiny_document, write_workload

ARCH = "schema: archsim.arch/1\nname: a\n"


def test_a_chain_of_files_that_extend_each_other_ends(tmp_path: Path) -> None:
    for number in range(MAX_EXTENDED + 3):
        (tmp_path / f"{number}.yaml").write_text(f"{ARCH}extends: ./{number + 1}.yaml\n")
    with pytest.raises(InvalidInput, match=f"more than {MAX_EXTENDED} files extend each other"):
        load_arch(tmp_path / "0.yaml")


@pytest.mark.parametrize(
    "name", ["a" * 300 + "/b.yaml", "a" * 5000, "a\\0b.yaml", "a\\ud800.yaml", "/dev/null"]
)
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f'{ARCH}extends: "{name}"\n')
    with pytest.raises(InvalidInput, match=r"a\.yaml:3:10"):
        load_arch(path)


def test_a_place_in_a_list_of_thousands_of_digits() -> None:
    """More than Python makes a number of."""
    document = parse_document("mappings: [{q: 1}]", Path("a.yaml"))
    _, problems = override(document, [f"mappings.{'9' * 5000}.q=2"])
    assert len(problems) == 1


def test_json_writes_what_lies_beyond_two_bytes_as_two_escapes() -> None:
    assert parse_document('{"a": "\\ud83d\\ude00"}', Path("a")).data == {"a": "\N{GRINNING FACE}"}


def test_links_that_lead_in_circles_or_out_of_the_folder(tmp_path: Path) -> None:
    path = write_workload(tmp_path / "tiny")
    weights = path.with_name("tiny.weights.npz")
    weights.unlink()
    weights.symlink_to(weights.name)
    with pytest.raises(InvalidInput, match="expected a file inside the folder"):
        load_workload(path)
    weights.unlink()
    weights.symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="expected a file inside the folder"):
        load_workload(path)


def test_files_of_very_many_keys_merge_in_linear_time() -> None:
    """With one pass over all marks a key, as it once was, this takes minutes."""
    keys = [f"k{number}" for number in range(20_000)]
    mark = Mark(Position("a", 1, 1), Position("a", 1, 1))
    document = Document(Path("a"), dict.fromkeys(keys, 1), {(key,): mark for key in keys})
    assert merge(document, document).data == document.data


def test_a_file_of_too_many_values_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_io, "MAX_NODES", 1000)
    text = "a: [" + "1," * 1_000_000
    with pytest.raises(InvalidInput, match="more than 1000 values"):
        parse_document(text, Path("a"))


def test_a_network_larger_than_any_count(tmp_path: Path) -> None:
    huge = {"height": 1 << 20, "width": 1 << 20, "channels": 1}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(tiny_document(input=huge, weights=None, images=None, branches=None)))
    with pytest.raises(InvalidInput, match="has more than 268435456 values"):
        load_network(load_workload(path))
    layers = [
        {"name": "c", "op": "conv2d", "filters": 1 << 20, "kernel": 1},
        {"name": "fc", "op": "linear", "units": 4},
    ]
    wide = {"height": 1, "width": 1, "channels": 1 << 20}
    path.write_text(
        yaml.safe_dump(tiny_document(input=wide, layers=layers, weights=None, images=None, branches=None))
    )
    with pytest.raises(InvalidInput, match="it has 1099511627776 weights"):
        load_network(load_workload(path))


@pytest.mark.parametrize(("reader", "read"), [("c1", "c1"), ("c1", "c2"), ("c0", "c3")])
def test_layers_that_read_themselves_or_each_other(tmp_path: Path, reader: str, read: str) -> None:
    layers = [{"name": f"c{k}", "op": "conv2d", "filters": 4, "kernel": 1} for k in range(4)]
    layers[int(reader[1:])]["input"] = read
    ends = [{"name": "fc", "op": "linear", "units": 4}]
    path = tmp_path / "a.yaml"
    path.write_text(
        yaml.safe_dump(tiny_document(layers=layers + ends, weights=None, images=None, branches=None))
    )
    with pytest.raises(InvalidInput, match=f'no tensor "{read}" above') as caught:
        load_network(load_workload(path))
    assert len(caught.value.problems) == 1


def _npy(dtype: str, shape: tuple[int, ...], content: bytes) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


@pytest.mark.parametrize("shape", [(1 << 26,), (1 << 50,), (-1, -8)])
def test_an_array_of_more_than_fits_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", _npy("<i8", shape, bytes(64)))
        archive.writestr("images.npy", _npy("|u1", (1, 1, 1, 1), b"\0"))
    with pytest.raises(InvalidInput, match="expected at most 256 MiB"):
        load_images(path)


def test_large_images_come_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_set, "MAX_BATCH_BYTES", 5 * 8 * 8 * 3 + 1)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=np.zeros((9, 8, 8, 3), np.uint8), labels=np.zeros(9, np.int64))
    assert len(next(iter_images(path, 200))) == 5


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of 2^31 places
        b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",  # the hash of it overflows the stack of C
        b"\x80\x02\x82\x01.",
        b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR.",
    ],
)
def test_pickles_that_crash_an_unpickler(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(InvalidInput, match="found no plain CIFAR-10 pickle"):
        load_images(tmp_path)


def _tar_header(name: bytes, kind: bytes, size: bytes) -> bytes:
    block = bytearray(512)
    block[: len(name)], block[124 : 124 + len(size)], block[156:157] = name, size, kind
    block[100:107], block[257:265] = b"0000644", b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "content",
    [
        _tar_header(b"pax", b"x", b"77777777777") + bytes(1024),  # a header of 8 GiB
        _tar_header(b"name", b"L", b"77777777777") + bytes(1024),
        _tar_header(b"test_batch", b"0", b"\xff" * 12) + bytes(1024),  # a size below zero: back for ever
        _tar_header(b"test_batch", b"0", b"\xff" * 10 + b"\xfc\x00") + bytes(1024),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_tars_that_take_memory_or_time_without_end(tmp_path: Path, content: bytes, pack) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(pack(content))
    with pytest.raises(InvalidInput):
        load_images(path)
    with pytest.raises(InvalidInput):
        unpack(path, tmp_path / "out", "a")


def test_a_tar_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_UNPACKED_BYTES", 1 << 20)
    monkeypatch.setattr(tar, "_MAX_READ_BYTES", 1 << 16)
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("x", "y", "test_batch"):
            info = tarfile.TarInfo(name)
            info.size = 1 << 20
            archive.addfile(info, io.BytesIO(bytes(1 << 20)))
    with pytest.raises(InvalidInput, match="no readable tar file"):
        load_images(path)


def test_an_image_that_is_a_program(tmp_path: Path) -> None:
    """Pillow would start Ghostscript."""
    pytest.importorskip("PIL")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    )
    with pytest.raises(InvalidInput, match="cannot be decoded"):
        load_images(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_that_nobody_writes_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(InvalidInput, match="a pipe or a device"):
        load_images(tmp_path / "a.npz")


def test_a_csv_that_unpacks_to_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(bytes(MAX_CSV_BYTES + 1), 1))
    with pytest.raises(InvalidInput, match="found more than 64 MiB of text"):
        read_golden(path, {})


def test_a_sweep_whose_tables_are_views_without_end(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "sweep.sqlite") as connection:
        forever = "with recursive n(x) as (select 1 union all select x from n) select"
        for name in ("meta", "points", "results", "parts"):
            connection.execute(
                f"create view {name} as {forever} x as number, '' as params, '' as hash from n"
            )
    with pytest.raises(InvalidInput, match="found other tables than those of a sweep"):
        read_table(tmp_path)


def test_a_sweep_whose_schema_is_no_text(tmp_path: Path) -> None:
    """SQLite quotes it in what it says, which Python then cannot read."""
    with SweepStore.create(tmp_path, resume=False) as store:
        store._connection.execute("pragma journal_mode = delete")
    path = tmp_path / "sweep.sqlite"
    content = path.read_bytes()
    assert content.count(b"CREATE TABLE parts") == 1
    path.write_bytes(content.replace(b"CREATE TABLE parts", b"CREATE \xff\xffBLE parts"))
    with pytest.raises(InvalidInput, match=r"sweep\.sqlite: cannot be used"):
        read_table(tmp_path)
    opened = SweepStore.create(tmp_path, resume=True)
    with pytest.raises(InvalidInput, match=r"sweep\.sqlite: cannot be used"), opened:
        pass


def test_what_a_file_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f'{ARCH}"\\e[2J\\ud800\\x07": 1\n')
    result = CliRunner().invoke(cli, ["describe", str(path)])
    assert result.exit_code == 3
    assert all(line.isprintable() for line in result.stderr.splitlines())


def test_a_name_cannot_leave_the_output_folder(tmp_path: Path) -> None:
    """Files are called by names of workloads and accelerators; neither may hold a separator."""
    path = tmp_path / "a.yaml"
    for name in ("../b", "a/b", "a\\\\b", "..", "", "a" * 65, "é"):
        path.write_text(f'schema: archsim.arch/1\nname: "{name}"\n')
        with pytest.raises(InvalidInput, match=r"a\.yaml:2:7: name"):
            load_arch(path)


def test_lengths_of_parquet_that_are_not_true(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + bytes(16) + struct.pack("<I", 0xFFFFFFFF) + b"PAR1")
    with pytest.raises(InvalidInput, match="no readable Parquet file"):
        load_images(path)
