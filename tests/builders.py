"""Tiny workloads for tests: a network, random weights that keep activations alive, random images; all seeded."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from archsim.config.workload import WorkloadSpec
from archsim.network.build import build_network
from archsim.network.graph import Layer, Network

TINY: dict[str, Any] = {
    "schema": "archsim.workload/1",
    "name": "tiny",
    "description": "Two convolutions and one branch, for tests",
    "dataset": {"name": "noise", "classes": 4},
    "input": {"height": 8, "width": 8, "channels": 1},
    "weights": "tiny.weights.npz",
    "images": "tiny.images.npz",
    "layers": [
        {"name": "conv1", "op": "conv2d", "filters": 4, "kernel": 3, "padding": 1, "relu": True},
        {"name": "pool1", "op": "max_pool", "kernel": 2},
        {"name": "conv2", "op": "conv2d", "filters": 6, "kernel": 3, "padding": 1, "relu": True},
        {"name": "gap", "op": "global_avg_pool"},
        {"name": "fc", "op": "linear", "units": 4},
    ],
    "branches": [
        {
            "name": "early",
            "after": "pool1",
            "layers": [{"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 4}],
            "threshold": 1500,
        }
    ],
}
"""The workload file of :func:`write_workload`, as a mapping. Copy it before changing it."""


def tiny_document(**changes: Any) -> dict[str, Any]:
    """A copy of :data:`TINY` with top-level keys replaced; a value of None removes the key."""
    document = {**copy.deepcopy(TINY), **changes}
    return {key: value for key, value in document.items() if value is not None}


def build(document: dict[str, Any]) -> Network:
    """The network of a workload document."""
    spec = WorkloadSpec.model_validate(document)
    network, problems = build_network(spec.name, spec.input, spec.dataset.classes, spec.layers, spec.branches)
    assert network is not None, problems
    return network


def random_weights(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of a weights file: int8 weights, requantisation that maps a typical accumulator to about 64."""
    rng = np.random.default_rng(seed)
    arrays = {"input/table": _centred_table(network.input_shape.channels)}
    for layer in network.all_layers():
        arrays.update({f"{layer.name}/{key}": value for key, value in _layer_arrays(layer, rng).items()})
    return arrays


def random_images(document: dict[str, Any], count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of an image file: ``images`` uint8 (N, H, W, C) of varying contrast, ``labels`` int64 (N,)."""
    rng = np.random.default_rng(seed)
    side = document["input"]
    shape = (count, side["height"], side["width"], side["channels"])
    contrast = rng.uniform(0.05, 1.0, (count, 1, 1, 1))
    images = np.clip(128 + contrast * rng.normal(0, 90, shape), 0, 255).astype(np.uint8)
    return {"images": images, "labels": rng.integers(0, document["dataset"]["classes"], count)}


def write_workload(
    folder: Path, document: dict[str, Any] | None = None, *, images: int = 12, seed: int = 0
) -> Path:
    """Write ``NAME.yaml`` with its weights and, if it names any, its images; returns the path of the YAML file."""
    document = tiny_document() if document is None else document
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / document["weights"], **random_weights(build(document), seed))
    if "images" in document:
        np.savez(folder / document["images"], **random_images(document, images, seed))
    path = folder / f"{document['name']}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _centred_table(channels: int) -> np.ndarray:
    """Pixel 0..255 to -128..127."""
    return np.tile((np.arange(256) - 128).astype(np.int8), (channels, 1))


def _layer_arrays(layer: Layer, rng: np.random.Generator) -> dict[str, np.ndarray]:
    if layer.op in ("avg_pool", "global_avg_pool"):
        elements = layer.kernel[0] * layer.kernel[1]
        shift = 16
        return {"multiplier": np.int32(round(2**shift / elements)), "shift": np.int32(shift)}
    if layer.op == "add":
        return {"multiplier": np.full(2, 1 << 14, np.int32), "shift": np.int32(15)}
    if not layer.is_compute:
        return {}
    outputs = layer.output_shape.channels
    weight = rng.integers(-127, 128, layer.weight_shape).astype(np.int8)
    arrays = {"weight": weight, "bias": rng.integers(-500, 500, outputs).astype(np.int32)}
    if not layer.is_classifier:
        fan_in = math.prod(layer.weight_shape) // outputs
        typical = 73 * 64 * math.sqrt(fan_in)
        shift = 31 + round(math.log2(typical / 64))
        arrays["multiplier"] = np.full(outputs, (1 << 30) + (1 << 28), np.int32)
        arrays["shift"] = np.full(outputs, shift, np.int32)
    return arrays
