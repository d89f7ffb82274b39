"""Weights files: everything wrong is listed, no accumulator can overflow, and the hash sees what matters."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.errors import InvalidInput
from archsim.network.npz import write_npz
from archsim.network.weights import (
    Weights,
    expected_arrays,
    load_weights,
    network_hash,
    save_weights,
    tensor_hashes,
)
from tests.builders import build
from tests.unit.functional_cases import EVERY_OPERATOR, every_operator

NETWORK, WEIGHTS = every_operator()


def problems_of(path, network=NETWORK) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_weights([path], network)
    return [str(problem).removeprefix(f"{path}: ") for problem in caught.value.problems]


def written(tmp_path, **changes: np.ndarray | None):
    arrays = {**WEIGHTS.arrays(), **{key.replace("__", "/"): array for key, array in changes.items()}}
    path = tmp_path / "w.npz"
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


def test_round_trip_and_equal_bytes(tmp_path):
    save_weights(tmp_path / "a.npz", WEIGHTS)
    loaded = load_weights([tmp_path / "a.npz"], NETWORK)
    save_weights(tmp_path / "b.npz", loaded)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert loaded.arrays().keys() == WEIGHTS.arrays().keys() == expected_arrays(NETWORK).keys()
    for key, array in loaded.arrays().items():
        np.testing.assert_array_equal(array, WEIGHTS.arrays()[key])
        assert not array.flags.writeable


def test_expected_arrays_by_hand():
    found = expected_arrays(NETWORK)
    assert found["input/table"] == ("int8", (2, 256))
    assert found["stem/weight"] == ("int8", (3, 3, 2, 5)) and found["stem/shift"] == ("int32", (5,))
    assert found["deep/weight"] == ("int8", (3, 1, 5))
    assert found["sum/multiplier"] == ("int32", (2,)) and found["sum/shift"] == ("int32", ())
    assert found["mean/multiplier"] == ("int32", ())
    assert found["fc/weight"] == ("int8", (7, 3)) and "fc/shift" not in found
    assert found["late.conv/weight"] == ("int8", (2, 2, 3, 4))
    assert not any(key.startswith(("low/", "high/")) for key in found)


def test_everything_wrong_is_listed_at_once(tmp_path):
    path = written(
        tmp_path,
        stem__weight=np.zeros((3, 3, 2, 4), np.int8),
        stem__bias=None,
        deep__weight=WEIGHTS.layers["deep"].weight.astype(np.int16),
        deep__shift=np.array([0, 1, 62, 63, 1], np.int32),
        signed__multiplier=np.full(6, (1 << 30) - 1, np.int32),
        sum__multiplier=np.array([0, 1], np.int32),
        mean__shift=np.int32(-1),
        fc__wieght=np.zeros(1),
    )
    assert problems_of(path) == [
        "stem/weight: found int8 (3, 3, 2, 4), expected int8 (3, 3, 2, 5)",
        "stem/bias: found no such array",
        "deep/weight: found int16 (3, 1, 5), expected int8 (3, 1, 5)",
        'fc/wieght: found an array that nothing reads (hint: did you mean "fc/weight"?)',
        "deep/shift: found 0 .. 63, expected 1 .. 62",
        "sum/multiplier: found 0 .. 1, expected 1 .. 2147483647",
        "signed/multiplier: found 1073741823 .. 1073741823, expected 1073741824 .. 2147483647",
        "mean/shift: found -1 .. -1, expected 0 .. 62",
    ]


@pytest.mark.parametrize(
    ("sign", "weights", "bias", "fits"),
    [
        # 2^31 - 1 = 255 * 8,421,504 + 127; 66,311 weights of 127 are 8,421,497, so 7 more are left.
        (1, [127] * 66_311 + [7], 127, True),
        (1, [127] * 66_311 + [7], 128, False),
        (-1, [-127] * 66_311 + [-7], -127, True),
        (-1, [-127] * 66_311 + [-7], -128, False),
        # -128 is one more than int8 can negate.
        (-1, [-128] * 65_793, 127, True),
        (-1, [-128] * 65_793, 128, False),
    ],
)
def test_no_accumulator_can_overflow(tmp_path, sign, weights, bias, fits):
    side = 65_793 if len(weights) == 65_793 else 66_312
    document = {
        "schema": "archsim.workload/1",
        "name": "wide",
        "dataset": {"name": "noise", "classes": 2},
        "input": {"height": 1, "width": side, "channels": 1},
        "weights": "w.npz",
        "layers": [{"name": "fc", "op": "linear", "units": 2}],
    }
    network = build(document)
    assert len(weights) == side and sign * weights[0] > 0
    matrix = np.zeros((side, 2), np.int8)
    matrix[:, 1] = weights
    arrays = {
        "input/table": np.zeros((1, 256), np.int8),
        "fc/weight": matrix,
        "fc/bias": np.array([0, bias], np.int32),
    }
    path = tmp_path / "w.npz"
    np.savez(path, **arrays)
    if fits:
        assert load_weights([path], network).layers["fc"].bias.tolist() == [0, bias]
    else:
        assert problems_of(path, network) == [
            "fc/bias: the accumulator of channel 1 can reach 2147483648, expected less than 2^31 (1 of 2 channels)"
            " (hint: scale weights and bias down)"
        ]


def test_the_most_negative_bias_is_refused(tmp_path):
    path = written(tmp_path, fc__bias=np.array([-(1 << 31), 0, 0], np.int32))
    (text,) = problems_of(path)
    assert text.startswith("fc/bias: the accumulator of channel 0 can reach 2147")


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **{**WEIGHTS.arrays(), "fc/weight": np.array([{}], object)})
    assert problems_of(path) == ["fc/weight: found pickled Python objects, expected plain numbers in C order"]


def test_the_hash_ignores_compression_and_names_and_policy(tmp_path):
    plain = written(tmp_path)
    reference = network_hash(NETWORK, WEIGHTS)
    assert network_hash(NETWORK, load_weights([plain], NETWORK)) == reference
    np.savez_compressed(plain, **WEIGHTS.arrays())
    assert network_hash(NETWORK, load_weights([plain], NETWORK)) == reference
    assert len(reference) == 64
    branches = [{**branch, "threshold": 7, "dbp": None} for branch in EVERY_OPERATOR["branches"]]
    assert (
        network_hash(build({**EVERY_OPERATOR, "name": "other", "branches": branches}), WEIGHTS) == reference
    )


def test_the_hash_sees_every_array_and_the_graph():
    hashes = {network_hash(NETWORK, WEIGHTS)}
    for key, array in WEIGHTS.arrays().items():
        changed = np.array(array, copy=True)
        changed.reshape(-1)[-1] ^= 1
        hashes.add(network_hash(NETWORK, Weights.of({**WEIGHTS.arrays(), key: changed})))
    assert len(hashes) == 1 + len(WEIGHTS.arrays())
    layers = [dict(layer) for layer in EVERY_OPERATOR["layers"]]
    layers[1]["relu"] = True
    assert network_hash(build({**EVERY_OPERATOR, "layers": layers}), WEIGHTS) not in hashes


def test_files_hold_the_weights_together(tmp_path):
    arrays = WEIGHTS.arrays()
    first = {key: array for key, array in arrays.items() if key.startswith("stem") or key == "input/table"}
    write_npz(tmp_path / "a.npz", {**first, "other.fc/weight": np.zeros((3, 4), np.int8)})
    write_npz(tmp_path / "b.npz", {key: array for key, array in arrays.items() if key not in first})
    together = load_weights([tmp_path / "a.npz", tmp_path / "b.npz"], NETWORK)
    assert network_hash(NETWORK, together) == network_hash(NETWORK, WEIGHTS)
    other = {key: np.zeros_like(array) for key, array in arrays.items() if key.startswith("fc/")}
    write_npz(tmp_path / "c.npz", {**first, **other})
    assert network_hash(
        NETWORK, load_weights([tmp_path / "c.npz", tmp_path / "b.npz"], NETWORK)
    ) == network_hash(NETWORK, WEIGHTS)
    with pytest.raises(InvalidInput) as caught:
        load_weights([tmp_path / "a.npz"], NETWORK)
    assert "found an array that nothing reads" in str(caught.value)


def test_a_tensor_has_the_hash_of_all_that_decides_it():
    before = tensor_hashes(NETWORK, WEIGHTS)
    arrays = WEIGHTS.arrays()
    arrays["early.fc/bias"] = arrays["early.fc/bias"] + 1
    after = tensor_hashes(NETWORK, Weights.of(arrays))
    assert {name for name in before if before[name] != after[name]} == {"early.fc"}
    arrays = WEIGHTS.arrays()
    arrays["input/table"] = arrays["input/table"] // 2
    after = tensor_hashes(NETWORK, Weights.of(arrays))
    assert all(before[name] != after[name] for name in before)
