# SPDX-License-Identifier: Apache-2.0
"""Quantisers of tensors, against the equations in exact arithmetic.

Scales and inputs are dyadic, so that float32 is exact and ``==`` holds.
"""

from __future__ import annotations

import math
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch

from tritone.qat.activations import (
    ActivationQuantizer,
    EwgsQuantizer,
    PactQuantizer,
    nearest_octave,
)
from tritone.qat.estimators import ElementwiseScaling
from tritone.qat.streams import read
from tritone.spec.fixed import FINE_STREAM, STREAMS


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("width", [8, 12])
def test_stream_rounds_half_up_and_clamps(width: int, signed: bool) -> None:
    """``u = clamp(floor(x/s + 1/2) + z, 0, top)`` with z the middle for signed tensors, else 0."""
    quantizer = ActivationQuantizer(8, signed=signed, form=STREAMS[width])
    quantizer.eval()
    quantizer.initialized.fill_(True)
    with torch.no_grad():
        quantizer.grid_step.fill_(2.0 ** (width - 13))
    top = 2**width - 1
    # All eighths of a step of 8-bit codes; of 12-bit ones every 19th, which meets them all.
    eighths = np.arange(-5 * top, 10 * top, 1 if width == 8 else 19)
    zero = 2 ** (width - 1) if signed else 0
    expected = [
        min(max(floor(Fraction(int(k), 8) + Fraction(1, 2)) + zero, 0), top) for k in eighths
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


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_all_codes_of_12_bits_are_read_twice(bits: int, signed: bool) -> None:
    """A reader of a grid and a shortcut, which takes the codes whole; both move the step."""
    quantizer = ActivationQuantizer(bits, signed=signed, form=FINE_STREAM)
    quantizer.initialized.fill_(True)
    r, step, zero = 12 - bits, 2.0**-9, 2048 if signed else 0
    with torch.no_grad():
        quantizer.grid_step.fill_(step * 2**r)
    u = np.arange(4096)
    x = torch.tensor((u - zero) * step, dtype=torch.float32, requires_grad=True)
    stream = quantizer(x)
    stream.expect({bits, 12})
    grid, whole = stream.values(bits), stream.values(12)
    a = np.clip((zero >> r) + ((u - zero + 2**r // 2) >> r), 0, 2**bits - 1) - (zero >> r)
    assert grid.tolist() == (a * 2**r * step).tolist()
    assert whole.tolist() == x.tolist()
    whole.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0] * 4096
    # Whole codes are exact: the step moves nothing.
    assert quantizer.grid_step.grad.item() == 0


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


def test_what_is_negative_counts_as_zero_behind_a_relu() -> None:
    """An unsigned quantiser is the ReLU: codes, gradients and the start of the step."""
    x = torch.tensor([-3.0, -0.25, 0.25, 1.5], requires_grad=True)
    quantizer = ActivationQuantizer(4)
    stream = quantizer(x)
    assert quantizer.grid_step.item() == np.float32(2 * 1.75 / 4) / np.float32(15**0.5)
    assert stream.codes[:2].tolist() == [0, 0]
    stream.values(4).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 1, 1]


def used(quantizer: ActivationQuantizer) -> ActivationQuantizer:
    """Return a quantiser that keeps its parameters."""
    quantizer.initialized.fill_(True)
    return quantizer


@pytest.mark.parametrize("pooled", [False, True])
def test_pact_learns_from_what_it_clips(pooled: bool) -> None:
    """S = alpha/Qp; dalpha = sum of G above alpha alone, not scaled, through a pool as well."""
    quantizer = used(PactQuantizer(4))
    with torch.no_grad():
        quantizer.alpha.fill_(15 / 8)
    x = torch.tensor([0.3, 1.0, 1.875, 2.0, 40.0, -1.0], requires_grad=True)
    stream = quantizer(x)
    if pooled:
        stream = stream.replace_codes(stream.codes)
    values = stream.values(4)
    assert values.tolist() == [0.25, 1.0, 1.875, 1.875, 1.875, 0]
    values.backward(torch.tensor([1.0, 2, 4, 8, 16, 32]))
    assert x.grad is not None
    assert quantizer.alpha.grad is not None
    assert x.grad.tolist() == [1, 2, 4, 0, 0, 0]
    assert quantizer.alpha.grad.item() == 24


def test_pact_starts_at_ten_or_at_the_largest_value() -> None:
    """The paper's 10 would round small tensors to nothing."""
    for largest, expected in ((50.0, 10.0), (2.5, 2.5)):
        quantizer = PactQuantizer(4)
        quantizer(torch.tensor([0.1, largest]))
        assert quantizer.alpha.item() == expected
        assert quantizer.step == pytest.approx(expected / 15 / 16, rel=1e-7)  # of float32


def test_ewgs_bounds_learn_from_what_is_inside() -> None:
    """du = sum of -g x_n/(u - l), dl = sum of g (x_n - 1)/(u - l), g of x_n as EWGS scales it."""
    estimator = ElementwiseScaling()
    estimator.delta.fill_(3 / 16)
    quantizer = used(EwgsQuantizer(2, estimator=estimator, learn_lower=True))
    with torch.no_grad():
        quantizer.lower.fill_(0.5)
        quantizer.upper.fill_(2.0)
    real = np.array([0.0, 0.5, 0.875, 1.25, 2.0, 3.0, -2.0])
    upstream = np.array([1.0, 2.0, -4.0, 3.0, 1.0, 8.0, 16.0])
    x = torch.tensor(real, dtype=torch.float32, requires_grad=True)
    stream = quantizer(x)
    values = stream.values(2)
    assert stream.codes.tolist() == [0, 0, 48, 96, 192, 255, 0]
    assert values.tolist() == [0, 0, 0.5, 1.0, 1.5, 1.5, 0]  # codes 0 0 1 2 3 3, a tie up
    values.backward(torch.tensor(upstream, dtype=torch.float32))
    n = (real - 0.5) / 1.5
    inside = (n >= 0) & (n <= 1)
    rounded = np.array([0, 0, 1, 2, 3, 3, 0]) / 3
    g = 1.5 * np.where(inside, upstream * (1 + 3 / 16 * np.sign(upstream) * (n - rounded)), 0)
    assert x.grad is not None
    # Thirds are not dyadic: each sum has at most 4 terms below 8, rounded to 24 bits.
    assert x.grad.numpy() == pytest.approx(g / 1.5, abs=8 * 4 * 2**-23)
    assert quantizer.upper.grad.item() == pytest.approx((-g * n / 1.5).sum(), abs=2**-18)
    assert quantizer.lower.grad.item() == pytest.approx((g * (n - 1) / 1.5).sum(), abs=2**-18)
    assert (quantizer.offset, quantizer.step) == (0.5, 0.5 / 64)


def test_ewgs_starts_from_the_standard_deviation() -> None:
    """u = 3 std(x)/sqrt(1 - 2/pi) behind a ReLU and 3 std(x) elsewhere; l = min(x)."""
    x = torch.tensor([1.0, 2.0, 3.0, 6.0])
    deviation = float(x.std())
    for signed, factor in ((False, (1 - 2 / np.pi) ** 0.5), (True, 1.0)):
        quantizer = EwgsQuantizer(4, signed=signed)
        quantizer(x)
        assert quantizer.upper.item() == pytest.approx(3 * deviation / factor, rel=1e-6)
    learnt = EwgsQuantizer(4, learn_lower=True)
    learnt(x)
    assert learnt.lower.item() == 1


def test_a_lower_bound_needs_a_relu() -> None:
    """A signed tensor has a zero in the middle of its codes."""
    message = r"^Lower bound must be learnt behind a ReLU only, not of a signed tensor$"
    with pytest.raises(ValueError, match=message):
        EwgsQuantizer(4, signed=True, learn_lower=True)


@pytest.mark.parametrize("kind", [ActivationQuantizer, PactQuantizer, EwgsQuantizer])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_read_are_the_values(kind: type, signed: bool, bits: int) -> None:
    """Both roundings at once and one after the other give the same values, to the bit."""
    if bits < 1 + signed:
        return
    generator = torch.Generator().manual_seed(bits)
    x = torch.randn(2, 3, 8, 8, generator=generator)
    stream = kind(bits, signed=signed)(x)
    for width in range(1, 9):
        expected = stream.values(width)
        assert torch.equal(stream.replace_codes(stream.codes).values(width), expected)


@pytest.mark.parametrize("kind", [ActivationQuantizer, PactQuantizer, EwgsQuantizer])
def test_steps_beside_a_reference(kind: type[ActivationQuantizer]) -> None:
    """Codes have the nearest power of two times the reference; the gradient is that of the step."""
    x = torch.linspace(0.01, 3.0, 64)
    for reference in (0.003, 0.0071, 0.011, 1.0):
        quantizer = kind(4)
        quantizer.train()
        quantizer(x)
        near = float(np.float32(reference))
        candidates = [near * 2.0**n for n in range(-20, 20)]
        learnt = quantizer.step
        expected = min(candidates, key=lambda each: abs(math.log2(each / learnt)))
        stream = quantizer(x, torch.tensor(reference))
        assert float(stream.step.detach()) == expected == nearest_octave(learnt, near)
        assert torch.equal(stream.codes, torch.floor(x / expected + 0.5).clamp(0, 255))
        stream.values(4).sum().backward()
        assert all(parameter.grad is not None for parameter in quantizer.parameters())
