# SPDX-License-Identifier: Apache-2.0
"""Quantisers of weights, against the equations in exact arithmetic.

Scales and inputs of the gradient tests are dyadic, so that float32 is exact and ``==`` holds.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from tritone.qat.quantizers import AlphaStart, WeightQuantizer
from tritone.spec.catalog import CATALOG, codebook

DYADIC = ["post2", "post3", "post4", "post5", "pot3", "pot4"]


def exact_levels(name: str) -> list[tuple[Fraction, int]]:
    """Return the values of a codebook's levels for alpha = 1, ascending, with a code of each."""
    book = codebook(name)
    values: dict[Fraction, int] = {}
    for code, level in enumerate(book.levels):
        if level is not None:
            value = (level.even + level.odd * Fraction(181, 128)) / book.unit
            values.setdefault(value, code)
    return sorted(values.items())


def nearest(levels: list[tuple[Fraction, int]], u: Fraction) -> tuple[Fraction, int]:
    """Return the level nearest to ``u``, the lower one where two are as near."""
    return min(levels, key=lambda level: (abs(level[0] - u), level[0]))


def probes(levels: list[tuple[Fraction, int]]) -> np.ndarray:
    """Return a grid over -1.25..1.25 and the three float32 values at each midpoint."""
    middles = [float(low + high) / 2 for (low, _), (high, _) in pairwise(levels)]
    close = np.array(middles, np.float32)
    ends = np.float32(np.inf)
    below, above = np.nextafter(close, -ends), np.nextafter(close, ends)
    # The neighbours of 0 are too small to be scaled by alpha.
    below[close == 0], above[close == 0] = -1e-30, 1e-30
    grid = np.arange(-320, 321, dtype=np.float32) / 256
    return np.concatenate([grid, close, below, above])


@pytest.mark.parametrize("name", CATALOG)
def test_weight_takes_the_nearest_level(name: str) -> None:
    """The code is that of the nearest level in the linear domain; a tie goes to the lower one."""
    levels = exact_levels(name)
    inputs = probes(levels)
    expected = [nearest(levels, Fraction(float(u))) for u in inputs]
    quantizer = WeightQuantizer(codebook(name), 2, AlphaStart.MAXIMUM)
    with torch.no_grad():
        quantizer.alpha.copy_(torch.tensor([1.0, 0.125]))
    weight = torch.stack([torch.from_numpy(inputs), torch.from_numpy(inputs / 8)])
    codes = quantizer.codes(weight)
    values = quantizer(weight).detach()
    for channel, alpha in enumerate((1.0, 0.125)):
        assert codes[channel].tolist() == [code for _, code in expected]
        reals = np.array([float(value) for value, _ in expected]).astype(np.float32) * alpha
        assert values[channel].tolist() == reals.tolist()


def test_a_tie_exists_and_goes_down() -> None:
    """The middle of 181/256 and 1 is a float32; -1 is the lower one of the negative pair."""
    quantizer = WeightQuantizer(codebook("post4"), 1, AlphaStart.MAXIMUM)
    tie = float(Fraction(1 + Fraction(181, 256), 2))
    values = quantizer(torch.tensor([[tie, -tie]])).detach().tolist()
    assert values == [[181 / 256, -1.0]]


@pytest.mark.parametrize("name", DYADIC)
def test_weight_gradients(name: str) -> None:
    """dw is G inside and 0 outside; dalpha is g * sum G * (q - u inside, +-1 outside)."""
    levels = exact_levels(name)
    generator = np.random.default_rng(5)
    u = generator.integers(-640, 641, (3, 16)) / 512.0  # some outside of -1..1
    alphas = np.array([0.25, 1.0, 2.0])
    upstream = generator.integers(-4, 5, (3, 16)).astype(float)
    quantizer = WeightQuantizer(codebook(name), 3, AlphaStart.MAXIMUM)
    with torch.no_grad():
        quantizer.alpha.copy_(torch.from_numpy(alphas))
    weight = torch.tensor(u * alphas[:, None], dtype=torch.float32).view(3, 4, 2, 2)
    weight.requires_grad_()
    quantizer(weight).backward(torch.tensor(upstream, dtype=torch.float32).view(3, 4, 2, 2))
    level = np.array([[float(nearest(levels, Fraction(x))[0]) for x in row] for row in u])
    inside = np.abs(u) <= 1
    assert inside.any()
    assert not inside.all()
    factor = 1 / 4  # 1/sqrt(16 weights of a channel)
    dalpha = factor * (upstream * np.where(inside, level - u, np.sign(u))).sum(1)
    assert weight.grad is not None
    assert quantizer.alpha.grad is not None
    assert weight.grad.flatten(1).tolist() == np.where(inside, upstream, 0).tolist()
    assert quantizer.alpha.grad.tolist() == dalpha.tolist()


def test_alpha_starts() -> None:
    """MAXIMUM is the largest magnitude, PERCENTILE the interpolated 99th percentile, by channel."""
    weight = torch.stack([torch.arange(0, 101.0), -torch.arange(0, 202.0, 2)])
    maximum = WeightQuantizer(codebook("int8"), 2, AlphaStart.MAXIMUM)
    maximum.initialize(weight)
    assert maximum.alpha.tolist() == [100, 200]
    percentile = WeightQuantizer(codebook("post4"), 2, AlphaStart.PERCENTILE)
    percentile.initialize(weight)
    assert percentile.alpha.tolist() == [99, 198]
