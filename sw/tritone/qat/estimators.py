# SPDX-License-Identifier: Apache-2.0
"""Gradients that are not derivatives.

``straight_through(exact, smooth)`` has the value ``exact`` to the bit and the gradient of
``smooth``. With ``smooth = clamp(v, low, high)`` that is 1 inside the range, its ends included, and
0 outside. An ``Estimator`` is a rule of that kind for the rounding of a quantiser, whatever its
levels and its scale.

With the straight-through estimator every gradient follows from that and the chain rule. For a
weight ``w_q = alpha * q``, u = w/alpha (POST, arXiv 2504.17263):

    dw = G inside, 0 outside;   dalpha = sum G * (q - u inside, +-1 outside)

For an activation ``x_q = s * 2**r * a`` with two roundings, v = x/s, u = the stream code,
Qp = 2**b - 1 and z = 0:

    dx = G and ds = G * (2**r * a - v)   where 0 <= v <= 255 and u <= 2**r * Qp,
    dx = 0 and ds = 0                    where v < 0,
    dx = 0 and ds = G * 2**r * Qp        above,

which for r = 0 is LSQ (Esser et al., ICLR 2020).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from tritone.qat.determinism import tensor_seed
from tritone.qat.parallel import rank

__all__ = [
    "SCALE_FLOOR",
    "Blending",
    "ElementwiseScaling",
    "Estimator",
    "EstimatorKind",
    "NoiseProxy",
    "StraightThrough",
    "build_estimator",
    "round_half_up",
    "scale_gradient",
    "straight_through",
]

# Scales are kept above it: a scale that reaches 0 gets no gradient any more.
SCALE_FLOOR = 1e-6


def straight_through(exact: Tensor, smooth: Tensor) -> Tensor:
    """Return ``exact``, with the gradient of ``smooth`` (Bengio et al., arXiv 1308.3432).

    ``smooth - smooth`` is exactly 0, so the value is not rounded once more, as in
    ``smooth + (exact - smooth)``.
    """
    return exact.detach() + (smooth - smooth.detach())


def scale_gradient(value: Tensor, factor: float | Tensor) -> Tensor:
    """Return ``value``, with ``factor`` times its gradient (LSQ, section 2.2)."""
    return straight_through(value, value * factor)


def round_half_up(value: Tensor) -> Tensor:
    """Return ``value`` rounded half up, as every rounding of the machine."""
    return torch.floor(value + 0.5)


class EstimatorKind(Enum):
    """How a gradient passes the rounding of a tensor to levels."""

    STE = "ste"  # as if there were none
    EWGS = "ewgs"  # scaled by how far each element was rounded
    BLENDING = "ab"  # not at all: the value is blended from real to rounded
    NOISE = "noise"  # training adds noise instead of rounding


class Estimator(nn.Module, ABC):
    """The rounding of normalised values to levels: a value forwards, a rule backwards.

    An estimator knows neither codebook nor scale. In evaluation its value is ``exact``.
    ``needs_step``: it wants to know the distance between the levels.
    """

    needs_step = False

    @abstractmethod
    def forward(
        self, smooth: Tensor, exact: Tensor, low: float, high: float, step: Tensor | float = 1.0
    ) -> Tensor:
        """Return the levels that training calculates with.

        Parameters
        ----------
        smooth : normalised values v, not clamped.
        exact : the level of each.
        low, high : the lowest and the highest level, in the same units.
        step : distance between the levels around each value.
        """


class StraightThrough(Estimator):
    """The gradient is 1 in low..high, ends included, and 0 outside (arXiv 1308.3432)."""

    def forward(
        self, smooth: Tensor, exact: Tensor, low: float, high: float, step: Tensor | float = 1.0
    ) -> Tensor:
        """Return ``exact``."""
        return straight_through(exact, smooth.clamp(low, high))


class _Scaled(torch.autograd.Function):
    """Identity; backward ``g * (1 + sign(g) * factor)``, differentiable once more."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * (1 + gradient.sign() * factor), None


class ElementwiseScaling(Estimator):
    """EWGS (Lee et al., arXiv 2104.00903, equation 3).

    With x_n and x_q the clamped value and its level, both mapped to 0..1, and g the gradient of
    the level,

        dx_n = g * (1 + delta * sign(g) * (x_n - x_q)),

    and 0 outside. delta is a buffer: 0 is the straight-through estimator, and it stays there until
    someone sets it. While ``recorded`` is a list, what forward returns is appended to it with its
    range, for the Hessian.
    """

    delta: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("delta", torch.zeros(()))
        self.recorded: list[tuple[Tensor, float]] | None = None

    def forward(
        self, smooth: Tensor, exact: Tensor, low: float, high: float, step: Tensor | float = 1.0
    ) -> Tensor:
        """Return ``exact``."""
        inside = smooth.clamp(low, high)
        span = high - low
        factor = (inside - exact).detach() * (self.delta / span)
        levels = _Scaled.apply(straight_through(exact, inside), factor)
        if self.recorded is not None:
            self.recorded.append((levels, span))
        return levels


class Blending(Estimator):
    """Alpha-blending (Liu and Mattina, arXiv 1903.01061).

    ``(1 - blend) * v + blend * exact`` with ``exact`` a constant, so that the gradient is 1 - blend
    everywhere, and blend times the level for a scale that is multiplied with it. ``blend`` is a
    buffer that training raises from 0 to 1.
    """

    blend: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("blend", torch.zeros(()))

    def forward(
        self, smooth: Tensor, exact: Tensor, low: float, high: float, step: Tensor | float = 1.0
    ) -> Tensor:
        """Return the blend in training; ``exact``, as with blend = 1, in evaluation."""
        exact = exact.detach()
        return (1 - self.blend) * smooth + self.blend * exact if self.training else exact


class NoiseProxy(Estimator):
    """Pseudo-noise instead of rounding (DiffQ, arXiv 2104.09987; NIPQ, arXiv 2206.00820).

    Training gets ``clamp(v) + n`` with n uniform in -step/2..step/2 and the gradient of the clamp.
    Each call draws new noise; it depends on nothing but the buffer ``state``, which counts them,
    and, where processes share a batch, on which one this is.

    Parameters
    ----------
    seed : where ``state`` starts.
    of_images : the values are those of images, of which every process has others, so each draws its
        own noise. Weights are the same in all of them, and so is their noise.
    """

    needs_step = True
    state: Tensor

    def __init__(self, seed: int = 0, of_images: bool = False) -> None:
        super().__init__()
        self.of_images = of_images
        self.register_buffer("state", torch.tensor(seed))

    def forward(
        self, smooth: Tensor, exact: Tensor, low: float, high: float, step: Tensor | float = 1.0
    ) -> Tensor:
        """Return the noisy values in training, ``exact`` in evaluation."""
        if not self.training:
            return exact.detach()
        # The buffer itself is the same everywhere: it is that of the first process.
        own = tensor_seed(f"process {rank()}") if self.of_images and rank() else 0
        generator = torch.Generator(smooth.device).manual_seed(int(self.state) ^ own)
        self.state.add_(1)
        uniform = torch.rand(smooth.shape, generator=generator, device=smooth.device)
        return smooth.clamp(low, high) + (uniform - 0.5) * step


def build_estimator(kind: EstimatorKind, seed: int = 0, of_images: bool = False) -> Estimator:
    """Return a new estimator; ``seed`` and ``of_images`` are those of NOISE's noise."""
    match kind:
        case EstimatorKind.STE:
            return StraightThrough()
        case EstimatorKind.EWGS:
            return ElementwiseScaling()
        case EstimatorKind.BLENDING:
            return Blending()
        case EstimatorKind.NOISE:
            return NoiseProxy(seed, of_images)
