# SPDX-License-Identifier: Apache-2.0
"""Gradients that are not derivatives.

The quantisers are written as ``straight_through(exact, smooth)``: the value is ``exact`` to the
bit, the gradient is that of ``smooth``. With ``smooth = clamp(v, low, high)`` it is 1 inside the
range, its ends included, and 0 outside.

Every gradient of this package follows from that and the chain rule. For a weight
``w_q = alpha * q``, u = w/alpha (POST, arXiv 2504.17263):

    dw = G inside, 0 outside;   dalpha = sum G * (q - u inside, +-1 outside)

For an activation ``x_q = s * 2**r * a`` with two roundings, v = x/s, u = the stream code,
Qp = 2**b - 1 and z = 0:

    dx = G and ds = G * (2**r * a - v)   where 0 <= v <= 255 and u <= 2**r * Qp,
    dx = 0 and ds = 0                    where v < 0,
    dx = 0 and ds = G * 2**r * Qp        above,

which for r = 0 is LSQ (Esser et al., ICLR 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SCALE_FLOOR", "round_half_up", "scale_gradient", "straight_through"]

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
