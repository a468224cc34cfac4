# SPDX-License-Identifier: Apache-2.0
"""The quantisers of weights: codes are their integer view; forward is that view times the scale."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from tritone.qat.estimators import SCALE_FLOOR, scale_gradient, straight_through
from tritone.spec.codebook import Codebook
from tritone.spec.fixed import SQRT2_FRACTION

__all__ = ["AlphaStart", "WeightQuantizer"]


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
