# SPDX-License-Identifier: Apache-2.0
"""ResNets for ImageNet."""

from __future__ import annotations

import pytest
import torch

from tritone.qat.convert import convert
from tritone.qat.models.catalog import build_model
from tritone.qat.modules import QuantizedConvolution
from tritone.qat.precision import Precision


@pytest.mark.parametrize(
    ("name", "parameters", "layers", "adds"),
    [
        ("resnet18", 11689512, 21, 8),
        ("resnet34", 21797672, 37, 16),
        ("resnet50", 25557032, 54, 16),
    ],
)
def test_sizes(name: str, parameters: int, layers: int, adds: int) -> None:
    """The published parameter counts with 1000 classes; layers with the shortcuts' convolutions."""
    model = build_model(name, 3, 1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    quantized = convert(model, (3, 64, 64), Precision(weights="post4", act_bits=4))
    found = [node for node in quantized.nodes if isinstance(node, QuantizedConvolution)]
    assert len(found) == layers
    assert sum(node.shortcut is not None for node in found) == adds
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert quantized(images).shape == (2, 1000)
