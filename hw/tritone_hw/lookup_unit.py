# SPDX-License-Identifier: Apache-2.0
"""From weight nibbles to what the lanes of the array do with their activations."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.layout import CONTROL, TABLE

__all__ = ["LookupUnit"]


class LookupUnit(wiring.Component):
    """The entries of one lookup table that weight nibbles select.

    Timing: combinational.

    Parameters
    ----------
    lanes : nibbles looked up at once.

    Members
    -------
    table : In(TABLE)
        One ARRAY_CONTROL word in the low bits of each byte.
    codes : In(ArrayLayout(4, lanes))
        Weight nibbles.
    controls : Out(ArrayLayout(CONTROL, lanes))
        ``table[code]`` for each of them.
    """

    def __init__(self, lanes: int) -> None:
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"Lanes must be an integer, not {lanes!r}")
        if lanes < 1:
            raise ValueError(f"Lanes must be a positive number, not {lanes}")
        super().__init__(
            {
                "table": In(TABLE),
                "codes": In(ArrayLayout(NIBBLE_BITS, lanes)),
                "controls": Out(ArrayLayout(CONTROL, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A word of all entries for each control bit: selecting a bit of it simulates far faster
        # than selecting an entry of the table.
        planes = []
        for bit in range(Shape.cast(CONTROL).width):
            plane = Signal(len(self.table), name=f"plane{bit}")
            m.d.comb += plane.eq(Cat(entry[bit] for entry in self.table))
            planes.append(plane)
        for code, control in zip(self.codes, self.controls, strict=True):
            m.d.comb += control.eq(Cat(plane.bit_select(code, 1) for plane in planes))
        return m
