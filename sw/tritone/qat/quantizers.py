# SPDX-License-Identifier: Apache-2.0
"""The quantisers of weights: codes are their integer view; forward is that view times the scale."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from tritone.qat.companding import Companding
from tritone.qat.estimators import (
    Blending,
    Estimator,
    EstimatorKind,
    StraightThrough,
    build_estimator,
)
from tritone.qat.scales import Normalized, Scale, ScaleRule, build_scale
from tritone.spec.codebook import Codebook
from tritone.spec.fixed import SQRT2, SQRT2_FRACTION

__all__ = ["WeightQuantizer", "build_weight_quantizer", "half_octave"]


def _floor_to_float32(value: Fraction) -> np.float32:
    """Return the largest float32 that is at most ``value``."""
    nearest = np.float32(float(value))
    return (
        np.nextafter(nearest, np.float32(-np.inf)) if Fraction(float(nearest)) > value else nearest
    )


class WeightQuantizer(nn.Module):
    """Nearest level of a codebook, in the linear domain, times a scale.

    A weight on the midpoint of two levels takes the lower one. Codebook, scale and estimator are
    independent of each other.

    Parameters
    ----------
    book : codebook.
    scale : how weights are normalised, and what a level of 1 is worth.
    estimator : what training has in the place of the rounding's gradient.
    clip : a weight outside of the levels' range gets no gradient; False passes it on, to the weight
        alone (the "calibrated" gradient of APoT, arXiv 1909.13144).
    companding : learnt levels, which are rounded to those of ``book`` then.
    """

    levels: Tensor
    midpoints: Tensor
    cells: Tensor
    level_codes: Tensor

    def __init__(
        self,
        book: Codebook,
        scale: Scale,
        estimator: Estimator,
        *,
        clip: bool = True,
        companding: Companding | None = None,
    ) -> None:
        super().__init__()
        if companding is not None and not isinstance(estimator, StraightThrough):
            raise ValueError(
                "Weights with companding must have the estimator ste: its levels move with the "
                "gradient that passes the rounding"
            )
        if not clip and isinstance(estimator, Blending):
            raise ValueError(
                "Weights must be clipped with the estimator ab, whose gradient is never clipped"
            )
        self.book = book
        self.scale = scale
        self.estimator = estimator
        self.clip = clip
        self.companding = companding
        scaled = [level.scaled for level in book.sorted_levels]
        one = book.unit << SQRT2_FRACTION
        # Rounded down, so that u > midpoint is decided exactly for every float32 u.
        midpoints = [
            _floor_to_float32(Fraction(low + high, 2 * one)) for low, high in pairwise(scaled)
        ]
        gaps = [(high - low) / one for low, high in pairwise(scaled)]
        self.register_buffer("levels", torch.tensor([n / one for n in scaled]), persistent=False)
        self.register_buffer("midpoints", torch.tensor(np.array(midpoints)), persistent=False)
        # Width of what is rounded to each level; beyond the outer ones it is that of the gap.
        cells = [(a + b) / 2 for a, b in pairwise([gaps[0], *gaps, gaps[-1]])]
        self.register_buffer("cells", torch.tensor(cells), persistent=False)
        codes = torch.tensor(book.codes, dtype=torch.uint8)
        self.register_buffer("level_codes", codes, persistent=False)

    def initialize(self, weight: Tensor) -> None:
        """Set the scale from ``weight`` (channels, ...)."""
        self.scale.initialize(weight, lambda u: self.levels[self._nearest(u)])

    @torch.no_grad()
    def codes(self, weight: Tensor, gain: Tensor | None = None) -> Tensor:
        """Return the weight codes, uint8, of the shape of ``weight``: the integer view."""
        parts = self._normalize(weight, gain)
        return self.level_codes[self._nearest(self._compand(parts.numerator / parts.denominator))]

    @torch.no_grad()
    def scales(self, weight: Tensor, gain: Tensor | None = None) -> Tensor:
        """Return what a level of 1 is worth in each channel."""
        scale = self._normalize(weight, gain).scale
        return scale.flatten().expand(weight.shape[0]).clone()

    def forward(self, weight: Tensor, gain: Tensor | None = None) -> Tensor:
        """Return the quantised weights, of the shape of ``weight``.

        ``gain`` is given where multipliers are half octaves: the multiplier of each channel over
        its scale. The scale then moves by up to a quarter of an octave, to make the multiplier one.
        """
        parts = self._normalize(weight, gain)
        u = self._compand(parts.numerator / parts.denominator)
        nearest = self._nearest(u)
        # Of a weight tensor, index_select takes a quarter of the time of an index.
        exact = self.levels.index_select(0, nearest.view(-1)).view_as(u)
        step = self.cells[nearest] if self.estimator.needs_step else 1.0
        level = self.estimator(u, exact, -1.0, 1.0, step)
        if not self.clip:
            fixed = parts.numerator / parts.denominator.detach()
            outside = fixed - fixed.clamp(-1, 1)
            level = level + (outside - outside.detach())
        return level * parts.scale

    def _normalize(self, weight: Tensor, gain: Tensor | None) -> Normalized:
        parts: Normalized = self.scale(weight)
        if gain is None:
            return parts
        with torch.no_grad():
            multiplier = parts.scale.double() * gain.view(-1, *[1] * (weight.ndim - 1))
            factor = torch.where(multiplier == 0, 1.0, half_octave(multiplier) / multiplier)
            factor = factor.to(parts.scale.dtype)
        return Normalized(parts.numerator, parts.denominator * factor, parts.scale * factor)

    def _compand(self, u: Tensor) -> Tensor:
        return u if self.companding is None else self.companding(u)

    def _nearest(self, u: Tensor) -> Tensor:
        return torch.bucketize(u.detach().contiguous(), self.midpoints)


def half_octave(value: Tensor) -> Tensor:
    """Return the nearest ``+-2**(k/2)`` in octaves, float64; sqrt 2 is 181/128; 0 stays 0."""
    halves = torch.floor(2 * torch.log2(value.double().abs()) + 0.5)
    power = torch.exp2(torch.floor(halves / 2)) * torch.where(halves % 2 == 1, SQRT2, 1.0)
    return torch.where(value == 0, 0.0, power * value.sign())


def build_weight_quantizer(
    book: Codebook,
    channels: int,
    rule: ScaleRule,
    kind: EstimatorKind = EstimatorKind.STE,
    *,
    clip: bool = True,
    seed: int = 0,
    companding: int = 0,
) -> WeightQuantizer:
    """Return a new quantiser for weights of ``channels`` output channels.

    ``companding`` is the width of learnt levels; 0: the levels are those of the codebook.
    """
    smallest = min(level.scaled for level in book.sorted_levels if level.scaled > 0)
    top = (book.unit << SQRT2_FRACTION) / smallest
    scale = build_scale(rule, channels, top)
    return WeightQuantizer(
        book,
        scale,
        build_estimator(kind, seed),
        clip=clip,
        companding=Companding(companding) if companding else None,
    )
