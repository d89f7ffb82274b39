"""``archsim data fetch`` against a server on this machine: what arrives, what is refused, what is left behind."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from archsim.cli.main import cli
from archsim.datasets import available_splits, load_images
from archsim.datasets.fetch import DATA_SETS, DataSet
from tests.unit.test_datasets import png, write_cifar_python

pytest.importorskip("pooch")
Serve = Callable[[str, bytes, str], None]


@dataclass
class Server:
    """``content`` is served under any name; ``sent`` bytes of it, all when None. ``asked`` counts the requests."""

    address: str = ""
    content: bytes = b""
    sent: int | None = None
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(200 if state.content else 404)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            self.wfile.write(state.content[: state.sent])

        def log_message(self, *_: object) -> None:
            """Nothing: tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        state.address = f"http://127.0.0.1:{running.server_port}"
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def serve(server: Server, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A function that makes the server offer an archive as the official one."""

    def offer(name: str, content: bytes, file: str) -> None:
        server.content = content
        md5 = hashlib.md5(content).hexdigest()
        offered = DataSet(f"{server.address}/{file}", md5, DATA_SETS[name].folder)
        monkeypatch.setitem(DATA_SETS, name, offered)

    return offer


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["data", "fetch", *(str(word) for word in words)])


def cifar_tar(tmp_path: Path) -> bytes:
    images = np.random.default_rng(1).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    folder = write_cifar_python(tmp_path / "cifar-10-batches-py", images, np.arange(12) % 4)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return stream.getvalue()


def tiny_imagenet_zip() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    root = "tiny-imagenet-200"
    files = {
        f"{root}/train/n01/images/n01_0.JPEG": png(pixels[0]),
        f"{root}/train/n02/images/n02_0.JPEG": png(pixels[1]),
        f"{root}/train/n02/n02_boxes.txt": b"n02_0.JPEG\t0\t0\t9\t9\n",
        f"{root}/val/images/val_0.JPEG": png(pixels[2]),
        f"{root}/val/images/val_1.JPEG": png(pixels[3]),
        f"{root}/val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n",
        f"{root}/test/images/test_0.JPEG": png(pixels[4]),
    }
    return zip_of(files)


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_cifar10_is_there_once_and_is_read(server: Server, serve: Serve, tmp_path: Path) -> None:
    serve("cifar10", cifar_tar(tmp_path), "cifar-10-python.tar.gz")
    to = tmp_path / "new" / "data"
    result = run("cifar10", "--to", to)
    assert (result.exit_code, result.stdout) == (0, f"{to / 'cifar-10-batches-py'}\n"), result.stderr
    assert [path.name for path in to.iterdir()] == ["cifar-10-batches-py"]
    assert load_images(to / "cifar-10-batches-py", split="train").labels.tolist() == [
        0,
        1,
        2,
        3,
        0,
        1,
        2,
        3,
        0,
    ]
    again = run("cifar10", "--to", to, "--json")
    assert json.loads(again.stdout)["files"] == [str(to / "cifar-10-batches-py")]
    assert server.asked == ["/cifar-10-python.tar.gz"]


def test_tiny_imagenet_has_the_splits_train_and_val(serve: Serve, tmp_path: Path) -> None:
    serve("tinyimagenet", tiny_imagenet_zip(), "tiny-imagenet-200.zip")
    assert run("tinyimagenet", "--to", tmp_path).exit_code == 0
    root = tmp_path / "tiny-imagenet-200"
    assert available_splits(root) == ("train", "val")
    train, val = load_images(root, split="train"), load_images(root, split="val")
    assert train.class_names == val.class_names == ("n01", "n02")
    assert (train.labels.tolist(), val.labels.tolist()) == ([0, 1], [1, 0])
    np.testing.assert_array_equal(load_images(root).images, val.images)


def test_the_folder_is_that_of_the_environment(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve("tinyimagenet", tiny_imagenet_zip(), "tiny-imagenet-200.zip")
    monkeypatch.setenv("ARCHSIM_DATA", str(tmp_path / "there"))
    assert run("tinyimagenet").stdout == f"{tmp_path / 'there' / 'tiny-imagenet-200'}\n"


def test_another_file_is_refused_and_nothing_is_left_in_place(
    server: Server, serve: Serve, tmp_path: Path
) -> None:
    serve("tinyimagenet", tiny_imagenet_zip(), "tiny-imagenet-200.zip")
    server.content += b"x"
    result = run("tinyimagenet", "--to", tmp_path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "found another file than the official one, whose MD5 is" in result.stderr
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_download_that_was_cut_off_starts_again(server: Server, serve: Serve, tmp_path: Path) -> None:
    serve("tinyimagenet", tiny_imagenet_zip(), "tiny-imagenet-200.zip")
    server.sent = 100
    result = run("tinyimagenet", "--to", tmp_path)
    assert result.exit_code == 3
    assert "cannot be downloaded" in result.stderr
    (tmp_path / ".fetch-tinyimagenet" / "tmp-of-a-killed-run").write_bytes(b"half")
    server.sent = None
    assert run("tinyimagenet", "--to", tmp_path).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-imagenet-200"]


def test_an_archive_that_was_complete_is_not_downloaded_twice(
    server: Server, serve: Serve, tmp_path: Path
) -> None:
    content = tiny_imagenet_zip()
    serve("tinyimagenet", content, "tiny-imagenet-200.zip")
    staging = tmp_path / ".fetch-tinyimagenet"
    (staging / "unpacked" / "tiny-imagenet-200" / "train").mkdir(parents=True)
    (staging / "tiny-imagenet-200.zip").write_bytes(content)
    assert run("tinyimagenet", "--to", tmp_path).exit_code == 0
    assert server.asked == []
    assert load_images(tmp_path / "tiny-imagenet-200").labels.tolist() == [1, 0]


@pytest.mark.parametrize("reached", [True, False])
def test_without_the_file_or_the_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    address = server.address if reached else "http://127.0.0.1:1"
    monkeypatch.setitem(DATA_SETS, "cifar10", DataSet(f"{address}/x.tar.gz", "0" * 32, "x"))
    result = run("cifar10", "--to", tmp_path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"{address}/x.tar.gz: cannot be downloaded (")
    assert ("404" in result.stderr) == reached
    assert "unpack x yourself" in result.stderr


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "tiny-imagenet-200/../../evil", "other/file", "tiny-imagenet-200\\..\\x"]
)
def test_files_that_lead_elsewhere_are_refused(serve: Serve, tmp_path: Path, name: str) -> None:
    content = zip_of({"tiny-imagenet-200/a": b"a", name: b"evil"})
    serve("tinyimagenet", content, "tiny-imagenet-200.zip")
    result = run("tinyimagenet", "--to", tmp_path / "data")
    assert result.exit_code == 3
    assert "expected files in tiny-imagenet-200 alone" in result.stderr
    assert not [path for path in tmp_path.rglob("*evil*")]
    assert not (tmp_path / "data" / "tiny-imagenet-200").exists()


def test_a_link_in_a_tar_is_refused(serve: Serve, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    serve("cifar10", stream.getvalue(), "cifar-10-python.tar.gz")
    result = run("cifar10", "--to", tmp_path)
    assert result.exit_code == 3
    assert 'found "cifar-10-batches-py/test_batch", which is no file' in result.stderr


@pytest.mark.parametrize("content", [zip_of({}), b"no archive"])
def test_what_is_no_archive_is_refused(serve: Serve, tmp_path: Path, content: bytes) -> None:
    serve("tinyimagenet", content, "tiny-imagenet-200.zip")
    assert run("tinyimagenet", "--to", tmp_path).exit_code == 3


def test_a_place_that_cannot_be_written_to(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    serve("tinyimagenet", tiny_imagenet_zip(), "tiny-imagenet-200.zip")
    result = run("tinyimagenet", "--to", tmp_path / "file")
    assert result.exit_code == 3
    assert "cannot be written to" in result.stderr


def test_without_pooch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    result = run("cifar10", "--to", tmp_path)
    assert (result.exit_code, list(tmp_path.iterdir())) == (5, [])
    assert result.stderr == 'fetching data sets needs the extra "data": pip install "archsim[data]"\n'


def test_the_official_addresses_and_checksums() -> None:
    assert {name: (found.url, found.md5) for name, found in DATA_SETS.items()} == {
        "cifar10": (
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
        ),
        "tinyimagenet": (
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
        ),
    }
