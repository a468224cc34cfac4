# SPDX-License-Identifier: Apache-2.0
"""The layer that stopped being finite is named."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tritone.qat.divergence import culprit
from tritone.qat.modules import QuantizedConvolution, QuantizedModel, real_input


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("index", "name"), [(0, "first"), (2, "second"), (6, "logits")])
def test_quantized_layers(
    index: int, name: str, value: float, quantized: QuantizedModel, images: Tensor
) -> None:
    """A weight that is not a number makes its layer the first, whatever is behind it."""
    node = quantized.nodes[index]
    assert isinstance(node, QuantizedConvolution)
    assert culprit(quantized, quantized, images) is None
    before = node.weight.detach().clone()
    try:
        with torch.no_grad():
            node.weight.view(-1)[0] = value
        assert culprit(quantized, quantized, images) == name
    finally:
        with torch.no_grad():
            node.weight.copy_(before)
    assert culprit(quantized, quantized, images) is None


def test_layers_in_full_precision(images: Tensor) -> None:
    """An overflow inside is named by the module's path, though all weights are finite."""
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, 3)))
    with torch.no_grad():
        model[1][1].weight.fill_(3e38)
    assert culprit(model, lambda x: model(real_input(x)), images) == "1.1"
