# SPDX-License-Identifier: Apache-2.0
"""Quantisers of tensors, against the equations in exact arithmetic.

Scales and inputs are dyadic, so that float32 is exact and ``==`` holds.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch

from tritone.qat.activations import ActivationQuantizer
from tritone.qat.streams import read


@pytest.mark.parametrize("signed", [False, True])
def test_stream_rounds_half_up_and_clamps(signed: bool) -> None:
    """``u = clamp(floor(x/s + 1/2) + z, 0, 255)`` with z = 128 for signed tensors, else 0."""
    quantizer = ActivationQuantizer(8, signed=signed)
    quantizer.eval()
    quantizer.initialized.fill_(True)
    with torch.no_grad():
        quantizer.grid_step.fill_(2**-5)
    eighths = np.arange(-1200, 2400)
    zero = 128 if signed else 0
    expected = [
        min(max(floor(Fraction(int(k), 8) + Fraction(1, 2)) + zero, 0), 255) for k in eighths
    ]
    stream = quantizer(torch.tensor(eighths / 8 * 2**-5, dtype=torch.float32))
    assert stream.codes.tolist() == expected
    assert (stream.zero, stream.step.item()) == (zero, 2**-5)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_activation_gradients(bits: int, signed: bool) -> None:
    """With both roundings: dx = G, d grid_step = g * G * (a - v) inside; 0 and g * G * a outside.

    v = x / grid_step. Outside is where x/s leaves the stream's range or the stream code lies above
    the largest activation.
    """
    r = 8 - bits
    step = 2.0**-6
    zero = 128 if signed else 0
    zero_a = zero >> r
    top_a = 2**bits - 1
    generator = np.random.default_rng(9)
    v = generator.integers(-200 * 8, 320 * 8, 512) / 8  # x/s, in eighths
    upstream = generator.integers(-3, 4, 512).astype(float)
    quantizer = ActivationQuantizer(bits, signed=signed)
    quantizer.initialized.fill_(True)
    with torch.no_grad():
        quantizer.grid_step.fill_(step * 2**r)
    x = torch.tensor(v * step, dtype=torch.float32, requires_grad=True)
    stream = quantizer(x)
    value = read(stream, bits) * (stream.step * 2**r)
    value.backward(torch.tensor(upstream, dtype=torch.float32))

    u = np.clip(np.floor(v + 0.5) + zero, 0, 255)
    a = np.clip(zero_a + np.floor((u - zero + 2**r // 2) / 2**r), 0, top_a) - zero_a
    inside = (v >= -zero) & (v <= 255 - zero) & (u - zero <= (top_a - zero_a) * 2**r)
    assert value.tolist() == (a * 2**r * step).tolist()
    assert x.grad is not None
    assert quantizer.grid_step.grad is not None
    assert x.grad.tolist() == np.where(inside, upstream, 0).tolist()
    total = (upstream * np.where(inside, a - v / 2**r, a)).sum()
    factor = np.float32((512 * (top_a - zero_a)) ** -0.5)
    assert quantizer.grid_step.grad.item() == np.float32(total) * factor


def test_step_starts_from_the_first_training_batch() -> None:
    """grid_step = 2 mean|x| / sqrt(Qp) of the first batch, and later batches do not set it."""
    quantizer = ActivationQuantizer(4)
    quantizer(torch.full((2, 3), 1.5))
    expected = np.float32(3.0) / np.float32(15**0.5)
    assert quantizer.grid_step.item() == expected
    assert quantizer.step == expected / 16
    quantizer(torch.full((2, 3), 100.0))
    assert quantizer.grid_step.item() == expected


def test_refuses_evaluation_before_training() -> None:
    """The step must come from training data, never from what is evaluated."""
    quantizer = ActivationQuantizer(4).eval()
    message = r"^Activation quantizer must see a training batch first, not be evaluated$"
    with pytest.raises(ValueError, match=message):
        quantizer(torch.zeros(1))


@pytest.mark.parametrize(
    ("bits", "signed", "message"),
    [
        (0, False, r"^Activation bits must be in 1\.\.8 for a non-negative tensor, not 0$"),
        (9, False, r"^Activation bits must be in 1\.\.8 for a non-negative tensor, not 9$"),
        (1, True, r"^Activation bits must be in 2\.\.8 for a signed tensor, not 1$"),
    ],
)
def test_refuses_widths(bits: int, signed: bool, message: str) -> None:
    """A signed tensor needs a bit for each side of zero."""
    with pytest.raises(ValueError, match=message):
        ActivationQuantizer(bits, signed=signed)
