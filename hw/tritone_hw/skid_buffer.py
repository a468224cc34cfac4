# SPDX-License-Identifier: Apache-2.0
"""A stage of a stream that ends the way of ``ready``."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(Component):
    """Passes a stream on, and keeps an item that its taker is not ready for.

    ``source.ready`` is a register: no path leads from ``sink.ready`` to it.

    Timing: an item is offered in the cycle in which it comes; an item a cycle.

    Parameters
    ----------
    shape : of the payload.

    Members
    -------
    source : what comes in.
    sink : what goes out.
    full : an item is kept.
    """

    def __init__(self, shape: Shape | int) -> None:
        self._shape = shape
        super().__init__(
            {
                "source": In(stream.Signature(shape)),
                "sink": Out(stream.Signature(shape)),
                "full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = Signal(self._shape, reset_less=True)
        m.d.comb += [
            self.source.ready.eq(~self.full),
            self.sink.valid.eq(self.full | self.source.valid),
            self.sink.payload.eq(Mux(self.full, kept, self.source.payload)),
        ]
        m.d.sync += self.full.eq(self.sink.valid & ~self.sink.ready)
        with m.If(~self.full):
            m.d.sync += kept.eq(self.source.payload)
        return m
