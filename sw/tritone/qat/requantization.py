# SPDX-License-Identifier: Apache-2.0
"""What a frozen layer reads and writes, on whole numbers in floating point, with gradients.

In units of codes, with S, M, D, K and t of docs/numerics.md and r of the reader,

    a - z_a = clamp((u - z + half(r)) >> r)
    y       = clamp((v * M + ((k - z_k) * K << t) + D) >> S, low, high)

are computed to the bit, and every rounding passes gradients straight through:

    du = da / 2**r                                               where a is not clamped,
    dv = dy * M / 2**S,  dk = dy * K * 2**t / 2**S,  d(D / 2**S) = dy   where y is not clamped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tritone.qat.adaptation import adapted_levels
from tritone.qat.estimators import straight_through
from tritone.qat.frozen import EXACT
from tritone.qat.reading import Grid, block_size, blocks, gradient_mask, layout
from tritone.spec.fixed import BETA, BETA_HIGH, STREAM, half

__all__ = ["Constants", "Requantized", "read_codes"]


class _Read(torch.autograd.Function):
    """``a - z_a`` of codes, for r > 0."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, grid: Grid) -> Tensor:
        codes = codes.contiguous(memory_format=layout(codes))
        levels = torch.empty_like(codes)
        for some, level in blocks(codes, levels):
            torch.add(some, half(grid.shift) - grid.zero, out=level)
            level.mul_(1 / (1 << grid.shift)).floor_().clamp_(grid.low, grid.high)
        ctx.save_for_backward(codes)
        ctx.grid = grid
        return levels

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        grid: Grid = ctx.grid
        gradient = gradient.contiguous(memory_format=layout(codes))
        result = torch.empty_like(codes)
        scale = 1 << grid.shift
        low, high = gradient_mask(grid.zero + scale * grid.low, grid.zero + scale * grid.high)
        mask = torch.ops.aten.hardtanh_backward.grad_input
        for some, g, own in blocks(codes, gradient, result):
            mask(g, some, low, high, grad_input=own)
            own.mul_(1 / scale)
        return result, None


def read_codes(codes: Tensor, grid: Grid, beta: Tensor | None = None) -> Tensor:
    """Return ``a - z_a``, exact, of stream codes, whole numbers in float32.

    Parameters
    ----------
    beta : of an adaptive step, in U2.10, (N, 1, 1, 1).
    """
    if beta is not None:
        one = 1 << BETA.frac
        exact = adapted_levels(codes.detach().clone(), beta / one, grid)
        smooth = codes * (one / (beta * (1 << grid.shift)))
        return straight_through(exact, smooth.clamp(grid.low, grid.high))
    if grid.shift == 0:  # every code is an activation
        return codes - grid.zero if grid.zero else codes
    levels: Tensor = _Read.apply(codes, grid)
    return levels


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What a layer's sums are requantised with, float64 for each output channel.

    Parameters
    ----------
    multiplier : M.
    shortcut : ``K << t``, of a layer with a shortcut.
    offset : D.
    scale : ``2**-S``.
    low, high : y is clamped to them.
    passing : gradients pass between them, in codes.
    unit : what one of the sums counts in v.
    adapted : M follows beta.
    beta_high : the largest beta, in U2.10.
    shortcut_high : the largest code of the shortcut's tensor.
    """

    multiplier: Tensor
    shortcut: Tensor | None
    offset: Tensor
    scale: Tensor
    low: int
    high: int
    passing: tuple[float, float]
    unit: int = 1
    adapted: bool = False
    beta_high: int = BETA_HIGH
    shortcut_high: int = STREAM.high

    def slopes(self, beta: Tensor | None) -> Tensor:
        """Return what the sums are multiplied by, (C,), or (N, 1, 1, C) where M follows beta."""
        multiplier = self.multiplier
        if beta is not None and self.adapted:
            exact = beta.detach().double().view(-1, 1, 1, 1)
            # The machine rounds it half up, at the start of the layer.
            multiplier = torch.floor((multiplier * exact + half(BETA.frac)) / (1 << BETA.frac))
        return multiplier * self.unit

    def require_exact(self, name: str, bound: int) -> None:
        """Raise ValueError unless sums of up to ``bound`` of the units stay whole in float64.

        Parameters
        ----------
        name : of the layer.
        """
        most = self.beta_high / (1 << BETA.frac) if self.adapted else 1
        total = bound * self.unit * float(self.multiplier.abs().max()) * most
        total += float(self.offset.abs().max())
        if self.shortcut is not None:
            total += self.shortcut_high * float(self.shortcut.max())
        if total >= EXACT:
            raise ValueError(
                f"Layer {name} must have v * M + D below 2**53 to be trained exactly, not "
                f"{total:.3g}"
            )


def _pixels(*tensors: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """Return tensors (N, C, H, W) as (images, H, W, C), some whole images at a time; None stays."""
    first = tensors[0]
    assert first is not None
    count = max(1, block_size(first) * len(first) // first.numel())
    for start in range(0, len(first), count):
        yield tuple(
            None if each is None else each[start : start + count].permute(0, 2, 3, 1)
            for each in tensors
        )


class Requantized(torch.autograd.Function):
    """Output codes, float32, of exact sums."""

    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        bias: Tensor,
        added: Tensor | None,
        beta: Tensor | None,
        constants: Constants,
    ) -> Tensor:
        """Return y (N, C, H, W).

        Parameters
        ----------
        sums : v, (N, C, H, W), float32 or float64.
        bias : (C,), gets the gradient of D in codes; its value does not matter.
        added : k - z_k, of the shape of ``sums``.
        beta : of the images, in U2.10, (N, 1, 1, 1).
        """
        sums = sums.contiguous(memory_format=torch.channels_last)
        codes = torch.empty_like(sums, dtype=torch.float32)
        smooth = torch.empty_like(codes)
        slopes = constants.slopes(beta)
        # D has the half that makes a floor a rounding; without it y is what is rounded.
        rounding = (constants.scale < 1).float() / 2
        first = 0
        for v, k, y, x in _pixels(sums, added, codes, smooth):
            own = slopes if slopes.ndim == 1 else slopes[first : first + len(v)]
            first += len(v)
            total = v.double().mul_(own)
            if k is not None:
                total.addcmul_(k.double(), constants.shortcut)
            total.add_(constants.offset).mul_(constants.scale)
            x.copy_(total).sub_(rounding)
            y.copy_(total.floor_().clamp_(constants.low, constants.high))
        ctx.save_for_backward(smooth, slopes, sums if ctx.needs_input_grad[3] else None)
        ctx.constants, ctx.dtype = constants, sums.dtype
        return codes

    @staticmethod
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, None]:
        """Return the gradients of sums, bias, added and beta."""
        smooth, slopes, sums = ctx.saved_tensors
        constants: Constants = ctx.constants
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        low, high = gradient_mask(*constants.passing)
        mask = torch.ops.aten.hardtanh_backward.grad_input
        inner = torch.empty_like(smooth)
        dsums = inner if ctx.dtype is inner.dtype else torch.empty_like(inner, dtype=ctx.dtype)
        dbias = torch.zeros_like(constants.scale, dtype=inner.dtype)
        dadded = torch.empty_like(inner) if ctx.needs_input_grad[2] else None
        dbeta: list[Tensor] = []
        slopes = (slopes * constants.scale).to(inner.dtype)
        first = 0
        for g, x, passed, dv, dk, v in _pixels(gradient, smooth, inner, dsums, dadded, sums):
            own = slopes if slopes.ndim == 1 else slopes[first : first + len(g)]
            first += len(g)
            mask(g, x, low, high, grad_input=passed)
            dbias += passed.sum((0, 1, 2))
            if dk is not None and constants.shortcut is not None:
                torch.mul(passed, (constants.shortcut * constants.scale).to(dk.dtype), out=dk)
            if v is not None:
                each = constants.multiplier * (constants.unit / (1 << BETA.frac)) * constants.scale
                dbeta.append((passed * v * each.to(passed.dtype)).sum((1, 2, 3)))
            torch.mul(passed, own, out=dv)
        moved = torch.cat(dbeta).view(-1, 1, 1, 1) if dbeta else None
        return dsums, dbias, dadded, moved, None
