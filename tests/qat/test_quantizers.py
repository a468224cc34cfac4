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

from tritone.qat.estimators import EstimatorKind
from tritone.qat.quantizers import build_weight_quantizer, half_octave
from tritone.qat.scales import ScaleRule
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
    quantizer = build_weight_quantizer(codebook(name), 2, ScaleRule.LARGEST)
    with torch.no_grad():
        quantizer.scale.alpha.copy_(torch.tensor([1.0, 0.125]))
    weight = torch.stack([torch.from_numpy(inputs), torch.from_numpy(inputs / 8)])
    codes = quantizer.codes(weight)
    values = quantizer(weight).detach()
    for channel, alpha in enumerate((1.0, 0.125)):
        assert codes[channel].tolist() == [code for _, code in expected]
        reals = np.array([float(value) for value, _ in expected]).astype(np.float32) * alpha
        assert values[channel].tolist() == reals.tolist()


def test_a_tie_exists_and_goes_down() -> None:
    """The middle of 181/256 and 1 is a float32; -1 is the lower one of the negative pair."""
    quantizer = build_weight_quantizer(codebook("post4"), 1, ScaleRule.LARGEST)
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
    quantizer = build_weight_quantizer(codebook(name), 3, ScaleRule.LARGEST)
    with torch.no_grad():
        quantizer.scale.alpha.copy_(torch.from_numpy(alphas))
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
    assert quantizer.scale.alpha.grad is not None
    assert weight.grad.flatten(1).tolist() == np.where(inside, upstream, 0).tolist()
    assert quantizer.scale.alpha.grad.tolist() == dalpha.tolist()


def test_calibrated_gradient_reaches_clipped_weights() -> None:
    """dw is G everywhere; dalpha is as with clipping."""
    weight = torch.tensor([[0.3, -0.9, 2.0, -3.0]])
    upstream = torch.tensor([[1.0, 2, 3, 4]])
    found = []
    for clip in (True, False):
        quantizer = build_weight_quantizer(codebook("post3"), 1, ScaleRule.MEAN, clip=clip)
        values = weight.clone().requires_grad_()
        result = quantizer(values)
        result.backward(upstream)
        assert values.grad is not None
        assert quantizer.scale.alpha.grad is not None
        found.append((result.tolist(), values.grad.tolist(), quantizer.scale.alpha.grad.tolist()))
    assert found[0][0] == found[1][0]
    assert found[0][2] == found[1][2]
    assert (found[0][1], found[1][1]) == ([[1, 2, 0, 0]], [[1, 2, 3, 4]])


@pytest.mark.parametrize("blend", [0.0, 0.25, 1.0])
def test_blended_weights(blend: float) -> None:
    """w_ab = (1 - a) w + a w_q, dw = (1 - a) G, dalpha = a * g * sum G q (dyadic, so exact)."""
    levels = exact_levels("post4")
    alpha = 0.5
    w = np.arange(-48, 48).reshape(1, 96)[:, :64] / 64 + 1 / 128
    upstream = np.random.default_rng(3).integers(-4, 5, w.shape).astype(float)
    quantizer = build_weight_quantizer(
        codebook("post4"), 1, ScaleRule.LARGEST, EstimatorKind.BLENDING
    )
    quantizer.estimator.blend.fill_(blend)
    with torch.no_grad():
        quantizer.scale.alpha.fill_(alpha)
    weight = torch.tensor(w, dtype=torch.float32, requires_grad=True)
    result = quantizer(weight)
    result.backward(torch.tensor(upstream, dtype=torch.float32))
    level = np.array([[float(nearest(levels, Fraction(x / alpha))[0]) for x in w[0]]])
    assert np.abs(w / alpha).max() > 1
    assert result.tolist() == ((1 - blend) * w + blend * level * alpha).tolist()
    assert weight.grad is not None
    assert weight.grad.tolist() == ((1 - blend) * upstream).tolist()
    assert quantizer.scale.alpha.grad is not None
    assert quantizer.scale.alpha.grad.item() == blend * (upstream * level).sum() / 8
    with torch.no_grad():
        assert quantizer.eval()(weight).tolist() == (level * alpha).tolist()


def test_blending_is_never_clipped() -> None:
    """A calibrated gradient beside it would count twice."""
    with pytest.raises(ValueError, match=r"^Weights must be clipped with the estimator ab"):
        build_weight_quantizer(
            codebook("post4"), 1, ScaleRule.MEAN, EstimatorKind.BLENDING, clip=False
        )


def test_noise_has_the_width_of_the_cell() -> None:
    """Between the midpoints around a level: POST4's widths by hand, those of the ends one gap."""
    quantizer = build_weight_quantizer(
        codebook("post4"), 1, ScaleRule.LARGEST, EstimatorKind.NOISE, seed=5
    )
    root = 181 / 128
    ladder = [0, 1, root, 2, 2 * root, 4, 4 * root, 8]
    widths = {0: 1.0, 8: 8 - 4 * root} | {
        ladder[i]: (ladder[i + 1] - ladder[i - 1]) / 2 for i in range(1, 7)
    }
    for level, width in widths.items():
        weight = torch.full((1, 20_000), level / 8)
        error = ((quantizer(weight).detach() - weight) * 8).abs()
        assert width * 0.499 < error.max() <= width * 0.5 * (1 + 1e-6) + 1e-6


@pytest.mark.parametrize("kind", EstimatorKind)
@pytest.mark.parametrize("rule", ScaleRule)
@pytest.mark.parametrize("name", ["binary", "odd4", "apot5", "twopost6", "odd8"])
def test_everything_composes(name: str, rule: ScaleRule, kind: EstimatorKind) -> None:
    """In evaluation the value is the level of the code times the scale, for every combination."""
    book = codebook(name)
    weight = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(1)) * 0.1
    quantizer = build_weight_quantizer(book, 3, rule, kind)
    quantizer.initialize(weight)
    with torch.no_grad():
        training = quantizer(weight)
        value = quantizer.eval()(weight)
    levels = np.array(
        [0 if level is None else book.value(code) for code, level in enumerate(book.levels)]
    )
    expected = levels[quantizer.codes(weight).numpy()].astype(np.float32)
    expected *= quantizer.scales(weight).numpy().reshape(3, 1, 1, 1)
    assert value.tolist() == expected.tolist()
    exact = kind in (EstimatorKind.STE, EstimatorKind.EWGS)
    assert torch.equal(training, value) == exact


def test_half_octave() -> None:
    """The power of sqrt 2 = 181/128 that is nearest in octaves, with the sign."""
    powers = [2.0 ** (k // 2) * (181 / 128 if k % 2 else 1) for k in range(-40, 41)]
    for k, power in enumerate(powers, start=-40):
        # The borders lie a quarter of an octave away from 2**(k/2).
        values = torch.tensor([2 ** (k / 2 + x) for x in (-0.2499, -0.1, 0, 0.1, 0.2499)])
        assert half_octave(values.double()).tolist() == [power] * 5
        assert half_octave(-values.double()).tolist() == [-power] * 5
    assert half_octave(torch.zeros(1)).tolist() == [0]


def test_half_octave_gain_moves_the_scale() -> None:
    """Scale times gain is a power of sqrt 2; weights are rounded with the moved scale."""
    book = codebook("int4")
    weight = torch.randn(5, 30, generator=torch.Generator().manual_seed(2))
    gain = torch.tensor([0.3, -1.7, 1.0, 900.0, 1e-4])
    quantizer = build_weight_quantizer(book, 5, ScaleRule.LARGEST)
    quantizer.initialize(weight)
    scales = quantizer.scales(weight, gain)
    multiplier = (scales * gain).double()
    # The scale is rounded to float32, and so is the product.
    assert (multiplier / half_octave(multiplier) - 1).abs().max() < 2**-22
    u = (weight / scales.unsqueeze(1)).clamp(-1, 1).double() * 7
    assert torch.equal(
        quantizer(weight, gain), (torch.ceil(u - 0.5) / 7).float() * scales.unsqueeze(1)
    )
    assert not torch.equal(quantizer.codes(weight, gain), quantizer.codes(weight))


def test_companded_weights_are_levels_of_the_codebook() -> None:
    """15 of the 221 levels of two-term POST, those nearest to the learnt ones; codes say which."""
    book = codebook("twopost8")
    weight = torch.randn(4, 300, generator=torch.Generator().manual_seed(3))
    quantizer = build_weight_quantizer(book, 4, ScaleRule.LARGEST, companding=4)
    quantizer.initialize(weight)
    with torch.no_grad():
        quantizer.companding.theta.copy_(torch.linspace(2, -2, 16))
    values = quantizer(weight)
    values.square().sum().backward()
    assert quantizer.companding.theta.grad.abs().max() > 0
    codes = quantizer.codes(weight)
    assert len(codes.unique()) == 15
    levels = np.array([book.value(code) for code in range(256)], np.float32)
    scales = quantizer.scales(weight).numpy()[:, None]
    assert values.tolist() == (levels[codes.numpy()] * scales).tolist()
    places = quantizer.companding(torch.linspace(0, 1, 9999)).detach().unique().double().numpy()
    chosen = np.unique(np.abs(levels[codes.numpy()])).astype(float)
    nearest_levels = [min(levels, key=lambda level: abs(float(level) - p)) for p in places]
    assert chosen.tolist() == [float(level) for level in nearest_levels]


def test_companding_is_straight_through() -> None:
    """Other estimators say something else of the same rounding."""
    with pytest.raises(ValueError, match=r"^Weights with companding must have the estimator ste"):
        build_weight_quantizer(codebook("int8"), 1, ScaleRule.LSQ, EstimatorKind.EWGS, companding=4)
