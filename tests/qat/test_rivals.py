# SPDX-License-Identifier: Apache-2.0
"""What the benchmark compares with."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from tritone.qat.models.resnet8 import ResNet8
from tritone.qat.rivals import PlainConvolution, brevitas_network, plain_network


def test_plain_convolution_is_lsq() -> None:
    """Values and gradients of a 1x1 convolution, written out; all numbers are dyadic."""
    inner = nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        inner.weight.fill_(0.75)
    layer = PlainConvolution(inner, 2, signed=False)
    with torch.no_grad():
        layer.weight_step.fill_(0.5)
        layer.step.fill_(0.25)
    layer.started = True
    x = torch.tensor([-1.0, 0.125, 0.5, 0.6875, 2.0, 0.25], requires_grad=True)
    y = layer(x.view(1, 1, 2, 3))
    levels = np.array([0, 1, 2, 3, 3, 1])  # round half up of x / 0.25, in 0..3
    assert y.flatten().tolist() == (levels * 0.25 * 0.5).tolist()  # weight 0.75 / 0.5 in -1..1
    y.sum().backward()
    v = np.array([-4, 0.5, 2, 2.75, 8, 1])
    inside = (v >= 0) & (v <= 3)
    assert x.grad is not None
    assert x.grad.tolist() == (0.5 * inside).tolist()
    expected = 0.5 * np.where(inside, levels - v, levels).sum() * np.float32((6 * 3) ** -0.5)
    assert layer.step.grad.item() == pytest.approx(expected, rel=2**-23)  # one rounding
    # The weight is beyond the range: its step gets sum(x_q) * level / sqrt(1 * 1).
    assert layer.weight_step.grad.item() == (levels * 0.25).sum()
    assert inner.weight.grad.item() == 0


def test_plain_network_has_no_other_convolution() -> None:
    """8 bits and signs where the image is read, 4 bits elsewhere."""
    layers = [
        module
        for module in plain_network(ResNet8(3, 10)).modules()
        if isinstance(module, PlainConvolution)
    ]
    convolutions = [m for m in ResNet8(3, 10).modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == len(convolutions)
    assert [layer.range for layer in layers[:2]] == [(-128, 127), (0, 15)]


def test_brevitas_is_used_where_it_is() -> None:
    """None without it; else its convolutions take the place of all."""
    network = brevitas_network(ResNet8(3, 10))
    if importlib.util.find_spec("brevitas") is None:
        assert network is None
    else:
        assert network is not None
        kinds = {type(m).__name__ for m in network.modules() if "Conv2d" in type(m).__name__}
        assert kinds == {"QuantConv2d"}
