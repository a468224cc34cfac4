# SPDX-License-Identifier: Apache-2.0
"""Scales of weights, against the equations of their papers in float64 or, where dyadic, exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tritone.qat.estimators import EstimatorKind
from tritone.qat.quantizers import WeightQuantizer, build_weight_quantizer
from tritone.qat.scales import LearnedScale, ScaleRule, build_scale
from tritone.spec.catalog import codebook

WEIGHT = torch.stack([torch.arange(0, 101.0), -torch.arange(0, 202.0, 2)])


def keep(u: Tensor) -> Tensor:
    """Project nothing."""
    return u


def gradients(
    quantizer: WeightQuantizer, weight: np.ndarray, upstream: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the gradient of the weights and those of the scale's parameters by name."""
    values = torch.tensor(weight, dtype=torch.float32, requires_grad=True)
    quantizer(values).backward(torch.tensor(upstream, dtype=torch.float32))
    assert values.grad is not None
    named = {
        name: parameter.grad.double().numpy()
        for name, parameter in quantizer.scale.named_parameters()
        if parameter.grad is not None
    }
    return values.grad.double().numpy(), named


def test_learned_scales_start() -> None:
    """Largest magnitude, interpolated 99th percentile, mean magnitude; by channel."""
    expected = {
        ScaleRule.LARGEST: [100, 200],
        ScaleRule.PERCENTILE: [99, 198],
        ScaleRule.MEAN: [50, 100],
    }
    for rule, alphas in expected.items():
        scale = build_scale(rule, 2, 1)
        scale.initialize(WEIGHT, keep)
        assert scale(WEIGHT).scale.flatten().tolist() == alphas


def test_learned_scale_refuses_other_starts() -> None:
    """LSQ has a class of its own."""
    with pytest.raises(ValueError, match=r"^Scale start must be learnt from one, not lsq$"):
        LearnedScale(1, ScaleRule.LSQ).initialize(WEIGHT, keep)


def test_lsq_starts_and_learns_the_step() -> None:
    """step = 2 mean|w| / sqrt(7), alpha = 7 step; the step's gradient as LSQ defines it."""
    quantizer = build_weight_quantizer(codebook("int4"), 2, ScaleRule.LSQ)
    quantizer.initialize(WEIGHT)
    start = 2 * torch.tensor([50.0, 100.0]) / 7**0.5
    assert torch.equal(quantizer.scale.step, start)
    assert torch.equal(quantizer.scales(WEIGHT), start * 7)

    step = np.array([[0.25], [2.0]])
    with torch.no_grad():
        quantizer.scale.step.copy_(torch.tensor(step[:, 0]))
    rng = np.random.default_rng(0)
    v = rng.integers(-80, 81, (2, 18)) / 8 + 1 / 32  # in steps, no tie, some outside of -7..7
    upstream = rng.integers(-4, 5, (2, 18)).astype(float)
    dw, named = gradients(quantizer, v * step, upstream)
    inside = np.abs(v) <= 7
    assert not inside.all()
    local = np.where(inside, np.round(v) - v, 7 * np.sign(v))
    expected = (upstream * local).sum(1) / np.sqrt(18 * 7)
    assert dw.tolist() == np.where(inside, upstream, 0).tolist()
    # u = w / (7 step) and the sums are rounded to float32: terms of at most 28, 40 of them.
    assert np.abs(named["step"] - expected).max() < 40 * 28 * 2**-23


def test_maximum_follows_the_weights() -> None:
    """The largest magnitude of each channel at every step, without parameters."""
    quantizer = build_weight_quantizer(codebook("int4"), 2, ScaleRule.MAXIMUM)
    assert not list(quantizer.parameters())
    for factor in (1.0, 0.5):
        assert quantizer.scales(WEIGHT * factor).tolist() == [100 * factor, 200 * factor]
    dw, _ = gradients(quantizer, WEIGHT.numpy(), np.ones((2, 101)))
    assert (dw == 1).all()


@pytest.mark.parametrize("delta", [0.0, 0.5])
def test_bounds_are_those_of_ewgs(delta: float) -> None:
    """x_n = clip((w - l)/(u - l)), x_q = round((L-1) x_n)/(L-1), |o| * 2 (x_q - 1/2), and with
    g' = g (1 + delta sign(g) (x_n - x_q)): dw = g'/(u - l), du = -x_n g'/(u - l),
    dl = (x_n - 1) g'/(u - l), inside only; g = 2 o G."""
    quantizer = build_weight_quantizer(codebook("odd2"), 2, ScaleRule.BOUNDS, EstimatorKind.EWGS)
    quantizer.estimator.delta.fill_(delta)
    low, high, output = -1.0, 3.0, 0.5
    with torch.no_grad():
        quantizer.scale.lower.fill_(low)
        quantizer.scale.upper.fill_(high)
        quantizer.scale.output.fill_(-output)
    rng = np.random.default_rng(1)
    w = rng.integers(-20, 45, (2, 4, 3)) / 8 + 1 / 64
    upstream = rng.integers(-4, 5, w.shape).astype(float)
    with torch.no_grad():
        value = quantizer(torch.tensor(w, dtype=torch.float32)).double().numpy()
    dw, named = gradients(quantizer, w, upstream)

    ratio = (w - low) / (high - low)
    x_n = np.clip(ratio, 0, 1)
    x_q = np.round(3 * x_n) / 3
    assert np.abs(value - output * 2 * (x_q - 0.5)).max() < 2**-23
    g = 2 * output * upstream
    scaled = g * (1 + delta * np.sign(g) * (x_n - x_q)) * ((ratio >= 0) & (ratio <= 1))
    assert (scaled == 0).any()
    span = high - low
    expected = {
        "lower": (scaled * (x_n - 1) / span).sum(),
        "upper": (scaled * -x_n / span).sum(),
        "output": (upstream * 2 * (x_q - 0.5)).sum(),
    }
    assert np.abs(dw - scaled / span).max() < 8 * 2**-23
    assert set(named) == set(expected)
    for name, wanted in expected.items():
        assert abs(named[name] - wanted) < 24 * 8 * 2**-23


def test_bounds_start() -> None:
    """At three deviations; the mean magnitude is that of the weights."""
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)) * 0.3
    quantizer = build_weight_quantizer(codebook("odd2"), 8, ScaleRule.BOUNDS)
    quantizer.initialize(weight)
    deviation = weight.double().numpy().std(ddof=1)
    assert abs(quantizer.scale.upper.item() - 3 * deviation) < 1e-5
    assert quantizer.scale.lower.item() == -quantizer.scale.upper.item()
    ratio = quantizer(weight).abs().mean() / weight.abs().mean()
    assert abs(ratio.item() - 1) < 1e-5


def test_bounds_stay_apart() -> None:
    """An upper bound that fell below the lower one is put above it."""
    scale = build_scale(ScaleRule.BOUNDS, 1, 1)
    with torch.no_grad():
        scale.upper.fill_(-5)
    assert scale(WEIGHT).denominator > 0


@pytest.mark.parametrize("clip", [True, False])
def test_standardization_is_that_of_apot(clip: bool) -> None:
    """w' = (w - mean)/std with constant statistics; dw = G/std, outside too where it is calibrated;
    dalpha = sum G * (q - u inside, sign outside), without a factor."""
    quantizer = build_weight_quantizer(codebook("apot3"), 2, ScaleRule.STANDARDIZED, clip=clip)
    assert quantizer.scale.alpha.item() == 3
    alpha = 1.5
    with torch.no_grad():
        quantizer.scale.alpha.fill_(alpha)
    rng = np.random.default_rng(2)
    w = rng.normal(0.2, 0.1, (2, 40)).astype(np.float32).astype(np.float64)
    upstream = rng.integers(-4, 5, w.shape).astype(float)
    dw, named = gradients(quantizer, w, upstream)
    deviation = w.std(ddof=1)
    u = (w - w.mean()) / deviation / alpha
    grid = np.array([-1, -0.5, -0.25, 0, 0.25, 0.5, 1])
    q = grid[np.abs(u[..., None] - grid).argmin(-1)]
    inside = np.abs(u) <= 1
    assert not inside.all()
    wanted = upstream / deviation * (inside if clip else 1)
    assert (np.abs(dw - wanted) <= 1e-5 * np.abs(wanted)).all()
    dalpha = (upstream * np.where(inside, q - u, np.sign(u))).sum()
    assert abs(named["alpha"] - dalpha) < 80 * 4 * 1e-6
    assert torch.equal(quantizer.scales(torch.tensor(w)), torch.tensor([alpha, alpha]))
