# SPDX-License-Identifier: Apache-2.0
"""ResNet-8."""

from __future__ import annotations

import torch

from tritone.qat.convert import convert
from tritone.qat.models.resnet8 import ResNet8
from tritone.qat.modules import QuantizedConvolution
from tritone.qat.precision import Precision


def test_parameters() -> None:
    """The benchmark's 78,666 less the 480 running statistics of its norms."""
    assert sum(parameter.numel() for parameter in ResNet8(3, 10).parameters()) == 78666 - 480


def test_converts() -> None:
    """Nine convolutions, two of them shortcuts, and a linear layer; three add."""
    model = convert(ResNet8(3, 10), (3, 32, 32), Precision(weights="post4", act_bits=4))
    layers = [node for node in model.nodes if isinstance(node, QuantizedConvolution)]
    assert len(layers) == 10
    assert sum(node.shortcut is not None for node in layers) == 3
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert model(images).shape == (2, 10)
