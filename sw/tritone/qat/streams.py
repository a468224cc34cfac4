# SPDX-License-Identifier: Apache-2.0
"""Streams: a tensor as its consumers get it, and what they read of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tritone.qat.estimators import straight_through
from tritone.spec.fixed import STREAM, half

__all__ = ["Stream", "read"]


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
