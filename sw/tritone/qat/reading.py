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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tritone.qat.estimators import ElementwiseScaling, Estimator, StraightThrough
from tritone.spec.fixed import STREAM, StreamFormat, half

__all__ = [
    "Fused",
    "Grid",
    "Reading",
    "StepRule",
    "block_size",
    "blocks",
    "compose",
    "flat",
    "gradient_mask",
    "layout",
    "levels",
    "read_together",
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

    ``headroom`` bits of the codes, which have the format ``form``, lie above the grid, for steps
    that adapt.
    """

    bits: int
    zero: int
    headroom: int = 0
    form: StreamFormat = STREAM

    @property
    def shift(self) -> int:
        """r."""
        return self.form.bits - self.bits - self.headroom

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


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How one consumer reads: on ``grid``, the gradient passing by ``rule`` and ``estimator``."""

    grid: Grid
    rule: StepRule
    estimator: Estimator

    @property
    def fusible(self) -> bool:
        """Whether Fused does it."""
        estimator = self.estimator
        return isinstance(estimator, StraightThrough) or (
            isinstance(estimator, ElementwiseScaling) and estimator.recorded is None
        )


class Fused(torch.autograd.Function):
    """``compose`` for StraightThrough and ElementwiseScaling, of several readers at once.

    A tensor's values, and the gradients of all that read it, go through the cache together.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, readings: tuple[Reading, ...], *steps: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the values of each reading, whose step is S."""
        x = x.contiguous(memory_format=layout(x))
        values = tuple(torch.empty_like(x) for _ in readings)
        for some, *parts in blocks(x, *values):
            for reading, step, value in zip(readings, steps, parts, strict=True):
                levels(some, step, reading.grid, out=value).mul_(step)
        ctx.save_for_backward(x, *steps, *values)
        ctx.readings = readings
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return dx and the gradients of the steps."""
        readings: tuple[Reading, ...] = ctx.readings
        x, *saved = ctx.saved_tensors
        steps, values = saved[: len(readings)], saved[len(readings) :]
        if torch.is_grad_enabled():  # differentiated once more, for a Hessian
            again = [
                compose(x, step, reading.grid, reading.rule, reading.estimator)
                for reading, step in zip(readings, steps, strict=True)
            ]
            dx, *moved = torch.autograd.grad(again, (x, *steps), gradients, create_graph=True)
        else:
            whole = [each.contiguous(memory_format=layout(x)) for each in gradients]
            dx, moved = _backward(readings, x, steps, values, whole)
        return dx, None, *moved


def gradient_mask(low: float, high: float) -> tuple[float, float]:
    """Return the bounds between which hardtanh_backward passes the gradients of ``low..high``.

    It leaves out both bounds; the next numbers of float32 take them in.
    """
    return (
        float(np.nextafter(np.float32(low), np.float32(-np.inf))),
        float(np.nextafter(np.float32(high), np.float32(np.inf))),
    )


def _backward(
    readings: Sequence[Reading],
    x: Tensor,
    steps: Sequence[Tensor],
    values: Sequence[Tensor],
    gradients: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Return dx and the gradients of the steps, block by block."""
    count = len(readings)
    dx = torch.empty_like(x)
    scratch, other = (torch.empty_like(flat(x)[: block_size(x)]) for _ in range(2))
    parts: list[list[Tensor]] = [[] for _ in readings]
    for some, result, *rest in blocks(x, dx, *values, *gradients):
        for index, (reading, step) in enumerate(zip(readings, steps, strict=True)):
            own = result if index == 0 else other[: len(some)]
            value, g = rest[index], rest[count + index]
            parts[index] += _block(reading, step, some, value, g, own, scratch[: len(some)])
            if index:
                result.add_(own)
    moved = [
        (torch.stack(part).sum() / step).view(step.shape)
        for part, step in zip(parts, steps, strict=True)
    ]
    return dx, moved


def _block(
    reading: Reading,
    step: Tensor,
    x: Tensor,
    value: Tensor,
    g: Tensor,
    result: Tensor,
    part: Tensor,
) -> Iterator[Tensor]:
    """Write dx of a block into ``result``; return what the gradient of the step adds up."""
    grid, estimator = reading.grid, reading.estimator
    mask = torch.ops.aten.hardtanh_backward.grad_input
    low, high = gradient_mask(grid.low, grid.high)
    mask(g, torch.div(x, step, out=part), low, high, grad_input=result)
    match reading.rule:
        case StepRule.PACT:
            yield torch.dot(torch.sub(g, result, out=part), value)
        case StepRule.LSQ:
            yield torch.dot(g, value)
        case StepRule.EWGS:
            pass
    if isinstance(estimator, ElementwiseScaling):
        factor = estimator.delta / (step * (grid.high - grid.low))
        torch.sub(x, value, out=part).mul_(factor).mul_(result.abs())
        result.add_(part)
    if reading.rule is not StepRule.PACT:
        yield -torch.dot(result, x)


def read_values(
    x: Tensor, step: Tensor, grid: Grid, rule: StepRule, estimator: Estimator
) -> Tensor:
    """Return what is read of ``x``, as ``compose`` does, in the fastest way that there is."""
    reading = Reading(grid=grid, rule=rule, estimator=estimator)
    if not reading.fusible:
        return compose(x, step, grid, rule, estimator)
    return read_together(x, [reading], [step])[0]


def read_together(
    x: Tensor, readings: Sequence[Reading], steps: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return what each of the readings, which are all fusible, gets of ``x``."""
    values: tuple[Tensor, ...] = Fused.apply(x, tuple(readings), *steps)
    return values
