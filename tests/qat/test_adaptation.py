# SPDX-License-Identifier: Apache-2.0
"""Streams read with an adaptive step, against the equations."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch

from tritone.qat.adaptation import AdaptedStream, adapted_levels
from tritone.qat.estimators import StraightThrough
from tritone.qat.reading import Grid
from tritone.qat.streams import Stream


@pytest.mark.parametrize("bits", range(1, 8))
def test_levels_are_by_definition(bits: int) -> None:
    """All codes with betas at both ends, at 1 and between, by division of whole numbers."""
    codes = torch.arange(256.0).view(1, 1, 16, 16).expand(7, 1, 16, 16)
    exact = [512, 513, 777, 1024, 1500, 2047, 2048]
    beta = torch.tensor(exact).view(-1, 1, 1, 1) / 1024
    found = adapted_levels(codes, beta, Grid(bits=bits, zero=0, headroom=1))
    for image, whole in enumerate(exact):
        gain = floor(Fraction(2**18, whole) + Fraction(whole // 2, whole))
        expected = [
            min(floor(Fraction(u * gain, 2 ** (7 - bits + 8)) + Fraction(1, 2)), 2**bits - 1)
            for u in range(256)
        ]
        assert found[image].flatten().tolist() == expected


GRID = Grid(bits=2, zero=0, headroom=1)  # r = 5


@pytest.mark.parametrize("adapted", [True, False])
def test_gradients(adapted: bool) -> None:
    """dx, dS and dbeta of both dequantisations, with D as in the paper.

    beta is a power of two, S is 1/4 and x in sixteenths, so that all is exact.
    """
    generator = np.random.default_rng(2)
    real = generator.integers(-8, 40, (3, 2, 4, 4)) / 16
    upstream = generator.integers(-3, 4, real.shape).astype(float)
    s, betas = 0.25, np.array([0.5, 1.0, 2.0]).reshape(3, 1, 1, 1)
    x = torch.tensor(real, dtype=torch.float32, requires_grad=True)
    step = torch.tensor(s / 32, requires_grad=True)
    beta = torch.tensor(betas, dtype=torch.float32, requires_grad=True)
    codes = torch.floor(x.detach() / step.detach() + 0.5).clamp(0, 255)
    stream = AdaptedStream(codes, step, beta, GRID, StraightThrough(), adapted, x)
    values = stream.values(2)
    values.backward(torch.tensor(upstream, dtype=torch.float32))

    v = real / (s * betas)
    inside = (v >= 0) & (v <= 3)
    level = np.clip(np.floor(v + 0.5), 0, 3)
    assert inside.any()
    assert not inside.all()
    worth = s * betas if adapted else np.full_like(betas, s)
    assert values.tolist() == (level * worth).tolist()
    if adapted:
        each = upstream * np.where(inside, level - v, level)
        dx, dstep = np.where(inside, upstream, 0), (each * betas).sum()
        dbeta = each.sum((1, 2, 3)) * s
    else:
        dx = np.where(inside, upstream / betas, 0)
        dstep = (upstream * np.where(inside, level - v, level)).sum()
        dbeta = (np.where(inside, -upstream * v, 0)).sum((1, 2, 3)) * s / betas.flatten()
    assert x.grad is not None
    assert step.grad is not None
    assert beta.grad is not None
    assert x.grad.tolist() == dx.tolist()
    assert step.grad.item() == dstep * 32
    assert beta.grad.flatten().tolist() == dbeta.tolist()


def test_others_read_without_beta_and_pools_keep_it() -> None:
    """A reader of another width gets the codes' values; replaced codes are read with beta."""
    codes = torch.tensor([0.0, 40, 100, 255]).view(1, 1, 2, 2)
    step, beta = torch.tensor(0.5), torch.full((1, 1, 1, 1), 2.0)
    stream = AdaptedStream(torch.zeros_like(codes), step, beta, GRID, StraightThrough(), True)
    pooled = stream.replace_codes(codes)
    assert pooled.values(8).flatten().tolist() == [0, 20, 50, 127.5]
    assert pooled.values(4).tolist() == Stream(codes, step, 0).values(4).tolist()
    assert pooled.values(2).flatten().tolist() == [0, 32, 64, 96]  # levels 0 1 2 3 of 2**5 * s * 2
