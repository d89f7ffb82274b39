"""Every reader of files that come from elsewhere, each with small good files to damage."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import yaml

from archsim.config.extends import override
from archsim.config.load import load_dram_preset, load_energy_table, load_workload, read_arch
from archsim.config.yaml_io import parse_document
from archsim.datasets import load_images
from archsim.datasets.image_set import ImageBatch
from archsim.datasets.unpack import unpack
from archsim.energy.accelergy import import_tables
from archsim.energy.table import resolve
from archsim.exits.spec import load_exits_spec
from archsim.exits.table_io import load_table, save_table
from archsim.explore.axis import parse_axis
from archsim.explore.space import Space
from archsim.explore.spec import load_sweep_spec
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace_io import load_trace, save_trace
from archsim.mapping.cache import cached
from archsim.network.load import load_network
from archsim.network.weights import Weights, load_weights, tensor_hashes
from archsim.resources import Kind, builtin_path
from archsim.training.spec import load_train_spec
from archsim.validation import dram as dram_validation
from archsim.validation import eyeriss, isca16, systolic
from archsim.validation.golden_csv import read_golden
from tests.builders import build, random_images, random_weights, tiny_document
from tests.exit_tables import synthetic_table
from tests.hostile.import_readers import IMPORTS
from tests.hostile.reader import Reader
from tests.hostile.result_readers import RESULTS


@cache
def _network():  # type: ignore[no-untyped-def]
    return build(tiny_document())


@cache
def _arch():  # type: ignore[no-untyped-def]
    return read_arch("locoexnet-65nm").spec, load_dram_preset("lpddr3-1600-x32")


def _builtin(kind: Kind, *names: str) -> Callable[[Path], list[bytes]]:
    return lambda _: [builtin_path(kind, name).read_bytes() for name in names]  # type: ignore[union-attr]


def _golden(module: object) -> Callable[[Path], list[bytes]]:
    return lambda _: [b"\n".join(module.SHIPPED.read_bytes().splitlines()[:6])]  # type: ignore[attr-defined]


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _workload_seed(_: Path) -> list[bytes]:
    return [yaml.safe_dump(tiny_document(weights=None, images=None, branches=None)).encode()]


def _sweep_seed(_: Path) -> list[bytes]:
    return [
        yaml.safe_dump(
            {
                "schema": "archsim.sweep/1",
                "name": "small",
                "workload": "digits",
                "images": 2,
                "space": {"pe_array.rows": [8, 12], "clock.core_mhz": {"low": 100, "high": 400, "factor": 2}},
                "constraints": ["pe_array.rows * pe_array.cols <= 256"],
                **more,
            }
        ).encode()
        for more in (
            {},
            {"sample": {"method": "random", "points": 4}},
            {"search": {"objectives": {"energy": "min"}, "points": 4}},
        )
    ]


def _read_sweep(path: Path) -> object:
    return list(islice(Space.of(load_sweep_spec(path), {}).points(), 3))


def _ert_seed(_: Path) -> list[bytes]:
    actions = [
        {"name": "read", "arguments": {}, "energy": 2.5},
        {"name": "write", "arguments": {}, "energy": 3},
    ]
    tables = [
        {"name": f"system.PE[0..11].{name}", "actions": actions} for name in ("weights_spad", "shared_glb")
    ]
    return [yaml.safe_dump({"ERT": {"version": 0.4, "tables": tables}}).encode()]


def _art_seed(_: Path) -> list[bytes]:
    tables = [{"name": "system.PE[0..11].mac", "area": 900.0}, {"name": "system.shared_glb", "area": 1e6}]
    return [yaml.safe_dump({"ART": {"version": 0.4, "tables": tables}}).encode()]


def _read_ert(path: Path) -> object:
    arch, dram = _arch()
    widths = {"shared_glb": 64, "weights_spad": 16}
    return import_tables(path, None, load_energy_table("65nm"), arch, dram, widths, "mine")


def _read_art(path: Path) -> object:
    arch, dram = _arch()
    ert = path.with_name("ert.yaml")
    ert.write_bytes(_ert_seed(path)[0])
    return import_tables(
        ert, path, load_energy_table("65nm"), arch, dram, {"shared_glb": 64, "weights_spad": 16}, "mine"
    )


def _read_energy(path: Path) -> object:
    return resolve(load_energy_table(path), *_arch())


def _read_arch(path: Path) -> object:
    return read_arch(path).spec


@cache
def _weights_and_trace() -> tuple[bytes, bytes]:

    network, arrays = _network(), random_weights(_network())
    weights, images = Weights.of(arrays), random_images(tiny_document(), 3)
    batch = ImageBatch(images["images"], images["labels"])
    trace = run(network, weights, [batch], policy=Policy.of(network), lazy=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.npz"
        save_trace(path, trace, network, tensor_hashes(network, weights))
        return _npz(**arrays), path.read_bytes()


@cache
def _hashes() -> dict[str, str]:
    return tensor_hashes(_network(), Weights.of(random_weights(_network())))


def _exit_table_seed(folder: Path) -> list[bytes]:
    save_table(folder / "table.npz", synthetic_table(0, 6, 3))
    return [(folder / "table.npz").read_bytes()]


def _data_npz_seed(_: Path) -> list[bytes]:
    images, labels = np.zeros((4, 3, 3, 3), np.uint8), np.arange(4)
    return [
        _npz(images=images, labels=labels),
        _npz(
            images=images,
            labels=labels,
            split_test=np.array([1, 2]),
            class_names=np.array(["a", "b", "c", "d"]),
        ),
    ]


def _pictures() -> dict[str, bytes]:
    from PIL import Image

    pictures = {}
    for suffix in ("PNG", "JPEG", "BMP", "PPM", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(stream, suffix)
        pictures[suffix] = stream.getvalue()
    return pictures


def _parquet_seed(_: Path) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    png = _pictures()["PNG"]
    tables = (
        {"image": [png] * 3, "label": [0, 1, 0], "class": ["a", "b", "a"]},
        {"img": [{"bytes": png, "path": "x"}] * 2, "label": [0, 1]},
    )
    seeds = []
    for columns in tables:
        stream = io.BytesIO()
        pq.write_table(pa.table(columns), stream)
        seeds.append(stream.getvalue())
    return seeds


def _batch(protocol: int) -> bytes:
    return pickle.dumps(
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 9], b"names": [b"a.png"] * 2}, protocol
    )


def _tar_seed(_: Path) -> list[bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        names = pickle.dumps({b"label_names": [b"cat", b"dog"]}, 2)
        for name, content in (("test_batch", _batch(2)), ("batches.meta", names)):
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return [stream.getvalue()]


def _unpack(path: Path) -> object:
    target = path.parent / "unpacked"
    unpack(path, target, "cifar-10-batches-py")
    inside = [
        found.resolve().is_relative_to(target.resolve()) for found in path.parent.rglob("*") if found != path
    ]
    assert all(inside), "a file outside of the folder"
    return inside


def _cache(path: Path) -> object:
    """A cache that was damaged is as good as none: the answer is the same."""

    def use() -> int:
        return cached(
            "question", lambda: 6, lambda number: number, lambda data: int(data) if data == 6 else 1 // 0
        )

    before = os.environ.get("ARCHSIM_CACHE_DIR")
    os.environ["ARCHSIM_CACHE_DIR"] = str(path.parent)
    try:
        assert use() == 6
        for stored in path.parent.glob("mappings/*.json"):
            stored.write_bytes(path.read_bytes())
        assert use() == 6
    finally:
        os.environ["ARCHSIM_CACHE_DIR"] = before or ""
    return None


def _words(path: Path) -> object:
    """What stands on a command line: ``--set`` of one command and of another."""
    text = path.read_bytes().decode("utf-8", "replace").replace("\0", "")
    document = parse_document(
        "clock: {core_mhz: 200}\nexits: {a: {threshold: 5}}\nmappings: [{q: 1}]", Path("a.yaml")
    )
    _, problems = override(document, [text])
    return parse_axis(text), problems


def _folder_of_images(path: Path) -> object:
    return load_images(path.parent.parent)


READERS: dict[str, Reader] = {
    "workload": Reader("a.yaml", "yaml", _workload_seed, lambda path: load_network(load_workload(path))),
    "architecture": Reader("a.yaml", "yaml", _builtin(Kind.ARCH, "dense-rs", "eyeriss-65nm"), _read_arch),
    "DRAM preset": Reader("a.yaml", "yaml", _builtin(Kind.DRAM, "lpddr3-1600-x32"), load_dram_preset),
    "energy table": Reader(
        "a.yaml", "yaml", _builtin(Kind.ENERGY_TABLE, "relative", "eyeriss-65nm"), _read_energy, True
    ),
    "sweep": Reader("a.yaml", "yaml", _sweep_seed, _read_sweep),
    "exits spec": Reader(
        "a.yaml", "yaml", _builtin(Kind.EXITS, "digits", "vgg16-cifar10-locoexnet"), load_exits_spec
    ),
    "training spec": Reader("a.yaml", "yaml", _builtin(Kind.TRAINING, "digits"), load_train_spec, True),
    "ERT of Accelergy": Reader("a.yaml", "yaml", _ert_seed, _read_ert, True),
    "ART of Accelergy": Reader("a.yaml", "yaml", _art_seed, _read_art, True),
    "golden CSV, Eyeriss": Reader("a.csv", "bytes", _golden(eyeriss), eyeriss.measured_rows),
    "golden CSV, ISCA": Reader(
        "a.csv", "bytes", _golden(isca16), lambda path: read_golden(path, isca16._COLUMNS)
    ),
    "golden CSV, systolic": Reader(
        "a.csv", "bytes", _golden(systolic), lambda path: read_golden(path, systolic._COLUMNS)
    ),
    "golden CSV, DRAM": Reader(
        "a.csv",
        "bytes",
        _golden(dram_validation),
        lambda path: read_golden(path, dram_validation._ROW_COLUMNS),
    ),
    "DRAM trace": Reader(
        "a.csv",
        "bytes",
        lambda _: [b"cycle_offset,addr_hex,op\n0,0,R\n4,1f40,W\n9,40,R\n"],
        dram_validation._read_trace,
    ),
    "DRAM trace, gzip": Reader(
        "a.csv.gz",
        "bytes",
        lambda _: [gzip.compress(b"cycle_offset,addr_hex,op\n0,0,R\n", mtime=0)],
        dram_validation._read_trace,
    ),
    "weights": Reader(
        "a.npz", "zip", lambda _: [_weights_and_trace()[0]], lambda path: load_weights([path], _network())
    ),
    "functional trace": Reader(
        "a.npz",
        "zip",
        lambda _: [_weights_and_trace()[1]],
        lambda path: load_trace([path], _network(), _hashes()),
    ),
    "exit table": Reader("a.npz", "zip", _exit_table_seed, load_table),
    "images, npz": Reader("a.npz", "zip", _data_npz_seed, load_images),
    "images, Parquet": Reader("a.parquet", "bytes", _parquet_seed, load_images),
    "images, CIFAR tar": Reader("a.tar", "tar", _tar_seed, load_images),
    "images, CIFAR pickle": Reader(
        "c/test_batch", "bytes", lambda _: [_batch(2), _batch(4)], lambda path: load_images(path.parent)
    ),
    "images, CIFAR binary": Reader(
        "c/test_batch.bin", "bytes", lambda _: [bytes(2 * 3073)], lambda path: load_images(path.parent)
    ),
    "images, folder": Reader(
        "d/class/a.png", "bytes", lambda _: list(_pictures().values()), _folder_of_images
    ),
    "archive to unpack, tar": Reader("a.tar", "tar", _tar_seed, _unpack),
    "mapping cache": Reader("a.json", "bytes", lambda _: [b"0" * 64 + b"\n[6]"], _cache),
    "words of --set": Reader(
        "a.txt",
        "bytes",
        lambda _: [b"pe_array.rows=4..16:4", b"exits.a.threshold=[1, 2]", b"mappings.0.q=1..9#3"],
        _words,
    ),
    **IMPORTS,
    **RESULTS,
}
