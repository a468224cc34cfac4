# SPDX-License-Identifier: Apache-2.0
"""Scales of weights: how a weight becomes a number in -1..1, and how large a level is then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tritone.qat.estimators import SCALE_FLOOR, scale_gradient

__all__ = [
    "BoundsScale",
    "LearnedScale",
    "LsqScale",
    "MaximumScale",
    "Normalized",
    "Scale",
    "ScaleRule",
    "StandardizedScale",
    "build_scale",
]

# APoT starts the clipping point at three standard deviations, and so do EWGS's bounds.
_DEVIATIONS = 3.0

# For codebooks of few levels the largest weights are better clipped (POST).
_PERCENTILE = 0.99


class ScaleRule(Enum):
    """What the levels of a layer are multiplied by."""

    PERCENTILE = "percentile"  # learnt for each channel, from the 99th percentile of |w| on
    LARGEST = "largest"  # learnt for each channel, from the largest |w| on
    MEAN = "mean"  # learnt for each channel, from the mean |w| on: for one level and its negative
    LSQ = "lsq"  # learnt for each channel: the distance of levels, with the gradient of LSQ
    MAXIMUM = "maximum"  # the largest |w| of the channel at every step, not learnt
    BOUNDS = "bounds"  # EWGS: lower and upper bound and output scale of the layer, learnt
    STANDARDIZED = "standardized"  # APoT: clipping point of standardised weights, learnt


class Normalized(NamedTuple):
    """Weights without their scale.

    Parameters
    ----------
    numerator, denominator : their ratio is u; parameters of the range are in the denominator.
    scale : what a level of 1 is worth.

    Both broadcast against the weights (channels, ...).
    """

    numerator: Tensor
    denominator: Tensor
    scale: Tensor


class Scale(nn.Module, ABC):
    """Normalises weights (channels, ...)."""

    def initialize(self, weight: Tensor, project: Callable[[Tensor], Tensor]) -> None:
        """Set the parameters from ``weight``; ``project`` maps u to the nearest levels."""

    @abstractmethod
    def forward(self, weight: Tensor) -> Normalized:
        """Return the weights without their scale."""


def _by_channel(values: Tensor, weight: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weight.ndim - 1))


def _channel_size(weight: Tensor) -> float:
    return weight.numel() / weight.shape[0]


class LearnedScale(Scale):
    """alpha of each channel; its gradient is scaled by 1/sqrt(weights of a channel).

    Parameters
    ----------
    channels : output channels.
    start : PERCENTILE, LARGEST or MEAN.
    """

    def __init__(self, channels: int, start: ScaleRule) -> None:
        super().__init__()
        self.start = start
        self.alpha = nn.Parameter(torch.ones(channels))

    @torch.no_grad()
    def initialize(self, weight: Tensor, project: Callable[[Tensor], Tensor]) -> None:
        """Set alpha by the rule of the start."""
        magnitude = weight.flatten(1).abs()
        match self.start:
            case ScaleRule.PERCENTILE:
                alpha = torch.quantile(magnitude, _PERCENTILE, dim=1)
            case ScaleRule.LARGEST:
                alpha = magnitude.amax(dim=1)
            case ScaleRule.MEAN:
                alpha = magnitude.mean(dim=1)
            case _:
                raise ValueError(f"Scale start must be learnt from one, not {self.start.value}")
        self.alpha.copy_(alpha.clamp_min(SCALE_FLOOR))

    def forward(self, weight: Tensor) -> Normalized:
        """Return w, alpha, alpha."""
        with torch.no_grad():
            self.alpha.clamp_(min=SCALE_FLOOR)
        alpha = _by_channel(scale_gradient(self.alpha, _channel_size(weight) ** -0.5), weight)
        return Normalized(weight, alpha, alpha)


class LsqScale(Scale):
    """LSQ (Esser et al., ICLR 2020): alpha is ``top`` times a step that is learnt.

    The step starts at 2 mean|w| / sqrt(top), its gradient is scaled by
    1/sqrt(top * weights of a channel).

    Parameters
    ----------
    channels : output channels.
    top : largest level in units of the smallest one; Qp of integers.
    """

    def __init__(self, channels: int, top: float) -> None:
        super().__init__()
        self.top = top
        self.step = nn.Parameter(torch.ones(channels))

    @torch.no_grad()
    def initialize(self, weight: Tensor, project: Callable[[Tensor], Tensor]) -> None:
        """Set the step from the mean magnitude."""
        step = 2 * weight.flatten(1).abs().mean(dim=1) / self.top**0.5
        self.step.copy_(step.clamp_min(SCALE_FLOOR))

    def forward(self, weight: Tensor) -> Normalized:
        """Return w, alpha, alpha."""
        with torch.no_grad():
            self.step.clamp_(min=SCALE_FLOOR)
        step = scale_gradient(self.step, (_channel_size(weight) * self.top) ** -0.5)
        alpha = _by_channel(step * self.top, weight)
        return Normalized(weight, alpha, alpha)


class MaximumScale(Scale):
    """The largest magnitude of each channel; nothing is learnt and no gradient passes."""

    def forward(self, weight: Tensor) -> Normalized:
        """Return w, max|w|, max|w|."""
        alpha = weight.detach().flatten(1).abs().amax(dim=1).clamp_min(SCALE_FLOOR)
        alpha = _by_channel(alpha, weight)
        return Normalized(weight, alpha, alpha)


class BoundsScale(Scale):
    """EWGS: u = -1 at a lower and 1 at an upper bound of the layer, times an output scale.

    All three are learnt with their plain gradients (Lee et al., arXiv 2104.00903). The bounds start
    at three standard deviations. The output scale starts where the mean magnitudes of the layer's
    weights before and after quantisation are equal: for weights alone what the released code does
    with the outputs of a batch, so that a batch norm's statistics stay valid.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lower = nn.Parameter(-torch.ones(()))
        self.upper = nn.Parameter(torch.ones(()))
        self.output = nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def initialize(self, weight: Tensor, project: Callable[[Tensor], Tensor]) -> None:
        """Set bounds and output scale from ``weight``."""
        bound = (_DEVIATIONS * weight.std()).clamp_min(SCALE_FLOOR)
        self.lower.copy_(-bound)
        self.upper.copy_(bound)
        levels = project(weight / bound).abs().mean().clamp_min(SCALE_FLOOR)
        self.output.copy_((weight.abs().mean() / levels).clamp_min(SCALE_FLOOR))

    def forward(self, weight: Tensor) -> Normalized:
        """Return w less the centre of the bounds, half their distance, and the output scale."""
        with torch.no_grad():
            self.upper.clamp_(min=float(self.lower) + SCALE_FLOOR)
            self.output.abs_().clamp_(min=SCALE_FLOOR)
        centre, half = (self.upper + self.lower) / 2, (self.upper - self.lower) / 2
        return Normalized(weight - centre, half, self.output)


class StandardizedScale(Scale):
    """APoT: the layer's weights are standardised, with constant mean and deviation, and clipped.

    The clipping point alpha is learnt with its plain gradient. Standardisation is not undone, the
    batch norm behind the layer absorbs it (Li et al., arXiv 1909.13144).
    """

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(_DEVIATIONS))

    def forward(self, weight: Tensor) -> Normalized:
        """Return the standardised weights, alpha, alpha."""
        with torch.no_grad():
            self.alpha.clamp_(min=SCALE_FLOOR)
            mean, deviation = weight.mean(), weight.std().clamp_min(SCALE_FLOOR)
        return Normalized((weight - mean) / deviation, self.alpha, self.alpha)


def build_scale(rule: ScaleRule, channels: int, top: float) -> Scale:
    """Return a new scale for weights of that many output channels.

    Parameters
    ----------
    top : largest level of the codebook in units of the smallest one.
    """
    match rule:
        case ScaleRule.PERCENTILE | ScaleRule.LARGEST | ScaleRule.MEAN:
            return LearnedScale(channels, rule)
        case ScaleRule.LSQ:
            return LsqScale(channels, top)
        case ScaleRule.MAXIMUM:
            return MaximumScale()
        case ScaleRule.BOUNDS:
            return BoundsScale()
        case ScaleRule.STANDARDIZED:
            return StandardizedScale()
