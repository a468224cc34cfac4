# SPDX-License-Identifier: Apache-2.0
"""What a consumer reads of a real tensor: both roundings at once, and the gradient of the step.

With S the step of the consumer's grid, s = S / 2**r that of the stream, v = x/s, u the stream code
and a - z_a the level that is read, low <= a - z_a <= high (docs/numerics.md), the value is
``S * (a - z_a)``. Backwards, with G the gradient of the value, the estimator decides dx inside
``low <= x/S <= high``; outside it is 0. The step gets

    LSQ    sum of G * level - dx * x/S        (Esser et al., ICLR 2020, for dx = G)
    PACT   sum of G * level outside           (Choi et al., arXiv 1805.06085)
    EWGS   sum of - dx * x/S                  (Lee et al., arXiv 2104.00903: not multiplied back)

``compose`` says this in operations of torch, for every estimator. ``Fused`` is the same for the
estimators that do nothing but scale the gradient, in blocks that stay in the cache of a processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tritone.qat.estimators import ElementwiseScaling, Estimator, StraightThrough
from tritone.spec.fixed import STREAM, half

__all__ = [
    "Fused",
    "Grid",
    "StepRule",
    "block_size",
    "blocks",
    "compose",
    "flat",
    "gradient_mask",
    "layout",
    "levels",
    "read_values",
]

# Values worked on at once on a processor: with their gradients they stay in its second cache.
BLOCK = 1 << 17


class StepRule(Enum):
    """Which elements move the step, and how."""

    LSQ = "lsq"
    PACT = "pact"
    EWGS = "ewgs"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What a consumer of ``bits`` bits reads of a stream whose code of 0 is ``zero``.

    ``headroom`` bits of the codes lie above the grid, for steps that adapt.
    """

    bits: int
    zero: int
    headroom: int = 0

    @property
    def shift(self) -> int:
        """r."""
        return STREAM.bits - self.bits - self.headroom

    @property
    def low(self) -> int:
        """The smallest a - z_a."""
        return -(self.zero >> self.shift)

    @property
    def high(self) -> int:
        """The largest a - z_a."""
        return self.low + (1 << self.bits) - 1


def levels(x: Tensor, step: Tensor, grid: Grid, out: Tensor | None = None) -> Tensor:
    """Return a - z_a of real ``x``: exact integers, without a gradient.

    Parameters
    ----------
    step : S, a scalar.
    out : where they are written; may not be ``x``.
    """
    r = grid.shift
    u = torch.div(x.detach(), step.detach() / (1 << r), out=out)
    u = u.add_(0.5).floor_()
    if r:
        # u is rounded again; its clamp changes nothing but what this one clamps too.
        u = u.add_(half(r)).mul_(1 / (1 << r)).floor_()
    return u.clamp_(grid.low, grid.high)


def compose(x: Tensor, step: Tensor, grid: Grid, rule: StepRule, estimator: Estimator) -> Tensor:
    """Return what is read of ``x``, the values S * (a - z_a)."""
    held = step.detach()
    exact = levels(x, step, grid)
    smooth = x / (held if rule is StepRule.PACT else step)
    read = estimator(smooth, exact, grid.low, grid.high)
    match rule:
        case StepRule.LSQ:
            return read * step
        case StepRule.EWGS:
            return read * held
        case StepRule.PACT:
            inside = (smooth >= grid.low) & (smooth <= grid.high)
            return read * torch.where(inside, held, step)


def block_size(tensor: Tensor) -> int:
    """Return how many values are worked on at once: all of them on an accelerator."""
    return BLOCK * torch.get_num_threads() if tensor.device.type == "cpu" else tensor.numel()


def layout(tensor: Tensor) -> torch.memory_format:
    """Return the order in which the values of a tensor lie."""
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def flat(tensor: Tensor) -> Tensor:
    """Return the values in the order in which they lie, without a copy."""
    channels_last = layout(tensor) is torch.channels_last
    return (tensor.permute(0, 2, 3, 1) if channels_last else tensor).view(-1)


def blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return tensors of one layout in equal parts."""
    size = max(1, block_size(tensors[0]))
    yield from zip(*(flat(each).split(size) for each in tensors), strict=True)


class Fused(torch.autograd.Function):
    """``compose`` for StraightThrough and ElementwiseScaling; the estimator comes last."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, grid: Grid, rule: StepRule, estimator: Estimator
    ) -> Tensor:
        """Return the values."""
        x = x.contiguous(memory_format=layout(x))
        values = torch.empty_like(x)
        for some, value in blocks(x, values):
            levels(some, step, grid, out=value).mul_(step)
        ctx.save_for_backward(x, step, values)
        ctx.grid, ctx.rule, ctx.estimator = grid, rule, estimator
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return dx and the gradient of the step."""
        x, step, values = ctx.saved_tensors
        if torch.is_grad_enabled():  # differentiated once more, for a Hessian
            again = compose(x, step, ctx.grid, ctx.rule, ctx.estimator)
            dx, moved = torch.autograd.grad(again, (x, step), gradient, create_graph=True)
        else:
            gradient = gradient.contiguous(memory_format=layout(x))
            dx, moved = _backward(ctx, x, step, values, gradient)
        return dx, moved, None, None, None


def gradient_mask(low: float, high: float) -> tuple[float, float]:
    """Return the bounds between which hardtanh_backward passes the gradients of ``low..high``.

    It leaves out both bounds; the next numbers of float32 take them in.
    """
    return (
        float(np.nextafter(np.float32(low), np.float32(-np.inf))),
        float(np.nextafter(np.float32(high), np.float32(np.inf))),
    )


def _backward(
    ctx: Any, x: Tensor, step: Tensor, values: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Return dx and the gradient of the step, block by block."""
    grid, rule, estimator = ctx.grid, ctx.rule, ctx.estimator
    dx, scratch = torch.empty_like(x), torch.empty_like(flat(x)[: block_size(x)])
    low, high = gradient_mask(grid.low, grid.high)
    mask = torch.ops.aten.hardtanh_backward.grad_input
    factor = None
    if isinstance(estimator, ElementwiseScaling):
        factor = estimator.delta / (step * (grid.high - grid.low))
    parts = []
    for some, value, g, result in blocks(x, values, gradient, dx):
        part = scratch[: len(some)]
        mask(g, torch.div(some, step, out=part), low, high, grad_input=result)
        match rule:
            case StepRule.PACT:
                parts.append(torch.dot(torch.sub(g, result, out=part), value))
            case StepRule.LSQ:
                parts.append(torch.dot(g, value))
            case StepRule.EWGS:
                pass
        if factor is not None:
            torch.sub(some, value, out=part).mul_(factor).mul_(result.abs())
            result.add_(part)
        if rule is not StepRule.PACT:
            parts.append(-torch.dot(result, some))
    return dx, (torch.stack(parts).sum() / step).view(step.shape)


def read_values(
    x: Tensor, step: Tensor, grid: Grid, rule: StepRule, estimator: Estimator
) -> Tensor:
    """Return what is read of ``x``, as ``compose`` does, in the fastest way that there is."""
    fusible = isinstance(estimator, StraightThrough) or (
        isinstance(estimator, ElementwiseScaling) and estimator.recorded is None
    )
    if not fusible:
        return compose(x, step, grid, rule, estimator)
    values: Tensor = Fused.apply(x, step, grid, rule, estimator)
    return values
