# SPDX-License-Identifier: Apache-2.0
"""Estimators."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tritone.qat.estimators import (
    Blending,
    ElementwiseScaling,
    Estimator,
    EstimatorKind,
    NoiseProxy,
    StraightThrough,
    build_estimator,
    round_half_up,
    scale_gradient,
    straight_through,
)

# Quarters in -2..2, ends of the range -1..1 among them; levels are integers.
VALUES = np.arange(-8, 9) / 4
UPSTREAM = np.array([3.0, -2, 0, 1, -1, 4, -3, 2, 5, -5, 1, 2, -4, 3, -1, 2, -2])
LEVELS = np.clip(np.floor(VALUES + 0.5), -1, 1)


def call(estimator: Estimator) -> tuple[Tensor, list[float]]:
    """Return the value and the gradient for VALUES, LEVELS and UPSTREAM."""
    values = torch.tensor(VALUES, dtype=torch.float32, requires_grad=True)
    result = estimator(values, torch.tensor(LEVELS, dtype=torch.float32), -1, 1, 1.0)
    result.backward(torch.tensor(UPSTREAM, dtype=torch.float32))
    assert values.grad is not None
    return result.detach(), values.grad.tolist()


def test_straight_through_is_exact_forward_and_smooth_backward() -> None:
    """The value is that of the first argument to the bit, the gradient that of the second."""
    x = torch.tensor([0.1, 0.3, -7.7, 1e6], requires_grad=True)
    exact = torch.tensor([1.0, -2.0, 3.0, 0.1])
    result = straight_through(exact, x * 3)
    assert torch.equal(result, exact)
    result.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0] * 4


def test_scale_gradient_keeps_the_value() -> None:
    """Only the gradient is scaled."""
    x = torch.tensor([0.1, 1e-30, 12345.678], requires_grad=True)
    result = scale_gradient(x, 0.25)
    assert torch.equal(result, x)
    result.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.25] * 3


def test_round_half_up() -> None:
    """Halves go up, for negative values too."""
    values = torch.tensor([-1.5, -0.5, 0.5, 1.5, 0.25, -0.75])
    assert round_half_up(values).tolist() == [-1, 0, 1, 2, 0, -1]


def test_straight_through_estimator_clips() -> None:
    """The gradient is that of the clamp, whose ends are inside."""
    result, gradient = call(StraightThrough())
    assert result.tolist() == LEVELS.tolist()
    assert gradient == np.where(np.abs(VALUES) <= 1, UPSTREAM, 0).tolist()


@pytest.mark.parametrize("delta", [0.0, 0.5, 2.0])
def test_elementwise_scaling(delta: float) -> None:
    """``g * (1 + delta * sign(g) * (x_n - x_q))`` with x = (v + 1) / 2; dyadic, so exact."""
    estimator = ElementwiseScaling()
    estimator.delta.fill_(delta)
    result, gradient = call(estimator)
    normalized = (np.clip(VALUES, -1, 1) + 1) / 2
    rounded = (LEVELS + 1) / 2
    scaled = UPSTREAM * (1 + delta * np.sign(UPSTREAM) * (normalized - rounded))
    assert result.tolist() == LEVELS.tolist()
    assert gradient == np.where(np.abs(VALUES) <= 1, scaled, 0).tolist()


def test_elementwise_scaling_is_differentiable_twice() -> None:
    """Both backward passes are scaled, with the sign of the gradient of each.

    loss = sum q**3 / 3 gives g = q**2 and, with f = 1 + delta * sign(g) * d for the constant
    difference d = x_n - x_q, dv = q**2 f. Its derivative by q is h = 2 q f, scaled in its turn.
    """
    delta = 0.5
    estimator = ElementwiseScaling()
    estimator.delta.fill_(delta)
    v = torch.tensor([0.75, -0.75, 0.25], requires_grad=True)
    level = torch.tensor([1.0, -1.0, 0.0])
    levels = estimator(v, level, -1, 1)
    (first,) = torch.autograd.grad((levels**3).sum() / 3, v, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), v)
    q, d = np.array([1.0, -1, 0]), np.array([-1, 1, 1]) / 8
    f = 1 + delta * np.array([1, 1, 0]) * d
    h = 2 * q * f
    assert first.tolist() == (q**2 * f).tolist()
    assert second.tolist() == (h * (1 + delta * np.sign(h) * d)).tolist()


def test_elementwise_scaling_records_levels() -> None:
    """While it is asked to: what it returned, and the width of the range."""
    estimator = ElementwiseScaling()
    v = torch.tensor([0.25, 3.0])
    estimator(v, torch.tensor([0.0, 2.0]), 0, 2)
    assert estimator.recorded is None
    estimator.recorded = []
    levels = estimator(v, torch.tensor([0.0, 2.0]), 0, 2)
    assert len(estimator.recorded) == 1
    assert estimator.recorded[0][0] is levels
    assert estimator.recorded[0][1] == 2


@pytest.mark.parametrize("blend", [0.0, 0.25, 1.0])
def test_blending(blend: float) -> None:
    """``(1 - blend) v + blend q``; the gradient is 1 - blend, outside of the range too."""
    estimator = Blending()
    estimator.blend.fill_(blend)
    result, gradient = call(estimator)
    assert result.tolist() == ((1 - blend) * VALUES + blend * LEVELS).tolist()
    assert gradient == ((1 - blend) * UPSTREAM).tolist()
    assert "blend" in estimator.state_dict()
    assert not list(estimator.parameters())


def test_blending_is_over_in_evaluation() -> None:
    """Whatever the blend, the levels are what is evaluated."""
    estimator = Blending().eval()
    level = torch.tensor([1.0])
    assert estimator(torch.tensor([0.6]), level, -1, 1).tolist() == [1]


def test_noise_is_uniform_over_the_step() -> None:
    """Within half a step on either side, centred, with the variance step**2 / 12."""
    estimator = NoiseProxy(7)
    count = 100_000
    v = torch.zeros(2, count, requires_grad=True)
    step = torch.tensor([[0.5], [2.0]])
    noisy = estimator(v, torch.ones(2, count), -1, 1, step)
    noisy.sum().backward()
    assert v.grad is not None
    assert v.grad.min() == v.grad.max() == 1
    for row, width in zip(noisy.detach().double(), (0.5, 2.0), strict=True):
        assert row.abs().max() <= width / 2
        # Six standard errors of the mean and of the variance of a uniform variable.
        assert abs(row.mean()) < 6 * width / (12 * count) ** 0.5
        assert abs(row.var() / (width**2 / 12) - 1) < 6 * (0.8 / count) ** 0.5


def test_noise_clips_like_the_straight_through_estimator() -> None:
    """Outside of the range the value is the end, plus noise, and there is no gradient."""
    result, gradient = call(NoiseProxy(1))
    assert gradient == np.where(np.abs(VALUES) <= 1, UPSTREAM, 0).tolist()
    assert (result - torch.tensor(VALUES).clamp(-1, 1)).abs().max() <= 0.5


def test_noise_goes_on_from_its_state() -> None:
    """Every call draws other noise, and a copy of the state draws the same."""
    first, second = NoiseProxy(3), NoiseProxy(4)
    v, exact = torch.zeros(50), torch.zeros(50)
    draws = [first(v, exact, -1, 1) for _ in range(3)]
    assert not torch.equal(draws[0], draws[1])
    second.load_state_dict({"state": torch.tensor(4)})
    assert torch.equal(second(v, exact, -1, 1), draws[1])
    assert torch.equal(second(v, exact, -1, 1), draws[2])
    assert torch.equal(second.eval()(v, exact, -1, 1), exact)


@pytest.mark.parametrize("kind", EstimatorKind)
def test_every_kind_is_built_and_evaluates_to_levels(kind: EstimatorKind) -> None:
    """In evaluation all estimators are the same."""
    estimator = build_estimator(kind, 5).eval()
    level = torch.tensor([1.0, 0.0])
    assert torch.equal(estimator(torch.tensor([0.7, 0.2]), level, -1, 1), level)
