# SPDX-License-Identifier: Apache-2.0
"""Quantised layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tritone.graph import PoolKind, Window
from tritone.qat.modules import (
    QuantizedConvolution,
    QuantizedModel,
    QuantizedPool,
    Residual,
    average_constants,
    real_input,
)
from tritone.qat.quantizers import build_weight_quantizer
from tritone.qat.scales import ScaleRule
from tritone.qat.streams import Stream
from tritone.spec.catalog import codebook
from tritone.spec.fixed import FINE_STREAM, STREAM, StreamFormat


def test_real_input() -> None:
    """A byte u means (u - 128) / 64."""
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert real_input(images).flatten().tolist() == [-2, 0, 127 / 64]


def test_average_constants() -> None:
    """Sp is the largest for which Mp = round(2**Sp / n) has 15 bits; known cases by hand."""
    assert average_constants(1) == (1 << 14, 14)
    assert average_constants(4) == (1 << 14, 16)
    assert average_constants(3) == (21845, 16)
    assert average_constants(49) == (21400, 20)


@pytest.mark.parametrize(
    ("form", "zero"), [(STREAM, 0), (STREAM, 128), (FINE_STREAM, 0), (FINE_STREAM, 2048)]
)
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (7, 5)])
def test_average_is_the_rounded_mean(
    kernel: tuple[int, int], form: StreamFormat, zero: int
) -> None:
    """The mean of the codes about z, rounded half up by the integer formula; padding is z."""
    pad = (1, 0, 0, 1)
    pool = QuantizedPool(
        name="pool",
        input="a",
        output="b",
        kind=PoolKind.AVERAGE,
        window=Window(kernel=kernel, stride=2, pad=pad),
    )
    top = 255 if form is STREAM else 4095
    codes = np.random.default_rng(1).integers(0, top + 1, (3, 2, 9, 8))
    codes[0] = top
    pooled = pool(Stream(torch.tensor(codes).float(), torch.tensor(1.0), zero, form))
    result = pooled.codes
    assert pooled.form is form
    size = kernel[0] * kernel[1]
    multiplier, shift = average_constants(size)
    padded = np.full((3, 2, 10, 9), zero)
    padded[:, :, 1:, :-1] = codes
    for y in range(result.shape[2]):
        for x in range(result.shape[3]):
            part = padded[:, :, 2 * y : 2 * y + kernel[0], 2 * x : 2 * x + kernel[1]]
            total = part.sum((2, 3)) - size * zero
            mean = (total * multiplier + (1 << shift >> 1)) >> shift
            assert result[:, :, y, x].tolist() == (np.clip(mean, -zero, top - zero) + zero).tolist()


def test_average_gradient_is_that_of_the_mean() -> None:
    """Every code of a window gets 1/n."""
    pool = QuantizedPool(
        name="pool",
        input="a",
        output="b",
        kind=PoolKind.AVERAGE,
        window=Window(kernel=(2, 2), stride=2),
    )
    codes = torch.arange(16.0).view(1, 1, 4, 4).requires_grad_()
    pool(Stream(codes, torch.tensor(1.0), 0)).codes.sum().backward()
    assert codes.grad is not None
    assert codes.grad.flatten().tolist() == [0.25] * 16


def test_maximum_pads_with_code_zero() -> None:
    """Padding is the lowest code, so it never wins over a negative real value."""
    pool = QuantizedPool(
        name="pool",
        input="a",
        output="b",
        kind=PoolKind.MAX,
        window=Window(kernel=(2, 2), stride=2, pad=(1, 1, 1, 1)),
    )
    codes = torch.tensor([[5.0, 100.0], [90.0, 3.0]]).view(1, 1, 2, 2)
    result = pool(Stream(codes, torch.tensor(0.5), 128))
    assert result.codes.flatten().tolist() == [5, 100, 90, 3]
    assert (result.step.item(), result.zero) == (0.5, 128)


@pytest.mark.parametrize(
    ("form", "zero"), [(STREAM, 0), (STREAM, 128), (FINE_STREAM, 0), (FINE_STREAM, 2048)]
)
def test_a_shortcut_is_added_to_the_code(form: StreamFormat, zero: int) -> None:
    """With a convolution of zeros and equal steps, the result is the shortcut's own codes.

    The gradient of the shortcut's step is sum G * (k - z) over what is added, here 1 for each.
    """
    node = QuantizedConvolution(
        name="layer",
        input="a",
        output="b",
        window=Window(kernel=(1, 1), stride=2),
        weight=torch.zeros(5, 1, 1, 1),
        bias=None,
        norm=None,
        shortcut=Residual(tensor="c", stride=2, channel_offset=1),
        relu=False,
        bits=4,
        weight_quantizer=build_weight_quantizer(codebook("post4"), 5, ScaleRule.LARGEST),
        output_quantizer=None,
    )
    source = Stream(torch.zeros(2, 1, 5, 4), torch.tensor(1.0), 0)
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 1 << form.bits, (2, 3, 5, 4), generator=generator)
    step = torch.tensor(0.5, requires_grad=True)
    result = node(source, Stream(codes.float(), step, zero, form))
    expected = np.zeros((2, 5, 3, 2))
    expected[:, 1:4] = 0.5 * (codes.numpy()[:, :, ::2, ::2] - zero)
    assert (result.detach().numpy() == expected).all()
    result.sum().backward()
    assert step.grad is not None
    assert step.grad.item() == expected.sum() / 0.5


def test_every_parameter_of_branches_learns(
    branching: QuantizedModel, images: torch.Tensor
) -> None:
    """Through shortcuts and groups, too."""
    branching.zero_grad()
    branching(images).square().sum().backward()
    for name, parameter in branching.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
    branching.zero_grad()


def test_every_parameter_learns(quantized: QuantizedModel, images: torch.Tensor) -> None:
    """A backward pass reaches every parameter, the quantisers' too."""
    quantized.zero_grad()
    quantized(images).square().sum().backward()
    for name, parameter in quantized.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.abs().sum() > 0), name
        assert bool(parameter.grad.isfinite().all()), name
