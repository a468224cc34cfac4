# SPDX-License-Identifier: Apache-2.0
"""The array alone behind a few pins, to measure what it takes of a device."""

from __future__ import annotations

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tritone_hw.array import Array

__all__ = ["ArrayProbe"]

# Inputs of a LUT4.
_FAN_IN = 4


class ArrayProbe(Component):
    """The array between a shift register for its inputs and a tree of parities of its sums.

    Registers lie on both sides of every level, so that paths begin and end at the array's own.

    Timing: a bit of the inputs in every cycle.

    Parameters
    ----------
    array : what is measured.

    Members
    -------
    serial_in : In(1)
        The next bit of the inputs.
    parity : Out(1)
        Of all accumulators, some cycles ago.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        super().__init__({"serial_in": In(1), "parity": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = self._array
        inputs = Cat(
            array.valid,
            array.clear,
            array.drain,
            Value.cast(array.nibbles),
            Value.cast(array.weights),
        )
        register = Signal(len(inputs), reset_less=True)
        m.d.sync += register.eq(Cat(self.serial_in, register))
        m.d.comb += inputs.eq(register)

        level = [*Cat(Value.cast(array.even), Value.cast(array.odd), array.drained)]
        number = 0
        while len(level) > 1:
            parts = [level[index : index + _FAN_IN] for index in range(0, len(level), _FAN_IN)]
            parities = Signal(len(parts), name=f"parities{number}", reset_less=True)
            m.d.sync += parities.eq(Cat(reduce(xor, part) for part in parts))
            level, number = [*parities], number + 1
        m.d.comb += self.parity.eq(level[0])
        return m
