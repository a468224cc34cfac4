# SPDX-License-Identifier: Apache-2.0
"""ResNets for CIFAR."""

from __future__ import annotations

import pytest
import torch

from tritone.qat.convert import convert
from tritone.qat.models.resnet_cifar import Block, ResNetCifar, Shortcuts
from tritone.qat.modules import QuantizedConvolution, Residual
from tritone.qat.precision import Precision


# Published: 0.27, 0.46 and 0.85 million (arXiv 1512.03385, table 6); counted by hand to the unit:
# 3*144 + 32 + per stage of width w and n blocks 2n(9 w^2 + 2 w), less what the narrower first
# convolution of stages 2 and 3 lacks, + 650.
@pytest.mark.parametrize(("blocks", "parameters"), [(3, 269722), (5, 464154), (9, 853018)])
def test_parameters(blocks: int, parameters: int) -> None:
    """The sizes of the paper's networks with option A."""
    stages = [2 * blocks * (9 * w * w + 2 * w) - 9 * w * (w // 2) * (w > 16) for w in (16, 32, 64)]
    assert 27 * 16 + 32 + sum(stages) + 650 == parameters
    model = ResNetCifar(3, 10, blocks=blocks)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_option_a_pads_channels_on_both_sides() -> None:
    """A block whose convolutions give 0 returns every second pixel between channels of 0."""
    block = Block(2, 4, 2, Shortcuts.PADDED).eval()
    torch.nn.init.zeros_(block.norm2.weight)
    x = torch.rand(3, 2, 6, 4)
    expected = torch.zeros(3, 4, 3, 2)
    expected[:, 1:3] = x[:, :, ::2, ::2]
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize("shortcuts", list(Shortcuts))
def test_converts(shortcuts: Shortcuts) -> None:
    """19 convolutions and a linear layer, 9 of them with an add; option B has two more."""
    model = convert(
        ResNetCifar(3, 10, blocks=3, shortcuts=shortcuts),
        (3, 32, 32),
        Precision(weights="post4", act_bits=4),
    )
    layers = [node for node in model.nodes if isinstance(node, QuantizedConvolution)]
    added = [node.shortcut for node in layers if node.shortcut is not None]
    assert len(layers) == 20 + 2 * (shortcuts is Shortcuts.CONVOLVED)
    assert len(added) == 9
    strided = [each for each in added if each.stride == 2]
    if shortcuts is Shortcuts.PADDED:
        assert [each.channel_offset for each in strided] == [8, 16]
    else:
        assert strided == []
        assert all(each == Residual(tensor=each.tensor) for each in added)
    assert model.shapes[layers[-1].name] == (10, 1, 1)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert model(images).shape == (2, 10)
