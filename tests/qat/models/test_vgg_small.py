# SPDX-License-Identifier: Apache-2.0
"""VGG-small and BinaryNet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tritone.qat.convert import convert
from tritone.qat.models.vgg_small import BinaryNet, VggSmall
from tritone.qat.modules import QuantizedConvolution
from tritone.qat.precision import Precision

FEATURES = 9 * (3 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
NORMS = 2 * 2 * (128 + 256 + 512)


@pytest.mark.parametrize(
    ("build", "layers", "parameters"),
    [
        (VggSmall, 7, FEATURES + NORMS + 8192 * 10 + 10),
        (BinaryNet, 9, FEATURES + NORMS + 8192 * 1024 + 1024 * 1024 + 4 * 1024 + 10250),
    ],
)
def test_sizes(build: type[nn.Module], layers: int, parameters: int) -> None:
    """Weights counted from the layer sizes of the paper; all layers convert."""
    model = build(3, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    quantized = convert(model, (3, 32, 32), Precision(weights="binary", act_bits=1))
    found = [node for node in quantized.nodes if isinstance(node, QuantizedConvolution)]
    assert len(found) == layers
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert quantized(images).shape == (2, 10)
