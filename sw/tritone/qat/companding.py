# SPDX-License-Identifier: Apache-2.0
"""Learnt companding: uniform levels behind a learnt, piecewise linear compression.

LCQ (Yamamoto, arXiv 2103.07156, equations 4 to 9): with K intervals of equal width, slopes
gamma = K softmax(theta) and beta their running sum, the compression of a magnitude v in 0..1 is

    f(v) = gamma_k (v - k/K) + beta_k,   k/K <= v < (k+1)/K,

a level is f's inverse of a multiple of 1/n. A weight's limited normalisation of the paper is left
to the scale. The levels are then rounded to those of the codebook, a fine one with few passes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tritone.qat.estimators import straight_through

__all__ = ["Companding"]

INTERVALS = 16


class Companding(nn.Module):
    """Rounds values of -1..1 to ``2**bits - 1`` learnt levels, zero among them.

    Parameters
    ----------
    bits : width that such a code has.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        if bits < 2:
            raise ValueError(f"Companding must have at least 2 bits, not {bits!r}")
        self.top = (1 << (bits - 1)) - 1
        self.theta = nn.Parameter(torch.zeros(INTERVALS))

    def _slopes(self) -> tuple[Tensor, Tensor]:
        """Return gamma and beta; beta ends at 1."""
        parts = torch.softmax(self.theta, 0)
        beta = torch.cat([torch.zeros_like(parts[:1]), parts.cumsum(0)[:-1]])
        return parts * INTERVALS, beta

    def forward(self, u: Tensor) -> Tensor:
        """Return the level of each value, with gradients to values and slopes.

        Rounding is passed straight through; values outside of -1..1 have the outer levels and no
        gradient.
        """
        gamma, beta = self._slopes()
        magnitude = u.abs().clamp(max=1)
        k = (magnitude.detach() * INTERVALS).long().clamp(max=INTERVALS - 1)
        compressed = gamma[k] * (magnitude - k / INTERVALS) + beta[k]
        steps = torch.ceil(compressed.detach() * self.top - 0.5) / self.top
        rounded = straight_through(steps, compressed)
        back = torch.bucketize(steps, beta.detach(), right=True) - 1
        expanded = (rounded - beta[back]) / gamma[back] + back / INTERVALS
        return expanded * u.sign()
