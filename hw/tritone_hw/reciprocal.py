# SPDX-License-Identifier: Apache-2.0
"""The reciprocal of a beta: a restoring division, a bit of the quotient a cycle."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import BETA, GAIN

__all__ = ["Reciprocal", "dividend"]


def dividend(beta: ValueLike) -> Value:
    """Return one in units of G * beta, and half of beta, which makes the quotient round half up."""
    return (1 << BETA.frac + GAIN.frac) + (Value.cast(beta) >> 1)


class Reciprocal(wiring.Component):
    """``G = ((1 << 18) + (beta >> 1)) // beta`` for a beta of 512..2048: 1 / beta, rounded half up.

    Timing: ``done`` is 1 ``CYCLES`` cycles after ``start``; ``gain`` holds from then to the next
    ``start``.

    Attributes
    ----------
    CYCLES : from ``start`` to ``done``: a cycle to take the operands, one for each bit of G.

    Members
    -------
    start : In(1)
        Strobe; not while a division is under way.
    beta : In(12)
        U2.10; sampled with ``start``. Any other value than 512..2048 makes a wrong ``gain``, in as
        many cycles.
    done : Out(1)
        Strobe.
    gain : Out(10)
        U2.8.
    """

    CYCLES = 1 + GAIN.bits

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "beta": In(BETA.bits),
                "done": Out(1),
                "gain": Out(GAIN.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        divisor = Signal(BETA.bits, reset_less=True)
        # The remainder, which is less than the divisor, and behind it the bits of the dividend that
        # are still to come, for which those of the quotient move in.
        remainder = Signal(BETA.bits, reset_less=True)
        rest = Signal(GAIN.bits, reset_less=True)
        left = Signal(GAIN.bits)  # a bit for each cycle that is left

        trial = Cat(rest[-1], remainder)
        fits = trial >= divisor
        with m.If(self.start):
            m.d.sync += [
                divisor.eq(self.beta),
                Cat(rest, remainder).eq(dividend(self.beta)),
                left.eq(~0),
            ]
        with m.Elif(left.any()):
            m.d.sync += [
                remainder.eq(Mux(fits, trial - divisor, trial)),
                rest.eq(Cat(fits, rest)),
                left.eq(left >> 1),
            ]
        m.d.sync += self.done.eq(left == 1)
        m.d.comb += self.gain.eq(rest)
        return m
