# SPDX-License-Identifier: Apache-2.0
"""Reading and requantising with gradients, against the equations in integers and written out.

Inputs, multipliers and upstream gradients are small whole numbers and scales powers of two, so that
every product and sum of a gradient is exact in float32, and ``==`` holds.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tritone.qat import reading
from tritone.qat.reading import Grid
from tritone.qat.requantization import Constants, Requantized, read_codes

GRIDS = [Grid(bits=bits, zero=0) for bits in range(1, 9)]
GRIDS += [Grid(bits=bits, zero=128) for bits in range(2, 9)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_every_code_is_read(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    """``clamp(z_a + ((u - z + half(r)) >> r)) - z_a``; the gradient stops beyond the levels."""
    monkeypatch.setattr(reading, "BLOCK", 50)
    u = np.arange(256)
    r, z = 8 - grid.bits, grid.zero
    a = np.clip((z >> r) + ((u - z + (1 << r >> 1)) >> r), 0, 2**grid.bits - 1)
    codes = torch.arange(256.0).view(16, 2, 4, 2).requires_grad_()
    found = read_codes(codes, grid)
    assert (found.detach().numpy().astype(int).ravel() == a - (z >> r)).all()
    upstream = torch.arange(-128.0, 128.0).view_as(codes)
    found.backward(upstream)
    inside = (u - z >= grid.low << r) & (u - z <= grid.high << r)
    expected = np.where(inside, upstream.numpy().ravel() / 2**r, 0)
    assert codes.grad is not None
    assert (codes.grad.numpy().ravel() == expected).all()


def test_adaptive_reading() -> None:
    """G = (2**18 + beta/2) // beta, one rounding; du = da * 1024 / (beta * 2**r), dbeta by v."""
    grid = Grid(bits=4, zero=0, headroom=1)  # r = 3
    betas = [512, 777, 1024, 2048]
    u = np.arange(256)
    codes = torch.arange(256.0).view(1, 256, 1, 1).repeat(4, 1, 1, 1).requires_grad_()
    beta = torch.tensor(betas).float().view(4, 1, 1, 1).requires_grad_()
    found = read_codes(codes, grid, beta)
    found.sum().backward()
    assert codes.grad is not None
    assert beta.grad is not None
    for n, each in enumerate(betas):
        gain = ((1 << 18) + (each >> 1)) // each
        expected = np.clip((u * gain + (1 << 10)) >> 11, 0, 15)
        assert (found[n].detach().numpy().ravel() == expected).all()
        v = u * 1024 / (each * 8)
        inside = v <= 15
        slope = np.where(inside, 1024 / (each * 8), 0)
        # Products and sums of float32 against float64: 256 terms of a relative 2**-22 each.
        assert np.allclose(codes.grad[n].numpy().ravel(), slope, rtol=2**-20, atol=0)
        assert math.isclose(
            float(beta.grad[n]), -float((v * inside).sum()) / each, rel_tol=256 * 2**-22
        )


@pytest.mark.parametrize("adapted", [None, False, True], ids=["fixed", "step", "adapted"])
@pytest.mark.parametrize("wide", [False, True], ids=["stream", "wide"])
def test_requantisation(wide: bool, adapted: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes by integers with arithmetic shifts; gradients by the equations of the docstring."""
    monkeypatch.setattr(reading, "BLOCK", 60)  # two images of 2x5x3
    generator = np.random.default_rng(7 + wide)
    unit, shifts = 4, np.array([4, 7, 0])
    multiplier, offset = np.array([5, -12, 3]), np.array([40, 1000, -7])
    shortcut = np.array([16, 32, 1])
    v = generator.integers(-60, 60, (5, 3, 5, 2))
    k = generator.integers(-128, 128, v.shape)
    beta = generator.integers(512, 2049, 5)
    upstream = generator.integers(-8, 9, v.shape)
    low, high = (-(2**15), 2**15 - 1) if wide else (0, 255)

    def channel(values: np.ndarray) -> np.ndarray:
        return np.asarray(values).reshape(-1, 1, 1)

    m = channel(multiplier) * np.ones((5, 1, 1, 1), int)
    if adapted:
        m = (m * beta.reshape(5, 1, 1, 1) + 512) >> 10
    total = v * unit * m + k * channel(shortcut) + channel(offset)
    expected = np.clip(total >> channel(shifts), low, high)
    # What y is the rounding of: the half in D is none of its value.
    smooth = total / 2.0 ** channel(shifts) - np.where(channel(shifts) > 0, 0.5, 0)
    inside = np.ones_like(v, bool) if wide else (smooth >= low) & (smooth <= high)
    assert inside.all() == wide
    g = upstream * inside

    constants = Constants(
        multiplier=torch.tensor(multiplier).double(),
        shortcut=torch.tensor(shortcut).double(),
        offset=torch.tensor(offset).double(),
        scale=torch.tensor(0.5 ** shifts.astype(float)),
        low=low,
        high=high,
        passing=(-math.inf, math.inf) if wide else (low, high),
        unit=unit,
        adapted=bool(adapted),
    )
    sums, added = (torch.tensor(each).float().requires_grad_() for each in (v, k))
    bias = torch.zeros(3, requires_grad=True)
    gain = None
    if adapted is not None:
        gain = torch.tensor(beta).float().view(5, 1, 1, 1).requires_grad_(adapted)
    found = Requantized.apply(sums, bias, added, gain, constants)
    assert (found.detach().numpy() == expected).all()
    found.backward(torch.tensor(upstream).float())
    slope = 0.5 ** channel(shifts).astype(float)
    for tensor, wanted in (
        (sums, g * m * unit * slope),
        (added, g * channel(shortcut) * slope),
        (bias, g.sum((0, 2, 3))),
    ):
        assert tensor.grad is not None
        assert (tensor.grad.numpy() == wanted).all()
    if adapted and gain is not None:
        assert gain.grad is not None
        wanted = (g * v * channel(multiplier) * unit * slope).sum((1, 2, 3)) / 1024
        assert (gain.grad.numpy().ravel() == wanted).all()


def test_refuses_sums_that_are_not_exact() -> None:
    """The layer and the figure are named; 2**53 - 1 still passes."""
    one = torch.ones(1, dtype=torch.float64)
    constants = Constants(
        multiplier=one * 2**15,
        shortcut=None,
        offset=one * (2**46 - 1),
        scale=one,
        low=0,
        high=255,
        passing=(0, 255),
    )
    constants.require_exact("layer", 2**38 - 2**31)
    message = (
        r"^Layer big must have v \* M \+ D below 2\*\*53 to be trained exactly, not 9\.08e\+15$"
    )
    with pytest.raises(ValueError, match=message):
        constants.require_exact("big", 2**38)
