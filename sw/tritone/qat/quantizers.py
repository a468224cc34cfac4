# SPDX-License-Identifier: Apache-2.0
"""The quantisers of weights and of tensors.

Each has an integer view, codes; its forward is that view times its scale.
"""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tritone.qat.estimators import round_half_up, scale_gradient, straight_through
from tritone.spec.codebook import Codebook
from tritone.spec.fixed import SQRT2_FRACTION, STREAM, half

__all__ = ["ActivationQuantizer", "AlphaStart", "Stream", "WeightQuantizer", "read"]

# Scales are kept above it: a scale that reaches 0 gets no gradient any more.
SCALE_FLOOR = 1e-6


class Stream(NamedTuple):
    """A tensor as its consumers get it.

    Parameters
    ----------
    codes : u as exact integers in float32, (N, C, H, W); the gradient is in units of codes.
    step : real size of a code, a scalar.
    zero : z, the code of real 0.
    """

    codes: Tensor
    step: Tensor
    zero: int


class AlphaStart(Enum):
    """What alpha of a channel starts at."""

    PERCENTILE = "percentile"  # 99th percentile of |w|: for codebooks of few levels (POST)
    MAXIMUM = "maximum"  # largest |w|: for 8-bit integers


def _floor_to_float32(value: Fraction) -> np.float32:
    """Return the largest float32 that is at most ``value``."""
    nearest = np.float32(float(value))
    return (
        np.nextafter(nearest, np.float32(-np.inf)) if Fraction(float(nearest)) > value else nearest
    )


class WeightQuantizer(nn.Module):
    """Nearest level of a codebook, in the linear domain, times alpha, learnt for each channel.

    A weight on the midpoint of two levels takes the lower one. alpha's gradient is scaled by
    1/sqrt(weights of a channel).

    Parameters
    ----------
    book : codebook.
    channels : output channels, the first dimension of the weights.
    start : rule of ``initialize``.
    """

    levels: Tensor
    midpoints: Tensor
    level_codes: Tensor

    def __init__(self, book: Codebook, channels: int, start: AlphaStart) -> None:
        super().__init__()
        self.book = book
        self.start = start
        self.alpha = nn.Parameter(torch.ones(channels))
        scaled = [level.scaled for level in book.sorted_levels]
        one = book.unit << SQRT2_FRACTION
        # Rounded down, so that u > midpoint is decided exactly for every float32 u.
        midpoints = [
            _floor_to_float32(Fraction(low + high, 2 * one)) for low, high in pairwise(scaled)
        ]
        self.register_buffer("levels", torch.tensor([n / one for n in scaled]), persistent=False)
        self.register_buffer("midpoints", torch.tensor(np.array(midpoints)), persistent=False)
        codes = torch.tensor(book.codes, dtype=torch.uint8)
        self.register_buffer("level_codes", codes, persistent=False)

    @torch.no_grad()
    def initialize(self, weight: Tensor) -> None:
        """Set alpha from ``weight`` (channels, ...)."""
        magnitude = weight.flatten(1).abs()
        match self.start:
            case AlphaStart.PERCENTILE:
                alpha = torch.quantile(magnitude, 0.99, dim=1)
            case AlphaStart.MAXIMUM:
                alpha = magnitude.amax(dim=1)
        self.alpha.copy_(alpha.clamp_min(SCALE_FLOOR))

    def codes(self, weight: Tensor) -> Tensor:
        """Return the weight codes, uint8, of the shape of ``weight``: the integer view."""
        return self.level_codes[self._nearest(self._normalize(weight, self.alpha))]

    def forward(self, weight: Tensor) -> Tensor:
        """Return the quantised weights, of the shape of ``weight``."""
        with torch.no_grad():
            self.alpha.clamp_(min=SCALE_FLOOR)
        alpha = scale_gradient(self.alpha, (weight.shape[0] / weight.numel()) ** 0.5)
        u = self._normalize(weight, alpha)
        level = straight_through(self.levels[self._nearest(u)], u.clamp(-1, 1))
        return level * self._by_channel(alpha, weight)

    def _nearest(self, u: Tensor) -> Tensor:
        return torch.bucketize(u.detach().contiguous(), self.midpoints)

    def _normalize(self, weight: Tensor, alpha: Tensor) -> Tensor:
        return weight / self._by_channel(alpha, weight)

    @staticmethod
    def _by_channel(alpha: Tensor, weight: Tensor) -> Tensor:
        return alpha.view(-1, *[1] * (weight.ndim - 1))


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to unsigned 8-bit stream codes: ``u = clamp(floor(x/s + 1/2) + z, 0, 255)``.

    What is learnt is the step of the grid that the consumer sees, ``grid_step = 2**r * s`` with
    r = 8 - bits, so that the learning rates of LSQ hold; its gradient is scaled by LSQ's
    1/sqrt(N * Qp) on that grid. It starts at ``2 * mean|x| / sqrt(Qp)`` of the first training
    batch.

    Parameters
    ----------
    bits : width of the consumer, 1..8.
    signed : the tensor can be negative (no ReLU); z is 128 then and 0 otherwise.
    """

    initialized: Tensor

    def __init__(self, bits: int, signed: bool = False) -> None:
        super().__init__()
        if not 1 + signed <= bits <= STREAM.bits:
            raise ValueError(
                f"Activation bits must be in {1 + signed}..{STREAM.bits} "
                f"for a {'signed' if signed else 'non-negative'} tensor, not {bits!r}"
            )
        self.bits = bits
        self.zero = half(STREAM.bits) if signed else 0
        self.grid_step = nn.Parameter(torch.ones(()))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))

    @property
    def read_shift(self) -> int:
        """r of the consumer."""
        return STREAM.bits - self.bits

    @property
    def top(self) -> int:
        """Qp: the largest activation above zero on the consumer's grid."""
        return ((1 << self.bits) - 1) - (self.zero >> self.read_shift)

    @property
    def step(self) -> float:
        """s, the real size of one stream code."""
        return float(self.grid_step.detach()) / (1 << self.read_shift)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set the step from a batch."""
        self.grid_step.copy_((2 * x.abs().mean() / self.top**0.5).clamp_min(SCALE_FLOOR))
        self.initialized.fill_(True)

    def forward(self, x: Tensor) -> Stream:
        """Return ``x`` as a stream.

        Raises
        ------
        ValueError : no training batch has set the step yet.
        """
        if not self.initialized:
            if not self.training:
                raise ValueError(
                    "Activation quantizer must see a training batch first, not be evaluated"
                )
            self.initialize(x)
        with torch.no_grad():
            self.grid_step.clamp_(min=SCALE_FLOOR)
        grid_step = scale_gradient(self.grid_step, (x.numel() * self.top) ** -0.5)
        step = grid_step / (1 << self.read_shift)
        low, high = STREAM.low - self.zero, STREAM.high - self.zero
        v = x / step
        codes = straight_through(round_half_up(v).clamp(low, high), v.clamp(low, high)) + self.zero
        return Stream(codes, step, self.zero)


def read(stream: Stream, bits: int) -> Tensor:
    """Return what a consumer of ``bits`` bits reads, as the exact integers ``a - z_a`` in float32.

    ``a = clamp(z_a + ((u - z + half(r)) >> r), 0, 2**bits - 1)``; the real value is
    ``(a - z_a) * 2**r * step``.
    """
    r = STREAM.bits - bits
    zero = stream.zero >> r
    low, high = -zero, (1 << bits) - 1 - zero
    # A division by a power of two is exact, so floor is the arithmetic shift.
    centred = stream.codes - stream.zero
    exact = torch.floor((centred + half(r)) / (1 << r)).clamp(low, high)
    return straight_through(exact, (centred / (1 << r)).clamp(low, high))
