# SPDX-License-Identifier: Apache-2.0
"""A serial port: bytes of 8 bits, no parity, one stop bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component, In, Out

__all__ = ["MIN_DIVISOR", "UartReceiver", "UartTransmitter"]

_DATA_BITS = 8
# A start bit is seen up to a cycle late and a bit read in its middle: with fewer cycles a bit there
# is no middle.
MIN_DIVISOR = 4


def _require_divisor(divisor: int) -> None:
    if not isinstance(divisor, int) or isinstance(divisor, bool):
        raise TypeError(f"Divisor must be an integer, not {divisor!r}")
    if divisor < MIN_DIVISOR:
        raise ValueError(f"Divisor must be at least {MIN_DIVISOR}, not {divisor}")


class UartReceiver(Component):
    """Bytes from a line that idles high.

    A byte whose stop bit is not high is dropped; what follows it is taken for a start bit when the
    line has been high again.

    Timing: a byte appears in the middle of its stop bit and is gone a cycle later, taken or not.

    Parameters
    ----------
    divisor : cycles of a bit.

    Members
    -------
    line : In(1)
        Not synchronous to the clock.
    data : Out(8)
        The byte.
    valid : Out(1)
        High for one cycle with each byte.
    """

    def __init__(self, divisor: int) -> None:
        _require_divisor(divisor)
        self.divisor = divisor
        super().__init__({"line": In(1), "data": Out(_DATA_BITS), "valid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)
        cycles = Signal(range(self.divisor))
        bits = Signal(_DATA_BITS + 2)
        left = Signal(range(len(bits) + 1))
        m.d.sync += self.valid.eq(0)
        m.d.comb += self.data.eq(bits[1:-1])

        with m.FSM():
            with m.State("idle"), m.If(~line):
                m.d.sync += [cycles.eq(self.divisor // 2 - 1), left.eq(len(bits))]
                m.next = "bits"
            with m.State("bits"):
                m.d.sync += cycles.eq(cycles - 1)
                with m.If(cycles == 0):
                    m.d.sync += [
                        cycles.eq(self.divisor - 1),
                        bits.eq(Cat(bits[1:], line)),
                        left.eq(left - 1),
                    ]
                    with m.If((left == len(bits)) & line):
                        m.next = "idle"  # a glitch, no start bit
                    with m.Elif(left == 1):
                        m.d.sync += self.valid.eq(line)
                        m.next = "stop"
            with m.State("stop"), m.If(line):
                m.next = "idle"
        return m


class UartTransmitter(Component):
    """Bytes onto a line that idles high.

    Timing: a byte takes ten bits, and is taken when the line is free.

    Parameters
    ----------
    divisor : cycles of a bit.

    Members
    -------
    data : In(stream)
        The bytes.
    line : Out(1)
        The line.
    """

    def __init__(self, divisor: int) -> None:
        _require_divisor(divisor)
        self.divisor = divisor
        super().__init__({"data": In(stream.Signature(_DATA_BITS)), "line": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The start bit below, the stop bit above; ones behind it.
        bits = Signal(_DATA_BITS + 2, init=-1)
        cycles = Signal(range(self.divisor))
        left = Signal(range(len(bits) + 1))
        m.d.comb += [self.line.eq(bits[0]), self.data.ready.eq(left == 0)]
        with m.If(left == 0), m.If(self.data.valid):
            m.d.sync += [
                bits.eq(Cat(Const(0, 1), self.data.payload, Const(1, 1))),
                cycles.eq(self.divisor - 1),
                left.eq(len(bits)),
            ]
        with m.Elif(cycles == 0):
            m.d.sync += [
                bits.eq(Cat(bits[1:], Const(1, 1))),
                cycles.eq(self.divisor - 1),
                left.eq(left - 1),
            ]
        with m.Else():
            m.d.sync += cycles.eq(cycles - 1)
        return m
