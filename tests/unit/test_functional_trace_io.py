"""Trace files: what is written comes back, equal traces give equal bytes, hostile files give a list of problems."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np
import pytest

from archsim.errors import InvalidInput
from archsim.functional.decide import Policy
from archsim.functional.executor import run
from archsim.functional.trace import NOT_COMPUTED
from archsim.functional.trace_io import load_trace, parts_of, save_trace
from archsim.network.weights import tensor_hashes
from tests.unit.functional_cases import every_operator, image_batch

NETWORK, WEIGHTS = every_operator()
TRACE = run(NETWORK, WEIGHTS, [image_batch(10)], policy=Policy.of(NETWORK), lazy=False)
HASHES = tensor_hashes(NETWORK, WEIGHTS)


def arrays_of(path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return dict(stored)


def problems_of(path, hashes=HASHES) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        load_trace([path], NETWORK, hashes)
    assert all(problem.where == str(path) for problem in caught.value.problems)
    return {problem.key: problem.message for problem in caught.value.problems}


@pytest.fixture
def saved(tmp_path):
    save_trace(tmp_path / "t.npz", TRACE, NETWORK, HASHES)
    return tmp_path / "t.npz"


@pytest.mark.parametrize("lazy", [False, True])
def test_round_trip(tmp_path, lazy):
    trace = run(NETWORK, WEIGHTS, [image_batch(10)], policy=Policy.of(NETWORK), lazy=lazy)
    save_trace(tmp_path / "a.npz", trace, NETWORK, HASHES)
    save_trace(tmp_path / "b.npz", trace, NETWORK, HASHES)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    loaded = load_trace([tmp_path / "a.npz"], NETWORK, HASHES)
    for field in dataclasses.fields(trace):
        before, after = getattr(trace, field.name), getattr(loaded, field.name)
        if field.name == "zero_maps":
            assert set(before) == set(after)
            assert all((before[name] == after[name]).all() for name in before)
        else:
            assert np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after


def test_a_trace_without_maps_of_branches_is_read(tmp_path):
    trunk = {name: bits for name, bits in TRACE.zero_maps.items() if name in NETWORK.zero_map_tensors}
    assert set(NETWORK.branch_map_tensors) == set(TRACE.zero_maps) - set(trunk)
    save_trace(tmp_path / "old.npz", dataclasses.replace(TRACE, zero_maps=trunk), NETWORK, HASHES)
    assert set(load_trace([tmp_path / "old.npz"], NETWORK, HASHES).zero_maps) == set(trunk)


def test_a_trace_of_other_weights(saved):
    found = problems_of(saved, {**HASHES, "fc": "f" * 64})
    assert found == {"header.parts.exits/final": "found that of other weights or another network than every"}


def test_several_files_hold_a_trace_together(tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save_trace(first, TRACE, NETWORK, HASHES)
    held = [key for key in parts_of(first) if key.startswith("zeros/")]
    save_trace(second, TRACE, NETWORK, HASHES, without=held)
    assert sorted(parts_of(second)) == ["exits/early", "exits/final", "exits/late"]
    both = load_trace([second, first], NETWORK, HASHES)
    assert all(np.array_equal(both.zero_maps[name], bits) for name, bits in TRACE.zero_maps.items())
    assert "found no such part" in problems_of(second)["header.parts.zeros/low"]
    # A network without one of the branches passes its parts over.
    kept = dataclasses.replace(NETWORK, branches=NETWORK.branches[:1])
    fewer = load_trace([first], kept, tensor_hashes(kept, WEIGHTS))
    assert fewer.exit_names == ("early", "final")
    assert np.array_equal(fewer.margins, TRACE.margins[:, [0, 2]])


def test_files_of_other_images_do_not_fit(tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save_trace(first, TRACE, NETWORK, HASHES)
    labels = (TRACE.labels + 1) % 3
    save_trace(second, dataclasses.replace(TRACE, labels=labels), NETWORK, HASHES)
    with pytest.raises(InvalidInput, match=r"second\.npz: labels: found other images than in first\.npz"):
        load_trace([first, second], NETWORK, HASHES)


def test_every_wrong_array_is_listed(saved):
    arrays = arrays_of(saved)
    arrays["exits/late/margins"] = arrays["exits/late/margins"][:4]
    arrays["exits/final/predictions"] = arrays["exits/final/predictions"].astype(np.int32)
    del arrays["zeros/low"]
    arrays["zeros/lo"] = np.zeros(3)
    np.savez(saved, **arrays)
    assert problems_of(saved) == {
        "exits/late/margins": "found int64 (4,), expected int64 (10,)",
        "exits/final/predictions": "found int32 (10,), expected int64 (10,)",
        "zeros/low": "found no such array",
        "zeros/lo": "found an array that nothing reads",
    }


def change(arrays, key, index, value):
    arrays[key] = arrays[key].copy()
    arrays[key][index] = value


@pytest.mark.parametrize(
    ("key", "index", "value", "message"),
    [
        ("labels", 0, 3, "expected 0 .. 2"),
        ("labels", 0, -1, "expected 0 .. 2"),
        ("exits/early/predictions", 0, 3, "expected 0 .. 2"),
        ("exits/late/magnitude_sums", 1, -1, "found a negative value"),
        ("exits/final/margins", 2, NOT_COMPUTED, "a prediction without a margin"),
        # "mean" has 6 elements: the upper two bits of its only byte belong to nothing.
        ("zeros/mean", (0, 0), 0x40, "found bits behind the last of 6 elements"),
    ],
)
def test_values_that_no_network_computes(saved, key, index, value, message):
    arrays = arrays_of(saved)
    change(arrays, key, index, value)
    np.savez(saved, **arrays)
    found = problems_of(saved)
    assert any(message in text for text in found.values()), found


def test_truncated_and_foreign_files(saved, tmp_path):
    content = saved.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        assert "found no readable .npz file" in problems_of(saved)[""]
    assert problems_of(tmp_path / "missing.npz") == {"": "found no such file"}


def test_a_flipped_byte_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        member = archive.getinfo("zeros/low.npy")
        content[member.header_offset + member.compress_size // 2 + 60] ^= 0xFF
    saved.write_bytes(bytes(content))
    assert "unreadable array" in problems_of(saved)["zeros/low"]


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", b"cos\nsystem\n"),
            "pickled Python objects",
        ),
        (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1 << 60,)}\n"), "unreadable array"),
        (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (-5,)}\n"), "expected one dimension"),
        (
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1152921504606846976,)}\n"),
            "images, expected 1 ..",
        ),
        (
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (10,)}\n", bytes(1 << 20)),
            "found 1048576 bytes",
        ),
        (
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (10,)}\n", bytes(79)),
            "found 79 bytes, expected 80",
        ),
        (npy("[" * 5000), "unreadable array"),
        (b"\x93NUMPY\x09\x00", ".npy version (9, 0)"),
        (b"not an array", "unreadable array"),
        (b"", "unreadable array"),
    ],
)
def test_hostile_members(saved, member, message):
    arrays = arrays_of(saved)
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{key}.npy", member if key == "labels" else content.getvalue())
    assert message in problems_of(saved)["labels"]


def test_doubled_and_foreign_members(saved):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("labels.npy", b"")
        archive.writestr("run.sh", b"")
    assert "found the members labels.npy, run.sh, expected" in problems_of(saved)[""]


def test_a_crowd_of_members_is_cut_short(saved):
    with zipfile.ZipFile(saved, "a") as archive:
        for index in range(500):
            archive.writestr(f"junk{index}.npy", b"")
    with pytest.raises(InvalidInput) as caught:
        load_trace([saved], NETWORK, HASHES)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1].message == "found 480 more arrays that nothing reads"


@pytest.mark.parametrize(
    "header", [b"[]", b"{", b"\xff", b"", b'{"schema": "archsim.trace/1"}', b'{"schema": "archsim.trace/2"}']
)
def test_bad_headers(saved, header):
    arrays = arrays_of(saved)
    np.savez(saved, **{**arrays, "header": np.frombuffer(header, np.uint8)})
    found = problems_of(saved)
    assert {"header", "header.schema", "header.parts"} & set(found)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        save_trace(tmp_path / "file" / "t.npz", TRACE, NETWORK, HASHES)
