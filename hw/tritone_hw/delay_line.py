# SPDX-License-Identifier: Apache-2.0
"""A value a fixed number of cycles later."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["DelayLine"]


class DelayLine(wiring.Component):
    """A chain of registers without reset.

    Timing: ``output`` is ``input`` of ``cycles`` cycles ago, undefined before that many cycles
    have passed.

    Parameters
    ----------
    shape : shape of the value.
    cycles : length of the chain; 0 is a wire.

    Members
    -------
    input : In(shape)
    output : Out(shape)
    """

    def __init__(self, shape: ShapeLike, cycles: int) -> None:
        if not isinstance(cycles, int) or isinstance(cycles, bool):
            raise TypeError(f"Cycles must be an integer, not {cycles!r}")
        if cycles < 0:
            raise ValueError(f"Cycles must be 0 or more, not {cycles}")
        self._shape = shape
        self._cycles = cycles
        super().__init__({"input": In(shape), "output": Out(shape)})

    @property
    def cycles(self) -> int:
        """Length of the chain."""
        return self._cycles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.input
        for stage in range(self._cycles):
            later = Signal(self._shape, name=f"stage{stage}", reset_less=True)
            m.d.sync += later.eq(value)
            value = later
        m.d.comb += self.output.eq(value)
        return m
