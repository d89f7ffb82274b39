"""Batch normalisation folded into the convolution before it, in the layout of the int8 workload."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from archsim.network.graph import Layer
from archsim.quantisation.integer import FloatLayer
from archsim.training.network import ExitNetwork


def fold(model: ExitNetwork) -> dict[str, FloatLayer]:
    """Every layer with weights, by name, as the plain convolution or matrix that it is at inference."""
    return {
        layer.name: _folded(layer, model.block(layer))
        for layer in model.network.all_layers()
        if layer.is_compute
    }


def _folded(layer: Layer, block: nn.Module) -> FloatLayer:
    if isinstance(block, nn.Linear):
        return FloatLayer(_array(block.weight).T.copy(), _array(block.bias))
    assert isinstance(block, nn.Sequential)
    conv, norm = block
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None and norm.running_mean is not None
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    bias = _array(norm.bias) - _array(norm.running_mean) * gain
    assert isinstance(conv.weight, torch.Tensor)
    weight = _array(conv.weight).transpose(2, 3, 1, 0)
    return FloatLayer((weight * gain).reshape(layer.weight_shape), bias)


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.detach().cpu().double().numpy()
    return array
