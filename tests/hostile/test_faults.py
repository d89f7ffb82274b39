"""A full disk, a folder that is closed, a process killed while it writes: the old file or the new one, never a part."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from archsim.api import load
from archsim.cli.main import cli
from archsim.config.workload import WorkloadSpec
from archsim.config.workload_file import write_workload as write_workload_file
from archsim.errors import InvalidInput
from archsim.explore.export import write_csv, write_parquet
from archsim.explore.space import Point
from archsim.explore.store import SweepStore
from archsim.explore.task import Outcome
from archsim.explore.traces import _identity
from archsim.files import replacing, replacing_together, write_atomic
from archsim.mapping.cache import cached
from archsim.network.npz import write_npz
from archsim.results.read import read_run
from archsim.results.source import Source
from archsim.results.store import write_run
from tests.builders import random_images, tiny_document, write_workload
from tests.hostile.import_readers import CONFIG, TOPOLOGY
from tests.run_results import early_exit_run

ROWS = [{"a": number, "b": "x" * 50} for number in range(2000)]


def _write_bytes(path: Path) -> None:
    write_atomic(path, bytes(100_000))


def _write_npz(path: Path) -> None:
    write_npz(path, {"a": np.random.default_rng(0).integers(0, 255, 100_000, dtype=np.uint8)})


def _write_csv(path: Path) -> None:
    write_csv(path, ["a", "b"], ROWS)


def _write_parquet(path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = [{"a": number, "b": os.urandom(50).hex()} for number in range(2000)]
    write_parquet(path, ["a", "b"], lambda: rows)


def _write_workload(path: Path) -> None:
    layers = [
        {"name": f"c{k}", "op": "conv2d", "filters": 4, "kernel": 1} for k in range(500)
    ] + tiny_document()["layers"][-2:]
    write_workload_file(path, WorkloadSpec.model_validate(tiny_document(layers=layers, branches=None)))


WRITERS = (_write_bytes, _write_npz, _write_csv, _write_parquet, _write_workload)


@contextlib.contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """The system writes so many bytes of a file and no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_disk_that_gets_full(tmp_path: Path, write: Callable[[Path], None], is_there: bool) -> None:
    path = tmp_path / "file.out"
    if is_there:
        path.write_bytes(b"old")
    with full_disk(10_000), pytest.raises(InvalidInput, match=r"file\.out: cannot be written"):
        write(path)
    assert [found.name for found in tmp_path.iterdir()] == (["file.out"] if is_there else [])
    assert not is_there or path.read_bytes() == b"old"
    write(path)
    assert path.stat().st_size > 10_000


def test_a_disk_that_gets_full_under_a_sweep(tmp_path: Path) -> None:
    """What was kept before is kept; the next run goes on."""

    def keep(store: SweepStore, number: int) -> None:
        store.add_point(Point(number, {"pe_array.rows": number}), f"hash{number}")
        store.add_outcome(f"hash{number}", Outcome("ok", "", {"note": "x" * 10_000}))

    with SweepStore.create(tmp_path, resume=False) as store:
        keep(store, 1)
    size_bytes = (tmp_path / "sweep.sqlite").stat().st_size
    refused = pytest.raises(InvalidInput, match=r"sweep\.sqlite: cannot be used")
    with full_disk(size_bytes + 20_000), refused, SweepStore.create(tmp_path, resume=True) as store:
        for number in range(2, 100):
            keep(store, number)
    with SweepStore.create(tmp_path, resume=True) as store:
        kept = [row.number for row in store.rows()]
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) >= 1
        keep(store, 100)
        assert store.has("hash100")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can write")
def test_a_folder_that_is_closed(tmp_path: Path) -> None:
    tiny = write_workload(tmp_path / "tiny")
    write_run(early_exit_run(), tmp_path / "run")
    (tmp_path / "a.csv").write_bytes(TOPOLOGY)
    (tmp_path / "a.cfg").write_bytes(CONFIG)
    for words in (
        ["simulate", tiny, "--out", "/proc/x"],
        ["sweep", tiny, "--set", "pe_array.rows=8", "--out", "/proc/x"],
        ["compare", tiny, "--out", "/proc/x"],
        ["evaluate", tiny, "--save-trace", "/proc/x.npz"],
        ["plot", tmp_path / "run", "--kind", "energy", "-o", "/proc/x.svg"],
        ["report", tmp_path / "run", "-o", "/proc/x.html"],
        ["import", tmp_path / "a.csv", "-o", "/proc/x.yaml"],
        ["import", tmp_path / "a.cfg", "-o", "/proc/x.yaml"],
    ):
        result = CliRunner().invoke(cli, [str(word) for word in words])
        assert result.exit_code == 3, (words, result.output)
        assert "/proc" in result.stderr and "internal" not in result.stderr, (words, result.stderr)


def test_a_link_planted_where_a_file_is_made(tmp_path: Path) -> None:
    """In a folder that others can write to, the name of the unfinished file can be guessed."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / f".a.{os.getpid()}.partial").symlink_to(victim)
    write_atomic(tmp_path / "a", b"new")
    assert victim.read_bytes() == b"mine"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_an_interrupt_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_bytes(b"half")
        raise KeyboardInterrupt
    assert [found.name for found in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_kill_9_while_a_file_is_replaced_again_and_again(tmp_path: Path) -> None:
    """Whoever reads finds one of the contents, whole."""
    path = tmp_path / "a"
    program = (
        "import sys; from pathlib import Path; from archsim.files import write_atomic\n"
        "while True:\n for letter in b'ab': write_atomic(Path(sys.argv[1]), bytes([letter]) * 1_000_000)"
    )
    for delay_s in (0.0, 0.01, 0.03):
        writer = subprocess.Popen([sys.executable, "-c", program, str(path)])
        deadline = time.monotonic() + 120
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay_s)
        writer.kill()
        writer.wait()
        content = path.read_bytes()
        assert content in (b"a" * 1_000_000, b"b" * 1_000_000)
        path.unlink()
    write_atomic(path, b"next")
    assert path.read_bytes() == b"next"


class Stopped(BaseException):
    """Stands for a kill."""


@contextlib.contextmanager
def stopped_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kill after so many files were moved or removed."""
    left = itertools.count(calls, -1)

    def or_stop(function: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **options: object) -> object:
            if next(left) == 0:
                raise Stopped
            return function(*arguments, **options)

        return called

    with monkeypatch.context() as patch, contextlib.suppress(Stopped):
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, or_stop(getattr(Path, name)))
        yield


def test_an_import_that_is_stopped_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of two models of the same shapes could be loaded together, and nothing would tell."""
    pytest.importorskip("onnx")
    from archsim.importing.onnx_model import Calibrating, import_onnx
    from tests.onnx_models import pictures, save, vgg

    np.savez(tmp_path / "images.npz", images=pictures(4, 16), labels=np.zeros(4, np.int64))
    files = [tmp_path / "net.yaml", tmp_path / "net.npz"]

    def take(name: str, mean: float) -> None:
        source = save(vgg(stages=((4, 1),), hidden=()), tmp_path / f"{name}.onnx")
        import_onnx(source, files[0], Calibrating(tmp_path / "images.npz", 4, (mean,)))

    def found() -> list[bytes]:
        return [path.read_bytes() if path.exists() else b"" for path in files]

    take("new", 0.5)
    new = found()
    take("old", 0.0)
    old, outcomes = found(), []
    assert all(one != other for one, other in zip(old, new, strict=True))
    while new not in outcomes:
        with stopped_after(len(outcomes), monkeypatch):
            take("new", 0.5)
        outcomes.append(found())
        if outcomes[-1] not in (old, new):
            with pytest.raises(InvalidInput, match=r"net\.yaml: no such file"):
                load(files[0])
            take("old", 0.0)
    assert [outcome == old for outcome in outcomes[-3:]] == [False, False, False]
    assert all(outcome == old for outcome in outcomes[:-3])


def test_where_a_folder_lies_no_file_is_touched(tmp_path: Path) -> None:
    (tmp_path / "net.npz").write_bytes(b"old")
    (tmp_path / "net.yaml").mkdir()
    with (
        pytest.raises(InvalidInput, match=r"net\.yaml: cannot be written"),
        replacing_together(tmp_path / "net.yaml") as drafts,
    ):
        for name in ("net.npz", "net.yaml"):
            (drafts / name).write_bytes(b"new")
    assert (tmp_path / "net.npz").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.npz", "net.yaml"]


def test_a_file_that_comes_alone_is_there_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "net.yaml"
    place.write_bytes(b"old")
    with stopped_after(1, monkeypatch), replacing_together(place) as drafts:
        (drafts / "net.yaml").write_bytes(b"new")
    assert place.read_bytes() == b"new"


def test_a_disk_that_gets_full_among_files_that_belong_together(tmp_path: Path) -> None:
    """The message names the place, not the draft; what was there stays."""
    place = tmp_path / "net.yaml"
    place.write_bytes(b"old")
    with (
        full_disk(10_000),
        pytest.raises(InvalidInput) as caught,
        replacing_together(place) as drafts,
    ):
        _write_npz(drafts / "net.npz")
    assert [problem.where for problem in caught.value.problems] == [str(tmp_path / "net.npz")]
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"] and place.read_bytes() == b"old"


def test_a_mapping_cache_that_was_damaged_or_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer() -> int:
        return cached("question", lambda: 6, lambda found: found, int)

    monkeypatch.setenv("ARCHSIM_CACHE_DIR", str(tmp_path))
    assert answer() == 6
    (stored,) = (tmp_path / "mappings").glob("*.json")
    whole = stored.read_bytes()
    for content in (b"", whole[:-1], whole.replace(b"6", b"7"), b"\xff", b"0" * 64 + b"\n" + b"[" * 100_000):
        stored.write_bytes(content)
        assert answer() == 6
        assert stored.read_bytes() == whole
    with full_disk(10):
        stored.unlink()
        assert answer() == 6
    assert list((tmp_path / "mappings").iterdir()) == []


def test_results_cut_short_are_not_taken_for_whole(tmp_path: Path) -> None:
    write_run(early_exit_run(), tmp_path)
    for name in ("result.json", "images.csv"):
        path = tmp_path / name
        whole = path.read_bytes()
        for length in range(0, len(whole) - 1, max(1, len(whole) // 10)):
            path.write_bytes(whole[:length])
            with pytest.raises(InvalidInput):
                read_run(tmp_path)
        path.write_bytes(whole)
    read_run(tmp_path)


def test_a_clock_that_runs_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run is earlier than the first, as far as the machine knows; so are its files."""
    tiny = write_workload(tmp_path / "tiny")
    words = ["sweep", str(tiny), "--images", "2", "--jobs", "1", "--set", "pe_array.rows=4,8"]
    assert CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "a")]).exit_code == 0
    now_s = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now_s)))
    for path in [*tmp_path.rglob("*")]:
        os.utime(path, (4e9, 4e9))
    again = CliRunner().invoke(cli, ["sweep", "--resume", "--out", str(tmp_path / "a")])
    fresh = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "b")])
    assert (again.exit_code, fresh.exit_code) == (0, 0), again.output + fresh.output
    first, second = (tmp_path / name / "points.csv" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_other_images_of_the_same_size_and_time_are_other_images(tmp_path: Path) -> None:
    """A trace of a sweep is kept for its images, which a file of the same age need not hold."""
    workload = load(write_workload(tmp_path / "tiny"))
    data = tmp_path / "data.npz"
    found = []
    for seed in (1, 2):
        images = random_images(tiny_document(), 4, seed)
        np.savez(data, images=images["images"], labels=images["labels"])
        os.utime(data, (1e9, 1e9))
        found.append((data.stat().st_size, _identity(Source.of(workload, data, None))))
    (size_bytes, first), (other_bytes, second) = found
    assert size_bytes == other_bytes and first != second


def test_an_image_replaced_inside_a_folder_is_another_image(tmp_path: Path) -> None:
    workload = load(write_workload(tmp_path / "tiny"))
    image = tmp_path / "data" / "cat" / "a.png"
    image.parent.mkdir(parents=True)
    found = []
    for content in (b"1", b"22"):
        image.write_bytes(content)
        os.utime(tmp_path / "data", (1e9, 1e9))
        found.append(_identity(Source.of(workload, tmp_path / "data", None)))
    assert found[0] != found[1]
