"""One network with every operator, for tests of weights, executor and traces."""

from __future__ import annotations

from typing import Any

from archsim.datasets.image_set import ImageBatch
from archsim.network.graph import Network
from archsim.network.weights import Weights
from tests.builders import build, random_images, random_weights

EVERY_OPERATOR: dict[str, Any] = {
    "schema": "archsim.workload/1",
    "name": "every",
    "dataset": {"name": "noise", "classes": 3},
    "input": {"height": 9, "width": 7, "channels": 2},
    "weights": "every.npz",
    "layers": [
        {
            "name": "stem",
            "op": "conv2d",
            "filters": 5,
            "kernel": 3,
            "stride": [2, 1],
            "padding": 1,
            "relu": True,
        },
        {"name": "deep", "op": "depthwise_conv2d", "kernel": [3, 1], "padding": [1, 0]},
        {"name": "sum", "op": "add", "other": "stem", "relu": True},
        {"name": "low", "op": "max_pool", "kernel": [2, 4], "stride": 1, "padding": [0, 1]},
        {"name": "signed", "op": "conv2d", "filters": 6, "kernel": 1},
        {"name": "high", "op": "max_pool", "kernel": 2},
        {"name": "mean", "op": "avg_pool", "kernel": [2, 3]},
        {"name": "hidden", "op": "linear", "units": 7, "relu": True},
        {"name": "fc", "op": "linear", "units": 3},
    ],
    "branches": [
        {
            "name": "late",
            "after": "high",
            "layers": [
                {"name": "conv", "op": "conv2d", "filters": 4, "kernel": 2, "groups": 2, "relu": True},
                {"name": "fc", "op": "linear", "units": 3},
            ],
            "threshold": 600,
        },
        {
            "name": "early",
            "after": "sum",
            "layers": [{"name": "gap", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "units": 3}],
            "threshold": 500,
            "dbp": {"min_sum": 800, "max_sum": 1700},
        },
    ],
}


def every_operator(seed: int = 0) -> tuple[Network, Weights]:
    network = build(EVERY_OPERATOR)
    return network, Weights.of(random_weights(network, seed))


def image_batch(count: int, seed: int = 0) -> ImageBatch:
    arrays = random_images(EVERY_OPERATOR, count, seed)
    return ImageBatch(arrays["images"], arrays["labels"])
