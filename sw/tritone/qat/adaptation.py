# SPDX-License-Identifier: Apache-2.0
"""Streams that are read with an adaptive step (ASQ, arXiv 2504.17263).

A consumer's grid has the step ``S * beta``, beta being one number for each image, exact in U2.10
and in 1/2..2, or 1/4..4 on 12-bit streams. With v = x/(S * beta), q the level and G the gradient of
what is read, the equations of the paper hold for the value ``q * S * beta``:

    D  = sum over an image of G * (q - v inside of the range, q outside)
    dx = G inside, 0 outside;   dS = sum of D * beta;   dbeta = D * S

For the value ``q * S`` the gradients are those of that product: dx = G/beta inside.

``compose`` says this in operations of torch, for every estimator; ``Adapted`` is the same for the
straight-through estimator, image by image in blocks that stay in the cache of a processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tritone.qat.estimators import Estimator, StraightThrough
from tritone.qat.reading import Grid, block_size, flat, gradient_mask, layout
from tritone.qat.streams import Stream
from tritone.spec.fixed import BETA, GAIN_FRACTION, STREAM, StreamFormat, half

__all__ = ["Adapted", "AdaptedStream", "CodeMean", "adapted_levels", "compose"]


def adapted_levels(codes: Tensor, beta: Tensor, grid: Grid) -> Tensor:
    """Return what is read: ``clamp((u * G + half(r + F)) >> (r + F), 0, 2**b - 1)``, exact.

    Parameters
    ----------
    codes : u; they are changed.
    beta : (N, 1, 1, 1) or (N, 1), a multiple of 2**-10.
    """
    exact = (beta.detach() * (1 << BETA.frac)).to(torch.int64)
    gain = ((1 << (BETA.frac + GAIN_FRACTION)) + (exact >> 1)) // exact
    shift = grid.shift + GAIN_FRACTION
    # u * G is at most 255 * 512, or 4095 * 1024: float32 holds it, the half, and the division by a
    # power of two.
    codes.mul_(gain.to(codes.dtype)).add_(half(shift)).mul_(1 / (1 << shift))
    return codes.floor_().clamp_(grid.low, grid.high)


def compose(
    smooth: Tensor,
    codes: Tensor,
    step: Tensor,
    beta: Tensor,
    grid: Grid,
    estimator: Estimator,
    adapted: bool,
) -> Tensor:
    """Return the values that are read.

    Parameters
    ----------
    smooth : v, what the level is the rounding of; it has the gradients of x, S and beta.
    codes : u.
    step : S.
    """
    exact = adapted_levels(codes.detach().clone(), beta, grid)
    return estimator(smooth, exact, grid.low, grid.high) * (step * beta if adapted else step)


def _stream_codes(x: Tensor, step: Tensor, form: StreamFormat, out: Tensor | None = None) -> Tensor:
    """Return u of real ``x`` for the step s of the stream, without a gradient."""
    codes = torch.div(x.detach(), step.detach(), out=out)
    return codes.add_(0.5).floor_().clamp_(form.low, form.high)


def _image_count(tensor: Tensor) -> int:
    """Return how many images are worked on at once."""
    return max(1, block_size(tensor) * len(tensor) // tensor.numel())


def _images(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return tensors of one layout as (images, values), some whole images at a time."""
    count, size = len(tensors[0]), _image_count(tensors[0])
    yield from zip(*(flat(each).view(count, -1).split(size) for each in tensors), strict=True)


class Adapted(torch.autograd.Function):
    """``compose`` of ``x / (S * beta)`` for StraightThrough."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, beta: Tensor, grid: Grid, own: bool) -> Tensor:
        """Return the values; ``own``: they are multiplied by beta too."""
        x = x.contiguous(memory_format=layout(x))
        values = torch.empty_like(x)
        fine = step / (1 << grid.shift)
        worth = (step * beta if own else step.expand_as(beta)).view(-1, 1)
        rows = beta.view(-1, 1)
        first = 0
        for some, value in _images(x, values):
            chosen = slice(first, first := first + len(some))
            codes = _stream_codes(some, fine, grid.form, value)
            adapted_levels(codes, rows[chosen], grid)
            value.mul_(worth[chosen])
        ctx.save_for_backward(x, step, beta, values)
        ctx.grid, ctx.own = grid, own
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Return dx, dS and dbeta."""
        x, step, beta, values = ctx.saved_tensors
        if torch.is_grad_enabled():  # differentiated once more, for a Hessian
            codes = _stream_codes(x, step / (1 << ctx.grid.shift), ctx.grid.form)
            again = compose(
                x / (step * beta), codes, step, beta, ctx.grid, StraightThrough(), ctx.own
            )
            dx, dstep, dbeta = torch.autograd.grad(
                again, (x, step, beta), gradient, create_graph=True
            )
            return dx, dstep, dbeta, None, None
        gradient = gradient.contiguous(memory_format=layout(x))
        dx, scratch = torch.empty_like(x), torch.empty_like(flat(x)[: block_size(x)])
        worth = (step * beta).view(-1, 1)
        low, high = gradient_mask(ctx.grid.low, ctx.grid.high)
        mask = torch.ops.aten.hardtanh_backward.grad_input
        whole, inner = [], []
        first = 0
        for some, value, g, result in _images(x, values, gradient, dx):
            chosen = slice(first, first := first + len(some))
            part = _part(scratch, some)
            mask(g, torch.div(some, worth[chosen], out=part), low, high, grad_input=result)
            if not ctx.own:
                result.div_(beta.view(-1, 1)[chosen])
            whole.append(torch.linalg.vecdot(g, value))
            inner.append(torch.linalg.vecdot(result, some))
        # Of each image the sums of G * value and of dx * x.
        outer, moved = torch.cat(whole), torch.cat(inner)
        flat_beta = beta.flatten()
        if ctx.own:
            each = (outer - moved) / flat_beta
            return dx, each.mul(flat_beta).sum() / step, each.view_as(beta), None, None
        dbeta = (-moved / flat_beta).view_as(beta)
        return dx, (outer - moved).sum() / step, dbeta, None, None


def _part(scratch: Tensor, like: Tensor) -> Tensor:
    """Return room for ``like``; one image may be larger than a block."""
    if like.numel() > scratch.numel():
        return torch.empty_like(like)
    return scratch[: like.numel()].view_as(like)


class CodeMean(torch.autograd.Function):
    """Mean over the pixels of stream codes; its gradient goes to x, as if nothing were rounded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, form: StreamFormat = STREAM) -> Tensor:
        """Return (N, C, 1, 1) sums of codes over the pixels, exact, by their number.

        Parameters
        ----------
        x : (N, C, H, W), real.
        step : s, a constant.
        form : of the codes.
        """
        ctx.save_for_backward(x, step)
        ctx.form = form
        pixels = x.shape[2] * x.shape[3]
        # Sums of whole numbers below 2**24 are exact in float32.
        exact_type = torch.float32 if pixels * form.high < 1 << 24 else torch.float64
        means = [
            _stream_codes(some, step, form).sum((2, 3), keepdim=True, dtype=exact_type)
            for some in x.split(_image_count(x))
        ]
        return torch.cat(means)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return dx: that of the clamp, by s."""
        x, step = ctx.saved_tensors
        share = gradient.to(x.dtype) / step
        mask = torch.ops.aten.hardtanh_backward
        low, high = gradient_mask(ctx.form.low, ctx.form.high)
        if torch.is_grad_enabled():  # differentiated once more, for a Hessian
            return mask(share.expand_as(x), x / step, low, high), None, None
        dx = torch.empty_like(x)
        size = _image_count(x)
        for some, g, result in zip(*(t.split(size) for t in (x, share, dx)), strict=True):
            mask.grad_input(g.expand_as(some), some / step, low, high, grad_input=result)
        return dx, None, None


class AdaptedStream(Stream):
    """A stream that consumers of the grid's width read with beta; others read it as it is.

    Parameters
    ----------
    source : the stream without beta; z is 0.
    beta : (N, 1, 1, 1).
    grid, estimator : of the consumers that read with beta.
    adapted : what is read is multiplied by S * beta, else by S.
    x : real values that the codes were made from; None behind a pool.
    """

    def __init__(
        self,
        source: Stream,
        beta: Tensor,
        grid: Grid,
        estimator: Estimator,
        adapted: bool,
        x: Tensor | None = None,
    ) -> None:
        self.source, self.step, self.zero = source, source.step, source.zero
        self.form = source.form
        self.beta, self.adapted = beta, adapted
        self._grid, self._estimator, self._x = grid, estimator, x

    @property
    def codes(self) -> Tensor:  # type: ignore[override]  # an attribute of Stream
        """u, without beta."""
        return self.source.codes

    def replace_codes(self, codes: Tensor) -> Stream:
        """Return a stream of other codes with the same beta."""
        source = self.source.replace_codes(codes)
        return AdaptedStream(source, self.beta, self._grid, self._estimator, self.adapted)

    def values(self, bits: int) -> Tensor:
        """Return the real values that a consumer of ``bits`` bits gets."""
        grid, estimator = self._grid, self._estimator
        if bits != grid.bits:
            return self.source.values(bits)
        step = self.step * (1 << grid.shift)
        if self._x is not None and isinstance(estimator, StraightThrough):
            values: Tensor = Adapted.apply(self._x, step, self.beta, grid, self.adapted)
            return values
        smooth = (
            self.codes / (self.beta * (1 << grid.shift))
            if self._x is None
            else self._x / (step * self.beta)
        )
        return compose(smooth, self.codes, step, self.beta, grid, estimator, self.adapted)
