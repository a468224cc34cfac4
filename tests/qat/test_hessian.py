# SPDX-License-Identifier: Apache-2.0
"""EWGS's delta, against Hessians that are written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tritone.qat.estimators import ElementwiseScaling
from tritone.qat.hessian import Sensitivity, estimate_trace, update_deltas


def generator() -> torch.Generator:
    """The same random vectors every time."""
    return torch.Generator().manual_seed(0)


def test_trace_of_a_diagonal_is_exact() -> None:
    """v' D v is the trace for every v of +1 and -1; the mean settles with the second vector."""
    diagonal = torch.tensor([1.0, -4.0, 0.5] * 4)
    calls: list[Tensor] = []

    def product(vector: Tensor) -> Tensor:
        calls.append(vector)
        return diagonal * vector

    assert estimate_trace(product, torch.zeros(12), 50, generator()) == -10
    assert len(calls) == 2
    assert all(set(vector.tolist()) <= {-1.0, 1.0} for vector in calls)
    assert not torch.equal(*calls)


@pytest.mark.parametrize("sign", [1, -1])
def test_negative_traces_take_as_many_probes(sign: int) -> None:
    """The stopping rule looks at magnitudes: -H takes the vectors that H takes."""
    half = torch.randn(12, 12, generator=generator())
    matrix = sign * (half + half.T + 9 * torch.eye(12))
    calls: list[Tensor] = []

    def product(vector: Tensor) -> Tensor:
        calls.append(vector)
        return matrix @ vector

    trace = estimate_trace(product, torch.zeros(12), 50, generator())
    terms = [float(vector @ (matrix @ vector)) for vector in calls]
    means = np.cumsum(terms) / np.arange(1, len(terms) + 1)
    changes = np.abs(np.diff(means)) / (np.abs(means[:-1]) + 1e-6)
    assert trace == pytest.approx(means[-1], rel=1e-6)
    assert (changes[:-1] >= 1e-3).all()
    assert len(calls) == 50 or changes[-1] < 1e-3
    assert len(calls) > 2


class Model(nn.Module):
    """Levels that a loss sees directly: round(w) in -2..2, and rounded inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.inputs = ElementwiseScaling(), ElementwiseScaling()
        self.unused = ElementwiseScaling()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, w: Tensor) -> Tensor:
        """Return the levels of ``w``, and let batch norm see something."""
        self.norm(torch.ones(2, 1, 2, 2))
        return self.weights(w, torch.floor(w + 0.5).detach(), -2.0, 2.0)


@pytest.mark.parametrize("curvature", [2.0, -2.0])
def test_delta_of_a_quadratic_loss(curvature: float) -> None:
    """loss = sum c_i q_i**2 / 2 + b_i q_i: trace = sum c_i, g = c q + b; with x_q = (q + 2)/4 the
    trace counts 16 times and the gradient 4 times. A negative trace gives 0."""
    model = Model()
    w = torch.tensor([0.75, -1.25, 0.4, 1.6], requires_grad=True)
    q = np.array([1.0, -1, 0, 2])
    b = np.array([1.0, 3, -2, 0.5])
    scales = (1.0, 3.0)

    def loss(scale: float) -> Tensor:
        levels = model(w)
        return scale * (curvature * levels.square() / 2 + torch.tensor(b) * levels).sum()

    before = model.norm.running_mean.clone()
    found = update_deltas(model, [lambda s=s: loss(s) for s in scales], 50, generator())
    values = [16 * s * curvature / (3 * 4 * s * (curvature * q + b).std(ddof=1)) for s in scales]
    expected = max(np.mean(values), 0)
    assert found["weights"] == pytest.approx(expected, rel=1e-6)
    assert model.weights.delta.item() == np.float32(found["weights"])
    assert (expected == 0) == (curvature < 0)
    assert found["inputs"] == found["unused"] == 0
    assert torch.equal(model.norm.running_mean, before)
    assert model.norm.num_batches_tracked == 0
    assert model.weights.recorded is None


def test_the_mean_over_batches_is_taken_before_the_sign() -> None:
    """One batch with a negative trace lowers delta; it does not count as 0."""
    model = Model()
    w = torch.tensor([0.75, -1.25], requires_grad=True)
    b = torch.tensor([1.0, 5.0])

    def loss(curvature: float) -> Tensor:
        levels = model(w)
        return (curvature * levels.square() / 2 + b * levels).sum()

    def alone(curvature: float) -> float:
        g = np.array([curvature + 1, -curvature + 5])
        return 4 * curvature / (3 * g.std(ddof=1))

    found = update_deltas(model, [lambda: loss(4.0), lambda: loss(-0.5)], 50, generator())
    assert alone(-0.5) < 0
    assert found["weights"] == pytest.approx((alone(4.0) + alone(-0.5)) / 2, rel=1e-6)


def test_a_flat_loss_gives_no_delta() -> None:
    """Without a gradient trace and deviation are 0, and so is the quotient."""
    assert Sensitivity(trace=0.0, deviation=0.0, elements=3).delta == 0
    model = Model()
    w = torch.tensor([0.75, -1.25], requires_grad=True)
    assert update_deltas(model, [lambda: model(w).sum()], 50, generator())["weights"] == 0
