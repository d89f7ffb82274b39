"""The convolutions of a network by other means, each exact: what archsim's own kernels are compared with.

uint8 activations reach 255 and int8 weights -128, so that a float32 sum of 514 products is exact in any order
(255 * 128 * 514 < 2^24). Longer sums are cut there and their parts added as int32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from archsim.functional.layers import encode_images, run_layer
from archsim.kernels.conv import conv2d
from archsim.network.graph import IMAGE, Network
from archsim.network.weights import Weights

LONGEST_SUM = (1 << 24) // (255 * 128)
Run = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Convolution:
    """activations: uint8 or int8 (N, H, W, C). weight: int8 (KH, KW, C, O). padding, stride: (vertical, horizontal)."""

    name: str
    activations: np.ndarray
    weight: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int]


def convolutions(network: Network, weights: Weights, images: np.ndarray) -> list[Convolution]:
    """Those of the trunk with what they read for some images, uint8 (N, H, W, C)."""
    tensors = {IMAGE: encode_images(images, weights)}
    found = []
    for layer in network.layers[:-1]:
        arrays = weights.layers.get(layer.name)
        if layer.op == "conv2d":
            assert arrays is not None and arrays.weight is not None
            activations = tensors[layer.inputs[0]]
            found.append(Convolution(layer.name, activations, arrays.weight, layer.stride, layer.padding))
        tensors[layer.name] = run_layer(layer, arrays, [tensors[name] for name in layer.inputs])
    return found


def by_archsim(work: Convolution) -> Run:
    """The kernel under test. As the others: prepares the weights and returns the run, which returns int32 NHWC sums."""
    return lambda: conv2d(work.activations, work.weight, work.stride, work.padding)


def by_numpy(work: Convolution) -> Run:
    """Windows copied out, then float32 matrix products over at most :data:`LONGEST_SUM` elements of a window."""
    height, width, channels, filters = work.weight.shape
    weight = work.weight.reshape(-1, filters).astype(np.float32)
    parts = [slice(first, first + LONGEST_SUM) for first in range(0, len(weight), LONGEST_SUM)]
    pads = ((0, 0), *((pad, pad) for pad in work.padding), (0, 0))

    def run() -> np.ndarray:
        padded = np.pad(work.activations.astype(np.float32), pads)
        windows = sliding_window_view(padded, (height, width), axis=(1, 2))
        windows = windows[:, :: work.stride[0], :: work.stride[1]].transpose(0, 1, 2, 4, 5, 3)
        rows = windows.reshape(-1, height * width * channels)
        sums = np.zeros((len(rows), filters), np.int32)
        for part in parts:
            sums += (rows[:, part] @ weight[part]).astype(np.int32)
        return sums.reshape(*windows.shape[:3], filters)

    return run


def by_torch(work: Convolution) -> Run:
    """torch's float32 conv2d over as many channels at a time as keep its sums exact."""
    import torch

    height, width, channels, _ = work.weight.shape
    step = max(1, LONGEST_SUM // (height * width))
    parts = [slice(first, first + step) for first in range(0, channels, step)]
    weight = torch.from_numpy(work.weight.copy()).permute(3, 2, 0, 1).to(torch.float32)
    weights = [weight[:, part].contiguous() for part in parts]
    activations = torch.from_numpy(work.activations.copy())

    def run() -> np.ndarray:
        maps = activations.permute(0, 3, 1, 2).to(torch.float32)
        sums = torch.zeros(1, dtype=torch.int32)
        for part, kernel in zip(parts, weights, strict=True):
            found = torch.nn.functional.conv2d(
                maps[:, part], kernel, stride=work.stride, padding=work.padding
            )
            sums = sums + found.to(torch.int32)
        return sums.permute(0, 2, 3, 1).numpy()

    return run


METHODS: Mapping[str, Callable[[Convolution], Run]] = {
    "archsim": by_archsim,
    "NumPy float32 GEMM": by_numpy,
    "torch float32 conv2d": by_torch,
}
