# SPDX-License-Identifier: Apache-2.0
"""The nested loops of a layer, which all can turn over in one cycle, and sums that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from amaranth import Const, Module, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.isa import LAYER

__all__ = ["Loop", "LoopNest", "RunningSum"]

_FIELD_BITS = {field.name: field.bits for field in LAYER.fields}


class Loop(IntEnum):
    """The loops of a layer, the innermost first."""

    CHANNEL = 0
    KERNEL_COLUMN = 1
    KERNEL_ROW = 2
    PASS = 3
    TILE = 4
    ROW = 5
    GROUP = 6


# Rounds of each loop, less one.
ROUNDS = StructLayout(
    {
        Loop.CHANNEL.name: _FIELD_BITS["in_channels"],
        Loop.KERNEL_COLUMN.name: _FIELD_BITS["kernel_width"],
        Loop.KERNEL_ROW.name: _FIELD_BITS["kernel_height"],
        Loop.PASS.name: _FIELD_BITS["pass_steps"],
        Loop.TILE.name: _FIELD_BITS["out_width"],
        Loop.ROW.name: _FIELD_BITS["out_height"],
        Loop.GROUP.name: _FIELD_BITS["out_channels"],
    }
)


class LoopNest(wiring.Component):
    """Counts through all rounds of all loops.

    Timing: ``start`` sets all loops to their first round in the next cycle; every cycle with
    ``step`` goes on by one round of the innermost loop, and of the others as they turn over,
    without a cycle between.

    Members
    -------
    start : In(1)
        Strobe.
    rounds : In(ROUNDS)
        Rounds of each loop, less one; constant from ``start`` on.
    step : In(1)
        Strobe; not before the cycle after ``start``, not behind the last round.
    last : Out(len(Loop))
        For each loop: it is in its last round.
    ending, next_ending : Out(len(Loop))
        For each loop: it and all loops within it are in their last round, or will be in the next
        cycle.
    advance : Out(len(Loop))
        The one loop that goes on to its next round with the next ``step``; the loops within it
        start again. None at the end of all.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "rounds": In(ROUNDS),
                "step": In(1),
                "last": Out(len(Loop)),
                "ending": Out(len(Loop)),
                "next_ending": Out(len(Loop)),
                "advance": Out(len(Loop)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        within: Value = Const(1)  # all loops within this one are in their last round
        next_within: Value = Const(1)  # will be in the next cycle
        for loop in Loop:
            rounds = self.rounds[loop.name]
            left = Signal(len(rounds), name=f"{loop.name.lower()}s_left", reset_less=True)
            # Whether none are left: a register, since everything that a step decides hangs on it.
            last = Signal(name=f"{loop.name.lower()}_last", reset_less=True)
            next_last = Signal(name=f"{loop.name.lower()}_next_last")
            m.d.comb += [
                self.last[loop].eq(last),
                self.ending[loop].eq(within & last),
                self.next_ending[loop].eq(next_within & next_last),
                next_last.eq(last),
                self.advance[loop].eq(within & ~last),
            ]
            within, next_within = within & last, next_within & next_last
            m.d.sync += last.eq(next_last)
            with m.If(self.start | (self.step & self.ending[loop])):
                m.d.sync += left.eq(rounds)
                m.d.comb += next_last.eq(rounds == 0)
            with m.Elif(self.step & self.advance[loop]):
                m.d.sync += left.eq(left - 1)
                m.d.comb += next_last.eq(left == 1)
        return m


class RunningSum(wiring.Component):
    """A linear function of the loop counters, kept by additions alone.

    The value is ``initial`` plus, for each loop in ``loops``, its increment times the rounds it
    has done. Each loop keeps the value at its present round, from which the loops within it start
    again.

    Timing: ``value`` belongs to the present round of all loops.

    Parameters
    ----------
    shape : shape of the value; it wraps.
    loops : the loops that change it, the outermost first.

    Members
    -------
    start : In(1)
        Strobe, as that of the loop nest.
    step, advance : In(1), In(len(Loop))
        Of the loop nest.
    initial : In(shape)
        Value in the first round of all loops; constant from ``start`` on.
    increments : In(ArrayLayout(shape, len(loops)))
        What a round of each loop adds; looked at when the loop advances.
    value : Out(shape)
        The sum.
    """

    def __init__(self, shape: ShapeLike, loops: Sequence[Loop]) -> None:
        if not loops or list(loops) != sorted(set(loops), reverse=True):
            raise ValueError(f"Loops must be given once each, the outermost first, not {loops!r}")
        self._shape = shape
        self._loops = tuple(loops)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "advance": In(len(Loop)),
                "initial": In(shape),
                "increments": In(ArrayLayout(shape, len(loops))),
                "value": Out(shape),
            }
        )

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The loops that change the value, the outermost first."""
        return self._loops

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = [
            Signal(self._shape, name=f"at_{loop.name.lower()}", reset_less=True)
            for loop in self._loops
        ]
        m.d.comb += self.value.eq(values[-1])

        def restart(levels: Sequence[Signal], value: Signal) -> None:
            m.d.sync += [level.eq(value) for level in levels]

        with m.If(self.start):
            restart(values, self.initial)
        with m.Elif(self.step):
            outer, base = len(Loop), self.initial
            for index, loop in enumerate(self._loops):
                following = Signal(self._shape, name=f"after_{loop.name.lower()}")
                m.d.comb += following.eq(values[index] + self.increments[index])
                # A loop between this one and the next one outside changes nothing but starts this
                # one again.
                between = self.advance[loop + 1 : outer]
                if len(between):
                    with m.If(between.any()):
                        restart(values[index:], base)
                with m.If(self.advance[loop]):
                    restart(values[index:], following)
                outer, base = loop, values[index]
        return m
