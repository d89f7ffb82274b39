"""Functional traces as ``.npz`` files: small, deterministic bytes, nothing trusted on the way in.

Keys: ``header`` uint8, JSON with schema, workload and the hashes of what is inside; ``labels`` int64 (N,);
``exits/NAME/margins``, ``exits/NAME/predictions`` and (of a branch) ``exits/NAME/magnitude_sums`` int64 (N,);
``zeros/TENSOR`` as in :class:`~archsim.functional.trace.FunctionalTrace`.

Every exit and every zero map carries the hash of the tensor that it was taken from
(:func:`archsim.network.weights.tensor_hashes`). A file can so serve every network that computes the same tensors, and
several files together can serve one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsim.errors import InvalidInput
from archsim.functional.trace import NOT_COMPUTED, FunctionalTrace
from archsim.network.graph import FINAL, Network
from archsim.network.npz import NpzReader, json_array, write_npz

SCHEMA = "archsim.trace/2"
MAX_TRACE_BYTES = 4 << 30
"""Largest trace in memory that is accepted: 40,000 images of a full-width VGG-16 at 64x64 pixels."""
_EXITS, _ZEROS = "exits", "zeros"
_HINT = "write it again with evaluate --save-trace"

Arrays = dict[str, npt.NDArray[Any]]
Hashes = Mapping[str, str]


def save_trace(
    path: Path, trace: FunctionalTrace, network: Network, hashes: Hashes, without: Collection[str] = ()
) -> None:
    """Write a trace; equal traces give equal bytes. Raises InvalidInput when the file cannot be written.

    hashes: of the network's tensors. without: keys of parts that other files hold (:func:`parts_of`).
    """
    parts = {
        key: value
        for key, value in _wanted(network, hashes).items()
        if _has(trace, key) and key not in without
    }
    arrays: Arrays = {
        "header": json_array({"schema": SCHEMA, "workload": trace.workload, "parts": parts}),
        "labels": trace.labels,
    }
    for key in parts:
        kind, name = key.split("/")
        if kind == _ZEROS:
            arrays[key] = trace.zero_maps[name]
            continue
        column = trace.exit_names.index(name)
        arrays[f"{key}/margins"] = trace.margins[:, column]
        arrays[f"{key}/predictions"] = trace.predictions[:, column]
        if name != FINAL:
            arrays[f"{key}/magnitude_sums"] = trace.magnitude_sums[:, column]
    write_npz(path, arrays)


def parts_of(path: Path) -> dict[str, str]:
    """Keys (``exits/NAME``, ``zeros/TENSOR``) of what a file holds, with their hashes; nothing else is checked."""
    with NpzReader(path) as reader:
        parts = _parts(reader, reader.json_object("header", _HINT))
        if reader.problems:
            raise InvalidInput(reader.problems)
    return parts


def load_trace(paths: Sequence[Path], network: Network, hashes: Hashes) -> FunctionalTrace:
    """Read the trace of a network from the files that hold it together.

    hashes: of the network's tensors (:func:`archsim.network.weights.tensor_hashes`). Parts of other networks are passed
    over. Raises InvalidInput listing every damaged, missing or unexpected array, values that no network can produce,
    files of other images than the first, and what was taken from another network or with other weights.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(NpzReader(path)) for path in paths]
        found = _Files(readers, network)
        arrays = found.read(_wanted(network, hashes))
        problems = [problem for reader in readers for problem in reader.problems]
        if problems:
            raise InvalidInput(problems)
    names = network.exit_names
    return FunctionalTrace(
        found.workload,
        names,
        arrays["labels"],
        _columns(arrays, names, "margins"),
        _columns(arrays, names, "predictions"),
        _columns(arrays, names[:-1], "magnitude_sums"),
        {key.removeprefix("zeros/"): array for key, array in arrays.items() if key.startswith("zeros/")},
    )


def _wanted(network: Network, hashes: Hashes) -> dict[str, str]:
    """Hash of every part of a trace by its key."""
    classifiers = {branch.name: branch.layers[-1].name for branch in network.branches}
    classifiers[FINAL] = network.layers[-1].name
    exits = {f"{_EXITS}/{name}": hashes[classifiers[name]] for name in network.exit_names}
    tensors = (*network.zero_map_tensors, *network.branch_map_tensors)
    return exits | {f"{_ZEROS}/{name}": hashes[name] for name in tensors}


def _has(trace: FunctionalTrace, key: str) -> bool:
    kind, name = key.split("/")
    return kind == _EXITS or name in trace.zero_maps


def _columns(arrays: Arrays, names: Sequence[str], key: str) -> npt.NDArray[np.int64]:
    columns = [arrays[f"{_EXITS}/{name}/{key}"] for name in names]
    images = len(arrays["labels"])
    return np.stack(columns, axis=1) if columns else np.zeros((images, 0), np.int64)


def _parts(reader: NpzReader, header: Mapping[str, Any]) -> dict[str, str]:
    """The hashes of a header; {} (and a problem) where it has none."""
    if not header:
        return {}
    if header.get("schema") != SCHEMA:
        reader.problem("header.schema", f"found {header.get('schema')!r:.80}, expected {SCHEMA!r}", _HINT)
        return {}
    parts = header.get("parts")
    if not isinstance(header.get("workload"), str):
        reader.problem("header.workload", f"found {header.get('workload')!r:.80}, expected a name")
    if not isinstance(parts, dict) or not all(isinstance(value, str) for value in parts.values()):
        reader.problem("header.parts", "expected a hash for every part", _HINT)
        return {}
    return parts


class _Files:
    """The files of one trace."""

    def __init__(self, readers: Sequence[NpzReader], network: Network) -> None:
        self._readers, self._network = readers, network
        headers = [reader.json_object("header", _HINT) for reader in readers]
        self._parts = [_parts(reader, header) for reader, header in zip(readers, headers, strict=True)]
        self.workload = str(headers[0].get("workload"))

    def read(self, wanted: Mapping[str, str]) -> Arrays:
        """All arrays of the parts wanted; problems are noted with the readers."""
        first = self._readers[0]
        images = first.length("labels")
        if any(reader.problems for reader in self._readers) or images is None:
            return {}
        sources = self._sources(wanted)
        expected = {key: _expected(self._network, key, images) for key in sources}
        sizes = [np.dtype(dtype).itemsize * int(np.prod(shape[1:]))
                 for arrays in expected.values() for dtype, shape in arrays.values()]  # fmt: skip
        most = MAX_TRACE_BYTES // max(1, 8 + sum(sizes))
        if not 1 <= images <= most:
            first.problem("labels", f"found {images} images, expected 1 .. {most}")
            return {}
        arrays = self._labels(images)
        for key, reader in sources.items():
            for name, (dtype, shape) in expected[key].items():
                array = reader.array(name, dtype, shape)
                if array is not None:
                    arrays[name] = array
                    _check_values(reader, name, array, self._network)
            _check_reached(reader, key, arrays)
        for reader, parts in zip(self._readers, self._parts, strict=True):
            reader.refuse_others({"header", "labels", *_keys(parts)})
        return arrays

    def _sources(self, wanted: Mapping[str, str]) -> dict[str, NpzReader]:
        """The file of each part; the zeros inside branches may be missing."""
        optional = {f"{_ZEROS}/{name}" for name in self._network.branch_map_tensors}
        sources = {}
        for key, value in wanted.items():
            holders = [
                (reader, parts[key])
                for reader, parts in zip(self._readers, self._parts, strict=True)
                if key in parts
            ]
            fitting = [reader for reader, found in holders if found == value]
            if fitting:
                sources[key] = fitting[0]
            elif holders:
                message = f"found that of other weights or another network than {self._network.name}"
                holders[0][0].problem(f"header.parts.{key}", message, _HINT)
            elif key not in optional:
                self._readers[0].problem(f"header.parts.{key}", "found no such part", _HINT)
        return sources

    def _labels(self, images: int) -> Arrays:
        """The labels, which say of which images a file is."""
        first, *others = [reader.array("labels", np.int64, (images,)) for reader in self._readers]
        if first is None:
            return {}
        _check_values(self._readers[0], "labels", first, self._network)
        for reader, labels in zip(self._readers[1:], others, strict=True):
            if labels is not None and not np.array_equal(labels, first):
                reader.problem("labels", f"found other images than in {self._readers[0].path.name}")
        return {"labels": first}


def _keys(parts: Collection[str]) -> list[str]:
    """Every array that a file with these parts may hold."""
    inside = ("margins", "predictions", "magnitude_sums")
    return [*parts, *(f"{key}/{name}" for key in parts for name in inside)]


def _expected(network: Network, key: str, images: int) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """dtype and shape of the arrays of one part, by their keys."""
    kind, name = key.split("/")
    if kind == _ZEROS:
        return {key: (np.uint8, (images, -(-network.shape(name).elements // 8)))}
    inside = ("margins", "predictions", *(() if name == FINAL else ("magnitude_sums",)))
    return {f"{key}/{part}": (np.int64, (images,)) for part in inside}


def _check_values(reader: NpzReader, key: str, array: npt.NDArray[Any], network: Network) -> None:
    """What no network computes would only surface later, as nonsense in results."""
    if key == "labels":
        if array.min() < 0 or array.max() >= network.class_count:
            message = f"found {array.min()} .. {array.max()}, expected 0 .. {network.class_count - 1}"
            reader.problem(key, message)
    elif key.endswith("/predictions"):
        if array.min() < -1 or array.max() >= network.class_count:
            message = f"found {array.min()} .. {array.max()}, expected 0 .. {network.class_count - 1}"
            reader.problem(key, message)
    elif key.startswith(_EXITS):
        if bool(((array < 0) & (array != NOT_COMPUTED)).any()):
            message = "found a negative value, expected 0 or more, or the mark of what was not computed"
            reader.problem(key, message)
    else:
        elements = network.shape(key.removeprefix("zeros/")).elements
        if elements % 8 and bool((array[:, -1] >> (elements % 8)).any()):
            reader.problem(key, f"found bits behind the last of {elements} elements")


def _check_reached(reader: NpzReader, key: str, arrays: Arrays) -> None:
    margins, predictions = arrays.get(f"{key}/margins"), arrays.get(f"{key}/predictions")
    if margins is None or predictions is None:
        return
    if bool(((predictions < 0) != (margins == NOT_COMPUTED)).any()):
        message = "found a margin without a prediction or a prediction without a margin"
        reader.problem(f"{key}/margins", message)
