# SPDX-License-Identifier: Apache-2.0
"""Streams: a tensor as its consumers get it, and what they read of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import torch
from torch import Tensor

from tritone.qat.estimators import Estimator, StraightThrough, round_half_up, straight_through
from tritone.qat.reading import (
    Grid,
    Reading,
    StepRule,
    levels,
    read_together,
    read_values,
)
from tritone.spec.fixed import STREAM, StreamFormat, half

__all__ = ["FreshStream", "JoinedStream", "Stream", "read"]


class Stream:
    """A tensor as its consumers get it.

    Parameters
    ----------
    codes : u as exact integers in float32, (N, C, H, W); the gradient is in units of codes.
    step : real size of a code, a scalar.
    zero : z, the code of real 0.
    form : of the codes.
    """

    def __init__(self, codes: Tensor, step: Tensor, zero: int, form: StreamFormat = STREAM) -> None:
        self.codes, self.step, self.zero, self.form = codes, step, zero, form

    def replace_codes(self, codes: Tensor) -> Stream:
        """Return a stream of other codes, everything else being the same."""
        return Stream(codes, self.step, self.zero, self.form)

    def expect(self, widths: Collection[int]) -> None:
        """Prepare for consumers of those widths; what they get is the same without."""

    def values(self, bits: int) -> Tensor:
        """Return the real values ``(a - z_a) * 2**r * step`` that a consumer of ``bits`` gets."""
        return read(self, bits) * (self.step * (1 << (self.form.bits - bits)))


class FreshStream(Stream):
    """A stream straight from its quantiser: codes are made when somebody asks for them.

    Parameters
    ----------
    x : real, without the offset of the quantiser.
    grid_step : S, with its gradient scaled.
    grid : of the consumer that S belongs to.
    rule, estimator : how gradients pass.
    """

    def __init__(
        self, x: Tensor, grid_step: Tensor, grid: Grid, rule: StepRule, estimator: Estimator
    ) -> None:
        self._x, self._grid_step = x, grid_step
        self._grid, self._rule, self._estimator = grid, rule, estimator
        self._expected: Collection[int] = ()
        self._ready: dict[int, Tensor] = {}
        self.zero, self.form = grid.zero, grid.form
        self.step = (grid_step.detach() if rule is StepRule.EWGS else grid_step) / (1 << grid.shift)

    @cached_property
    def codes(self) -> Tensor:  # type: ignore[override]  # an attribute of Stream
        """``clamp(floor(x/s + 1/2) + z)`` to the format, the first rounding alone."""
        step = self._grid_step / (1 << self._grid.shift)
        low, high = self.form.low - self.zero, self.form.high - self.zero
        v = self._x / step
        if self._rule is StepRule.PACT:
            # Inside, what the consumer reads does not move the step: see tritone.qat.reading.
            held = step.detach()
            level = levels(self._x, self._grid_step, self._grid) * (1 << self._grid.shift)
            v = self._x / held + level * (held / step - 1)
        return straight_through(round_half_up(v).clamp(low, high), v.clamp(low, high)) + self.zero

    def expect(self, widths: Collection[int]) -> None:
        """Read for consumers of all those widths at once when the first of them asks."""
        if all(self._reading(bits).fusible for bits in widths):
            self._expected = widths

    def values(self, bits: int) -> Tensor:
        """Return what a consumer of ``bits`` bits reads, both roundings at once."""
        if bits in self._expected:
            widths, self._expected = self._expected, ()
            readings = [self._reading(each) for each in widths]
            found = read_together(self._x, readings, [self._scaled(each) for each in widths])
            self._ready = dict(zip(widths, found, strict=True))
        if bits in self._ready:
            return self._ready.pop(bits)
        own = self._reading(bits)
        return read_values(self._x, self._scaled(bits), own.grid, own.rule, own.estimator)

    def _reading(self, bits: int) -> Reading:
        own = bits == self._grid.bits
        return Reading(
            grid=Grid(bits=bits, zero=self.zero, form=self.form),
            rule=self._rule,
            estimator=self._estimator if own else StraightThrough(),
        )

    def _scaled(self, bits: int) -> Tensor:
        """Return S of consumers of ``bits`` bits."""
        return self._grid_step * 2.0 ** (self.form.bits - bits - self._grid.shift)


class JoinedStream(Stream):
    """Streams of one format, one zero and one step, whose channels lie one behind the other.

    Parameters
    ----------
    streams : in the order of the channels.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        first = streams[0]
        self.step, self.zero, self.form = first.step, first.zero, first.form

    @property
    def codes(self) -> Tensor:  # type: ignore[override]  # an attribute of Stream
        """u of all of them."""
        return torch.cat([each.codes for each in self._streams], 1)

    def values(self, bits: int) -> Tensor:
        """Return the real values that a consumer of ``bits`` bits gets."""
        return torch.cat([each.values(bits) for each in self._streams], 1)


def read(stream: Stream, bits: int) -> Tensor:
    """Return what a consumer of ``bits`` bits reads, as the exact integers ``a - z_a`` in float32.

    ``a = clamp(z_a + ((u - z + half(r)) >> r), 0, 2**bits - 1)``; the real value is
    ``(a - z_a) * 2**r * step``.
    """
    grid = Grid(bits=bits, zero=stream.zero, form=stream.form)
    r = grid.shift
    # A division by a power of two is exact, so floor is the arithmetic shift.
    centred = stream.codes - stream.zero
    exact = torch.floor((centred + half(r)) / (1 << r)).clamp(grid.low, grid.high)
    return straight_through(exact, (centred / (1 << r)).clamp(grid.low, grid.high))
