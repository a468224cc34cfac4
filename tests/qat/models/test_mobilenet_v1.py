# SPDX-License-Identifier: Apache-2.0
"""MobileNetV1."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from tritone.qat.convert import convert
from tritone.qat.models.catalog import build_model
from tritone.qat.models.mobilenet_v1 import MobileNetV1
from tritone.qat.modules import QuantizedConvolution
from tritone.qat.precision import Precision


def test_parameters() -> None:
    """The paper's 4.2 million, to the unit: 4,231,976 with 1000 classes."""
    assert sum(parameter.numel() for parameter in MobileNetV1(3, 1000).parameters()) == 4231976


@pytest.mark.parametrize(("small", "size"), [(True, 32), (False, 64)])
def test_converts(small: bool, size: int) -> None:
    """13 depthwise layers among 28; the small one ends at 4x4 pixels, the other at 2x2."""
    model = convert(
        MobileNetV1(3, 10, small=small), (3, size, size), Precision(weights="int4", act_bits=4)
    )
    layers = [node for node in model.nodes if isinstance(node, QuantizedConvolution)]
    assert len(layers) == 28
    assert sum(node.groups > 1 for node in layers) == 13
    assert all(node.weight.shape[1] == 1 for node in layers if node.groups > 1)
    pixels = 4 if small else 2
    assert model.shapes[layers[-2].name] == (1024, pixels, pixels)
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    assert model(images).shape == (2, 10)


def test_a_quarter_of_the_channels() -> None:
    """8 to 256 channels, counted by hand.

    Convolutions: 27 * 8; then for each pair inputs * 9 + inputs * outputs; twice the channels for
    each norm; 256 * 10 + 10 for the classes.
    """
    widths = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    expected = 27 * 8 + 2 * 8 + 2570
    expected += sum(9 * a + a * b + 2 * (a + b) for a, b in pairwise(widths))
    model = build_model("mobilenet_v1_small_025", 3, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
