# SPDX-License-Identifier: Apache-2.0
"""Quantised layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tritone.graph import PoolKind, Window
from tritone.qat.modules import QuantizedModel, QuantizedPool, average_constants, real_input
from tritone.qat.streams import Stream


def test_real_input() -> None:
    """A byte u means (u - 128) / 64."""
    assert real_input(torch.tensor([0, 128, 255], dtype=torch.uint8)).tolist() == [-2, 0, 127 / 64]


def test_average_constants() -> None:
    """Sp is the largest for which Mp = round(2**Sp / n) has 15 bits; known cases by hand."""
    assert average_constants(1) == (1 << 14, 14)
    assert average_constants(4) == (1 << 14, 16)
    assert average_constants(3) == (21845, 16)
    assert average_constants(49) == (21400, 20)


@pytest.mark.parametrize("zero", [0, 128])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (7, 5)])
def test_average_is_the_rounded_mean(kernel: tuple[int, int], zero: int) -> None:
    """The mean of the codes about z, rounded half up by the integer formula; padding is z."""
    pad = (1, 0, 0, 1)
    pool = QuantizedPool(
        name="pool",
        input="a",
        output="b",
        kind=PoolKind.AVERAGE,
        window=Window(kernel=kernel, stride=2, pad=pad),
    )
    codes = np.random.default_rng(1).integers(0, 256, (3, 2, 9, 8))
    codes[0] = 255
    result = pool(Stream(torch.tensor(codes).float(), torch.tensor(1.0), zero)).codes
    size = kernel[0] * kernel[1]
    multiplier, shift = average_constants(size)
    padded = np.full((3, 2, 10, 9), zero)
    padded[:, :, 1:, :-1] = codes
    for y in range(result.shape[2]):
        for x in range(result.shape[3]):
            part = padded[:, :, 2 * y : 2 * y + kernel[0], 2 * x : 2 * x + kernel[1]]
            total = part.sum((2, 3)) - size * zero
            mean = (total * multiplier + (1 << shift >> 1)) >> shift
            assert result[:, :, y, x].tolist() == (np.clip(mean, -zero, 255 - zero) + zero).tolist()


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


def test_every_parameter_learns(quantized: QuantizedModel, images: torch.Tensor) -> None:
    """A backward pass reaches every parameter, the quantisers' too."""
    quantized.zero_grad()
    quantized(images).square().sum().backward()
    for name, parameter in quantized.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.abs().sum() > 0), name
        assert bool(parameter.grad.isfinite().all()), name
