# SPDX-License-Identifier: Apache-2.0
"""Streams that are read with an adaptive step (ASQ, arXiv 2504.17263).

A consumer's grid has the step ``S * beta``, beta being one number for each image, exact in U2.10
and in 1/2..2. With v = x/(S * beta), q the level and G the gradient of what is read, the equations
of the paper hold for the value ``q * S * beta``:

    D  = sum over an image of G * (q - v inside of the range, q outside)
    dx = G inside, 0 outside;   dS = sum of D * beta;   dbeta = D * S

For the value ``q * S`` the gradients are those of that product: dx = G/beta inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tritone.qat.estimators import Estimator
from tritone.qat.reading import Grid
from tritone.qat.streams import Stream
from tritone.spec.fixed import BETA, GAIN_FRACTION, half

__all__ = ["AdaptedStream", "adapted_levels"]


def adapted_levels(codes: Tensor, beta: Tensor, grid: Grid) -> Tensor:
    """Return what is read: ``clamp((u * G + half(r + F)) >> (r + F), 0, 2**b - 1)``, exact.

    Parameters
    ----------
    codes : u.
    beta : (N, 1, 1, 1), a multiple of 2**-10.
    """
    exact = (beta.detach() * (1 << BETA.frac)).to(torch.int64)
    gain = ((1 << (BETA.frac + GAIN_FRACTION)) + (exact >> 1)) // exact
    shift = grid.shift + GAIN_FRACTION
    # u * G has 17 bits: float32 holds it, and the division by a power of two.
    scaled = codes.detach() * gain.to(codes.dtype)
    return scaled.add_(half(shift)).mul_(1 / (1 << shift)).floor_().clamp_(grid.low, grid.high)


class AdaptedStream(Stream):
    """A stream that consumers of the grid's width read with beta; others read it as it is.

    Parameters
    ----------
    codes, step : u and s; z is 0.
    beta : (N, 1, 1, 1).
    grid, estimator : of the consumers that read with beta.
    adapted : what is read is multiplied by S * beta, else by S.
    x : real values that the codes were made from; None behind a pool.
    """

    def __init__(
        self,
        codes: Tensor,
        step: Tensor,
        beta: Tensor,
        grid: Grid,
        estimator: Estimator,
        adapted: bool,
        x: Tensor | None = None,
    ) -> None:
        super().__init__(codes, step, grid.zero)
        self.beta, self.adapted = beta, adapted
        self._grid, self._estimator, self._x = grid, estimator, x

    def replace_codes(self, codes: Tensor) -> Stream:
        """Return a stream of other codes with the same beta."""
        return AdaptedStream(codes, self.step, self.beta, self._grid, self._estimator, self.adapted)

    def values(self, bits: int) -> Tensor:
        """Return the real values that a consumer of ``bits`` bits gets."""
        if bits != self._grid.bits:
            return super().values(bits)
        scale = self.step * (1 << self._grid.shift)
        if self._x is None:
            smooth = self.codes / (self.beta * (1 << self._grid.shift))
        else:
            smooth = self._x / (scale * self.beta)
        exact = adapted_levels(self.codes, self.beta, self._grid)
        read = self._estimator(smooth, exact, self._grid.low, self._grid.high)
        return read * (scale * self.beta if self.adapted else scale)
