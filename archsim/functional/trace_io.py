"""Functional traces as ``.npz`` files: small, deterministic bytes, nothing trusted on the way in.

Keys: ``header`` uint8, JSON with schema, workload, network_hash and exit_names; ``labels``, ``margins``,
``predictions``, ``magnitude_sums`` and ``zeros/TENSOR`` as in :class:`~archsim.functional.trace.FunctionalTrace`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.network.graph import Network
from archsim.network.npz import NpzReader, json_array, write_npz

SCHEMA = "archsim.trace/1"
MAX_TRACE_BYTES = 4 << 30
"""Largest trace in memory that is accepted: 40,000 images of a full-width VGG-16 at 64x64 pixels."""
_ZEROS = "zeros/"
_HINT = "write it again with evaluate --save-trace"

Arrays = dict[str, npt.NDArray[Any]]


def save_trace(path: Path, trace: FunctionalTrace) -> None:
    """Write a trace; equal traces give equal bytes. Raises InvalidInput when the file cannot be written."""
    header = {
        "schema": SCHEMA,
        "workload": trace.workload,
        "network_hash": trace.network_hash,
        "exit_names": list(trace.exit_names),
    }
    arrays: Arrays = {
        "header": json_array(header),
        "labels": trace.labels,
        "margins": trace.margins,
        "predictions": trace.predictions,
        "magnitude_sums": trace.magnitude_sums,
        **{_ZEROS + name: bits for name, bits in trace.zero_maps.items()},
    }
    write_npz(path, arrays)


def load_trace(path: Path, network: Network, network_hash: str) -> FunctionalTrace:
    """Read the trace of a network.

    network_hash: of the workload at hand (:func:`archsim.network.weights.network_hash`).
    Raises InvalidInput listing every damaged, missing or unexpected array, values that no network can produce, and a
    trace of another network or other weights.
    """
    with NpzReader(path) as reader:
        header = reader.json_object("header", _HINT)
        arrays = _read_arrays(reader, network)
        _check_header(reader, header, network, network_hash)
        if not reader.problems:
            _check_values(reader, arrays, network)
        if reader.problems:
            raise InvalidInput(reader.problems)
    zero_maps = {key.removeprefix(_ZEROS): array for key, array in arrays.items() if key.startswith(_ZEROS)}
    return FunctionalTrace(
        header["workload"],
        network_hash,
        network.exit_names,
        arrays["labels"],
        arrays["margins"],
        arrays["predictions"],
        arrays["magnitude_sums"],
        zero_maps,
    )


def _check_header(reader: NpzReader, header: dict[str, Any], network: Network, network_hash: str) -> None:
    if not header:
        return
    if header.get("schema") != SCHEMA:
        reader.problem("header.schema", f"found {header.get('schema')!r:.80}, expected {SCHEMA!r}")
        return
    if not isinstance(header.get("workload"), str):
        reader.problem("header.workload", f"found {header.get('workload')!r:.80}, expected a name")
    if header.get("network_hash") != network_hash:
        message = (
            f"found the trace of another network or other weights than {network.name} ({network_hash[:12]})"
        )
        reader.problem("header.network_hash", message, _HINT)
    if header.get("exit_names") != list(network.exit_names):
        reader.problem(
            "header.exit_names", f"found {header.get('exit_names')!r:.200}, expected {network.exit_names}"
        )


def _read_arrays(reader: NpzReader, network: Network) -> Arrays:
    images = reader.length("labels")
    if images is None:
        return {}
    exits = len(network.exit_names)
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "labels": (np.int64, (images,)),
        "margins": (np.int64, (images, exits)),
        "predictions": (np.int64, (images, exits)),
        "magnitude_sums": (np.int64, (images, exits - 1)),
    }
    optional = [name for name in network.branch_map_tensors if _ZEROS + name in reader.keys]
    for name in (*network.zero_map_tensors, *optional):
        expected[_ZEROS + name] = (np.uint8, (images, -(-network.shape(name).elements // 8)))
    row_bytes = sum(np.dtype(dtype).itemsize * int(np.prod(shape[1:])) for dtype, shape in expected.values())
    if not 1 <= images <= MAX_TRACE_BYTES // row_bytes:
        reader.problem("labels", f"found {images} images, expected 1 .. {MAX_TRACE_BYTES // row_bytes}")
        return {}
    reader.refuse_others({"header", *expected})
    found = {key: reader.array(key, dtype, shape) for key, (dtype, shape) in expected.items()}
    return {key: array for key, array in found.items() if array is not None}


def _check_values(reader: NpzReader, arrays: Arrays, network: Network) -> None:
    """What no network computes would only surface later, as nonsense in results."""
    labels, predictions, margins = arrays["labels"], arrays["predictions"], arrays["margins"]
    if labels.min() < 0 or labels.max() >= network.class_count:
        expected = f"0 .. {network.class_count - 1}"
        reader.problem("labels", f"found {labels.min()} .. {labels.max()}, expected {expected}")
    if predictions.min() < -1 or predictions.max() >= network.class_count:
        expected = f"-1 .. {network.class_count - 1}"
        reader.problem(
            "predictions", f"found {predictions.min()} .. {predictions.max()}, expected {expected}"
        )
    for key in ("margins", "magnitude_sums"):
        if bool(((arrays[key] < 0) & (arrays[key] != NOT_COMPUTED)).any()):
            reader.problem(
                key, "found a negative value, expected 0 or more, or the mark of what was not computed"
            )
    if bool(((predictions < 0) != (margins == NOT_COMPUTED)).any()):
        reader.problem("margins", "found a margin without a prediction or a prediction without a margin")
    for key, bits in arrays.items():
        elements = network.shape(key.removeprefix(_ZEROS)).elements if key.startswith(_ZEROS) else 0
        if elements % 8 and bool((bits[:, -1] >> (elements % 8)).any()):
            reader.problem(key, f"found bits behind the last of {elements} elements")
