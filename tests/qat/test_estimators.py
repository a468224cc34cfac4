# SPDX-License-Identifier: Apache-2.0
"""Estimators."""

from __future__ import annotations

import torch

from tritone.qat.estimators import round_half_up, scale_gradient, straight_through


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
