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
from tritone.spec.fixed import FINE_STREAM, STREAM, StreamFormat

GRIDS = [Grid(bits=bits, zero=0) for bits in range(1, 9)]
GRIDS += [Grid(bits=bits, zero=128) for bits in range(2, 9)]
GRIDS += [Grid(bits=bits, zero=0, form=FINE_STREAM) for bits in range(1, 9)]
GRIDS += [Grid(bits=bits, zero=2048, form=FINE_STREAM) for bits in range(2, 9)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_every_code_is_read(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    """``clamp(z_a + ((u - z + half(r)) >> r)) - z_a``; the gradient stops beyond the levels."""
    monkeypatch.setattr(reading, "BLOCK", 50)
    width = 12 if grid in GRIDS[15:] else 8
    count = 2**width
    u = np.arange(count)
    r, z = width - grid.bits, grid.zero
    a = np.clip((z >> r) + ((u - z + (1 << r >> 1)) >> r), 0, 2**grid.bits - 1)
    codes = torch.arange(float(count)).view(16, 2, 4, -1).requires_grad_()
    found = read_codes(codes, grid)
    assert (found.detach().numpy().astype(int).ravel() == a - (z >> r)).all()
    upstream = torch.arange(-count / 2, count / 2).view_as(codes)
    found.backward(upstream)
    inside = (u - z >= grid.low << r) & (u - z <= grid.high << r)
    expected = np.where(inside, upstream.numpy().ravel() / 2**r, 0)
    assert codes.grad is not None
    assert (codes.grad.numpy().ravel() == expected).all()


@pytest.mark.parametrize(
    ("form", "r", "betas"),
    [(STREAM, 3, [512, 777, 1024, 2048]), (FINE_STREAM, 6, [256, 777, 3000, 4095])],
    ids=["8 bits", "12 bits"],
)
def test_adaptive_reading(form: StreamFormat, r: int, betas: list[int]) -> None:
    """G = (2**18 + beta/2) // beta, one rounding; du = da * 1024 / (beta * 2**r), dbeta by v."""
    grid = Grid(bits=4, zero=0, headroom=form.headroom, form=form)
    count = 1 << form.bits
    u = np.arange(count)
    codes = torch.arange(float(count)).view(1, count, 1, 1).repeat(4, 1, 1, 1).requires_grad_()
    beta = torch.tensor(betas).float().view(4, 1, 1, 1).requires_grad_()
    found = read_codes(codes, grid, beta)
    found.sum().backward()
    assert codes.grad is not None
    assert beta.grad is not None
    for n, each in enumerate(betas):
        gain = ((1 << 18) + (each >> 1)) // each
        expected = np.clip((u * gain + (1 << r + 7)) >> r + 8, 0, 15)
        assert (found[n].detach().numpy().ravel() == expected).all()
        v = u * 1024 / (each * 2**r)
        inside = v <= 15
        slope = np.where(inside, 1024 / (each * 2**r), 0)
        # Products and sums of float32 against float64: terms of a relative 2**-22 each.
        assert np.allclose(codes.grad[n].numpy().ravel(), slope, rtol=2**-20, atol=0)
        assert math.isclose(
            float(beta.grad[n]), -float((v * inside).sum()) / each, rel_tol=count * 2**-22
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


def test_sums_of_12_bit_codes_are_bounded() -> None:
    """M times the largest beta, and the largest code of the shortcut, count in full."""
    one = torch.ones(1, dtype=torch.float64)
    constants = Constants(
        multiplier=one * 2**13,
        shortcut=one * 2**32,
        offset=one * 0,
        scale=one,
        low=0,
        high=4095,
        passing=(0, 4095),
        adapted=True,
        beta_high=4095,
        shortcut_high=4095,
    )
    # 2**38 * 2**13 * 4095 / 1024 = 2**53 - 2**41, and 4095 * 2**32 = 2**44 - 2**32.
    constants.require_exact("layer", 2**38 - 2**30)
    for wrong in (2**38, 2**38 - 2**28):
        with pytest.raises(ValueError, match=r"^Layer big must have v \* M \+ D below 2\*\*53"):
            constants.require_exact("big", wrong)


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
